//! The watch over a release that came a short while ago: does it fail on attempts that are proven to be a professional's?
//!
//! Only those count. Whoever can send bytes can make a bad policy trap, and must not be able to bring the policy before it
//! back, which may be the one with the hole. After the window nothing is taken back by itself: a policy that fails is
//! `unavailable` and told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::mpsc::UnboundedSender;

use super::service::Service;
use super::terms::{algorithm, ask, presented, raw};
use super::{Attempt, Gate, Outcome, SubmissionOutcome};
use crate::clock::UnixSeconds;
use crate::evidence::keys::Lookup;
use crate::policy::Release;
use crate::policy::wit::login;
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};
use crate::throttle::Work;

/// Seconds between two complaints in the log about one release: a flood of crafted input must not fill the disk.
const QUIET: u64 = 60;

/// The watch over one release.
pub struct Probation {
    /// What it is recorded under.
    release: String,
    /// What decides in its place once it is taken back.
    previous: Arc<Release>,
    until: UnixSeconds,
    limit: u32,
    failures: AtomicU64,
    proven: AtomicU32,
    told: AtomicU64,
    over: AtomicBool,
    quarantine: UnboundedSender<Failed>,
}

/// A release that has to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it is recorded under.
    pub release: String,
    /// How it failed the last time: the code of a reason.
    pub code: &'static str,
    /// How often, on attempts whose signature holds.
    pub times: u32,
}

impl fmt::Debug for Probation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probation({} until {})", self.release, self.until.0)
    }
}

impl Probation {
    /// A watch that ends at `until`. At the `limit`th failure it tells `quarantine`, once.
    #[must_use]
    pub fn new(
        release: &Release,
        previous: Arc<Release>,
        until: UnixSeconds,
        limit: u32,
        quarantine: UnboundedSender<Failed>,
    ) -> Self {
        Self {
            release: release.digest().to_owned(),
            previous,
            until,
            limit,
            failures: AtomicU64::new(0),
            proven: AtomicU32::new(0),
            told: AtomicU64::new(0),
            over: AtomicBool::new(false),
            quarantine,
        }
    }

    /// When it ends.
    #[must_use]
    pub const fn until(&self) -> UnixSeconds {
        self.until
    }

    /// How often the release failed since it came into service in this process, on whatever input.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Counts a failure on an attempt whose signature holds.
    fn count(&self, code: &'static str) {
        let times = self.proven.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if times >= self.limit && !self.over.swap(true, Ordering::Relaxed) {
            // Nobody there any more: the process is ending.
            let _ = self.quarantine.send(Failed { release: self.release.clone(), code, times });
        }
    }

    fn complain(&self, code: &'static str, now: UnixSeconds) {
        let last = self.told.load(Ordering::Relaxed);
        if now.0 < last.saturating_add(QUIET)
            || self.told.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (release, failures) = (&self.release, self.failures());
        let window = if now >= self.until { "over: nothing is taken back by itself" } else { "open" };
        tracing::error!(release, reason = code, failures, probation = window, "the policy in service fails");
    }
}

/// The code of an outcome that no sound policy causes.
fn failure(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Unavailable(reason) if of_a_policy(*reason) => Some(reason.code()),
        Outcome::Deny(
            reason @ (DenyReason::RailToken
            | DenyReason::RailIssuer
            | DenyReason::RailExpired
            | DenyReason::RailSession
            | DenyReason::RailIdentity
            | DenyReason::RailMailbox),
        ) => Some(reason.code()),
        Outcome::Allow(_) | Outcome::Deny(_) | Outcome::Unavailable(_) => None,
    }
}

const fn of_a_policy(reason: UnavailableReason) -> bool {
    matches!(
        reason,
        UnavailableReason::PolicyTrapped | UnavailableReason::PolicyTimeout | UnavailableReason::PolicyLimit
    )
}

impl Gate {
    /// Watches one outcome of `release`. `proven`: the attempt's signature held.
    pub(super) fn watch(
        &self,
        service: &Service,
        release: &Release,
        attempt: &Attempt,
        outcome: &Outcome,
        proven: bool,
    ) {
        let Some(code) = failure(outcome) else { return };
        let holds = |probation: &Probation, now| proven || self.holds_under(&probation.previous, attempt, now);
        self.failed(service, release, code, holds);
    }

    /// The same for a decision that stands and is made again: what it rests on was proven.
    pub(super) fn watch_standing(&self, service: &Service, release: &Release, outcome: &Outcome) {
        if let Some(code) = failure(outcome) {
            self.failed(service, release, code, |_, _| true);
        }
    }

    /// The same for a message: the login that it comes under was proven.
    pub(super) fn watch_submission(&self, service: &Service, release: &Release, outcome: SubmissionOutcome) {
        let code = match outcome {
            SubmissionOutcome::Deny(reason @ SubmissionReason::RailSender) => reason.code(),
            SubmissionOutcome::Unavailable(reason) if of_a_policy(reason) => reason.code(),
            SubmissionOutcome::Allow | SubmissionOutcome::Deny(_) | SubmissionOutcome::Unavailable(_) => return,
        };
        self.failed(service, release, code, |_, _| true);
    }

    fn failed(
        &self,
        service: &Service,
        release: &Release,
        code: &'static str,
        holds: impl FnOnce(&Probation, UnixSeconds) -> bool,
    ) {
        let Some(probation) = &service.probation else { return };
        if probation.release != release.digest() {
            return;
        }
        let now = self.clock.now();
        probation.failures.fetch_add(1, Ordering::Relaxed);
        probation.complain(code, now);
        if now < probation.until && holds(probation, now) {
            probation.count(code);
        }
    }

    /// Whether another policy finds a token in the attempt whose signature holds, under a key that is at hand. For an
    /// attempt at which the policy in service failed before it could say where the token is.
    fn holds_under(&self, release: &Release, attempt: &Attempt, now: UnixSeconds) -> bool {
        if !self.throttle.slowed_for(Work::Signature, attempt.client).is_zero() {
            return false;
        }
        let Some(raw) = raw(&attempt.credentials) else { return false };
        let opened = release.instance().and_then(|mut instance| instance.open(&ask(attempt), now));
        let Ok(Ok(inquiry)) = opened else { return false };
        let held = self.found(&inquiry, attempt, &raw);
        if !held {
            self.throttle.charge(Work::Signature, attempt.client);
        }
        held
    }

    fn found(&self, inquiry: &login::Inquiry, attempt: &Attempt, raw: &[u8]) -> bool {
        let (Some(issuer), Some(presented)) = (self.issuer(&inquiry.issuer), presented(attempt, inquiry, raw)) else {
            return false;
        };
        match issuer.keys.lookup(inquiry.key_id.as_deref(), algorithm(inquiry.algorithm)) {
            Lookup::Found(key) => {
                self.signatures.proven(presented.token(), &key, || presented.verify(&key)).is_ok_and(|proven| {
                    crate::rails::issuer(&proven, &inquiry.issuer).is_ok()
                        && crate::rails::time(&proven, self.rails, self.clock.now()).is_ok()
                })
            }
            Lookup::Unknown | Lookup::Unfit | Lookup::Unavailable => false,
        }
    }
}
