//! The watch over a release that came a short while ago: does it fail on attempts that are proven to be a
//! professional's?
//!
//! Only those count, and each person once. Whoever can send bytes can make a bad policy trap, and must not be able to
//! bring the policy before it back, which may be the one with the hole; nor may one professional, or who has their
//! token, for a signature covers the token and nothing of what is sent around it. After the window nothing is taken
//! back by itself: a policy that fails is `unavailable` and told.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::service::Service;
use super::terms::{algorithm, ask, presented, raw};
use super::{Attempt, CertificateOutcome, Gate, Outcome, SubmissionOutcome};
use crate::clock::UnixSeconds;
use crate::evidence::keys::Lookup;
use crate::policy::wit::login::Inquiry;
use crate::policy::{Digest, Release};
use crate::rails;
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};
use crate::throttle::Work;

/// Seconds between two complaints in the log about one release: a flood of crafted input must not fill the disk.
const QUIET: u64 = 60;

/// The watch over one release.
pub struct Probation {
    /// What it is recorded under.
    release: String,
    /// What decides in its place once it is taken back. `None`: nothing does, it is only watched.
    previous: Option<Arc<Release>>,
    until: UnixSeconds,
    limit: usize,
    failures: AtomicU64,
    /// Digests of the persons whom it failed, up to the limit.
    persons: Mutex<BTreeSet<Digest>>,
    told: AtomicU64,
    quarantine: UnboundedSender<Failed>,
}

/// A release that has to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it is recorded under.
    pub release: String,
    /// How it failed the last time: the code of a reason.
    pub code: &'static str,
    /// How many persons, on attempts whose signature holds.
    pub persons: usize,
}

impl fmt::Debug for Probation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probation({} until {})", self.release, self.until.0)
    }
}

impl Probation {
    /// A watch that ends at `until`. Once it failed `limit` persons it tells `quarantine`, once.
    #[must_use]
    pub fn new(
        release: &Release,
        previous: Option<Arc<Release>>,
        until: UnixSeconds,
        limit: usize,
        quarantine: UnboundedSender<Failed>,
    ) -> Self {
        Self {
            release: release.digest().to_owned(),
            previous,
            until,
            limit,
            failures: AtomicU64::new(0),
            persons: Mutex::default(),
            told: AtomicU64::new(0),
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

    /// Whether it is the watch over this release, until this moment.
    #[must_use]
    pub fn is_of(&self, release: &Release, until: UnixSeconds) -> bool {
        self.release == release.digest() && self.until == until
    }

    /// Counts a failure on an attempt whose signature holds, once a person.
    fn count(&self, person: &str, code: &'static str) {
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = persons.len();
        if before < self.limit && persons.insert(Digest::of(person.as_bytes())) && before + 1 == self.limit {
            // Nobody there any more: the process is ending.
            let _ = self.quarantine.send(Failed { release: self.release.clone(), code, persons: self.limit });
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
    /// Watches one outcome of `release`. `person`: whom the token names, where its signature held.
    pub(super) fn watch(
        &self,
        service: &Service,
        release: &Release,
        attempt: &Attempt,
        outcome: &Outcome,
        person: Option<&str>,
    ) {
        let Some(code) = failure(outcome) else { return };
        self.failed(service, release, code, |previous, now| match person {
            Some(person) => Some(person.to_owned()),
            None => self.person_under(previous, attempt, now),
        });
    }

    /// The same for a decision that stands and is made again: what it rests on was proven.
    pub(super) fn watch_standing(&self, service: &Service, release: &Release, outcome: &Outcome, person: Option<&str>) {
        if let Some(code) = failure(outcome) {
            self.failed(service, release, code, |_, _| person.map(str::to_owned));
        }
    }

    /// The same for a message: the login that it comes under was proven.
    pub(super) fn watch_submission(
        &self,
        service: &Service,
        release: &Release,
        outcome: SubmissionOutcome,
        person: &str,
    ) {
        let code = match outcome {
            SubmissionOutcome::Deny(reason @ SubmissionReason::RailSender) => reason.code(),
            SubmissionOutcome::Unavailable(reason) if of_a_policy(reason) => reason.code(),
            SubmissionOutcome::Allow
            | SubmissionOutcome::Deny(_)
            | SubmissionOutcome::ShutOut(_)
            | SubmissionOutcome::Unavailable(_) => return,
        };
        self.failed(service, release, code, |_, _| Some(person.to_owned()));
    }

    /// The same for a client certificate: the mail server proved that its client holds the key.
    pub(super) fn watch_certificate(
        &self,
        service: &Service,
        release: &Release,
        outcome: &CertificateOutcome,
        structure: &str,
    ) {
        let code = match outcome {
            CertificateOutcome::Deny(
                reason @ (DenyReason::RailStructure | DenyReason::RailChain | DenyReason::RailCertificate),
            ) => reason.code(),
            CertificateOutcome::Unavailable(reason) if of_a_policy(*reason) => reason.code(),
            CertificateOutcome::Allow(_) | CertificateOutcome::Deny(_) | CertificateOutcome::Unavailable(_) => return,
        };
        self.failed(service, release, code, |_, _| Some(structure.to_owned()));
    }

    fn failed(
        &self,
        service: &Service,
        release: &Release,
        code: &'static str,
        person: impl FnOnce(&Release, UnixSeconds) -> Option<String>,
    ) {
        let Some(probation) = service.watch_over(release) else { return };
        let now = self.clock.now();
        probation.failures.fetch_add(1, Ordering::Relaxed);
        probation.complain(code, now);
        if let Some(previous) = &probation.previous
            && now < probation.until
            && let Some(person) = person(previous, now)
        {
            probation.count(&person, code);
        }
    }

    /// The person of the token that another policy finds in the attempt, where its signature holds under a key that is
    /// at hand. For an attempt at which the policy in service failed before it could say where the token is.
    fn person_under(&self, release: &Release, attempt: &Attempt, now: UnixSeconds) -> Option<String> {
        if !self.throttle.slowed_for(Work::Signature, attempt.client).is_zero() {
            return None;
        }
        let raw = raw(&attempt.credentials)?;
        let opened = release.instance().and_then(|mut instance| instance.open(&ask(attempt), now));
        let Ok(Ok(inquiry)) = opened else { return None };
        let person = self.person_of(&inquiry, attempt, &raw, now);
        if person.is_none() {
            self.throttle.charge(Work::Signature, attempt.client);
        }
        person
    }

    fn person_of(&self, inquiry: &Inquiry, attempt: &Attempt, raw: &[u8], now: UnixSeconds) -> Option<String> {
        let (issuer, presented) = (self.issuer(&inquiry.issuer)?, presented(attempt, inquiry, raw)?);
        let Lookup::Found(key) = issuer.keys.lookup(inquiry.key_id.as_deref(), algorithm(inquiry.algorithm)) else {
            return None;
        };
        let proven = self.signatures.proven(presented.token(), &key, || presented.verify(&key)).ok()?;
        rails::issuer(&proven, &inquiry.issuer).ok()?;
        rails::time(&proven, self.rails, now).ok()?;
        proven.person().map(str::to_owned)
    }
}
