//! A site that takes tickets: sidecar, Dovecot 2.3 and the socket and program between them.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use octroi::proto::gate_client::GateClient;
use octroi::proto::issue_ticket_response::Outcome;
use octroi::proto::{AuthenticateRequest, IssueTicketRequest, IssueTicketResponse};
use octroi_psc::Identity;
use octroi_tests::dovecot::{Dovecot, Meeting, Setup, Version};
use octroi_tests::sidecar::Settings;
use tonic::transport::{Channel, Endpoint};

use crate::grpc::{bearer, sasl};
use crate::stage::{AUTOMATE, DEUX, SECRETARIAT, Stage, UN};

/// A ticket and the second at which it expires. Shows neither.
pub(super) struct Ticket(pub(super) String, pub(super) u64);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

pub(super) struct Site {
    pub(super) stage: Stage,
    pub(super) server: Dovecot,
    pub(super) meeting: Meeting,
}

impl Site {
    /// With more lines of `[server]`, and of Dovecot's configuration.
    pub(super) async fn start(server: &str, after: &str) -> Result<Self> {
        let meeting = Meeting::new()?;
        let (user, group) = (meeting.number_of("passwd", "dovecot")?, meeting.number_of("group", "dovecot")?);
        let server = format!("gate_uids = [\"root\", \"{user}\"]\ngate_group = \"{group}\"\n{server}");
        let gate_socket = Some(meeting.socket());
        let stage = Stage::start(&Settings { server, gate_socket, ..Settings::default() })?;
        let (introspection, policy) = (stage.sidecar.introspection(), stage.sidecar.policy());
        let mut setup = Setup::new(Version::V2_3, introspection, policy, &[UN, DEUX, SECRETARIAT, AUTOMATE]);
        setup.tickets = Some(meeting.tickets());
        after.clone_into(&mut setup.after);
        Ok(Self { server: Dovecot::start(&setup)?, stage, meeting })
    }

    async fn ask(&self, login: AuthenticateRequest) -> Result<IssueTicketResponse> {
        let channel: Channel = Endpoint::new(format!("unix:{}", self.meeting.socket().display()))?.connect().await?;
        let reply = GateClient::new(channel).issue_ticket(IssueTicketRequest { login: Some(login) }).await?;
        Ok(reply.into_inner())
    }

    /// Shows a fresh token of this person's, as a bare one or in a SASL message.
    pub(super) async fn issue(&self, person: &Identity, mailbox: &str, by_sasl: bool) -> Result<Ticket> {
        let token = self.stage.psc.token(person).mint();
        let login = if by_sasl { sasl(&token, mailbox) } else { bearer(&token, mailbox) };
        match self.ask(login).await?.outcome.context("no outcome")? {
            Outcome::Issued(issued) => {
                ensure!(issued.mailbox == mailbox, "a ticket for {}", issued.mailbox);
                Ok(Ticket(issued.ticket, issued.expires_at))
            }
            Outcome::Denied(denied) => bail!("no ticket: {}", denied.reason),
        }
    }

    /// The reason why this person gets no ticket.
    pub(super) async fn refused_issue(&self, person: &Identity, mailbox: &str) -> Result<String> {
        let token = self.stage.psc.token(person).mint();
        match self.ask(bearer(&token, mailbox)).await?.outcome.context("no outcome")? {
            Outcome::Issued(_) => bail!("a ticket for {mailbox}"),
            Outcome::Denied(denied) => Ok(denied.reason),
        }
    }
}
