//! What is recorded of logins by token: each decision, and each answer to Dovecot's after-auth question about any
//! login.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::line::{Moment, Text, bounded, mailbox, protocol};
use crate::clock::UnixSeconds;
use crate::evidence::directory::MailboxAddress;
use crate::gate::{Attempt, DecisionId, Outcome};
use crate::pseudonym::Pseudonyms;

/// One decision of the gate, as it is recorded.
pub struct Judgement<'a> {
    /// Its name.
    pub id: DecisionId,
    /// When.
    pub now: UnixSeconds,
    /// What was attempted; of it only door, protocol, client address and mailbox are kept.
    pub attempt: &'a Attempt,
    /// What was decided.
    pub outcome: &'a Outcome,
    /// Digest of the policy that decided.
    pub release: &'a str,
    /// Issuer whose keys were asked, where the attempt got that far.
    pub issuer: Option<&'a str>,
    /// Key that was tried.
    pub key_id: Option<&'a str>,
    /// Number of the key set that it belongs to, in this process.
    pub key_generation: Option<u64>,
    /// The token's identifiers disagree.
    pub identities_differ: bool,
    /// How long it took.
    pub took: Duration,
}

/// One answer to Dovecot's after-auth question.
pub struct AfterAuth<'a> {
    /// The decision that issued the handle, where the handle was known.
    pub decision: Option<DecisionId>,
    /// When.
    pub now: UnixSeconds,
    /// `allow`, or the code of the reason.
    pub answer: &'static str,
    /// The handle as Dovecot logs it. Worthless once used or stale.
    pub handle: &'a str,
    /// Dovecot's session identifier.
    pub session: &'a str,
    /// Mailbox that Dovecot named.
    pub mailbox: &'a str,
    /// SASL mechanism that Dovecot named.
    pub mechanism: &'a str,
    /// Keyed digest of the person, where the handle was known.
    pub identity_digest: Option<&'a str>,
    /// Whether it was recorded as an authentication of the mailbox.
    pub counted: bool,
}

#[derive(Serialize)]
pub(super) struct JudgementLine<'a> {
    time: Moment,
    event: &'static str,
    decision: Text<DecisionId>,
    door: &'static str,
    protocol: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<Text<MailboxAddress>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailboxes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_generation: Option<u64>,
    policy: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    identities_differ: bool,
    micros: u64,
}

impl<'a> JudgementLine<'a> {
    pub(super) fn new(judgement: &Judgement<'a>, pseudonyms: &Pseudonyms) -> Self {
        let attempt = judgement.attempt;
        let (outcome, reason, permit) = match judgement.outcome {
            Outcome::Allow(permit) => ("allow", None, Some(permit)),
            Outcome::Deny(reason) => ("deny", Some(reason.code()), None),
            Outcome::Unavailable(reason) => ("unavailable", Some(reason.code()), None),
        };
        let asked = attempt.mailbox.as_deref().and_then(mailbox);
        Self {
            time: Moment(judgement.now),
            event: "decision",
            decision: Text(judgement.id),
            door: attempt.door.code(),
            protocol: protocol(attempt.protocol),
            outcome,
            reason,
            issuer: judgement.issuer.map(bounded),
            identity: permit.map(|permit| pseudonyms.digest(permit.identity())),
            mailbox: asked.or_else(|| permit.and_then(|permit| permit.mailbox()).cloned().map(Text)),
            mailboxes: permit.map(|permit| permit.mailboxes().len()),
            client: attempt.client,
            key_id: judgement.key_id.map(bounded),
            key_generation: judgement.key_generation,
            policy: judgement.release,
            degraded: permit.is_some_and(|permit| permit.degraded()),
            identities_differ: judgement.identities_differ,
            micros: u64::try_from(judgement.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[derive(Serialize)]
pub(super) struct AfterAuthLine<'a> {
    time: Moment,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Text<DecisionId>>,
    answer: &'static str,
    handle: &'a str,
    session: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mailbox: Option<Text<MailboxAddress>>,
    mechanism: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    counted: bool,
}

impl<'a> AfterAuthLine<'a> {
    pub(super) fn new(answer: &AfterAuth<'a>) -> Self {
        Self {
            time: Moment(answer.now),
            event: "after-auth",
            decision: answer.decision.map(Text),
            answer: answer.answer,
            handle: bounded(answer.handle),
            session: bounded(answer.session),
            mailbox: mailbox(answer.mailbox),
            mechanism: bounded(answer.mechanism),
            identity: answer.identity_digest.map(bounded),
            counted: answer.counted,
        }
    }
}
