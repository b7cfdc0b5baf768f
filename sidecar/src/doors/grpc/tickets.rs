//! IssueTicket and RedeemTicket: the requests read, the answers written.

use tonic::Status;

use super::{GateDoor, attempt, client, denied, invalid, unavailable};
use crate::gate::{Attempt, Credentials, Door, Outcome};
use crate::proto;
use crate::proto::issue_ticket_response::Outcome as Issued;
use crate::proto::redeem_ticket_response::Outcome as Redeemed;
use crate::secret::Token;
use crate::tickets::{Issue, IssueOutcome};

impl GateDoor {
    pub(super) async fn issue(&self, request: proto::IssueTicketRequest) -> Result<proto::IssueTicketResponse, Status> {
        let login = request.login.ok_or_else(|| invalid("login", "expected the login that the ticket stands for"))?;
        let attempt = Attempt { door: Door::Ticket, ..attempt(login)? };
        if attempt.mailbox.is_none() && matches!(attempt.credentials, Credentials::Bearer(_)) {
            return Err(invalid("login.mailbox", "expected the one mailbox that the ticket is to open"));
        }
        let Issue { decision, outcome } = self.tickets.issue(attempt).await;
        let outcome = match outcome {
            IssueOutcome::Issued { ticket, mailbox, expires_at } => Issued::Issued(proto::IssuedTicket {
                ticket: ticket.expose().to_string(),
                mailbox: mailbox.to_string(),
                expires_at: expires_at.0,
            }),
            IssueOutcome::Deny(reason) => Issued::Denied(denied(reason)),
            IssueOutcome::Unavailable(reason) => return Err(unavailable(reason)),
        };
        Ok(proto::IssueTicketResponse { decision_id: decision.to_string(), outcome: Some(outcome) })
    }

    pub(super) fn redeem(&self, request: proto::RedeemTicketRequest) -> Result<proto::RedeemTicketResponse, Status> {
        let (shown, client) = (Token::new(request.ticket), client(&request.client_address)?);
        let redemption = self.tickets.redeem(shown.expose(), &request.mailbox, client);
        let outcome = match redemption.outcome {
            Outcome::Allow(permit) => Redeemed::Allowed(self.allowed(&permit)),
            Outcome::Deny(reason) => Redeemed::Denied(denied(reason)),
            Outcome::Unavailable(reason) => return Err(unavailable(reason)),
        };
        let decision_id = redemption.decision.map(|id| id.to_string()).unwrap_or_default();
        Ok(proto::RedeemTicketResponse { decision_id, outcome: Some(outcome) })
    }
}
