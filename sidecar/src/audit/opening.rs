//! What is recorded of logins by client certificate: each decision. A structure is written as a keyed digest, like a person:
//! a cabinet's identifier holds a professional's number. The certificate itself is named by its fingerprint, where the mail
//! server tells it.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::entry::{mailbox, protocol, timestamp};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{Known, Shown};
use crate::evidence::directory::IdNat;
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

/// The same, owned; the digest is computed by the writing thread.
pub(super) struct OpeningEntry {
    line: OpeningLine,
    at: UnixSeconds,
    structure: Option<IdNat>,
}

#[derive(Serialize)]
struct OpeningLine {
    time: String,
    event: &'static str,
    decision: String,
    door: &'static str,
    protocol: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    policy: String,
    micros: u64,
}

impl OpeningEntry {
    pub(super) fn new(judged: &CertificateJudged<'_>) -> Self {
        let attempt = judged.attempt;
        let (outcome, reason) = match judged.outcome {
            CertificateOutcome::Allow(_) => ("allow", None),
            CertificateOutcome::Deny(reason) => ("deny", Some(reason.code())),
            CertificateOutcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
        };
        let (unit, certificate) = match &attempt.shown {
            Shown::Structure { unit, .. } => (Some(unit), None),
            Shown::Fingerprint(fingerprint) => {
                (judged.known.and_then(|known| known.units.first()), Some(fingerprint.to_string()))
            }
        };
        let line = OpeningLine {
            time: String::new(),
            event: "certificate-login",
            decision: judged.id.to_string(),
            door: attempt.door.code(),
            protocol: protocol(attempt.protocol),
            outcome,
            reason,
            structure: None,
            certificate,
            chain: judged.known.map(|known| known.chain.clone()),
            mailbox: mailbox(&attempt.mailbox),
            degraded: matches!(judged.outcome, CertificateOutcome::Allow(opened) if opened.degraded()),
            client: attempt.client,
            policy: judged.release.to_owned(),
            micros: u64::try_from(judged.took.as_micros()).unwrap_or(u64::MAX),
        };
        Self { line, at: judged.now, structure: unit.and_then(|unit| IdNat::parse(unit).ok()) }
    }

    /// The line, without its end.
    pub(super) fn finish(mut self, pseudonyms: &Pseudonyms) -> serde_json::Result<Vec<u8>> {
        self.line.time = timestamp(self.at);
        self.line.structure = self.structure.map(|structure| pseudonyms.digest(&structure));
        serde_json::to_vec(&self.line)
    }
}
