//! What is recorded of logins by client certificate: each decision. A structure is written as a keyed digest, like a
//! person: a cabinet's identifier holds a professional's number. The certificate itself is named by its fingerprint,
//! where the mail server tells it.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::line::{Moment, Text, mailbox, protocol};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{Fingerprint, Known, Shown};
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::{CertificateAttempt, CertificateOutcome, DecisionId};
use crate::pseudonym::Pseudonyms;

/// One decision on a certificate.
#[derive(Clone, Copy, Debug)]
pub struct CertificateJudged<'a> {
    /// Its name.
    pub id: DecisionId,
    /// When.
    pub now: UnixSeconds,
    /// What was attempted.
    pub attempt: &'a CertificateAttempt,
    /// What is known of the certificate.
    pub known: Option<&'a Known>,
    /// What was decided.
    pub outcome: &'a CertificateOutcome,
    /// Digest of the policy that decided.
    pub release: &'a str,
    /// How long it took.
    pub took: Duration,
}

#[derive(Serialize)]
pub(super) struct OpeningLine<'a> {
    time: Moment,
    event: &'static str,
    decision: Text<DecisionId>,
    door: &'static str,
    protocol: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Text<Fingerprint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<Text<MailboxAddress>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    policy: &'a str,
    micros: u64,
}

impl<'a> OpeningLine<'a> {
    pub(super) fn new(judged: &CertificateJudged<'a>, pseudonyms: &Pseudonyms) -> Self {
        let attempt = judged.attempt;
        let (outcome, reason) = match judged.outcome {
            CertificateOutcome::Allow(_) => ("allow", None),
            CertificateOutcome::Deny(reason) => ("deny", Some(reason.code())),
            CertificateOutcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
        };
        let (unit, certificate) = match &attempt.shown {
            Shown::Structure { unit, .. } => (Some(unit), None),
            Shown::Fingerprint(fingerprint) => {
                (judged.known.and_then(|known| known.units.first()), Some(Text(*fingerprint)))
            }
        };
        let structure = unit.and_then(|unit| IdNat::parse(unit).ok());
        Self {
            time: Moment(judged.now),
            event: "certificate-login",
            decision: Text(judged.id),
            door: attempt.door.code(),
            protocol: protocol(attempt.protocol),
            outcome,
            reason,
            structure: structure.map(|structure| pseudonyms.digest(&structure)),
            certificate,
            chain: judged.known.map(|known| known.chain.as_str()),
            mailbox: mailbox(&attempt.mailbox),
            degraded: matches!(judged.outcome, CertificateOutcome::Allow(opened) if opened.degraded()),
            client: attempt.client,
            policy: judged.release,
            micros: u64::try_from(judged.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}
