//! Dovecot's auth-policy: the after-auth `allow` is the moment at which a login becomes an authentication.
//!
//! Dovecot waits for that answer and refuses the login when none comes. A token login needs an unused handle whose set
//! holds the mailbox, and it is recorded durably before the answer says yes. A `report` proves nothing and changes
//! nothing but counters.

mod counters;
mod request;

use std::sync::Arc;

pub use self::counters::{Counters, Tally};
pub use self::request::Command;
use self::request::{LoginReport, LoginRequest, Mechanism};
use super::answer::{Rendered, policy_allowed, policy_denied, policy_unavailable};
use super::handles::{Handle, Handles, Purpose};
use super::ports::{AfterAuth, AfterAuthOutcome, CertificateJudge, Witness};
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::{Directory, MailboxAddress};
use crate::gate::{CertificateAttempt, CertificateOutcome, DecisionId, Door, Protocol};
use crate::reason::{DenyReason, UnavailableReason};
use crate::store::{Authentication, Means, Store};

/// What an operator settles about logins without a token (`[dovecot]` of the configuration).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// Mechanisms answered yes without a token, in upper case: they have proven the user by a means of their own.
    pub other_mechanisms: Vec<String>,
    /// Master and service users, in lower case, whose logins are not the mailbox's authentication.
    pub uncounted_users: Vec<String>,
}

/// What the policy door works with.
#[derive(Clone, Debug)]
pub struct PolicyParts {
    /// The operator's settings.
    pub settings: PolicySettings,
    /// The handles that the introspection door issues.
    pub handles: Arc<Handles>,
    /// Which mailboxes there are.
    pub directory: Directory,
    /// Who judges client certificates.
    pub certificates: CertificateJudge,
    /// Where authentications are recorded.
    pub store: Arc<dyn Store>,
    /// Who keeps the record of each answer.
    pub witness: Witness,
    /// The clock.
    pub clock: Clock,
}

/// The policy door.
#[derive(Debug)]
pub struct PolicyDoor {
    parts: PolicyParts,
    counters: Counters,
}

/// What an allow is worth before anything is written.
#[derive(Debug)]
struct Judged {
    mailbox: Option<MailboxAddress>,
    handle: Option<Handle>,
    purpose: Option<Purpose>,
    certificate: Option<DecisionId>,
    verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Yes, once this is recorded.
    Count(Authentication),
    /// Yes, and nobody's authentication.
    Pass,
    Deny(DenyReason),
    Unavailable(UnavailableReason),
}

impl PolicyDoor {
    /// A door made of its parts.
    #[must_use]
    pub fn new(parts: PolicyParts) -> Self {
        Self { parts, counters: Counters::default() }
    }

    /// What was answered and heard since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Answers `command=allow`. Malformed: 400, with which Dovecot refuses the login.
    pub async fn allow(&self, body: &[u8]) -> Rendered {
        let Some(request) = LoginRequest::parse(body) else { return (400, Vec::new()) };
        let now = self.parts.clock.now();
        let judged = self.judge(&request, now);
        let outcome = match judged.verdict {
            Verdict::Deny(reason) => AfterAuthOutcome::Denied(reason),
            Verdict::Unavailable(reason) => AfterAuthOutcome::Unavailable(reason),
            Verdict::Pass => AfterAuthOutcome::Allowed { counted: false },
            Verdict::Count(authentication) => match self.parts.store.record_authentication(authentication).await {
                Ok(()) => AfterAuthOutcome::Allowed { counted: true },
                Err(error) => {
                    tracing::error!(%error, "a login is refused because its authentication can't be recorded");
                    AfterAuthOutcome::Unavailable(UnavailableReason::StoreUnavailable)
                }
            },
        };
        self.counters.allow(request.mechanism(), outcome);
        self.parts.witness.after_auth(&AfterAuth {
            at: now,
            mechanism: request.mech(),
            mailbox: judged.mailbox.as_ref(),
            session: request.session(),
            handle: judged.handle,
            purpose: judged.purpose.as_ref(),
            certificate: judged.certificate,
            client: request.client(),
            outcome,
        });
        match outcome {
            AfterAuthOutcome::Allowed { .. } => policy_allowed(),
            AfterAuthOutcome::Denied(reason) => policy_denied(reason),
            AfterAuthOutcome::Unavailable(reason) => policy_unavailable(reason),
        }
    }

