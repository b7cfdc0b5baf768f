//! The state of the sidecar, as an operator sees it.

use std::fmt;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::config::IntrospectionMode;
use crate::evidence::directory::Directory;
use crate::evidence::trust_space::TrustSpace;
use crate::gate::Gate;
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
    fn draw(&self) -> proto::GetStatusResponse {
        let release = self.gate.release();
        proto::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_name: release.card().name.clone(),
            policy_version: release.card().version.clone(),
            policy_digest: release.digest().to_owned(),
            issuers: self.gate.issuers().iter().map(|issuer| self.issuer(issuer)).collect(),
            mailboxes: self.directory.snapshot().mailboxes().len() as u64,
            trust_space: self.trust_space.list().map(|list| proto::TrustSpaceStatus {
                generated: list.generated.clone(),
                imported_at: list.imported.0,
                domains: list.domains.len() as u64,
            }),
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
        }
    }
}

#[tonic::async_trait]
impl StatusService for Overview {
    async fn get(&self, _: Request<proto::GetStatusRequest>) -> Result<Response<proto::GetStatusResponse>, Status> {
        Ok(Response::new(self.draw()))
    }
}
