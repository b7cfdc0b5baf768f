//! Enrolled certificates: loaded at the start, held against the configured chains, told to Dovecot.

use std::sync::Arc;

use super::Ground;
use crate::config::Config;
use crate::doors::admin::CertificatesParts;
use crate::doors::dovecot_structures::StructuresFile;
use crate::evidence::certificate::enrolled::{Enrolment, Set};
use crate::evidence::certificate::{Chains, Revocations};
use crate::store::{Store, StoreError};

/// The configured chains, those whose lists are held.
pub(super) fn chains(revocations: Option<&Revocations>) -> Arc<Chains> {
    revocations.map_or_else(Arc::default, |revocations| Arc::clone(revocations.chains()))
}

/// The certificates as they were enrolled, each with the chain that vouches for it now.
pub(super) async fn load(store: &impl Store, chains: &Arc<Chains>) -> Result<Enrolment, StoreError> {
    let stored = store.load_certificates().await?;
    let chains = Arc::clone(chains);
    // Ten thousand signatures take seconds.
    let read = tokio::task::spawn_blocking(move || Set::load(stored, &chains));
    let enrolment = Enrolment::default();
    enrolment.publish(read.await.map_err(|error| StoreError::Failed(error.to_string()))?);
    Ok(enrolment)
}

/// What the operator's service stands on.
pub(super) fn parts(ground: &Ground, structures: Option<Arc<StructuresFile>>) -> CertificatesParts {
    CertificatesParts {
        store: Arc::clone(&ground.store),
        enrolment: ground.enrolment.clone(),
        directory: ground.directory.clone(),
        chains: Arc::clone(&ground.chains),
        structures,
        revocations: ground.revocations.clone(),
        audit: ground.audit.clone(),
        clock: ground.clock.clone(),
    }
}

/// The file of structures, where Dovecot is to have one.
pub(super) fn structures(config: &Config, ground: &Ground) -> Option<StructuresFile> {
    let dovecot = config.crl.dovecot.as_ref()?;
    Some(StructuresFile::new(dovecot.folder.clone(), ground.enrolment.clone(), ground.clock.clone()))
}
