//! `gate.sock`: what a mail system may ask over gRPC, as `proto/octroi/v1/gate.proto` says.
//!
//! Allow and deny are both replies; only an outage is an error (UNAVAILABLE), so that no client mistakes one for the
//! other.

mod health;
mod tickets;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::server::Router;
use tonic::transport::{Error, Server};
use tonic::{Request, Response, Status};
use tonic_health::server::HealthReporter;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use self::health::{Readiness, follow, tell};
use super::ports::Judge;
use super::unix::UnixDoor;
use crate::gate::{Attempt, Credentials, Door, Outcome, Protocol};
use crate::proto;
use crate::proto::authenticate_request::Credentials as Shown;
use crate::proto::authenticate_response::Outcome as Answer;
use crate::proto::gate_server::{Gate, GateServer};
use crate::pseudonym::Pseudonyms;
use crate::rails::Permit;
use crate::reason::{DenyReason, UnavailableReason};
use crate::secret::Token;
use crate::tickets::Tickets;

/// `domain` of google.rpc.ErrorInfo.
pub const ERROR_DOMAIN: &str = "octroi";
/// Largest request, bytes: a token of 6 kB in base64 with room to spare.
const MAX_REQUEST: usize = 64 * 1024;
/// Longest a request may take; the gate's own deadlines end earlier.
const DEADLINE: Duration = Duration::from_secs(10);
/// Requests at one moment on one connection.
const PER_CONNECTION: usize = 256;
/// How often an idle connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The `Gate` service.
pub struct GateDoor {
    judge: Judge,
    tickets: Arc<Tickets>,
    pseudonyms: Pseudonyms,
    readiness: Readiness,
}

impl GateDoor {
    /// A door whose attempts `judge` judges, whose tickets are in `tickets` and whose health is what `is_ready` says.
    pub fn new(
        judge: Judge,
        tickets: Arc<Tickets>,
        pseudonyms: Pseudonyms,
        is_ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { judge, tickets, pseudonyms, readiness: Arc::new(is_ready) }
    }

    /// Serves on `door` until `end`, with health and reflection. It serves whatever the health is: a decision that
    /// can't be made is answered as an outage.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn serve(self, door: UnixDoor, end: impl Future<Output = ()>) -> Result<(), Error> {
        const NAME: &str = "octroi.v1.Gate";
        let readiness = Arc::clone(&self.readiness);
        let service = GateServer::new(self).max_decoding_message_size(MAX_REQUEST);
        let (router, health) = server(NAME).await;
        // Before anybody can ask.
        let ready = readiness();
        tell(&health, NAME, ready).await;
        let serving = router.add_service(service).serve_with_incoming_shutdown(door.incoming(), end);
        tokio::select! {
            biased;
            never = follow(&health, NAME, readiness, ready) => match never {},
            served = serving => served,
        }
    }
}

/// A server with limits, health (for the whole and for `service`, serving until it is told otherwise) and reflection.
pub(super) async fn server(service: &str) -> (Router, HealthReporter) {
    let (health, checks) = tonic_health::server::health_reporter();
    health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .inspect_err(|error| tracing::error!(%error, "no reflection"))
        .ok();
    let router = Server::builder()
        .timeout(DEADLINE)
        .concurrency_limit_per_connection(PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(checks)
        .add_optional_service(reflection);
    (router, health)
}

#[tonic::async_trait]
impl Gate for GateDoor {
    async fn authenticate(
        &self,
        request: Request<proto::AuthenticateRequest>,
    ) -> Result<Response<proto::AuthenticateResponse>, Status> {
        let decision = self.judge.judge(attempt(request.into_inner())?).await;
        let outcome = match decision.outcome {
            Outcome::Allow(permit) => Answer::Allowed(self.allowed(&permit)),
            Outcome::Deny(reason) => Answer::Denied(denied(reason)),
            Outcome::Unavailable(reason) => return Err(unavailable(reason)),
        };
        let decision_id = decision.id.to_string();
        Ok(Response::new(proto::AuthenticateResponse { decision_id, outcome: Some(outcome) }))
    }

    async fn issue_ticket(
        &self,
        request: Request<proto::IssueTicketRequest>,
    ) -> Result<Response<proto::IssueTicketResponse>, Status> {
        self.issue(request.into_inner()).await.map(Response::new)
    }

    async fn redeem_ticket(
        &self,
        request: Request<proto::RedeemTicketRequest>,
    ) -> Result<Response<proto::RedeemTicketResponse>, Status> {
        self.redeem(request.into_inner()).map(Response::new)
    }
}

impl GateDoor {
    /// What a permit says to the outside.
    fn allowed(&self, permit: &Permit) -> proto::Allowed {
        proto::Allowed {
            mailboxes: permit.mailboxes().iter().map(ToString::to_string).collect(),
            expires_at: permit.expires_at().0,
            identity_digest: self.pseudonyms.digest(permit.identity()),
            degraded: permit.degraded(),
        }
    }
}

fn denied(reason: DenyReason) -> proto::Denied {
    proto::Denied { reason: reason.code().to_owned(), message: reason.message().to_owned() }
}

/// Reads a request.
fn attempt(request: proto::AuthenticateRequest) -> Result<Attempt, Status> {
    // An unknown number is a protocol that this version does not know: judged, and recorded as such.
    let protocol = match proto::Protocol::try_from(request.protocol) {
        Ok(proto::Protocol::Imap) => Protocol::Imap,
        Ok(proto::Protocol::Smtp) => Protocol::Smtp,
        Ok(proto::Protocol::Unspecified) | Err(_) => Protocol::Other,
    };
    let credentials = match request.credentials {
        Some(Shown::Sasl(message)) => {
            Credentials::Sasl { mechanism: message.mechanism, response: Token::new(message.response) }
        }
        Some(Shown::Bearer(token)) => Credentials::Bearer(Token::new(token)),
        None => return Err(invalid("credentials", "one of sasl and bearer is required")),
    };
    let client = client(&request.client_address)?;
    let mailbox = Some(request.mailbox).filter(|mailbox| !mailbox.is_empty());
    Ok(Attempt { credentials, mailbox, protocol, door: Door::Grpc, client })
}

/// The address of a mail client, where it is told.
fn client(address: &str) -> Result<Option<IpAddr>, Status> {
    match address {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| invalid("client_address", "expected an IP address")),
    }
}

/// INVALID_ARGUMENT for one field.
fn invalid(field: &str, description: &str) -> Status {
    let details = ErrorDetails::with_bad_request(vec![FieldViolation::new(field, description)]);
    Status::with_error_details(tonic::Code::InvalidArgument, description, details)
}

/// UNAVAILABLE with the reason's code.
fn unavailable(reason: UnavailableReason) -> Status {
    let details = ErrorDetails::with_error_info(reason.code(), ERROR_DOMAIN, []);
    Status::with_error_details(tonic::Code::Unavailable, reason.message(), details)
}

#[cfg(test)]
mod tests;
