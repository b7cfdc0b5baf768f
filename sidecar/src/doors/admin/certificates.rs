//! Enrols certificates, lists them and withdraws them: checks, writes down, and only then publishes.

use std::sync::Arc;

use tokio::sync::Mutex;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use self::told::Teller;
use super::policies::uid;
use super::store_status;
use crate::audit::{Audit, CertificateEvent, CertificateStep};
use crate::clock::{Clock, UnixSeconds};
use crate::doors::dovecot_structures::StructuresFile;
use crate::evidence::certificate::enrolled::{DAY, Enrolled, Enrolment, Set};
use crate::evidence::certificate::enrolling::{Problem, Submitted, Surroundings, examine};
use crate::evidence::certificate::{Chains, Fingerprint, Revocations};
use crate::evidence::directory::Directory;
use crate::proto;
use crate::proto::certificates_server::Certificates;
use crate::store::{Store, StoredCertificate};

pub(super) mod revocation;
mod told;

/// Certificates in a list when the caller does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Certificates in a list at most: with their mailboxes they stay below what gRPC takes in one message.
const MAX_LIMIT: u32 = 500;
/// Fewest digits of a fingerprint that name a certificate.
const MIN_DIGITS: usize = 8;
/// Longest reason, characters.
const MAX_REASON: usize = 200;
/// Violations sent with an error, and their bytes: details travel in an HTTP/2 header, of which clients take 8 KiB.
const MAX_VIOLATIONS: usize = 20;
/// Longest description of a violation, bytes.
const MAX_DESCRIPTION: usize = 120;

/// What the service stands on.
#[derive(Clone)]
pub struct CertificatesParts {
    /// What outlives the process.
    pub store: Arc<dyn Store>,
    /// The enrolled certificates.
    pub enrolment: Enrolment,
    /// Which mailboxes they open.
    pub directory: Directory,
    /// The configured chains.
    pub chains: Arc<Chains>,
    /// Revocation lists; `None`: no chain is configured.
    pub revocations: Option<Revocations>,
    /// What Dovecot is told of them, where it is told.
    pub structures: Option<Arc<StructuresFile>>,
    /// The audit trail.
    pub audit: Audit,
    /// The clock.
    pub clock: Clock,
}

/// The `Certificates` service. Clones share it.
#[derive(Clone)]
pub struct CertificatesService {
    parts: Arc<CertificatesParts>,
    /// Held over look, store and publish: two changes at once must not publish one and store the other.
    turn: Arc<Mutex<()>>,
}

impl CertificatesService {
    /// A service on these parts.
    #[must_use]
    pub fn new(parts: CertificatesParts) -> Self {
        Self { parts: Arc::new(parts), turn: Arc::default() }
    }

    async fn enrol(
        self,
        files: Vec<Submitted>,
        dry_run: bool,
        uid: u32,
    ) -> Result<proto::ImportCertificatesResponse, Status> {
        let _turn = self.turn.lock().await;
        let now = self.parts.clock.now();
        let (present, chains) = (self.parts.enrolment.snapshot(), Arc::clone(&self.parts.chains));
        let examined = tokio::task::spawn_blocking(move || {
            examine(&files, &Surroundings { present: &present, chains: &chains, now })
        });
        let enrolled = match examined.await.map_err(|error| Status::internal(error.to_string()))? {
            Ok(enrolled) => enrolled,
            Err(problems) if dry_run => {
                let problems = problems.into_iter().map(told::problem).collect();
                return Ok(proto::ImportCertificatesResponse { problems, ..Default::default() });
            }
            Err(problems) => {
                let error = format!("nothing enrolled: {} problems", problems.len());
                self.record(CertificateStep::Enrol, uid, now, None, None, Some(&error));
                return Err(invalid(&problems));
            }
        };
        let mut remarks = told::remarks(&enrolled, &self.teller(now));
        if !dry_run {
            self.keep(&enrolled, uid, now).await?;
            remarks.extend(self.tell().await);
        }
        let told = self.teller(now);
        let enrolled = enrolled.iter().map(|enrolled| told.entry(enrolled)).collect();
        Ok(proto::ImportCertificatesResponse { enrolled, problems: Vec::new(), remarks })
    }

    /// Writes certificates down and puts them into use.
    async fn keep(&self, enrolled: &[Enrolled], uid: u32, now: UnixSeconds) -> Result<(), Status> {
        let stored = enrolled.iter().map(|enrolled| StoredCertificate {
            der: enrolled.certificate.der().to_vec(),
            enrolled_at: enrolled.enrolled_at,
            withdrawn_at: None,
        });
        if let Err(error) = self.parts.store.enrol(stored.collect()).await {
            self.record(CertificateStep::Enrol, uid, now, None, None, Some(&error.to_string()));
            return Err(store_status(error));
        }
        self.parts.enrolment.publish(self.parts.enrolment.snapshot().with(enrolled));
        for enrolled in enrolled {
            tracing::info!(fingerprint = %enrolled.certificate.fingerprint(), uid, "certificate enrolled");
            self.record(CertificateStep::Enrol, uid, now, Some(enrolled), None, None);
        }
        Ok(())
    }

