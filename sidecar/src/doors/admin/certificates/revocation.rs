//! The revocation lists as an operator sees them, and the suspension of their check.

use std::sync::Arc;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{CertificatesParts, checked, malformed};
use crate::audit::{CertificateEvent, CertificateStep};
use crate::clock::UnixSeconds;
use crate::doors::grpc::ERROR_DOMAIN;
use crate::evidence::certificate::{ListStatus, Revocations, SourceStatus, Suspension, SuspensionError};
use crate::proto;

/// Longest suspension, hours: a week.
const MAX_HOURS: u32 = 168;
/// Seconds of an hour.
const HOUR: u64 = 3600;

/// The lists of every chain.
pub(super) fn status(parts: &CertificatesParts) -> Result<proto::CrlStatusResponse, Status> {
    Ok(picture(held(parts)?, parts.clock.now()))
}

/// What is told of the lists.
pub(in crate::doors::admin) fn picture(revocations: &Revocations, now: UnixSeconds) -> proto::CrlStatusResponse {
    let status = revocations.status(now);
    proto::CrlStatusResponse {
        lists: status.lists.into_iter().map(list).collect(),
        sources: status.sources.into_iter().map(source).collect(),
        suspended: status.suspended.map(suspension),
        enforced_by_dovecot: status.enforced_by_dovecot,
        dovecot_error: status.dovecot_error.unwrap_or_default().to_owned(),
    }
}

/// Fetches every list now.
pub(super) async fn fetch(parts: Arc<CertificatesParts>) -> Result<proto::CrlStatusResponse, Status> {
    held(&parts)?.refresh().await;
    status(&parts)
}

/// Lets logins go on without usable lists for some hours.
pub(super) async fn suspend(
    parts: Arc<CertificatesParts>,
    hours: u32,
    reason: String,
    uid: u32,
) -> Result<proto::SuspendRevocationResponse, Status> {
    let revocations = held(&parts)?.clone();
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(malformed("hours", &format!("expected 1 to {MAX_HOURS} hours")));
    }
    let reason = checked(&reason)?.to_owned();
    let (now, until) = (parts.clock.now(), parts.clock.now().plus(u64::from(hours) * HOUR));
    let (why, by, dovecot) = (reason.clone(), format!("uid {uid}"), revocations.clone());
    let taken = tokio::task::spawn_blocking(move || revocations.suspend(until, &why, &by)).await;
    let taken = taken.unwrap_or(Err(SuspensionError::Disk));
    let error = taken.as_ref().err().map(ToString::to_string);
    let step = CertificateStep::SuspendRevocation;
    record(&parts, step, uid, now, (Some(&reason), Some(until)), error.as_deref());
    // Whoever asked may count on it once the answer is there.
    dovecot.settle().await;
    taken.map(|taken| proto::SuspendRevocationResponse { until: taken.until.0 }).map_err(refusal)
}

/// Ends that.
pub(super) async fn resume(parts: Arc<CertificatesParts>, uid: u32) -> Result<proto::ResumeRevocationResponse, Status> {
    let (revocations, now, by) = (held(&parts)?.clone(), parts.clock.now(), format!("uid {uid}"));
    let dovecot = revocations.clone();
    let taken = tokio::task::spawn_blocking(move || revocations.resume(&by)).await;
    let taken = taken.unwrap_or(Err(SuspensionError::Disk));
    let error = taken.as_ref().err().map(ToString::to_string);
    record(&parts, CertificateStep::ResumeRevocation, uid, now, (None, None), error.as_deref());
    dovecot.settle().await;
    taken.map(|()| proto::ResumeRevocationResponse {}).map_err(refusal)
}

fn held(parts: &CertificatesParts) -> Result<&Revocations, Status> {
    let missing = || Status::failed_precondition("no [[chain]] is configured: there are no revocation lists");
    parts.revocations.as_ref().ok_or_else(missing)
}

fn record(
    parts: &CertificatesParts,
    step: CertificateStep,
    uid: u32,
    now: UnixSeconds,
    (reason, until): (Option<&str>, Option<UnixSeconds>),
    error: Option<&str>,
) {
    let (uid, fingerprint, structure) = (Some(uid), None, None);
    parts.audit.certificate(&CertificateEvent { step, now, uid, fingerprint, structure, reason, until, error });
}

fn refusal(error: SuspensionError) -> Status {
    let message = error.to_string();
    match error {
        SuspensionError::Past | SuspensionError::TooLong | SuspensionError::Text => Status::invalid_argument(message),
        SuspensionError::Disk => {
            let details = ErrorDetails::with_error_info("store-unavailable", ERROR_DOMAIN, []);
            Status::with_error_details(tonic::Code::Unavailable, message, details)
        }
    }
}

fn list(list: ListStatus) -> proto::CrlEntry {
    let seconds = |at: Option<UnixSeconds>| at.map_or(0, |at| at.0);
    proto::CrlEntry {
        chain: list.chain,
        authority: list.authority,
        state: list.state.code().to_owned(),
        number: list.number.map(|number| number.to_string()).unwrap_or_default(),
        this_update: seconds(list.this_update),
        next_update: seconds(list.next_update),
        entries: list.entries as u64,
        fetched_at: seconds(list.fetched_at),
        error: list.error.unwrap_or_default().to_owned(),
    }
}

fn source(source: SourceStatus) -> proto::CrlSource {
    let error = source.message.or_else(|| source.error.map(str::to_owned));
    proto::CrlSource {
        chain: source.chain,
        url: source.url,
        authority: source.authority.unwrap_or_default(),
        error: error.unwrap_or_default(),
    }
}

fn suspension(suspension: Suspension) -> proto::CrlSuspension {
    let Suspension { since, until, reason, by } = suspension;
    proto::CrlSuspension { since: since.0, until: until.0, reason, by }
}
