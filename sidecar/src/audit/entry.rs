//! The lines of the trail. What is not in these structs can't get into the file.

use std::net::IpAddr;

use serde::Serialize;

use super::certificate::CertificateEntry;
use super::opening::OpeningEntry;
use super::policy::PolicyEntry;
use super::submission::SubmissionEntry;
use super::ticket::TicketEntry;
use super::{AfterAuth, Judgement};
use crate::clock::UnixSeconds;
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::{Outcome, Protocol};
use crate::pseudonym::Pseudonyms;

/// Longest text that somebody else chose, in a line: handles, session and key identifiers are shorter.
const MAX_TEXT: usize = 256;

/// What waits to be written.
pub(super) enum Entry {
    /// A decision.
    Judgement(Box<JudgementEntry>),
    /// An after-auth answer.
    AfterAuth(Box<AfterAuthEntry>),
    /// A decision on a client certificate.
    Opening(Box<OpeningEntry>),
    /// An answer about a message.
    Submission(Box<SubmissionEntry>),
    /// A step of a login ticket.
    Ticket(Box<TicketEntry>),
    /// A step in the life of a policy.
    Policy(Box<PolicyEntry>),
    /// A step about certificates.
    Certificate(Box<CertificateEntry>),
    /// The file is to be opened anew.
    Reopen,
}

/// A decision, owned; the digest is computed by the writing thread.
pub(super) struct JudgementEntry {
    line: JudgementLine,
    at: UnixSeconds,
    identity: Option<IdNat>,
}

#[derive(Serialize)]
struct JudgementLine {
    time: String,
    event: &'static str,
    decision: String,
    door: &'static str,
    protocol: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailboxes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_generation: Option<u64>,
    policy: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    identities_differ: bool,
    micros: u64,
}

/// An after-auth answer, owned.
pub(super) struct AfterAuthEntry {
    line: AfterAuthLine,
    at: UnixSeconds,
}

#[derive(Serialize)]
struct AfterAuthLine {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    answer: &'static str,
    handle: String,
    session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    mechanism: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    counted: bool,
}

impl JudgementEntry {
    pub(super) fn new(judgement: &Judgement<'_>) -> Self {
        let attempt = judgement.attempt;
        let (outcome, reason, permit) = match judgement.outcome {
            Outcome::Allow(permit) => ("allow", None, Some(permit)),
            Outcome::Deny(reason) => ("deny", Some(reason.code()), None),
            Outcome::Unavailable(reason) => ("unavailable", Some(reason.code()), None),
        };
        let asked = attempt.mailbox.as_deref().and_then(mailbox);
        let line = JudgementLine {
            time: String::new(),
            event: "decision",
            decision: judgement.id.to_string(),
            door: attempt.door.code(),
            protocol: protocol(attempt.protocol),
            outcome,
            reason,
            issuer: judgement.issuer.map(bounded),
            identity: None,
            mailbox: asked.or_else(|| permit.and_then(|p| p.mailbox()).map(ToString::to_string)),
            mailboxes: permit.map(|permit| permit.mailboxes().len()),
            client: attempt.client,
            key_id: judgement.key_id.map(bounded),
            key_generation: judgement.key_generation,
            policy: judgement.release.to_owned(),
            degraded: permit.is_some_and(|permit| permit.degraded()),
            identities_differ: judgement.identities_differ,
            micros: u64::try_from(judgement.took.as_micros()).unwrap_or(u64::MAX),
        };
        Self { line, at: judgement.now, identity: permit.map(|permit| permit.identity().clone()) }
    }

    /// The line, without its end.
    pub(super) fn finish(mut self, pseudonyms: &Pseudonyms) -> serde_json::Result<Vec<u8>> {
        self.line.time = timestamp(self.at);
        self.line.identity = self.identity.map(|identity| pseudonyms.digest(&identity));
        serde_json::to_vec(&self.line)
    }
}

impl AfterAuthEntry {
    pub(super) fn new(answer: &AfterAuth<'_>) -> Self {
        let line = AfterAuthLine {
            time: String::new(),
            event: "after-auth",
            decision: answer.decision.map(|id| id.to_string()),
            answer: answer.answer,
            handle: bounded(answer.handle),
            session: bounded(answer.session),
            mailbox: mailbox(answer.mailbox),
            mechanism: bounded(answer.mechanism),
            identity: answer.identity_digest.map(bounded),
            counted: answer.counted,
        };
        Self { line, at: answer.now }
    }

    /// The line, without its end.
    pub(super) fn finish(mut self) -> serde_json::Result<Vec<u8>> {
        self.line.time = timestamp(self.at);
        serde_json::to_vec(&self.line)
    }
}

/// An address, if it is one: a client may write anything into a user name, even its token.
pub(super) fn mailbox(text: &str) -> Option<String> {
    MailboxAddress::parse(text).ok().map(|address| address.to_string())
}

pub(super) fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "imap",
        Protocol::Smtp => "smtp",
        Protocol::Other => "other",
    }
}

/// RFC 3339, in UTC; the number itself where no calendar reaches.
pub(super) fn timestamp(at: UnixSeconds) -> String {
    let seconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}
