//! The state of the sidecar, as an operator sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::certificates::revocation::picture;
use crate::clock::{Clock, UnixSeconds};
use crate::config::IntrospectionMode;
use crate::evidence::certificate::Revocations;
use crate::evidence::certificate::enrolled::{Enrolment, Set, Standing};
use crate::evidence::directory::Directory;
use crate::evidence::introspection::{BreakerState, IntrospectionStatus};
use crate::evidence::keys::{Origin, Skipped};
use crate::evidence::trust_space::TrustSpace;
use crate::gate::{Gate, Service};
use crate::proto;
use crate::proto::status_server::Status as StatusService;

/// Counters of one part of the sidecar, by name. Names are stable: `snake_case`.
pub type Counts = Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>;

/// Whatever the overview is drawn from.
pub struct Overview {
    /// The gate: policy in service, issuers and their keys.
    pub gate: Arc<Gate>,
    /// Each issuer's introspection mode, as configured.
    pub introspection: Vec<(String, IntrospectionMode)>,
    /// Whose mailbox it is.
    pub directory: Directory,
    /// To whom one may send.
    pub trust_space: TrustSpace,
    /// The enrolled certificates.
    pub enrolment: Enrolment,
    /// Revocation lists of client certificates' authorities. `None`: no chain is configured.
    pub revocations: Option<Revocations>,
    /// Counters of every part that has some.
    pub counts: Vec<Counts>,
    /// The clock.
    pub clock: Clock,
}

impl fmt::Debug for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overview(..)")
    }
}

impl Overview {
    /// The picture at this moment.
    #[must_use]
    pub fn draw(&self) -> proto::GetStatusResponse {
        let service = self.gate.service();
        let release = &service.release;
        let issuers: Vec<_> = self.gate.issuers().iter().map(|issuer| self.issuer(issuer)).collect();
        let not_ready = if self.gate.can_judge() { String::new() } else { not_ready(&issuers) };
        let signatures = self.gate.signatures();
        proto::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_name: release.card().name.clone(),
            policy_version: release.card().version.clone(),
            policy_digest: release.digest().to_owned(),
            policy_unsigned: release.is_unsigned(),
            policy_failures: service.probation.as_ref().map_or(0, |probation| probation.failures()),
            policy_probation_until: probation_until(&service, self.clock.now()),
            ready: not_ready.is_empty(),
            not_ready,
            signatures: Some(proto::SignatureMemory {
                held: signatures.held,
                hits: signatures.hits,
                misses: signatures.misses,
            }),
            issuers,
            mailboxes: self.directory.snapshot().mailboxes().len() as u64,
            trust_space: self.trust_space.list().map(|list| proto::TrustSpaceStatus {
                generated: list.generated.clone(),
                imported_at: list.imported.0,
                domains: list.domains.len() as u64,
            }),
            certificates: Some(certificates(&self.enrolment.snapshot(), self.clock.now())),
            revocation: self.revocations.as_ref().map(|lists| picture(lists, self.clock.now())),
            counters: self.counts.iter().flat_map(|counts| counts()).collect(),
        }
    }

    fn issuer(&self, issuer: &crate::gate::Issuer) -> proto::IssuerStatus {
        let status = issuer.keys.status();
        let mode = self.introspection.iter().find(|(name, _)| **name == *issuer.name);
        let now = self.clock.now().0;
        proto::IssuerStatus {
            issuer: issuer.name.to_string(),
            key_ids: status.keys.iter().map(|key| key.kid.clone().unwrap_or_else(|| "(no kid)".to_owned())).collect(),
            keys_read_at: status.age.map_or(0, |age| now.saturating_sub(age.as_secs())),
            keys_error: status.last_error.map(|error| error.to_string()).unwrap_or_default(),
            introspection: mode.map_or(IntrospectionMode::Off, |(_, mode)| *mode).code().to_owned(),
            keys_state: status.state.code().to_owned(),
            keys_origin: status.origin.map_or("", Origin::code).to_owned(),
            keys_age_seconds: seconds(status.age),
            keys_next_refresh_seconds: seconds(status.next_refresh),
            keys_failing_seconds: at_least_one(status.failing_for),
            key_fetches: status.fetches,
            key_fetch_failures: status.failures,
            skipped: status.skipped.iter().map(skipped).collect(),
            copy_error: status.copy_error.map(|error| error.to_string()).unwrap_or_default(),
            introspection_status: issuer.introspection.as_ref().map(|asked| introspection(&asked.status())),
        }
    }
}

/// Until when what came last is taken back by itself where it fails; 0: it is not.
fn probation_until(service: &Service, now: UnixSeconds) -> u64 {
    let until = service.probation.as_ref().map(|probation| probation.until());
    until.filter(|until| now < *until).map_or(0, |until| until.0)
}

/// Why nobody's token can be judged.
fn not_ready(issuers: &[proto::IssuerStatus]) -> String {
    let each = issuers.iter().map(|issuer| match issuer.keys_error.as_str() {
        "" => format!("{}: none yet", issuer.issuer),
        error => format!("{}: {error}", issuer.issuer),
    });
    format!("no issuer has usable keys ({})", each.collect::<Vec<_>>().join("; "))
}

/// How many certificates there are, and how many need somebody.
fn certificates(set: &Set, now: UnixSeconds) -> proto::CertificatesStatus {
    let mut status = proto::CertificatesStatus::default();
    for standing in set.all().iter().map(|enrolled| enrolled.standing(now)) {
        match standing {
            Standing::Good | Standing::NotYetValid => {}
            Standing::ExpiresSoon => status.expiring += 1,
            Standing::Expired => status.expired += 1,
            Standing::ChainUnknown => status.chain_unknown += 1,
            Standing::Withdrawn => continue,
        }
        status.enrolled += 1;
    }
    status
}

fn introspection(status: &IntrospectionStatus) -> proto::IntrospectionStatus {
    proto::IntrospectionStatus {
        breaker: status.breaker.code().to_owned(),
        breaker_open_seconds: match status.breaker {
            BreakerState::Open(pause) => at_least_one(Some(pause)),
            BreakerState::Closed | BreakerState::HalfOpen => 0,
        },
        degraded_seconds: at_least_one(status.degraded_for),
        may_degrade: status.may_degrade,
        last_error: status.last_error.map(|error| error.to_string()).unwrap_or_default(),
        asked: status.asked,
        failed: status.failed,
        spared: status.spared,
        crowded: status.crowded,
        in_flight: status.in_flight as u64,
        remembered: status.remembered,
        not_remembered: status.not_remembered,
        held_active: status.held_active,
        held_inactive: status.held_inactive,
        not_entitled_seconds: at_least_one(status.entitlement.alarm_for),
        inactive: status.entitlement.inactive.iter().map(|(client, run)| format!("{client}: {run}")).collect(),
    }
}

fn skipped(skipped: &Skipped) -> String {
    let name = skipped.kid.clone().unwrap_or_else(|| format!("key {} of the set", skipped.index + 1));
    format!("{name}: {}", skipped.reason)
}

fn seconds(span: Option<Duration>) -> u64 {
    span.map_or(0, |span| span.as_secs())
}

/// Whole seconds, where 0 says that there is none.
fn at_least_one(span: Option<Duration>) -> u64 {
    span.map_or(0, |span| span.as_secs().max(1))
}

#[tonic::async_trait]
impl StatusService for Overview {
    async fn get(&self, _: Request<proto::GetStatusRequest>) -> Result<Response<proto::GetStatusResponse>, Status> {
        Ok(Response::new(self.draw()))
    }
}
