//! What is recorded of login tickets: each that was issued, or could not be, and each that was shown. Nothing of the
//! ticket itself stands there; the decision joins the two, and leads to the record of the token.

use std::net::IpAddr;

use serde::Serialize;

use super::line::{Moment, Text, bounded, mailbox};
use crate::clock::UnixSeconds;
use crate::evidence::directory::{IdNat, MailboxAddress};
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

#[derive(Serialize)]
pub(super) struct TicketLine<'a> {
    time: Moment,
    event: &'static str,
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Text<DecisionId>>,
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
    client: Option<IpAddr>,
}

impl<'a> TicketLine<'a> {
    pub(super) fn new(event: &TicketEvent<'a>, pseudonyms: &Pseudonyms) -> Self {
        let (outcome, reason) = match event.outcome {
            TicketOutcome::Allow => ("allow", None),
            TicketOutcome::Deny(reason) => ("deny", Some(reason.code())),
            TicketOutcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
        };
        Self {
            time: Moment(event.now),
            event: "ticket",
            step: event.step.code(),
            decision: event.decision.map(Text),
            outcome,
            reason,
            issuer: event.issuer.map(bounded),
            identity: event.identity.map(|identity| pseudonyms.digest(identity)),
            mailbox: mailbox(event.mailbox),
            client: event.client,
        }
    }
}
