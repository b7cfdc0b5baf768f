//! A flood: a million tokens whose signature does not hold and a million whose key does not exist, no two alike, each
//! from a client address of its own, while good logins go on. What it costs in memory, in fetches of keys, and to the
//! others.
//!
//! Good logins arrive at a steady rate, as people do, and count when they are granted. Beside it stands the flood from
//! one address, which is slowed: there the good logins of others saturate the sidecar, with the flood and without.

mod bad;
mod good;

use std::time::Duration;

use anyhow::Context as _;
use octroi_psc::{Endpoint, Psc};
use octroi_tests::memory::proportional_set_size;
use tokio::task::LocalSet;
use tokio::time::Instant;

use self::bad::{Addresses, Flood, Kind};
use crate::bench::Bench;
use crate::contest::ROUNDS;
use crate::credentials::Credentials;
use crate::figure::{Figure, Goal, Spread};
use crate::introspect;
use crate::load::http::Http;
use crate::load::{Sample, closed_loop};
use crate::server::Server;
use crate::sidecar::{self, Options};

const MEMORY: &str = "flood-memory";
const FETCHES: &str = "flood-key-fetches";
const GOOD_RATE: &str = "flood-good-rate";
const ONE_ADDRESS: &str = "flood-one-address-good-rate";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[MEMORY, FETCHES, GOOD_RATE, ONE_ADDRESS];

/// Tokens of each kind.
const TOKENS: usize = 1_000_000;

/// Time without a flood before each part of it.
const CALM: Duration = Duration::from_secs(3);

/// `keys.floor` of the sidecar: between two fetches on behalf of logins.
const FLOOR: f64 = 30.0;

/// Measures.
///
/// # Errors
/// The sidecar can't be started, or lets in what it should not, or refuses a good login.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    let provider = Psc::builder().key(credentials.key()?).start().await?;
    let options = Options {
        jwks_url: Some(provider.url(Endpoint::Certs)),
        // Two million records are not what is measured.
        audit: "/dev/null",
        ..Options::SHIPPED
    };
    let sidecar = sidecar::start(bench, &credentials, &options).await?;
    let requests: Vec<_> = credentials.tokens().iter().map(|token| introspect::request(token)).collect();
    let arena = Arena { bench, server: sidecar.http(), requests, credentials: &credentials };
    bench.progress().inc_length(u64::try_from(2 * ROUNDS + 1)?);
    let mut figures = arena.many_addresses(&provider).await?;
    figures.push(arena.one_address().await?);
    Ok(figures)
}

/// The sidecar and what is thrown at it.
struct Arena<'a> {
    bench: &'a Bench,
    server: Server,
    requests: Vec<Vec<u8>>,
    credentials: &'a Credentials,
}

impl Arena<'_> {
    /// The flood in as many parts as there are rounds, each after a calm.
    async fn many_addresses(&self, provider: &Psc) -> anyhow::Result<Vec<Figure>> {
        self.saturated(None).await?;
        let (before, fetched) = (proportional_set_size(self.server.pid())?, provider.calls(Endpoint::Certs));
        let (begun, mut addresses) = (Instant::now(), Addresses::default());
        let (mut calm, mut flooded, mut grown) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            self.bench.progress().set_message("flood from everywhere");
            calm.push(self.arrivals(None, &mut addresses).await?);
            let share = (round + 1) * TOKENS / ROUNDS - round * TOKENS / ROUNDS;
            flooded.push(self.arrivals(Some(share), &mut addresses).await?);
            grown.push(proportional_set_size(self.server.pid())? - before);
            self.bench.progress().inc(1);
        }
        let due = (begun.elapsed().as_secs_f64() / FLOOR).floor() + 1.0;
        let fetches = f64::from(u32::try_from(provider.calls(Endpoint::Certs) - fetched)?);
        let grown = Spread::of(grown).context("no rounds")?;
        // The worst round counts, not the middle one.
        let memory = Figure::alone(MEMORY, "MiB PSS more", grown, Some(Goal::ValueAtMost(8.0)));
        let fetches = Spread::of([fetches]).context("no rounds")?;
        Ok(vec![
            Figure { value: Some(grown.max), ..memory },
            Figure::alone(FETCHES, "fetches", fetches, Some(Goal::ValueAtMost(due))),
            Figure::versus(GOOD_RATE, "logins/s", &flooded, ("no flood", &calm), Some(Goal::RatioAtLeast(0.8)))?,
        ])
    }

    /// Good logins at their steady rate, for a while or while so many bad tokens of each kind come. Gives their rate.
    async fn arrivals(&self, bad: Option<usize>, addresses: &mut Addresses) -> anyhow::Result<f64> {
        let local = LocalSet::new();
        let good = good::Arrivals::start(&local, &self.server, &self.requests).await?;
        let Some(bad) = bad else {
            local.run_until(tokio::time::sleep(CALM)).await;
            return local.run_until(good.rate()).await;
        };
        for kind in [Kind::Signature, Kind::Key] {
            let flood = Flood::of(kind, self.credentials)?;
            let answered = local.run_until(bad::pour(&self.server, &flood, bad, addresses)).await?;
            anyhow::ensure!(answered == bad, "{answered} of {bad} bad tokens were answered");
        }
        local.run_until(good.rate()).await
    }

    /// Good logins that saturate the sidecar, with and without a flood from one address, which is slowed.
    async fn one_address(&self) -> anyhow::Result<Figure> {
        let flood = Flood::of(Kind::Signature, self.credentials)?;
        let (mut calm, mut flooded) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            self.bench.progress().set_message("flood from one address");
            let (without, with) = (self.saturated(None).await?, self.saturated(Some(&flood)).await?);
            // The first round is in the burst that every address has.
            if round > 0 {
                calm.push(without.rate);
                flooded.push(with.rate);
            }
            self.bench.progress().inc(1);
        }
        Figure::versus(ONE_ADDRESS, "logins/s", &flooded, ("no flood", &calm), Some(Goal::RatioAtLeast(0.8)))
    }

    async fn saturated(&self, flood: Option<&Flood>) -> anyhow::Result<Sample> {
        let good =
            closed_loop(&self.server, Http::connect(&self.server, &self.requests, introspect::is_granted).await?);
        let Some(flood) = flood else { return good.await };
        let local = LocalSet::new();
        let mut one = Addresses::only([192, 0, 2, 66]);
        let pouring = bad::pour(&self.server, flood, usize::MAX, &mut one);
        let both = async {
            tokio::select! {
                sample = good => sample,
                poured = pouring => Err(anyhow::anyhow!("the flood ended: {poured:?}")),
            }
        };
        local.run_until(both).await
    }
}
