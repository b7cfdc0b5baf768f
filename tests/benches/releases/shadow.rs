//! What a release in the shadow costs those who log in.

use octroi::proto::policies_client::PoliciesClient;
use octroi::proto::{AuthenticateRequest, PolicyDifferencesRequest, Protocol, ShadowPolicyRequest};

use super::{SHADOW_COST, channel, stage};
use crate::bench::Bench;
use crate::contest::ROUNDS;
use crate::credentials::{AUDIENCE, Credentials, MAILBOX};
use crate::figure::{Figure, Goal};
use crate::load::closed_loop;
use crate::load::grpc::Grpc;
use crate::sidecar::{self, Options};

/// Logins a second with a shadow, over those without, in turn.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<Figure> {
    let credentials = Credentials::generate()?;
    let options = Options { workers: "2", ..Options::VERIFYING };
    let sidecar = sidecar::start(bench, &credentials, &options).await?;
    let release = stage(&sidecar.admin(), &format!(r#"{{"audience":["{AUDIENCE}"]}}"#)).await?;
    let mut policies = PoliciesClient::new(channel(sidecar.admin()).await?);
    let requests: Vec<_> = credentials.tokens().iter().map(|token| request(token)).collect();
    let expected = [MAILBOX.to_owned()];
    bench.progress().inc_length(u64::try_from(2 * (ROUNDS + 1))?);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (shadow, rates) in [("", &mut without), (release.as_str(), &mut with)] {
            bench.progress().set_message(if shadow.is_empty() { "no shadow" } else { "shadow" });
            let request = ShadowPolicyRequest { release: shadow.to_owned(), reason: "bench".to_owned() };
            policies.shadow(request).await?;
            let server = sidecar.grpc();
            let sample = closed_loop(&server, Grpc::connect(&server, &requests, &expected).await?).await?;
            if round > 0 {
                rates.push(sample.rate);
            }
            bench.progress().inc(1);
        }
    }
    let report = policies.differences(PolicyDifferencesRequest {}).await?.into_inner();
    anyhow::ensure!(report.differences.is_empty(), "the same policy decides otherwise: {:?}", report.differences);
    anyhow::ensure!(report.same > 0, "the shadow looked at nothing");
    let (same, dropped) = (report.same, report.dropped);
    bench.progress().suspend(|| eprintln!("shadow: {same} looked at in its last round, {dropped} not looked at"));
    Figure::versus(SHADOW_COST, "req/s", &with, ("without a shadow", &without), Some(Goal::RatioAtLeast(0.9)))
}

fn request(token: &str) -> AuthenticateRequest {
    AuthenticateRequest {
        mailbox: MAILBOX.to_owned(),
        protocol: Protocol::Imap.into(),
        credentials: Some(octroi::proto::authenticate_request::Credentials::Bearer(token.as_bytes().to_vec())),
        ..AuthenticateRequest::default()
    }
}
