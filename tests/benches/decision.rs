//! What a decision costs within the process, beside the same rules compiled natively.
//!
//! Figures are CPU time of the deciding thread a decision: the gate's audit writer has a thread of its own, which works
//! after the answer and is not in them.

mod hosted;
mod native;
mod parts;
mod seen;

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::Context as _;
use octroi::clock::UnixSeconds;
use octroi::gate::{Attempt, Credentials as Shown, Door, Gate, Outcome, Protocol};
use octroi::secret::Token;
use octroi_rules::Settings;
use tokio::time::Instant;

use crate::bench::Bench;
use crate::credentials::Credentials;
use crate::figure::{Figure, Goal, Spread};
use crate::{contest, cpu};
use hosted::Hosted;
use native::Native;
use parts::Parts;

const VS_NATIVE: &str = "decision-vs-native";
const NATIVE: &str = "decision-native";
const VERIFICATION: &str = "decision-verification";
const ONE: &str = "decision-one-instance";
const TWO: &str = "decision-two-instances";
const REUSED: &str = "decision-reused-instance";
const THREADS: [&str; 2] = ["decision-1-thread", "decision-2-threads"];

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[
    VS_NATIVE,
    NATIVE,
    VERIFICATION,
    ONE,
    TWO,
    REUSED,
    THREADS[0],
    THREADS[1],
    seen::IDS[0],
    seen::IDS[1],
    seen::IDS[2],
];

/// Decisions a round and contender.
const BATCH: usize = 1000;

/// Rounds that count; a round is short.
const ROUNDS: usize = 3 * contest::ROUNDS;

/// Logins that share an instance where instances are reused. The guest's memory never gives back: not many can.
const SHARED: usize = 8;

/// Measures.
///
/// # Errors
/// The policy can't be loaded, or a good token is not granted.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    let parts = Parts::new(bench.folder(), &credentials).await?;
    let now = parts.now();
    let native = Native {
        settings: Settings::prepared(parts.prepared()).context("settings")?,
        key: parts.key(),
        directory: parts.directory(),
    };
    let release = std::sync::Arc::clone(&parts.gate().service().release);
    let hosted = Hosted { release: &release, key: parts.key(), directory: parts.directory() };
    let tokens: Vec<&[u8]> = credentials.tokens().iter().map(String::as_bytes).collect();
    anyhow::ensure!(!native.grants(credentials.forged()?.as_bytes(), now.0), "the native rules accept a forged token");
    anyhow::ensure!(!granted(parts.gate(), credentials.forged()?.as_bytes())?, "the gate accepts a forged token");

    bench.progress().inc_length(u64::try_from(2 * (ROUNDS + 1))?);
    let mut costs = [const { Vec::new() }; 6];
    for round in 0..=ROUNDS {
        bench.progress().set_message("CPU of one thread");
        let sample = [
            batch(&tokens, |token| granted(parts.gate(), token))?,
            batch(&tokens, |token| Ok(native.grants(token, now.0)))?,
            batch(&tokens, |token| Ok(native::verify(token, parts.key())))?,
            batch(&tokens, |token| Ok(hosted.on_one(token, now)))?,
            batch(&tokens, |token| Ok(hosted.on_two(token, now)))?,
            reused(&tokens, hosted, now)?,
        ];
        if round > 0 {
            costs.iter_mut().zip(sample).for_each(|(costs, cost)| costs.push(cost));
        }
        bench.progress().inc(1);
    }
    let [gate, native, verification, one, two, reused] = costs;
    let spread = Spread::of(native.iter().copied()).context("no rounds")?;
    let against = ("native rules", native.as_slice());
    let goal = Some(Goal::RatioAtMost(1.5));
    let mut figures = vec![
        Figure::versus(VS_NATIVE, UNIT, &gate, against, goal)?,
        Figure::alone(NATIVE, UNIT, spread, None),
        Figure::versus(VERIFICATION, UNIT, &verification, against, None)?,
        Figure::versus(ONE, UNIT, &one, against, None)?,
        Figure::versus(TWO, UNIT, &two, against, None)?,
        Figure::versus(REUSED, UNIT, &reused, against, None)?,
    ];
    figures.extend(threads(bench, parts.gate(), &tokens)?);
    figures.extend(seen::run(bench, &parts, &tokens)?);
    Ok(figures)
}

const UNIT: &str = "us CPU";

/// Microseconds of this thread's CPU for one of [`BATCH`] decisions, each of which must grant.
fn batch(tokens: &[&[u8]], mut decide: impl FnMut(&[u8]) -> anyhow::Result<bool>) -> anyhow::Result<f64> {
    let begun = cpu::of_thread();
    for token in tokens.iter().cycle().take(BATCH) {
        anyhow::ensure!(decide(token)?, "a good token is not granted");
    }
    Ok((cpu::of_thread() - begun).as_secs_f64() * 1e6 / f64::from(u32::try_from(BATCH)?))
}

/// The same with [`SHARED`] logins on each instance.
fn reused(tokens: &[&[u8]], hosted: Hosted<'_>, now: UnixSeconds) -> anyhow::Result<f64> {
    let (mut instance, mut served) = (hosted.release.instance()?, 0);
    batch(tokens, |token| {
        if served == SHARED {
            (instance, served) = (hosted.release.instance()?, 0);
        }
        served += 1;
        Ok(hosted.on(&mut instance, token, now))
    })
}

/// Decisions a second by wall clock, on one thread and on two.
fn threads(bench: &Bench, gate: &Gate, tokens: &[&[u8]]) -> anyhow::Result<[Figure; 2]> {
    let mut rates = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        bench.progress().set_message("one thread and two");
        for (threads, rates) in (1..).zip(&mut rates) {
            let rate = rate(gate, tokens, threads)?;
            if round > 0 {
                rates.push(rate);
            }
        }
        bench.progress().inc(1);
    }
    let [one, two] = rates;
    let spread = Spread::of(one.iter().copied()).context("no rounds")?;
    let unit = "decisions/s";
    Ok([
        Figure::alone(THREADS[0], unit, spread, None),
        Figure::versus(THREADS[1], unit, &two, ("1 thread", &one), None)?,
    ])
}

fn rate(gate: &Gate, tokens: &[&[u8]], threads: u32) -> anyhow::Result<f64> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = || batch(tokens, |token| granted(gate, token));
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done.map(|_| ()),
            Err(_) => anyhow::bail!("a deciding thread panicked"),
        })
    })?;
    Ok(f64::from(threads) * f64::from(u32::try_from(BATCH)?) / begun.elapsed().as_secs_f64())
}

/// Asks the gate, which has everything at hand: whoever waits here has a fault.
fn granted(gate: &Gate, token: &[u8]) -> anyhow::Result<bool> {
    let attempt = Attempt {
        credentials: Shown::Bearer(Token::new(token)),
        mailbox: None,
        protocol: Protocol::Imap,
        door: Door::DovecotIntrospection,
        client: None,
    };
    match pin!(gate.authenticate(attempt)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decision) => {
            Ok(matches!(decision.outcome, Outcome::Allow(permit) if permit.mailboxes().len() == 1))
        }
        Poll::Pending => anyhow::bail!("a decision with everything at hand waits"),
    }
}
