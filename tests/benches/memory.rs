//! What an idle sidecar takes.

use std::time::Duration;

use anyhow::Context as _;
use octroi_tests::memory::proportional_set_size;

use crate::bench::Bench;
use crate::contest::ROUNDS;
use crate::credentials::Credentials;
use crate::figure::{Figure, Goal, Spread};
use crate::sidecar;

const IDLE: &str = "idle-memory";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[IDLE];

/// Starts the sidecar several times and reads its proportional set size, once it is ready and two seconds have passed.
///
/// # Errors
/// It can't be started.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    bench.progress().inc_length(u64::try_from(ROUNDS)?);
    let mut sizes = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        bench.progress().set_message("start and rest");
        let sidecar = sidecar::start(bench, &credentials, &sidecar::Options::SHIPPED).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        sizes.push(proportional_set_size(sidecar.pid())?);
        bench.progress().inc(1);
    }
    let spread = Spread::of(sizes).context("no starts")?;
    Ok(vec![Figure::alone(IDLE, "MiB PSS", spread, Some(Goal::ValueAtMost(40.0)))])
}
