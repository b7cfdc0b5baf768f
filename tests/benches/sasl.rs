//! A login at the SASL door, as Postfix makes it, beside an echo that answers OK without looking.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use octroi::evidence::keys::{KeySettings, KeySource, Keys, Lookup, VerifyingKey};
use octroi::http::{HttpClient, HttpSettings};

use crate::bench::Bench;
use crate::contest::{self, Asked, Contender, ROUNDS};
use crate::credentials::{Credentials, ISSUER, MAILBOX};
use crate::echo::{self, Echo};
use crate::figure::{Figure, Goal, Spread};
use crate::load::Connection as _;
use crate::load::lines::{Grammar, Lines, Opening};
use crate::server::Server;
use crate::{cpu, sidecar};

const VS_ECHO: &str = "sasl-vs-echo";
const LOGIN: &str = "sasl-login";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[VS_ECHO, LOGIN];

/// Verifications a round.
const BATCH: usize = 1000;

/// The login is good.
const GRAMMAR: Grammar = Grammar {
    opening: Some(Opening { greeting: b"DONE\n", hello: b"VERSION\t1\t0\nCPID\t4711\n" }),
    end: b"\n",
    expect: |answer, _| answer == echo::SASL_ANSWER.as_bytes(),
};

/// Measures.
///
/// # Errors
/// A server can't be started, or answers what it should not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    // Each login verifies its signature: what is subtracted below must have been spent.
    let sidecar = sidecar::start(bench, &credentials, &sidecar::Options::VERIFYING).await?;
    let requests: Vec<_> = credentials.tokens().iter().map(|token| request(token)).collect();
    let asked = || Asked::Lines(requests.clone(), GRAMMAR);
    let ours = Contender { server: sidecar.sasl(), asked: asked() };
    let echo = Contender { server: Echo::Sasl.start(bench.folder()).await?, asked: asked() };
    refuses(&ours.server, &credentials.forged()?).await?;
    let key = key(bench.folder(), &credentials).await?;
    let verification = verification(&key, &credentials)?;

    let [ours, echo] = contest::alternate(bench.progress(), [&ours, &echo]).await?;
    // What is left of a login without the protocol and without the one signature that nobody can do without.
    let more = ours.iter().zip(&echo).map(|(ours, echo)| ours.cpu - echo.cpu - verification);
    let more = Spread::of(more).context("no rounds")?;
    let mut figure = Figure::alone(VS_ECHO, "us CPU more/login", more, Some(Goal::ValueAtMost(20.0)));
    figure.against = Some(format!("SASL echo + {verification:.1} us of verification"));
    let pair = contest::pair(LOGIN, &ours, ("SASL echo", &echo), [None, None])?;
    Ok([figure].into_iter().chain(pair).collect())
}

/// Logs in over connections of this process.
///
/// # Errors
/// The login is refused.
pub(crate) async fn log_in(server: &Server, credentials: &Credentials) -> anyhow::Result<()> {
    let token = credentials.tokens().first().context("a token")?;
    let mut connections = Lines::connect(server, &[request(token)], GRAMMAR).await?;
    let granted = connections.first_mut().context("a connection")?.exchange(0).await?;
    anyhow::ensure!(granted, "{} refuses a login", server.name());
    Ok(())
}

/// What Postfix sends for an AUTH with an initial response.
fn request(token: &str) -> Vec<u8> {
    let message = STANDARD.encode(format!("user={MAILBOX}\x01auth=Bearer {token}\x01\x01"));
    format!("AUTH\t1\tXOAUTH2\tservice=smtp\tnologin\tlip=192.0.2.1\trip=192.0.2.7\tsecured\tresp={message}\n")
        .into_bytes()
}

/// A server that accepts a forged token is no contender.
async fn refuses(server: &Server, forged: &str) -> anyhow::Result<()> {
    let challenged = Grammar { expect: |answer, _| answer.starts_with(b"CONT\t1\t"), ..GRAMMAR };
    let mut connections = Lines::connect(server, &[request(forged)], challenged).await?;
    let refused = connections.first_mut().context("a connection")?.exchange(0).await?;
    anyhow::ensure!(refused, "{} accepts a forged token", server.name());
    Ok(())
}

async fn key(folder: &Path, credentials: &Credentials) -> anyhow::Result<Arc<VerifyingKey>> {
    let file = folder.join("sasl-jwks.json");
    std::fs::write(&file, credentials.jwks()?)?;
    let keys = Keys::start(KeySettings::new(ISSUER), KeySource::File(file), HttpClient::new(&HttpSettings::default())?);
    keys.tried().await;
    match keys.lookup(Some("bench-1"), jsonwebtoken::Algorithm::RS256) {
        Lookup::Found(key) => Ok(key),
        _ => anyhow::bail!("the key is not found"),
    }
}

/// Microseconds of CPU that the bare verification of a token's signature takes, by the same call as the gate's: the
/// median of as many rounds.
fn verification(key: &VerifyingKey, credentials: &Credentials) -> anyhow::Result<f64> {
    let mut costs = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = cpu::of_thread();
        for token in credentials.tokens().iter().cycle().take(BATCH) {
            let (signed, signature) = token.rsplit_once('.').context("a token has dots")?;
            let signature = URL_SAFE_NO_PAD.decode(signature)?;
            anyhow::ensure!(key.holds(signed.as_bytes(), &signature), "a good signature does not hold");
        }
        costs.push((cpu::of_thread() - begun).as_secs_f64() * 1e6 / f64::from(u32::try_from(BATCH)?));
    }
    Ok(Spread::of(costs).context("no rounds")?.median)
}
