//! The life of the policy's releases, over gRPC.

use std::sync::Arc;

use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::doors::grpc::ERROR_DOMAIN;
use crate::gate::{Sample, ShadowReport};
use crate::policy::{Bundle, CosignImage, LoadError, Signature};
use crate::proto;
use crate::proto::policies_server::Policies;
use crate::releases::standing::{Held, Standing, Trial, Which};
use crate::releases::versions::Versions;
use crate::releases::{Portion, Releases, StepError, Who};

/// The `Policies` service.
pub(super) struct PoliciesService(pub(super) Arc<Releases>);

#[tonic::async_trait]
impl Policies for PoliciesService {
    async fn stage(
        &self,
        request: Request<proto::StagePolicyRequest>,
    ) -> Result<Response<proto::StagePolicyResponse>, Status> {
        let uid = Some(uid(&request)?);
        let proto::StagePolicyRequest {
            component,
            settings,
            origin,
            reason,
            signatures,
            cosign_signatures,
            only_newer,
        } = request.into_inner();
        let mut all: Vec<_> = signatures.into_iter().map(Signature::Minisign).collect();
        for signature in cosign_signatures {
            all.push(cosign(signature)?);
        }
        let bundle = Bundle { component, settings, signatures: all, origin };
        let releases = Arc::clone(&self.0);
        let rule = if only_newer { Versions::OnlyNewer } else { Versions::Any };
        let held = whole(async move { releases.stage_if(bundle, Who { uid, reason }, rule).await }).await?;
        Ok(Response::new(proto::StagePolicyResponse { release: Some(told(&held)) }))
    }

    async fn activate(
        &self,
        request: Request<proto::ActivatePolicyRequest>,
    ) -> Result<Response<proto::ActivatePolicyResponse>, Status> {
        let uid = Some(uid(&request)?);
        let proto::ActivatePolicyRequest { release, reason, percent, identities, only_newer } = request.into_inner();
        let (releases, portion) = (Arc::clone(&self.0), Portion { percent, identities });
        let rule = if only_newer { Versions::OnlyNewer } else { Versions::Any };
        let step = async move { releases.activate(&release, portion, rule, Who { uid, reason }).await };
        let standing = whole(step).await?;
        let share = standing.partial.as_ref().map(share);
        Ok(Response::new(proto::ActivatePolicyResponse { release: active(&standing), share }))
    }

    async fn shadow(
        &self,
        request: Request<proto::ShadowPolicyRequest>,
    ) -> Result<Response<proto::ShadowPolicyResponse>, Status> {
        let uid = Some(uid(&request)?);
        let proto::ShadowPolicyRequest { release, reason } = request.into_inner();
        let releases = Arc::clone(&self.0);
        whole(async move { releases.shadow(&release, Who { uid, reason }).await }).await?;
        Ok(Response::new(proto::ShadowPolicyResponse {}))
    }

    async fn differences(
        &self,
        _: Request<proto::PolicyDifferencesRequest>,
    ) -> Result<Response<proto::PolicyDifferencesResponse>, Status> {
        let shadow = self.0.in_shadow();
        Ok(Response::new(shadow.map_or_else(proto::PolicyDifferencesResponse::default, |shadow| {
            differences(shadow.release().digest(), shadow.report())
        })))
    }

    async fn rollback(
        &self,
        request: Request<proto::RollbackPolicyRequest>,
    ) -> Result<Response<proto::RollbackPolicyResponse>, Status> {
        let uid = Some(uid(&request)?);
        let reason = request.into_inner().reason;
        let releases = Arc::clone(&self.0);
        let standing = whole(async move { releases.roll_back(Who { uid, reason }).await }).await?;
        Ok(Response::new(proto::RollbackPolicyResponse { release: active(&standing) }))
    }

    async fn retire(
        &self,
        request: Request<proto::RetirePolicyRequest>,
    ) -> Result<Response<proto::RetirePolicyResponse>, Status> {
        let uid = Some(uid(&request)?);
        let proto::RetirePolicyRequest { release, reason } = request.into_inner();
        let releases = Arc::clone(&self.0);
        whole(async move { releases.retire(&release, Who { uid, reason }).await }).await?;
        Ok(Response::new(proto::RetirePolicyResponse {}))
    }

