//! From what a source delivered to a release that is kept.

use std::sync::Arc;

use super::standing::{Held, Refusal};
use super::step::{StepError, Who, sizes};
use super::versions::Versions;
use super::{Desk, Releases, blocking, examination};
use crate::policy::{Bundle, Digest};

impl Releases {
    /// Whether `versions` lets a release with this version in.
    pub(super) fn permit(&self, desk: &Desk, version: &str, versions: Versions) -> Result<(), StepError> {
        let serving = self.parts.gate.service().release.card().version.clone();
        Ok(versions.permit(version, &serving, desk.standing.highest.as_deref())?)
    }

    /// Checks, compiles and examines a release, and then keeps it.
    pub(super) async fn keep(
        &self,
        bundle: Bundle,
        release: Digest,
        who: &Who,
        versions: Versions,
    ) -> Result<Held, StepError> {
        let staged = self.mark(who)?;
        sizes(&bundle)?;
        // One at a time, and not at the desk: a rollback must not wait for a compiler.
        let _bench = self.bench.lock().await;
        if self.desk.lock().await.standing.held(release).is_some() {
            return Err(Refusal::Staged.into());
        }
        let (compiling, vectors) = (self.compiling(), self.parts.vectors.clone());
        let (loaded, signed_by, bundle) = blocking(move || {
            let (loaded, signed_by) = compiling(&bundle)?;
            let vectors = vectors.as_deref().map(examination::read).transpose()?.unwrap_or_default();
            examination::pass(&loaded, &bundle.component, &vectors)?;
            Ok((loaded, signed_by, bundle))
        })
        .await?;
        let (name, version) = (loaded.card().name.clone(), loaded.card().version.clone());
        let mut desk = self.desk.lock().await;
        self.permit(&desk, &version, versions)?;
        let origin = bundle.origin.clone();
        let held = Held { release, name, version, origin, signed_by, staged, quarantine: None };
        let before = desk.standing.clone();
        let next = before.clone().with(held.clone())?;
        let shelf = self.shelf.clone();
        desk.standing = blocking(move || {
            shelf.put(&bundle)?;
            shelf.change(&before, &next)?;
            Ok(next)
        })
        .await?;
        desk.loaded.insert(release, Arc::new(loaded));
        Ok(held)
    }
}
