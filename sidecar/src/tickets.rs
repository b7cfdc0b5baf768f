//! Login tickets: a token shown once, one login by password afterwards.
//!
//! For whoever can't carry a token: Dovecot and qmail hand at most 512 bytes to a checkpassword program. A webmail or a
//! local bridge shows the token on `gate.sock` and gets 128 random bits, good for one login to one mailbox within a
//! minute. A ticket is no second way in: it is issued by the decision on its token, and redeemed by the same decision
//! at the later moment, so that `exp`, the session's length, the directory and the policy hold then too.
//!
//! A redemption is no authentication of the mailbox: that is recorded where it happens, at Dovecot's after-auth
//! question.

mod standing;
mod table;
mod ticket;

use std::net::IpAddr;

pub use self::standing::{Standing, StandingJudge};
use self::table::Table;
pub use self::table::{Entry, TicketLimits};
pub use self::ticket::{Ticket, TicketHash};
use crate::audit::{Audit, TicketEvent, TicketOutcome, TicketStep};
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::MailboxAddress;
use crate::gate::{Attempt, DecisionId, Outcome};
use crate::rails::Permit;
use crate::reason::{DenyReason, UnavailableReason};

/// Issues tickets and redeems them.
#[derive(Debug)]
pub struct Tickets {
    judge: StandingJudge,
    table: Table,
    audit: Audit,
    clock: Clock,
}

/// The answer to a request for a ticket.
#[derive(Debug)]
pub struct Issue {
    /// The decision on the token.
    pub decision: DecisionId,
    /// What came of it.
    pub outcome: IssueOutcome,
}

/// Three outcomes, here as everywhere.
#[derive(Debug)]
pub enum IssueOutcome {
    /// A ticket.
    Issued {
        /// The secret.
        ticket: Ticket,
        /// The mailbox that it opens.
        mailbox: MailboxAddress,
        /// The moment at which it opens nothing more.
        expires_at: UnixSeconds,
    },
    /// The token opens no such mailbox.
    Deny(DenyReason),
    /// No decision could be made, or no ticket could be issued.
    Unavailable(UnavailableReason),
}

/// The answer to a ticket that was shown.
#[derive(Clone)]
pub struct Redemption {
    /// The decision under which it was issued, where the ticket is known.
    pub decision: Option<DecisionId>,
    /// The outcome. An allow's permit holds the one mailbox.
    pub outcome: Outcome,
}

impl Tickets {
    /// Tickets whose logins `judge` judges.
    #[must_use]
    pub fn new(judge: StandingJudge, limits: TicketLimits, audit: Audit, clock: Clock) -> Self {
        Self { judge, table: Table::new(limits), audit, clock }
    }

    /// Judges a login and, where it is allowed for one mailbox, issues a ticket for it. A token that is refused leaves
    /// the record of its decision and nothing else.
    pub async fn issue(&self, attempt: Attempt) -> Issue {
        let client = attempt.client;
        let (decision, standing) = self.judge.judge(attempt).await;
        let outcome = match (decision.outcome, standing) {
            (Outcome::Allow(permit), Some(standing)) => self.stand(decision.id, &permit, standing, client),
            (Outcome::Allow(_), None) => IssueOutcome::Unavailable(UnavailableReason::PolicyLimit),
            (Outcome::Deny(reason), _) => IssueOutcome::Deny(reason),
            (Outcome::Unavailable(reason), _) => IssueOutcome::Unavailable(reason),
        };
        Issue { decision: decision.id, outcome }
    }

    /// Gives an allowed login a ticket.
    fn stand(&self, decision: DecisionId, permit: &Permit, standing: Standing, client: Option<IpAddr>) -> IssueOutcome {
        // Nobody named one: the ticket would be for whichever comes first.
        let Some(mailbox) = permit.mailbox() else { return IssueOutcome::Deny(DenyReason::MailboxMalformed) };
        let (now, identity) = (self.clock.now(), permit.identity().clone());
        let entry = Entry { mailbox: mailbox.clone(), decision, issuer: permit.issuer().into(), identity, standing };
        let issued = self.table.issue(entry.clone(), now);
        let outcome = issued.as_ref().err().map_or(TicketOutcome::Allow, |reason| TicketOutcome::Unavailable(*reason));
        self.record(TicketStep::Issue, outcome, Some(&entry), mailbox.as_str(), client, now);
        match issued {
            Ok((ticket, expires_at)) => IssueOutcome::Issued { ticket, mailbox: mailbox.clone(), expires_at },
            Err(reason) => IssueOutcome::Unavailable(reason),
        }
    }

    /// Redeems what was shown as a ticket for `mailbox`, as the client named it. It is used once this says allow, and
    /// stays good where it does not: an outage takes nobody's ticket, nor does an attempt on another mailbox.
    #[must_use]
    pub fn redeem(&self, shown: &[u8], mailbox: &str, client: Option<IpAddr>) -> Redemption {
        let now = self.clock.now();
        let (entry, outcome) = self.judge_ticket(shown, mailbox, now);
        let recorded = match &outcome {
            Outcome::Allow(_) => TicketOutcome::Allow,
            Outcome::Deny(reason) => TicketOutcome::Deny(*reason),
            Outcome::Unavailable(reason) => TicketOutcome::Unavailable(*reason),
        };
        self.record(TicketStep::Redeem, recorded, entry.as_ref(), mailbox, client, now);
        Redemption { decision: entry.map(|entry| entry.decision), outcome }
    }

    fn judge_ticket(&self, shown: &[u8], mailbox: &str, now: UnixSeconds) -> (Option<Entry>, Outcome) {
        let Ok(mailbox) = MailboxAddress::parse(mailbox) else { return (None, DenyReason::MailboxMalformed.into()) };
        let Some(hash) = Ticket::parse(shown).map(|ticket| ticket.hash()) else {
            return (None, DenyReason::TicketUnknown.into());
        };
        let entry = match self.table.find(hash, &mailbox, now) {
            Ok(entry) => entry,
            Err((entry, reason)) => return (entry, reason.into()),
        };
        let outcome = match entry.standing.judge_again(&mailbox) {
            // Taken last: of several who are allowed at once, one gets in.
            Outcome::Allow(permit) => match self.table.take(hash, now) {
                Ok(()) => Outcome::Allow(permit),
                Err(reason) => reason.into(),
            },
            refused @ (Outcome::Deny(_) | Outcome::Unavailable(_)) => refused,
        };
        (Some(entry), outcome)
    }

    fn record(
        &self,
        step: TicketStep,
        outcome: TicketOutcome,
        entry: Option<&Entry>,
        mailbox: &str,
        client: Option<IpAddr>,
        now: UnixSeconds,
    ) {
        self.audit.ticket(&TicketEvent {
            step,
            now,
            outcome,
            decision: entry.map(|entry| entry.decision),
            issuer: entry.map(|entry| &*entry.issuer),
            identity: entry.map(|entry| &entry.identity),
            mailbox,
            client,
        });
    }

    /// Tickets that are good now, by name, for the operator's view.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        vec![("tickets_live".to_owned(), u64::try_from(self.table.live()).unwrap_or(u64::MAX))]
    }
}

#[cfg(test)]
mod tests;