    /// Answers `command=report`: counted, whatever it says. Dovecot does not wait for this answer.
    pub fn report(&self, body: &[u8]) -> Rendered {
        let Some(report) = LoginReport::parse(body) else { return (400, Vec::new()) };
        self.counters.report(report.mechanism(), report.success, report.policy_reject);
        policy_allowed()
    }

    fn judge(&self, request: &LoginRequest, now: UnixSeconds) -> Judged {
        match request.mechanism() {
            Mechanism::Xoauth2 | Mechanism::Oauthbearer => self.token_login(request, now),
            Mechanism::External => self.certificate_login(request, now),
            Mechanism::Plain | Mechanism::Login | Mechanism::Other => self.other_login(request, now),
        }
    }

    /// A login by token: it stands on the handle alone.
    fn token_login(&self, request: &LoginRequest, now: UnixSeconds) -> Judged {
        let mailbox = MailboxAddress::parse(&request.user).ok();
        let handle = Handle::parse(&request.handle);
        let taken = match (&mailbox, handle) {
            // Dovecot 2.4 asks for non-members too, with an empty handle.
            _ if request.handle.is_empty() => Err(DenyReason::HandleMissing),
            (_, None) => Err(DenyReason::HandleUnknown),
            (None, _) => Err(DenyReason::HandleMailbox),
            // No token speaks for a master user.
            _ if !request.master_user.is_empty() => Err(DenyReason::MechanismRefused),
            (Some(mailbox), Some(handle)) => {
                self.parts.handles.take(handle, mailbox, now).map(|entry| (entry.purpose, mailbox.clone()))
            }
        };
        let (purpose, verdict) = match taken {
            Err(reason) => (None, Verdict::Deny(reason)),
            Ok((purpose @ Purpose::Probe, _)) => (Some(purpose), Verdict::Pass),
            Ok((purpose @ Purpose::Login { .. }, mailbox)) => {
                (Some(purpose), Verdict::Count(Authentication { mailbox, at: now, means: Means::Psc }))
            }
        };
        Judged { mailbox, handle, purpose, certificate: None, verdict }
    }

    /// A login by another means, which Dovecot has checked: counted for the mailbox, where it is one.
    fn other_login(&self, request: &LoginRequest, now: UnixSeconds) -> Judged {
        let mailbox = MailboxAddress::parse(&request.user).ok();
        let name = request.mech.to_ascii_uppercase();
        let verdict = if self.parts.settings.other_mechanisms.contains(&name) {
            match mailbox.clone().filter(|mailbox| self.counts(request, mailbox)) {
                Some(mailbox) => Verdict::Count(Authentication { mailbox, at: now, means: Means::Mechanism(name) }),
                None => Verdict::Pass,
            }
        } else {
            Verdict::Deny(DenyReason::MechanismRefused)
        };
        Judged { mailbox, handle: None, purpose: None, certificate: None, verdict }
    }

    /// A login by client certificate, which Dovecot let pass as a master user: its structure is the one who asks.
    fn certificate_login(&self, request: &LoginRequest, now: UnixSeconds) -> Judged {
        let mailbox = MailboxAddress::parse(&request.user).ok();
        let Some(shown) = request.certificate() else {
            let verdict = Verdict::Deny(DenyReason::CertificateMissing);
            return Judged { mailbox, handle: None, purpose: None, certificate: None, verdict };
        };
        let decision = self.parts.certificates.judge(&CertificateAttempt {
            shown,
            mailbox: request.user.clone(),
            protocol: Protocol::Imap,
            door: Door::DovecotPolicy,
            client: request.client(),
        });
        let verdict = match decision.outcome {
            CertificateOutcome::Allow(opened) => {
                let mailbox = opened.mailbox().clone();
                Verdict::Count(Authentication { mailbox, at: now, means: Means::Certificate })
            }
            CertificateOutcome::Deny(reason) => Verdict::Deny(reason),
            CertificateOutcome::Unavailable(reason) => Verdict::Unavailable(reason),
        };
        Judged { mailbox, handle: None, purpose: None, certificate: Some(decision.id), verdict }
    }

    /// Whether a login is the mailbox's own: the mailbox is known, and nobody came in its place.
    fn counts(&self, request: &LoginRequest, mailbox: &MailboxAddress) -> bool {
        let uncounted = |user: &str| self.parts.settings.uncounted_users.contains(&user.to_ascii_lowercase());
        request.master_user.is_empty()
            && ![&request.user, &request.auth_user, &request.login].into_iter().any(|user| uncounted(user))
            && self.parts.directory.snapshot().mailbox(mailbox.as_str()).is_some()
    }
}

#[cfg(test)]
pub(super) mod tests;
