//! `admin.sock`: what an operator may look at and change, as `proto/octroi/v1/admin.proto` says.
//!
//! Nothing here opens a mailbox: a probe token opens the canary alone, and an import goes through the same checks as
//! every other.

mod certificates;
mod import;
mod overview;
mod policies;
mod throttle;
mod trust_space;

use std::sync::Arc;

use tonic::transport::Error;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt as _};

pub use self::certificates::{CertificatesParts, CertificatesService};
pub use self::import::Importer;
pub use self::overview::{Counts, Overview};
use self::policies::PoliciesService;
use self::throttle::ThrottleService;
pub use self::trust_space::TrustSpaceImporter;
use super::grpc::{ERROR_DOMAIN, server};
use super::probe::{ProbeError, Probes};
use super::unix::UnixDoor;
use crate::evidence::directory::{CertificateLimits, Directory};
use crate::proto;
use crate::proto::certificates_server::CertificatesServer;
use crate::proto::mailboxes_server::{Mailboxes, MailboxesServer};
use crate::proto::policies_server::PoliciesServer;
use crate::proto::probe_server::{Probe, ProbeServer};
use crate::proto::status_server::StatusServer;
use crate::proto::throttle_server::ThrottleServer;
use crate::proto::trust_space_server::TrustSpaceServer;
use crate::releases::Releases;
use crate::store::{Page, Store, StoreError};
use crate::throttle::Throttle;

/// Largest request, bytes: a directory of half a million mailboxes.
pub const MAX_REQUEST: usize = 64 * 1024 * 1024;
/// Largest request with certificates, bytes: files of one MiB with their names.
const MAX_CERTIFICATES: usize = 2 * 1024 * 1024;
/// Mailboxes in a list when the caller does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Mailboxes in a list at most.
const MAX_LIMIT: u32 = 1000;

/// What the operator's door stands on.
pub struct AdminDoor {
    /// Imports directories.
    pub importer: Importer,
    /// Imports lists of the trust space.
    pub trust_space: TrustSpaceImporter,
    /// Enrolled certificates.
    pub certificates: CertificatesService,
    /// Whose mailbox it is.
    pub directory: Directory,
    /// What outlives the process.
    pub store: Arc<dyn Store>,
    /// Probe tokens; `None` where no canary is configured.
    pub probes: Option<Arc<Probes>>,
    /// Limits of the work that one client address can cause for nothing.
    pub throttle: Throttle,
    /// The policy's releases.
    pub releases: Arc<Releases>,
    /// The state of the sidecar.
    pub overview: Arc<Overview>,
}

impl AdminDoor {
    /// Serves on `door` until `end`, with health and reflection.
    ///
    /// # Errors
    /// The transport failed.
    pub async fn serve(self, door: UnixDoor, end: impl Future<Output = ()>) -> Result<(), Error> {
        let mailboxes = MailboxesService { importer: self.importer, directory: self.directory, store: self.store };
        let (router, _) = server("octroi.v1.Mailboxes").await;
        let router = router
            .add_service(MailboxesServer::new(mailboxes).max_decoding_message_size(MAX_REQUEST))
            .add_service(TrustSpaceServer::new(self.trust_space).max_decoding_message_size(MAX_REQUEST))
            .add_service(CertificatesServer::new(self.certificates).max_decoding_message_size(MAX_CERTIFICATES))
            .add_service(ProbeServer::new(ProbeService(self.probes)))
            .add_service(ThrottleServer::new(ThrottleService(self.throttle)))
            .add_service(PoliciesServer::new(PoliciesService(self.releases)).max_decoding_message_size(MAX_REQUEST))
            .add_service(StatusServer::from_arc(self.overview));
        router.serve_with_incoming_shutdown(door.incoming(), end).await
    }
}

struct MailboxesService {
    importer: Importer,
    directory: Directory,
    store: Arc<dyn Store>,
}

#[tonic::async_trait]
impl Mailboxes for MailboxesService {
    async fn import(&self, request: Request<proto::ImportRequest>) -> Result<Response<proto::ImportResponse>, Status> {
        let request = request.into_inner();
        self.importer.import(request.csv, request.dry_run).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<proto::ListMailboxesRequest>,
    ) -> Result<Response<proto::ListMailboxesResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.limit {
            0 => DEFAULT_LIMIT,
            limit => limit.min(MAX_LIMIT),
        };
        // One more than asked for tells whether there is a next page.
        let page = Page { after: request.after.to_ascii_lowercase(), limit: limit + 1 };
        let mut listed = self.store.last_authentications(page).await.map_err(store_status)?;
        let more = listed.len() > limit as usize;
        listed.truncate(limit as usize);
        let next = listed.last().filter(|_| more).map(|last| last.mailbox.to_string()).unwrap_or_default();
        let snapshot = self.directory.snapshot();
        let mailboxes = listed.into_iter().filter_map(|listed| {
            // A mailbox that an import has just removed is not shown.
            let mailbox = snapshot.mailbox(listed.mailbox.as_str())?;
            Some(proto::MailboxEntry {
                address: mailbox.address.to_string(),
                kind: mailbox.kind.code().to_owned(),
                persons: u32::try_from(mailbox.persons.len()).unwrap_or(u32::MAX),
                last_authentication: listed.last.map_or(0, |(at, _)| at.0),
                structures: mailbox.structures.iter().map(ToString::to_string).collect(),
                certificates_limited: *mailbox.certificates != CertificateLimits::default(),
            })
        });
        Ok(Response::new(proto::ListMailboxesResponse { mailboxes: mailboxes.collect(), next }))
    }
}

struct ProbeService(Option<Arc<Probes>>);

#[tonic::async_trait]
impl Probe for ProbeService {
    async fn issue(&self, _: Request<proto::IssueProbeRequest>) -> Result<Response<proto::IssueProbeResponse>, Status> {
        let Some(probes) = &self.0 else {
            let remedy = "set canary and non_member in [check], and restart";
            let violation = PreconditionViolation::new("configuration", "check.canary", remedy);
            let details = ErrorDetails::with_precondition_failure(vec![violation]);
            return Err(Status::with_error_details(tonic::Code::FailedPrecondition, remedy, details));
        };
        let token = probes.issue().map_err(|error| match error {
            ProbeError::TooMany => Status::resource_exhausted(error.to_string()),
            ProbeError::Random => Status::internal(error.to_string()),
        })?;
        Ok(Response::new(proto::IssueProbeResponse {
            token: String::from_utf8_lossy(token.expose()).into_owned(),
            canary: probes.canary().to_string(),
            non_member: probes.non_member().to_string(),
        }))
    }
}

/// The store's failures, as gRPC has them.
fn store_status(error: StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::Overloaded | StoreError::Timeout | StoreError::Failed(_) => {
            let details = ErrorDetails::with_error_info("store-unavailable", ERROR_DOMAIN, []);
            Status::with_error_details(tonic::Code::Unavailable, message, details)
        }
        StoreError::Corrupt(_) => Status::data_loss(message),
        StoreError::Newer { .. } => Status::failed_precondition(message),
    }
}

#[cfg(test)]
mod tests;
