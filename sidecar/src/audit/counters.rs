//! Decisions and messages counted by outcome and reason: one atomic each, made once.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{TicketOutcome, TicketStep};
use crate::gate::{CertificateOutcome, Outcome, SubmissionOutcome};
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};

/// The counters.
pub(super) struct Counters {
    allowed: AtomicU64,
    degraded: AtomicU64,
    identities_differ: AtomicU64,
    denied: Vec<AtomicU64>,
    unavailable: Vec<AtomicU64>,
    submissions_allowed: AtomicU64,
    submissions_denied: Vec<AtomicU64>,
    submissions_shut_out: Vec<AtomicU64>,
    submissions_unavailable: Vec<AtomicU64>,
    tickets: [TicketCounters; 2],
}

/// Of one step.
#[derive(Default)]
struct TicketCounters {
    allowed: AtomicU64,
    denied: AtomicU64,
    unavailable: AtomicU64,
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
            submissions_allowed: AtomicU64::default(),
            submissions_denied: zeroes(SubmissionReason::ALL.len()),
            submissions_shut_out: zeroes(DenyReason::ALL.len()),
            submissions_unavailable: zeroes(UnavailableReason::ALL.len()),
            tickets: Default::default(),
        }
    }
}

impl Counters {
    /// Counts one decision.
    pub(super) fn count(&self, outcome: &Outcome, identities_differ: bool) {
        match outcome {
            Outcome::Allow(permit) => {
                add(&self.allowed);
                if permit.degraded() {
                    add(&self.degraded);
                }
            }
            Outcome::Deny(reason) => count(&self.denied, *reason as usize),
            Outcome::Unavailable(reason) => count(&self.unavailable, *reason as usize),
        }
        if identities_differ {
            add(&self.identities_differ);
        }
    }

    /// Counts one decision on a client certificate, among the others.
    pub(super) fn count_opening(&self, outcome: &CertificateOutcome) {
        match outcome {
            CertificateOutcome::Allow(opened) => {
                add(&self.allowed);
                if opened.degraded() {
                    add(&self.degraded);
                }
            }
            CertificateOutcome::Deny(reason) => count(&self.denied, *reason as usize),
            CertificateOutcome::Unavailable(reason) => count(&self.unavailable, *reason as usize),
        }
    }

    /// Counts one answer about a message.
    pub(super) fn count_submission(&self, outcome: SubmissionOutcome) {
        match outcome {
            SubmissionOutcome::Allow => add(&self.submissions_allowed),
            SubmissionOutcome::Deny(reason) => count(&self.submissions_denied, reason as usize),
            SubmissionOutcome::ShutOut(reason) => count(&self.submissions_shut_out, reason as usize),
            SubmissionOutcome::Unavailable(reason) => count(&self.submissions_unavailable, reason as usize),
        }
    }

    /// Counts one step of a ticket.
    pub(super) fn count_ticket(&self, step: TicketStep, outcome: TicketOutcome) {
        let [issued, redeemed] = &self.tickets;
        let counters = match step {
            TicketStep::Issue => issued,
            TicketStep::Redeem => redeemed,
        };
        let counter = match outcome {
            TicketOutcome::Allow => &counters.allowed,
            TicketOutcome::Deny(_) => &counters.denied,
            TicketOutcome::Unavailable(_) => &counters.unavailable,
        };
        add(counter);
    }

    /// Every counter that is not zero, and the allowed ones always.
    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counts = vec![
            ("decisions_allowed".to_owned(), read(&self.allowed)),
            ("decisions_allowed_degraded".to_owned(), read(&self.degraded)),
            ("decisions_identities_differ".to_owned(), read(&self.identities_differ)),
            ("submissions_allowed".to_owned(), read(&self.submissions_allowed)),
        ];
        for (step, counters) in ["issue", "redeem"].iter().zip(&self.tickets) {
            for (outcome, counter) in
                [("allowed", &counters.allowed), ("denied", &counters.denied), ("unavailable", &counters.unavailable)]
            {
                let count = read(counter);
                if count > 0 {
                    counts.push((format!("tickets_{step}_{outcome}"), count));
                }
            }
        }
        let denied = DenyReason::ALL.iter().map(|r| ("decisions_denied", r.code())).zip(&self.denied);
        let outages = || UnavailableReason::ALL.iter().map(|r| r.code());
        let unavailable = outages().map(|code| ("decisions_unavailable", code)).zip(&self.unavailable);
        let refused = SubmissionReason::ALL.iter().map(|r| ("submissions_denied", r.code()));
        let refused = refused.zip(&self.submissions_denied);
        let shut_out = DenyReason::ALL.iter().map(|r| ("submissions_denied", r.code())).zip(&self.submissions_shut_out);
        let put_off = outages().map(|code| ("submissions_unavailable", code)).zip(&self.submissions_unavailable);
        for ((name, code), counter) in denied.chain(unavailable).chain(refused).chain(shut_out).chain(put_off) {
            let count = read(counter);
            if count > 0 {
                counts.push((format!("{name}_{}", code.replace('-', "_")), count));
            }
        }
        counts
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The lists have one counter for each reason, in the order of `ALL`, which is that of the declaration.
fn count(counters: &[AtomicU64], reason: usize) {
    if let Some(counter) = counters.get(reason) {
        add(counter);
    }
}
