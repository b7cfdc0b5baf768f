//! What is recorded of login tickets: each that was issued, or could not be, and each that was shown. Nothing of the
//! ticket itself stands there; the decision joins the two, and leads to the record of the token.

use std::net::IpAddr;

use serde::Serialize;

use super::entry::{bounded, mailbox, timestamp};
use crate::clock::UnixSeconds;
use crate::evidence::directory::IdNat;
use crate::gate::DecisionId;
use crate::pseudonym::Pseudonyms;
use crate::reason::{DenyReason, UnavailableReason};

/// What happened to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketStep {
    /// It was asked for, by an allowed login.
    Issue,
    /// It was shown.
    Redeem,
}

impl TicketStep {
    const fn code(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Redeem => "redeem",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketOutcome {
    /// Issued, or redeemed.
    Allow,
    /// Refused.
    Deny(DenyReason),
    /// No decision could be made.
    Unavailable(UnavailableReason),
}

/// One step of one ticket, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct TicketEvent<'a> {
    /// Which step.
    pub step: TicketStep,
    /// When.
    pub now: UnixSeconds,
    /// What came of it.
    pub outcome: TicketOutcome,
    /// The decision on the token behind it, where the ticket is known.
    pub decision: Option<DecisionId>,
    /// Issuer of that token.
    pub issuer: Option<&'a str>,
    /// The person.
    pub identity: Option<&'a IdNat>,
    /// Mailbox that was named, unchecked.
    pub mailbox: &'a str,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
}

/// The same, owned; the digest is computed by the writing thread.
pub(super) struct TicketEntry {
    line: TicketLine,
    at: UnixSeconds,
    identity: Option<IdNat>,
}

#[derive(Serialize)]
struct TicketLine {
    time: String,
    event: &'static str,
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
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
    client: Option<IpAddr>,
}

impl TicketEntry {
    pub(super) fn new(event: &TicketEvent<'_>) -> Self {
        let (outcome, reason) = match event.outcome {
            TicketOutcome::Allow => ("allow", None),
            TicketOutcome::Deny(reason) => ("deny", Some(reason.code())),
            TicketOutcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
        };
        let line = TicketLine {
            time: String::new(),
            event: "ticket",
            step: event.step.code(),
            decision: event.decision.map(|id| id.to_string()),
            outcome,
            reason,
            issuer: event.issuer.map(bounded),
            identity: None,
            mailbox: mailbox(event.mailbox),
            client: event.client,
        };
        Self { line, at: event.now, identity: event.identity.cloned() }
    }

    /// The line, without its end.
    pub(super) fn finish(mut self, pseudonyms: &Pseudonyms) -> serde_json::Result<Vec<u8>> {
        self.line.time = timestamp(self.at);
        self.line.identity = self.identity.map(|identity| pseudonyms.digest(&identity));
        serde_json::to_vec(&self.line)
    }
}
