//! Contenders run in turn, round after round, on one machine and under the same load: what slows one slows the other.

use indicatif::ProgressBar;
use octroi::proto::AuthenticateRequest;

use crate::figure::{Figure, Goal};
use crate::load::grpc::Grpc;
use crate::load::http::{Expect, Http};
use crate::load::lines::{Grammar, Lines};
use crate::load::{Sample, closed_loop};
use crate::server::Server;

/// Rounds that count. One more is run first and thrown away.
pub(crate) const ROUNDS: usize = 7;

/// What a contender is asked.
pub(crate) enum Asked {
    /// HTTP/1.1 requests.
    Http(Vec<Vec<u8>>, Expect),
    /// gRPC requests, and the mailboxes of every answer.
    Grpc(Vec<AuthenticateRequest>, Vec<String>),
    /// Requests of a line protocol.
    Lines(Vec<Vec<u8>>, Grammar),
}

/// A server and what it is asked.
pub(crate) struct Contender {
    pub(crate) server: Server,
    pub(crate) asked: Asked,
}

impl Contender {
    async fn run(&self) -> anyhow::Result<Sample> {
        match &self.asked {
            Asked::Http(requests, expect) => {
                closed_loop(&self.server, Http::connect(&self.server, requests, *expect).await?).await
            }
            Asked::Grpc(requests, expected) => {
                closed_loop(&self.server, Grpc::connect(&self.server, requests, expected).await?).await
            }
            Asked::Lines(requests, grammar) => {
                closed_loop(&self.server, Lines::connect(&self.server, requests, *grammar).await?).await
            }
        }
    }
}

/// Runs all contenders in turn. Gives the samples of each, in their order.
///
/// # Errors
/// One of them broke off, or gave an answer that is not the expected one.
pub(crate) async fn alternate<const N: usize>(
    progress: &ProgressBar,
    contenders: [&Contender; N],
) -> anyhow::Result<[Vec<Sample>; N]> {
    progress.inc_length(u64::try_from((ROUNDS + 1) * N)?);
    let mut samples = [const { Vec::new() }; N];
    for round in 0..=ROUNDS {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            progress.set_message(contender.server.name().to_owned());
            let sample = contender.run().await?;
            if round > 0 {
                samples.push(sample);
            }
            progress.inc(1);
        }
    }
    Ok(samples)
}

/// The two figures of a pair: requests a second under `id`, server CPU a request under `id` with `-cpu`.
///
/// # Errors
/// The rounds do not pair.
pub(crate) fn pair(
    id: &str,
    ours: &[Sample],
    (against, theirs): (&str, &[Sample]),
    [rate_goal, cpu_goal]: [Option<Goal>; 2],
) -> anyhow::Result<[Figure; 2]> {
    let rates = |samples: &[Sample]| samples.iter().map(|sample| sample.rate).collect::<Vec<_>>();
    let cpus = |samples: &[Sample]| samples.iter().map(|sample| sample.cpu).collect::<Vec<_>>();
    Ok([
        Figure::versus(id, "req/s", &rates(ours), (against, &rates(theirs)), rate_goal)?,
        Figure::versus(&format!("{id}-cpu"), "us CPU/req", &cpus(ours), (against, &cpus(theirs)), cpu_goal)?,
    ])
}
