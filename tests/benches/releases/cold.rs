//! From nothing to the first login that is granted, with a release in service that was compiled before.

use std::process::{Command, Stdio};
use std::time::Duration;

use octroi::proto::authenticate_request::Credentials;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi::proto::policies_client::PoliciesClient;
use octroi::proto::{ActivatePolicyRequest, AuthenticateRequest};
use octroi_psc::doctor_one;
use octroi_tests::sidecar::{Settings, Sidecar, program};
use tokio::time::Instant;

use super::{COLD_START, channel, provider, stage};
use crate::bench::Bench;
use crate::contest::ROUNDS;
use crate::figure::{Figure, Goal, Spread};
use crate::server::PATIENCE;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Figure> {
    let psc = provider().await?;
    let more = "[policy]\nallow_unsigned = true\n".to_owned();
    let mut sidecar = Sidecar::start(&psc, &Settings { more, ..Settings::default() })?;
    let admin = sidecar.folder().join("admin.sock");
    let release = stage(&admin, "{}").await?;
    let activate = ActivatePolicyRequest { release, reason: "bench".to_owned(), ..ActivatePolicyRequest::default() };
    PoliciesClient::new(channel(admin).await?).activate(activate).await?;
    sidecar.stop()?;
    bench.progress().inc_length(u64::try_from(ROUNDS)?);
    bench.progress().set_message("start");
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let token = psc.token(&doctor_one()).mint();
        times.push(start(&sidecar, &token).await?.as_secs_f64() * 1e3);
        bench.progress().inc(1);
    }
    let spread = Spread::of(times).ok_or_else(|| anyhow::anyhow!("no starts"))?;
    Ok(Figure::alone(COLD_START, "ms to a login", spread, Some(Goal::ValueAtMost(150.0))))
}

/// One start; the process is ended by force afterwards.
async fn start(sidecar: &Sidecar, token: &str) -> anyhow::Result<Duration> {
    let gate = sidecar.folder().join("gate.sock");
    // What a process that was killed left.
    let _ = std::fs::remove_file(&gate);
    let begun = Instant::now();
    let mut process = Command::new(program("octroi"))
        .arg("--config")
        .arg(sidecar.configuration_file())
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let first = async {
        loop {
            if let Ok(channel) = channel(gate.clone()).await
                && granted(channel, token).await?
            {
                return anyhow::Ok(begun.elapsed());
            }
            anyhow::ensure!(begun.elapsed() < PATIENCE, "no login is granted");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let first = first.await;
    process.kill()?;
    process.wait()?;
    first
}

async fn granted(channel: tonic::transport::Channel, token: &str) -> anyhow::Result<bool> {
    let bearer = Some(Credentials::Bearer(token.as_bytes().to_vec()));
    let request = AuthenticateRequest { credentials: bearer, ..AuthenticateRequest::default() };
    let answer = GateClient::new(channel).authenticate(request).await?.into_inner();
    Ok(matches!(answer.outcome, Some(Outcome::Allowed(_))))
}
