//! Decisions counted by outcome and reason: one atomic each, made once.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::Outcome;
use crate::reason::{DenyReason, UnavailableReason};

/// The counters.
pub(super) struct Counters {
    allowed: AtomicU64,
    degraded: AtomicU64,
    identities_differ: AtomicU64,
    denied: Vec<AtomicU64>,
    unavailable: Vec<AtomicU64>,
}

impl Default for Counters {
    fn default() -> Self {
        let zeroes = |count: usize| std::iter::repeat_with(AtomicU64::default).take(count).collect();
        Self {
            allowed: AtomicU64::default(),
            degraded: AtomicU64::default(),
            identities_differ: AtomicU64::default(),
            denied: zeroes(DenyReason::ALL.len()),
            unavailable: zeroes(UnavailableReason::ALL.len()),
        }
    }
}

impl Counters {
    /// Counts one decision.
    pub(super) fn count(&self, outcome: &Outcome, identities_differ: bool) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Allow(permit) => {
                add(&self.allowed);
                if permit.degraded() {
                    add(&self.degraded);
                }
            }
            // The lists have one counter for each reason, in the order of `ALL`, which is that of the declaration.
            Outcome::Deny(reason) => drop(self.denied.get(*reason as usize).map(add)),
            Outcome::Unavailable(reason) => drop(self.unavailable.get(*reason as usize).map(add)),
        }
        if identities_differ {
            add(&self.identities_differ);
        }
    }

    /// Every counter that is not zero, and the allowed ones always.
    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counts = vec![
            ("decisions_allowed".to_owned(), read(&self.allowed)),
            ("decisions_allowed_degraded".to_owned(), read(&self.degraded)),
            ("decisions_identities_differ".to_owned(), read(&self.identities_differ)),
        ];
        let denied = DenyReason::ALL.iter().map(|r| ("denied", r.code())).zip(&self.denied);
        let unavailable = UnavailableReason::ALL.iter().map(|r| ("unavailable", r.code())).zip(&self.unavailable);
        for ((outcome, code), counter) in denied.chain(unavailable) {
            let count = read(counter);
            if count > 0 {
                counts.push((format!("decisions_{outcome}_{}", code.replace('-', "_")), count));
            }
        }
        counts
    }
}