    async fn withdraw(
        self,
        named: String,
        reason: String,
        uid: u32,
    ) -> Result<proto::RevokeCertificateResponse, Status> {
        let _turn = self.turn.lock().await;
        let now = self.parts.clock.now();
        let present = self.parts.enrolment.snapshot();
        let reason = checked(&reason)?;
        let found = find(&present, &named)?;
        if found.withdrawn_at.is_some() {
            return Err(Status::failed_precondition("this certificate is withdrawn already"));
        }
        let withdrawn = Enrolled { withdrawn_at: Some(now), ..found.clone() };
        let fingerprint = found.certificate.fingerprint();
        let written = self.parts.store.withdraw(fingerprint, now).await.map_err(|error| {
            self.record(CertificateStep::Withdraw, uid, now, Some(found), Some(reason), Some(&error.to_string()));
            store_status(error)
        })?;
        self.parts.enrolment.publish(present.with(std::slice::from_ref(&withdrawn)));
        // A row that is not there can't come back at the next start either; that it is not there should be known.
        let error = (!written).then_some("the store does not hold this certificate any more");
        tracing::info!(%fingerprint, uid, reason, "certificate withdrawn");
        self.record(CertificateStep::Withdraw, uid, now, Some(&withdrawn), Some(reason), error);
        let mut remarks: Vec<_> = error.map(str::to_owned).into_iter().chain(self.tell().await).collect();
        remarks.push(
            "its authority does not know: have it revoked there too where the key may be in other hands".to_owned(),
        );
        let teller = self.teller(now);
        remarks.extend(teller.closed_to_imap(&withdrawn));
        let certificate = Some(teller.entry(&withdrawn));
        Ok(proto::RevokeCertificateResponse { certificate, remarks })
    }

    fn teller(&self, now: UnixSeconds) -> Teller<'_> {
        Teller {
            directory: self.parts.directory.snapshot(),
            chains: &self.parts.chains,
            revocations: self.parts.revocations.as_ref(),
            now,
        }
    }

    /// Tells Dovecot of a change. What it could not do is for the operator; it is tried again by itself.
    async fn tell(&self) -> Option<String> {
        let structures = self.parts.structures.as_ref()?;
        let failed = structures.keep().await.err()?;
        tracing::error!(error = %failed, "the file of structures for Dovecot can't be written");
        Some(format!("Dovecot still goes by the old list of structures, {failed}; it is written as soon as it can be"))
    }

    fn record(
        &self,
        step: CertificateStep,
        uid: u32,
        now: UnixSeconds,
        about: Option<&Enrolled>,
        reason: Option<&str>,
        error: Option<&str>,
    ) {
        let fingerprint = about.map(|enrolled| enrolled.certificate.fingerprint().to_string());
        self.parts.audit.certificate(&CertificateEvent {
            step,
            now,
            uid: Some(uid),
            fingerprint: fingerprint.as_deref(),
            structure: about.map(|enrolled| enrolled.structure.as_str()),
            reason,
            until: None,
            error,
        });
    }
}

#[tonic::async_trait]
impl Certificates for CertificatesService {
    async fn import(
        &self,
        request: Request<proto::ImportCertificatesRequest>,
    ) -> Result<Response<proto::ImportCertificatesResponse>, Status> {
        let uid = uid(&request)?;
        let proto::ImportCertificatesRequest { files, dry_run } = request.into_inner();
        let file = |file: proto::CertificateFile| Submitted { name: told::line(&file.name), content: file.content };
        let files = files.into_iter().map(file).collect();
        whole(self.clone().enrol(files, dry_run, uid)).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<proto::ListCertificatesRequest>,
    ) -> Result<Response<proto::ListCertificatesResponse>, Status> {
        let proto::ListCertificatesRequest { after, limit, structure, expiring_days } = request.into_inner();
        let after = match after.as_str() {
            "" => None,
            text => Some(Fingerprint::parse(text).map_err(|rule| malformed("after", rule))?),
        };
        let limit = match limit {
            0 => DEFAULT_LIMIT,
            limit => limit.min(MAX_LIMIT),
        } as usize;
        let (set, now) = (self.parts.enrolment.snapshot(), self.parts.clock.now());
        let told = self.teller(now);
        let within = expiring_days.map(|days| now.plus(u64::from(days) * DAY));
        let mut listed = set.all().iter().filter(|enrolled| {
            after.is_none_or(|after| enrolled.certificate.fingerprint() > after)
                && (structure.is_empty() || enrolled.structure.as_str() == structure)
                && within.is_none_or(|to| enrolled.withdrawn_at.is_none() && enrolled.certificate.not_after() < to)
        });
        let page: Vec<_> = listed.by_ref().take(limit).map(|enrolled| told.entry(enrolled)).collect();
        let next = page.last().filter(|_| listed.next().is_some()).map(|last| last.fingerprint.clone());
        Ok(Response::new(proto::ListCertificatesResponse { certificates: page, next: next.unwrap_or_default() }))
    }

