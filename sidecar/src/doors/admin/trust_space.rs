//! Imports a list of the trust space: checks the whole document, stores it, and only then publishes it.

use std::sync::Arc;

use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use super::import::{invalid, told};
use super::store_status;
use crate::clock::Clock;
use crate::evidence::trust_space::document::{self, Invalid};
use crate::evidence::trust_space::{DomainName, TrustList, TrustSpace};
use crate::proto;
use crate::store::Store;

/// Imports lists, one after the other.
pub struct TrustSpaceImporter {
    store: Arc<dyn Store>,
    trust_space: TrustSpace,
    clock: Clock,
    /// Held over compare, store and publish: two imports at once must not publish one and store the other.
    turn: Mutex<()>,
}

impl TrustSpaceImporter {
    /// An importer that writes to `store` and publishes in `trust_space`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, trust_space: TrustSpace, clock: Clock) -> Self {
        Self { store, trust_space, clock, turn: Mutex::new(()) }
    }
}

#[tonic::async_trait]
impl proto::trust_space_server::TrustSpace for TrustSpaceImporter {
    async fn import(
        &self,
        request: Request<proto::ImportTrustSpaceRequest>,
    ) -> Result<Response<proto::ImportTrustSpaceResponse>, Status> {
        let proto::ImportTrustSpaceRequest { xml, dry_run, leave_out_invalid } = request.into_inner();
        let invalid_entries = if leave_out_invalid { Invalid::LeaveOut } else { Invalid::Refuse };
        // Tens of thousands of entries take longer than a login may wait.
        let parsed = tokio::task::spawn_blocking(move || document::parse(&xml, invalid_entries)).await;
        let document = match parsed.map_err(|error| Status::internal(error.to_string()))? {
            Ok(document) => document,
            Err(bad) if dry_run => {
                let (problem_count, problems) = told(bad);
                let reply = proto::ImportTrustSpaceResponse {
                    problem_count,
                    problems,
                    ..proto::ImportTrustSpaceResponse::default()
                };
                return Ok(Response::new(reply));
            }
            Err(bad) => return Err(invalid("xml", &bad)),
        };
        let _turn = self.turn.lock().await;
        let (left_out, mut remarks) = (document.left_out, document.remarks);
        let list = TrustList {
            generated: document.generated,
            imported: self.clock.now(),
            domains: document.domains.into_keys().collect(),
        };
        let present = self.trust_space.list();
        if present.as_ref().is_some_and(|present| present.generated == list.generated) {
            remarks.push("the list in use is of the same date".to_owned());
        }
        let known = |domain: &DomainName| present.as_ref().is_some_and(|present| present.domains.contains(domain));
        let stayed = list.domains.iter().filter(|domain| known(domain)).count();
        let response = proto::ImportTrustSpaceResponse {
            generated: list.generated.clone(),
            total: list.domains.len() as u64,
            added: (list.domains.len() - stayed) as u64,
            removed: present.as_ref().map_or(0, |present| present.domains.len() - stayed) as u64,
            left_out,
            remarks,
            ..proto::ImportTrustSpaceResponse::default()
        };
        if !dry_run {
            self.store.replace_trust_space(list.clone()).await.map_err(store_status)?;
            self.trust_space.publish(list);
            let proto::ImportTrustSpaceResponse { total, added, removed, .. } = response;
            tracing::info!(total, added, removed, generated = response.generated, "trust space imported");
        }
        Ok(Response::new(response))
    }
}
