//! A hundred swaps of the policy while eight clients log in over gRPC and one by IMAP on a real Dovecot.
//!
//! One policy grants what the clients show, the other one refuses it; both grant what the IMAP client shows. Every
//! answer must be the one of the policy under which it was recorded.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use octroi::proto::authenticate_request::Credentials;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi::proto::policies_client::PoliciesClient;
use octroi::proto::{ActivatePolicyRequest, AuthenticateRequest};
use octroi_psc::{Psc, doctor_one};
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::imap::{Imap, Security};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;
use tokio::task::LocalSet;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::{SWAP_FAILURES, SWAP_P99, channel, provider, stage};
use crate::bench::Bench;
use crate::figure::{Figure, Goal, Spread};

const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
const SWAPS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(3);
const UN: &str = "docteur.un@bal.example.test";

/// What one client saw.
#[derive(Default)]
struct Seen {
    /// Microseconds of each answer.
    times: Vec<f64>,
    /// By decision: was it granted?
    answers: HashMap<String, bool>,
    failures: u32,
}

struct Stage {
    psc: Psc,
    sidecar: Sidecar,
    dovecot: Dovecot,
    granting: String,
    refusing: String,
}

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let stage = Rc::new(prepare().await?);
    bench.progress().inc_length(u64::try_from(2 * ROUNDS)?);
    let (mut steady, mut swapping, mut failures, mut mixed) = (Vec::new(), Vec::new(), 0, HashMap::new());
    for _ in 0..ROUNDS {
        for swaps in [0, SWAPS] {
            bench.progress().set_message(if swaps == 0 { "steady" } else { "swapping" });
            let seen = round(&stage, swaps).await?;
            let times = if swaps == 0 { &mut steady } else { &mut swapping };
            times.push(percentile(&seen.times).context("no answers")?);
            failures += seen.failures;
            mixed.extend(seen.answers);
            bench.progress().inc(1);
        }
    }
    let answers = mixed.len();
    let mixed = count_mixed(&stage, mixed).await?;
    bench.progress().suspend(|| eprintln!("swap: {answers} answers, {failures} failures, {mixed} mixed"));
    let bad = Spread::of([f64::from(failures + mixed)]).context("no figure")?;
    Ok(vec![
        Figure::alone(SWAP_FAILURES, "failed or mixed", bad, Some(Goal::ValueAtMost(0.0))),
        Figure::versus(SWAP_P99, "us p99", &swapping, ("steady", &steady), Some(Goal::RatioAtMost(1.5)))?,
    ])
}

async fn prepare() -> anyhow::Result<Stage> {
    let psc = provider().await?;
    let more = "[policy]\nallow_unsigned = true\n".to_owned();
    let sidecar = Sidecar::start(&psc, &Settings { more, ..Settings::default() })?;
    let dovecot = Dovecot::start(&Setup::new(Version::V2_4, sidecar.introspection(), sidecar.policy(), &[UN]))?;
    let admin = sidecar.folder().join("admin.sock");
    let granting = stage(&admin, "{}").await?;
    let refusing = stage(&admin, r#"{"acr":["eidas3"]}"#).await?;
    let stage = Stage { psc, sidecar, dovecot, granting, refusing };
    activate(&stage, &stage.granting).await?;
    Ok(stage)
}

async fn activate(stage: &Stage, release: &str) -> anyhow::Result<()> {
    let mut policies = PoliciesClient::new(channel(stage.sidecar.folder().join("admin.sock")).await?);
    let (release, reason) = (release.to_owned(), "bench".to_owned());
    policies.activate(ActivatePolicyRequest { release, reason, ..ActivatePolicyRequest::default() }).await?;
    Ok(())
}

/// Everybody logs in for a while, during which the policy is swapped so often.
async fn round(stage: &Rc<Stage>, swaps: u32) -> anyhow::Result<Seen> {
    let local = LocalSet::new();
    let end = Instant::now() + WINDOW;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let channel = channel(stage.sidecar.folder().join("gate.sock")).await?;
        clients.push(local.spawn_local(client(stage.clone(), channel, end)));
    }
    let reader = local.spawn_local(reader(stage.clone(), end));
    let swapping = async {
        for swap in 0..swaps {
            tokio::time::sleep(WINDOW / (swaps + 1)).await;
            activate(stage, if swap % 2 == 0 { &stage.refusing } else { &stage.granting }).await?;
        }
        anyhow::Ok(())
    };
    local.run_until(swapping).await?;
    local
        .run_until(async {
            let mut all = Seen::default();
            for client in clients {
                let seen = client.await??;
                all.times.extend(seen.times);
                all.answers.extend(seen.answers);
                all.failures += seen.failures;
            }
            all.failures += reader.await??;
            anyhow::Ok(all)
        })
        .await
}

async fn client(stage: Rc<Stage>, channel: Channel, end: Instant) -> anyhow::Result<Seen> {
    let (mut gate, mut seen) = (GateClient::new(channel), Seen::default());
    let tokens: Vec<String> = (0..20).map(|_| stage.psc.token(&doctor_one()).mint()).collect();
    for token in tokens.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let bearer = Some(Credentials::Bearer(token.as_bytes().to_vec()));
        let request =
            AuthenticateRequest { credentials: bearer, mailbox: UN.to_owned(), ..AuthenticateRequest::default() };
        let begun = Instant::now();
        let answer = gate.authenticate(request).await;
        seen.times.push(begun.elapsed().as_secs_f64() * 1e6);
        match answer.map(|answer| {
            let answer = answer.into_inner();
            (answer.decision_id, answer.outcome)
        }) {
            Ok((decision, Some(Outcome::Allowed(_)))) => drop(seen.answers.insert(decision, true)),
            Ok((decision, Some(Outcome::Denied(denied)))) if denied.reason == "assurance-refused" => {
                seen.answers.insert(decision, false);
            }
            Ok(_) | Err(_) => seen.failures += 1,
        }
    }
    Ok(seen)
}

/// Logs in by IMAP again and again; how often it failed.
async fn reader(stage: Rc<Stage>, end: Instant) -> anyhow::Result<u32> {
    let mut failures = 0;
    while Instant::now() < end {
        let token = stage.psc.token(&doctor_one()).claim("acr", "eidas3").mint();
        let mut imap = Imap::connect(&stage.dovecot, Security::Implicit).await?;
        let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: UN, secret: &token };
        let reply = imap.authenticate(&credential, true).await?;
        failures += u32::from(!reply.accepted());
        imap.logout().await?;
    }
    Ok(failures)
}

/// Answers that are not those of the policy under which they were recorded, or were not recorded.
async fn count_mixed(stage: &Stage, mut answers: HashMap<String, bool>) -> anyhow::Result<u32> {
    // The trail is written a moment after the answer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut mixed = 0;
    for line in stage.sidecar.trail().lines() {
        let record: Value = serde_json::from_str(line)?;
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let Some(granted) = text("decision").and_then(|decision| answers.remove(decision)) else { continue };
        let expected = if granted { &stage.granting } else { &stage.refusing };
        mixed += u32::from(text("policy") != Some(expected.as_str()));
    }
    Ok(mixed + u32::try_from(answers.len())?)
}

fn percentile(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * 99 / 100).copied()
}
