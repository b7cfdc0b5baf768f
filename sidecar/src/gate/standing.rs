//! A decision that has to stand for a while: what it rested on, and the same judgement at a later moment.
//!
//! Nothing is proven again: the signature was verified over bytes that are gone by then, and the issuer was asked once.
//! Everything that depends on time, on the directory or on the policy in service is judged anew, and every rail with
//! it.

use std::sync::Arc;

use super::{Attempt, Decision, Facts, Gate, Outcome};
use crate::evidence::directory::MailboxAddress;
use crate::evidence::token::Proven;
use crate::policy::wit::login::{self, Inquiry};
use crate::reason::UnavailableReason;

/// What a decision rested on. Holds claims, and not a byte of the token: it opens nothing anywhere else. Only the gate
/// makes one.
pub struct Basis {
    pub(super) inquiry: Inquiry,
    pub(super) proven: Arc<Proven>,
    pub(super) introspection: login::Introspection,
}

impl Gate {
    /// Judges one attempt and records the decision, as [`authenticate`](Self::authenticate) does. With it goes what the
    /// decision rested on, where it is an allow.
    pub async fn authenticate_to_stand(&self, attempt: &Attempt) -> (Decision, Option<Basis>) {
        let mut facts = Facts::default();
        let decision = self.recorded(attempt, &mut facts).await;
        let basis = facts.basis.filter(|_| matches!(decision.outcome, Outcome::Allow(_)));
        (decision, basis)
    }

    /// What the same token is worth now, for one mailbox: `exp`, the session's length, the directory and the policy in
    /// service. Recorded by the caller, who knows what it is for.
    #[must_use]
    pub fn judge_again(&self, basis: &Basis, mailbox: &MailboxAddress) -> Outcome {
        let Ok(_place) = self.in_flight.try_acquire() else { return UnavailableReason::Overloaded.into() };
        let service = self.service.load_full();
        let release = service.release_for(&basis.inquiry.identity);
        let outcome = match release.instance() {
            Ok(instance) => self.decide(instance, Some(mailbox.as_str()), basis, self.clock.now()),
            Err(fault) => fault.into(),
        };
        self.watch_standing(&service, release, &outcome, basis.proven.person());
        outcome
    }
}
