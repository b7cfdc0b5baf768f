//! Client certificates (AUTH_CLI): does what the mail server tells of one open a mailbox? The policy judges, and rails
//! hold.
//!
//! Nothing is awaited: the certificate's chain was verified by the mail server at its TLS handshake, and what it does
//! not tell stands in the enrolment and the revocation lists. Whatever the policy says, no certificate opens a mailbox
//! that the directory does not give to its structure, in a domain that its chain may not open, or once it was revoked.

use std::net::IpAddr;

use super::{DecisionId, Door, Gate, Protocol};
use crate::audit::CertificateJudged;
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{Fingerprint, Known, RevocationState, Shown};
use crate::evidence::directory::{Mailbox, MailboxAddress, MailboxKind};
use crate::policy::Release;
use crate::policy::wit::{certificate as wit, login};
use crate::rails;
use crate::reason::{DenyReason, UnavailableReason};

/// One attempt to open a mailbox with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAttempt {
    /// What the mail server tells of the certificate.
    pub shown: Shown,
    /// The mailbox asked for: SASL EXTERNAL's authorization identity (RFC 4422 appendix A). Unchecked.
    pub mailbox: String,
    /// Protocol of the client.
    pub protocol: Protocol,
    /// Way in.
    pub door: Door,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
}

/// A login by certificate that was allowed. Only the gate makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    mailbox: MailboxAddress,
    structure: String,
    fingerprint: Option<Fingerprint>,
    degraded: bool,
}

impl Opened {
    /// The mailbox.
    #[must_use]
    pub const fn mailbox(&self) -> &MailboxAddress {
        &self.mailbox
    }

    /// Identifier of the structure.
    #[must_use]
    pub fn structure(&self) -> &str {
        &self.structure
    }

    /// The certificate, where the mail server tells which one.
    #[must_use]
    pub const fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// For tests of what comes after the gate.
    #[cfg(test)]
    pub(crate) fn example(mailbox: &str, fingerprint: &str) -> Self {
        Self {
            mailbox: MailboxAddress::parse(mailbox).unwrap(),
            structure: "499700367909006".to_owned(),
            fingerprint: Fingerprint::parse(fingerprint).ok(),
            degraded: false,
        }
    }

    /// Whether the decision rests on a revocation list that is let be enough for a limited time.
    #[must_use]
    pub const fn degraded(&self) -> bool {
        self.degraded
    }
}

/// Outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateOutcome {
    /// The certificate opens the mailbox.
    Allow(Opened),
    /// It does not.
    Deny(DenyReason),
    /// No decision could be made.
    Unavailable(UnavailableReason),
}

impl From<DenyReason> for CertificateOutcome {
    fn from(reason: DenyReason) -> Self {
        Self::Deny(reason)
    }
}

impl From<UnavailableReason> for CertificateOutcome {
    fn from(reason: UnavailableReason) -> Self {
        Self::Unavailable(reason)
    }
}

/// An outcome and the name under which it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateDecision {
    /// Its name.
    pub id: DecisionId,
    /// What was decided.
    pub outcome: CertificateOutcome,
}

impl Gate {
    /// Judges one attempt and records the decision.
    #[must_use]
    pub fn judge_certificate(&self, attempt: &CertificateAttempt) -> CertificateDecision {
        let id = DecisionId::random();
        let begun = tokio::time::Instant::now();
        let now = self.clock.now();
        let known = self.certificates.known(&attempt.shown, now);
        let (outcome, release) = match self.in_flight.try_acquire() {
            Ok(_place) => self.certificate_outcome(known.as_ref(), &attempt.mailbox, now),
            Err(_) => (UnavailableReason::Overloaded.into(), self.service.load().release.digest().to_owned()),
        };
        self.audit.opening(&CertificateJudged {
            id,
            now,
            attempt,
            known: known.as_ref().ok(),
            outcome: &outcome,
            release: &release,
            took: begun.elapsed(),
        });
        CertificateDecision { id, outcome }
    }