    async fn revoke(
        &self,
        request: Request<proto::RevokeCertificateRequest>,
    ) -> Result<Response<proto::RevokeCertificateResponse>, Status> {
        let uid = uid(&request)?;
        let proto::RevokeCertificateRequest { certificate, reason } = request.into_inner();
        whole(self.clone().withdraw(certificate, reason, uid)).await.map(Response::new)
    }

    async fn crl_status(
        &self,
        _: Request<proto::CrlStatusRequest>,
    ) -> Result<Response<proto::CrlStatusResponse>, Status> {
        revocation::status(&self.parts).map(Response::new)
    }

    async fn fetch_crls(
        &self,
        _: Request<proto::FetchCrlsRequest>,
    ) -> Result<Response<proto::CrlStatusResponse>, Status> {
        whole(revocation::fetch(Arc::clone(&self.parts))).await.map(Response::new)
    }

    async fn suspend_revocation(
        &self,
        request: Request<proto::SuspendRevocationRequest>,
    ) -> Result<Response<proto::SuspendRevocationResponse>, Status> {
        let uid = uid(&request)?;
        let proto::SuspendRevocationRequest { hours, reason } = request.into_inner();
        whole(revocation::suspend(Arc::clone(&self.parts), hours, reason, uid)).await.map(Response::new)
    }

    async fn resume_revocation(
        &self,
        request: Request<proto::ResumeRevocationRequest>,
    ) -> Result<Response<proto::ResumeRevocationResponse>, Status> {
        let uid = uid(&request)?;
        whole(revocation::resume(Arc::clone(&self.parts), uid)).await.map(Response::new)
    }
}

/// Takes a step to its end, whether or not the caller still waits: one that was written down must also be published.
async fn whole<T: Send + 'static>(step: impl Future<Output = Result<T, Status>> + Send + 'static) -> Result<T, Status> {
    tokio::spawn(step).await.unwrap_or_else(|_| Err(Status::internal("the step was not finished")))
}

/// A reason for the record.
fn checked(reason: &str) -> Result<&str, Status> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        let rule = format!("expected a reason, one line of at most {MAX_REASON} characters: it is recorded");
        return Err(malformed("reason", &rule));
    }
    Ok(reason)
}

/// The certificate with this fingerprint, or the only one whose fingerprint begins like this.
fn find<'s>(set: &'s Set, named: &str) -> Result<&'s Enrolled, Status> {
    let digits: String = named.chars().filter(|digit| *digit != ':').map(|digit| digit.to_ascii_lowercase()).collect();
    if !(MIN_DIGITS..=64).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let rule = format!("expected a SHA-256 fingerprint, or its first {MIN_DIGITS} or more hexadecimal digits");
        return Err(malformed("certificate", &rule));
    }
    let mut alike = set.all().iter().filter(|e| e.certificate.fingerprint().to_string().starts_with(&digits));
    match (alike.next(), alike.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => Err(Status::not_found("no enrolled certificate has this fingerprint: octroi certificate list")),
        (Some(_), Some(_)) => {
            Err(Status::failed_precondition("several fingerprints begin like this: give more digits"))
        }
    }
}

fn malformed(field: &str, rule: &str) -> Status {
    Status::with_error_details(Code::InvalidArgument, rule, ErrorDetails::with_bad_request_violation(field, rule))
}

/// The refusal of an import.
fn invalid(problems: &[Problem]) -> Status {
    let violations = problems.iter().take(MAX_VIOLATIONS).map(|problem| {
        let Problem { file, position, problem, .. } = problem;
        let mut description = format!("{file}, certificate {position}: {problem}");
        // Character by character: a cut within one would be no text.
        while description.len() > MAX_DESCRIPTION {
            description.pop();
        }
        FieldViolation::new("files", description)
    });
    let details = ErrorDetails::with_bad_request(violations.collect::<Vec<_>>());
    let message = format!("nothing enrolled: {} problems; a dry run lists them", problems.len());
    Status::with_error_details(Code::InvalidArgument, message, details)
}