    async fn list(
        &self,
        _: Request<proto::ListPoliciesRequest>,
    ) -> Result<Response<proto::ListPoliciesResponse>, Status> {
        let standing = self.0.standing().await;
        let name = |which: Which, own: &str| match which {
            Which::Configuration => own.to_owned(),
            Which::Release(release) => release.to_string(),
        };
        Ok(Response::new(proto::ListPoliciesResponse {
            releases: standing.held.iter().map(told).collect(),
            active: name(standing.active, ""),
            previous: standing.previous.map(|which| name(which, "configuration")).unwrap_or_default(),
            share: standing.partial.as_ref().map(share),
            shadow: standing.shadow.map(|release| release.to_string()).unwrap_or_default(),
        }))
    }
}

/// Takes a step to its end, whether or not the caller still waits: one that was written down must also be done.
async fn whole<T: Send + 'static>(
    step: impl Future<Output = Result<T, StepError>> + Send + 'static,
) -> Result<T, Status> {
    let taken = tokio::spawn(step).await.unwrap_or(Err(StepError::Thread));
    taken.map_err(|error| status(&error))
}

/// Who is at the other end, as the kernel told when they connected.
pub(super) fn uid<T>(request: &Request<T>) -> Result<u32, Status> {
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    peer.map(|peer| peer.uid()).ok_or_else(|| Status::internal("the kernel does not tell who asks"))
}

fn active(standing: &Standing) -> Option<proto::PolicyRelease> {
    match standing.active {
        Which::Configuration => None,
        Which::Release(release) => standing.held(release).map(told),
    }
}

fn share(trial: &Trial) -> proto::PolicyShare {
    let listed = u32::try_from(trial.listed.len()).unwrap_or(u32::MAX);
    proto::PolicyShare { digest: trial.release.to_string(), percent: trial.percent.into(), listed }
}

fn differences(digest: &str, report: ShadowReport) -> proto::PolicyDifferencesResponse {
    let ShadowReport { same, differences, unknown, dropped, waiting, samples } = report;
    let difference = |(decided, shadow, times)| proto::PolicyDifference { decided, shadow, times };
    let sample = |sample: Sample| proto::PolicySample {
        at: sample.at.0,
        decision_id: sample.decision.to_string(),
        door: sample.door.to_owned(),
        decided: sample.decided,
        shadow: sample.shadow,
    };
    proto::PolicyDifferencesResponse {
        digest: format!("sha256:{digest}"),
        same,
        differences: differences.into_iter().map(difference).collect(),
        unknown,
        dropped,
        waiting,
        samples: samples.into_iter().map(sample).collect(),
    }
}

/// A signature of cosign as it came.
fn cosign(signature: proto::CosignSignature) -> Result<Signature, Status> {
    use proto::cosign_signature::Over;
    match signature.over {
        Some(Over::Statement(text)) => Ok(Signature::CosignBlob(text)),
        Some(Over::Image(proto::CosignImage { manifest, payload, signature })) => {
            Ok(Signature::CosignImage(CosignImage { manifest, payload, signature }))
        }
        None => Err(Status::invalid_argument("expected a signature of cosign over a statement or over an image")),
    }
}

fn told(held: &Held) -> proto::PolicyRelease {
    proto::PolicyRelease {
        digest: held.release.to_string(),
        name: held.name.clone(),
        version: held.version.clone(),
        origin: held.origin.clone(),
        staged_at: held.staged.at,
        staged_by: held.staged.uid,
        reason: held.staged.reason.clone(),
        signed_by: held.signed_by.clone(),
        quarantine: held.quarantine.as_ref().map_or_else(String::new, |q| format!("{}, {} persons", q.code, q.persons)),
    }
}

fn status(error: &StepError) -> Status {
    let message = match error {
        // One line a problem: whoever wrote the settings mends them all at once.
        StepError::Component(LoadError::Settings(problems)) => {
            let lines = problems.iter().map(|problem| format!("\n  {}: {}", problem.pointer, problem.message));
            format!("the policy refuses its settings:{}", lines.collect::<String>())
        }
        error => error.to_string(),
    };
    match error {
        StepError::Invalid(_) | StepError::Component(_) | StepError::Examination(_) => {
            Status::invalid_argument(message)
        }
        StepError::Refused(_) | StepError::Trust(_) | StepError::NotNewer(_) => Status::failed_precondition(message),
        StepError::Shelf(_) | StepError::Thread => {
            let details = ErrorDetails::with_error_info("store-unavailable", ERROR_DOMAIN, []);
            Status::with_error_details(tonic::Code::Unavailable, message, details)
        }
    }
}