    /// What the certificate is worth now for the mailbox that it opened. The caller records it, and knows what it is
    /// for.
    pub(super) fn certificate_stands(&self, certificate: Fingerprint, mailbox: &MailboxAddress) -> CertificateOutcome {
        let now = self.clock.now();
        let known = self.certificates.known(&Shown::Fingerprint(certificate), now);
        self.certificate_outcome(known.as_ref(), mailbox.as_str(), now).0
    }

    /// The outcome, and the digest of the policy that judged.
    fn certificate_outcome(
        &self,
        known: Result<&Known, &DenyReason>,
        mailbox: &str,
        now: UnixSeconds,
    ) -> (CertificateOutcome, String) {
        let service = self.service.load_full();
        // A structure stands where a person does: some may be judged by a release on trial.
        let structure = known.ok().and_then(|known| known.units.first()).map_or("", String::as_str);
        let release = service.release_for(structure);
        let outcome = match known {
            Err(reason) => (*reason).into(),
            Ok(known) => self.opens(release, known, mailbox, now),
        };
        self.watch_certificate(&service, release, &outcome, structure);
        (outcome, release.digest().to_owned())
    }

    fn opens(&self, release: &Release, known: &Known, mailbox: &str, now: UnixSeconds) -> CertificateOutcome {
        let Ok(mailbox) = MailboxAddress::parse(mailbox) else { return DenyReason::MailboxMalformed.into() };
        let directory = self.directory.snapshot();
        let listed = directory.mailbox(mailbox.as_str());
        let request = wit::Request { certificate: facts(known), mailbox: listed.map(wanted) };
        match release.instance().and_then(|mut instance| instance.judge_certificate(&request, now)) {
            Err(fault) => UnavailableReason::from(fault).into(),
            Ok(wit::Verdict::Deny(reason)) => DenyReason::from(reason).into(),
            Ok(wit::Verdict::Unavailable(reason)) => UnavailableReason::from(reason).into(),
            Ok(wit::Verdict::Allow) => match rails::certificate(known, listed, now) {
                Err(reason) => reason.into(),
                Ok(()) if known.revocation == RevocationState::Unknown => {
                    UnavailableReason::RevocationUnavailable.into()
                }
                Ok(()) => CertificateOutcome::Allow(Opened {
                    mailbox,
                    structure: known.units.first().cloned().unwrap_or_default(),
                    fingerprint: known.told.as_ref().map(|told| told.fingerprint),
                    degraded: known.revocation == RevocationState::Degraded,
                }),
            },
        }
    }
}

fn facts(known: &Known) -> wit::Facts {
    let told = known.told.as_ref();
    wit::Facts {
        units: known.units.clone(),
        common_name: told.and_then(|told| told.common_name.clone()),
        issuer: told.map(|told| told.issuer.clone()),
        fingerprint: told.map(|told| told.fingerprint.to_string()),
        not_before: told.map(|told| told.not_before.0),
        not_after: told.map(|told| told.not_after.0),
        chain: match known.test_chain {
            false => wit::ChainKind::Production,
            true => wit::ChainKind::Test,
        },
        mailbox_domains: known.mailbox_domains.clone(),
        revocation: match known.revocation {
            RevocationState::Good => wit::Revocation::Good,
            RevocationState::Degraded => wit::Revocation::Degraded,
            RevocationState::Revoked => wit::Revocation::Revoked,
            RevocationState::Unknown => wit::Revocation::Unknown,
        },
    }
}

fn wanted(mailbox: &Mailbox) -> wit::Wanted {
    let limits = &mailbox.certificates;
    wit::Wanted {
        address: mailbox.address.as_str().to_owned(),
        kind: match mailbox.kind {
            MailboxKind::Per => login::MailboxKind::Per,
            MailboxKind::Org => login::MailboxKind::Org,
            MailboxKind::App => login::MailboxKind::App,
        },
        structures: mailbox.structures.iter().map(|structure| structure.as_str().to_owned()).collect(),
        common_names: limits.common_names.clone(),
        issuers: limits.issuers.clone(),
        fingerprints: limits.fingerprints.iter().map(ToString::to_string).collect(),
    }
}
