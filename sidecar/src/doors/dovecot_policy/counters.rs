//! Counters of the after-auth door, per mechanism. They decide nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use super::request::Mechanism;
use crate::doors::ports::AfterAuthOutcome;

/// Counters of one process life.
#[derive(Debug, Default)]
pub struct Counters([Cells; Mechanism::ALL.len()]);

#[derive(Debug, Default)]
struct Cells {
    counted: AtomicU64,
    passed: AtomicU64,
    denied: AtomicU64,
    unavailable: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
}

/// The counters of one mechanism at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Which mechanism.
    pub mechanism: Mechanism,
    /// Allowed, and recorded as an authentication.
    pub counted: u64,
    /// Allowed, and nobody's authentication.
    pub passed: u64,
    /// Refused.
    pub denied: u64,
    /// No decision could be made.
    pub unavailable: u64,
    /// Dovecot reported a success.
    pub succeeded: u64,
    /// Dovecot reported a failure that was not ours.
    pub failed: u64,
    /// Dovecot reported a failure because of our answer, or for want of one.
    pub rejected: u64,
}

impl Counters {
    pub(super) fn allow(&self, mechanism: Mechanism, outcome: AfterAuthOutcome) {
        self.add(mechanism, |cells| match outcome {
            AfterAuthOutcome::Allowed { counted: true } => &cells.counted,
            AfterAuthOutcome::Allowed { counted: false } => &cells.passed,
            AfterAuthOutcome::Denied(_) => &cells.denied,
            AfterAuthOutcome::Unavailable(_) => &cells.unavailable,
        });
    }

    pub(super) fn report(&self, mechanism: Mechanism, success: bool, policy_reject: bool) {
        self.add(mechanism, |cells| match (success, policy_reject) {
            (true, _) => &cells.succeeded,
            (false, true) => &cells.rejected,
            (false, false) => &cells.failed,
        });
    }

    fn add(&self, mechanism: Mechanism, cell: impl Fn(&Cells) -> &AtomicU64) {
        for (known, cells) in Mechanism::ALL.iter().zip(&self.0) {
            if *known == mechanism {
                cell(cells).fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The counters as they stand, one tally a mechanism.
    pub fn tallies(&self) -> impl Iterator<Item = Tally> {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Mechanism::ALL.into_iter().zip(&self.0).map(move |(mechanism, cells)| Tally {
            mechanism,
            counted: read(&cells.counted),
            passed: read(&cells.passed),
            denied: read(&cells.denied),
            unavailable: read(&cells.unavailable),
            succeeded: read(&cells.succeeded),
            failed: read(&cells.failed),
            rejected: read(&cells.rejected),
        })
    }
}
