//! What is recorded of certificates: each that was enrolled or withdrawn, each step about revocation, who took it, why,
//! and what came of it.

use serde::Serialize;

use super::line::{Moment, bounded};
use crate::clock::UnixSeconds;
use crate::evidence::directory::IdNat;
use crate::pseudonym::Pseudonyms;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStep {
    /// A certificate was enrolled.
    Enrol,
    /// The operator withdrew one.
    Withdraw,
    /// Logins go on without current revocation lists, for a while.
    SuspendRevocation,
    /// They do not any more.
    ResumeRevocation,
}

impl CertificateStep {
    /// Name in records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Withdraw => "withdraw",
            Self::SuspendRevocation => "suspend-revocation",
            Self::ResumeRevocation => "resume-revocation",
        }
    }
}

/// One step, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct CertificateEvent<'a> {
    /// Which step.
    pub step: CertificateStep,
    /// When.
    pub now: UnixSeconds,
    /// Who took it.
    pub uid: Option<u32>,
    /// SHA-256 of the certificate, where the step is about one.
    pub fingerprint: Option<&'a str>,
    /// The structure that it names; recorded as a keyed digest, as for logins.
    pub structure: Option<&'a str>,
    /// Why, in their own words, where a reason is asked for.
    pub reason: Option<&'a str>,
    /// Until when, where the step ends by itself.
    pub until: Option<UnixSeconds>,
    /// Why it failed; `None`: it did not.
    pub error: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct CertificateLine<'a> {
    time: Moment,
    event: &'static str,
    step: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> CertificateLine<'a> {
    pub(super) fn new(event: &CertificateEvent<'a>, pseudonyms: &Pseudonyms) -> Self {
        let structure = event.structure.and_then(|structure| IdNat::parse(structure).ok());
        Self {
            time: Moment(event.now),
            event: "certificate",
            step: event.step.code(),
            outcome: if event.error.is_none() { "done" } else { "failed" },
            fingerprint: event.fingerprint.map(bounded),
            structure: structure.map(|structure| pseudonyms.digest(&structure)),
            uid: event.uid,
            reason: event.reason.map(bounded),
            until: event.until.map(Moment),
            error: event.error.map(bounded),
        }
    }
}
