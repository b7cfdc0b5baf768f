//! A token seen before: what is left of a decision once its signature is known to hold.

use anyhow::Context as _;

use super::parts::Parts;
use super::{ROUNDS, UNIT, batch, granted, hosted};
use crate::bench::Bench;
use crate::figure::{Figure, Goal, Spread};

const SEEN: &str = "decision-seen-token";
const WHOLE: &str = "decision-seen-token-whole";
const EMPTY: &str = "decision-empty-call";

/// The ids of this module.
pub(super) const IDS: [&str; 3] = [SEEN, WHOLE, EMPTY];

/// Measures the shipped gate on tokens that it knows, beside one call of a guest that refuses at once (a fresh
/// instance, the same attempt handed in), and beside the gate that verifies each time.
///
/// # Errors
/// A good token is not granted.
pub(super) fn run(bench: &Bench, parts: &Parts, tokens: &[&[u8]]) -> anyhow::Result<[Figure; 3]> {
    bench.progress().inc_length(u64::try_from(ROUNDS + 1)?);
    let now = parts.now();
    let empty = |token: &[u8]| {
        let opened = parts.refusing().instance().and_then(|mut instance| instance.open(&hosted::attempt(token), now));
        Ok(matches!(opened, Ok(Err(_))))
    };
    let mut costs = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        bench.progress().set_message("a token seen before");
        let sample = [
            batch(tokens, |token| granted(parts.remembering(), token))?,
            batch(tokens, empty)?,
            batch(tokens, |token| granted(parts.gate(), token))?,
        ];
        // The first round is the one that sees every token for the first time.
        if round > 0 {
            costs.iter_mut().zip(sample).for_each(|(costs, cost)| costs.push(cost));
        }
        bench.progress().inc(1);
    }
    let [seen, empty, first] = costs;
    let status = parts.remembering().signatures();
    anyhow::ensure!(status.misses == u64::try_from(tokens.len())?, "a token seen before was verified: {status:?}");
    let above = Spread::of(seen.iter().zip(&empty).map(|(seen, empty)| seen - empty)).context("no rounds")?;
    let above = Figure::alone(SEEN, "us CPU above", above, Some(Goal::ValueAtMost(10.0)));
    let spread = Spread::of(empty).context("no rounds")?;
    Ok([
        Figure { against: Some("empty guest call".to_owned()), ..above },
        Figure::versus(WHOLE, UNIT, &seen, ("first time", &first), None)?,
        Figure::alone(EMPTY, UNIT, spread, None),
    ])
}
