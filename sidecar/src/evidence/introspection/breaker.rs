//! Spares logins the wait for an issuer that is away: after some failures in a row nobody asks for a while, then one
//! login tries for all.
//!
//! Own code: the crates looked at (failsafe 1.3, recloser 1.4) let every call through when the while is over, and read
//! a clock that tests can't stop.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// First while; each failed try makes it half as long again, and jitter up to twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest while before its jitter: the issuer's return is noticed within 20 s.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest while with its jitter.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// State, for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Questions go out.
    Closed,
    /// None goes out for this much longer.
    Open(Duration),
    /// One is out to see whether the issuer is back, or the next one will be.
    HalfOpen,
}

impl BreakerState {
    /// Stable code for status and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

pub(super) struct Breaker(Mutex<State>);

enum State {
    Closed { failures: u32 },
    Open { until: Instant, pauses: ExponentialBackoff, probing: bool },
}

/// The right to ask once. Dropped without a word, it leaves things as they were.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    /// The right to ask, unless the issuer is to be spared now.
    pub(super) fn permit(&self) -> Option<Permit<'_>> {
        match &mut *self.state() {
            State::Closed { .. } => Some(Permit { breaker: self, probe: false }),
            State::Open { until, probing, .. } if !*probing && Instant::now() >= *until => {
                *probing = true;
                Some(Permit { breaker: self, probe: true })
            }
            State::Open { .. } => None,
        }
    }

    pub(super) fn picture(&self) -> BreakerState {
        match &*self.state() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { until, probing: false, .. } if *until > Instant::now() => {
                BreakerState::Open(until.saturating_duration_since(Instant::now()))
            }
            State::Open { .. } => BreakerState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The issuer answered. A question sent before it was spared says so too: it is the newer news.
    pub(super) fn succeeded(mut self) {
        self.probe = false;
        *self.breaker.state() = State::Closed { failures: 0 };
    }

    /// It did not.
    pub(super) fn failed(mut self) {
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.breaker.state();
        match &mut *state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= FAILURES {
                    let mut pauses = pauses();
                    let until = Instant::now() + pauses.next().unwrap_or(PAUSE_MAX);
                    *state = State::Open { until, pauses, probing: false };
                }
            }
            State::Open { until, pauses, probing } if probe => {
                *until = Instant::now() + pauses.next().unwrap_or(PAUSE_MAX);
                *probing = false;
            }
            // One of several that were out when it opened.
            State::Open { .. } => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe
            && let State::Open { probing, .. } = &mut *self.breaker.state()
        {
            *probing = false;
        }
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(PAUSE)
        .with_max_delay(PAUSE_MAX)
        .with_factor(1.5)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn open() -> Breaker {
        let breaker = Breaker::new();
        for _ in 0..FAILURES {
            breaker.permit().unwrap().failed();
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_not_before() {
        let breaker = Breaker::new();
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                breaker.permit().unwrap().failed();
            }
            breaker.permit().unwrap().succeeded();
        }
        assert_eq!(breaker.picture(), BreakerState::Closed);
        assert!(open().permit().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_tries_for_all_when_the_pause_is_over() {
        let breaker = open();
        advance(PAUSE * 2).await;
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_none());
        assert_eq!(breaker.picture(), BreakerState::HalfOpen);
        probe.succeeded();
        assert_eq!(breaker.picture(), BreakerState::Closed);
        assert!(breaker.permit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_jitter_up_to_a_limit() {
        let breaker = open();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let BreakerState::Open(pause) = breaker.picture() else { panic!() };
            pauses.push(pause);
            advance(pause).await;
            breaker.permit().unwrap().failed();
            assert!(breaker.permit().is_none());
        }
        assert!(pauses[0] >= PAUSE && pauses[0] <= PAUSE * 2, "{pauses:?}");
        assert!(pauses[11] >= PAUSE_MAX && pauses[11] <= PAUSE_MAX * 2, "{pauses:?}");
        assert_eq!(pauses.iter().collect::<std::collections::BTreeSet<_>>().len(), 12, "{pauses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_goes_away_leaves_its_place_to_the_next_one() {
        let breaker = open();
        advance(PAUSE * 2).await;
        drop(breaker.permit().unwrap());
        breaker.permit().unwrap().succeeded();
        assert_eq!(breaker.picture(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn late_failures_of_questions_already_out_do_not_lengthen_the_pause() {
        let breaker = Breaker::new();
        let out: Vec<_> = (0..50).map(|_| breaker.permit().unwrap()).collect();
        for permit in out {
            permit.failed();
        }
        let BreakerState::Open(pause) = breaker.picture() else { panic!() };
        assert!(pause <= PAUSE * 2);
    }
}
