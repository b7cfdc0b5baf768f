//! From the configured chains to their revocation lists.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{Config, DovecotCrl, DovecotVersion};
use crate::evidence::certificate::{Chains, DovecotFiles, ListStatus, RevocationSettings, Revocations};
use crate::http::{HttpClient, HttpSettings};

/// Starts to hold the lists of the configured chains, where there are any. Within a runtime.
///
/// # Errors
/// No client can be made.
pub(super) fn start(config: &Config, state_dir: &Path, clock: &Clock) -> anyhow::Result<Option<Revocations>> {
    if config.chains.is_empty() {
        return Ok(None);
    }
    let sources = config.chains.iter().enumerate();
    let sources = sources.flat_map(|(at, chain)| chain.crl_urls.iter().map(move |url| (at, url.clone())));
    let settings = RevocationSettings {
        refresh: config.crl.refresh,
        max_stale: config.crl.max_stale,
        folder: state_dir.join("crl"),
        sources: sources.collect(),
        dovecot: config.crl.dovecot.as_ref().map(files),
    };
    let chains = Arc::new(Chains(config.chains.iter().map(|settings| settings.chain.clone()).collect()));
    let http = HttpClient::new(&HttpSettings::default()).context("fetching revocation lists")?;
    let revocations = Revocations::start(chains, settings, http, clock.clone());
    for list in revocations.status(clock.now()).lists {
        let ListStatus { chain, authority, state, next_update, .. } = list;
        let next_update = next_update.map(|moment| moment.0);
        tracing::info!(chain, authority, list = state.code(), next_update, "client certificates are accepted");
    }
    Ok(Some(revocations))
}

fn files(dovecot: &DovecotCrl) -> DovecotFiles {
    let setting = match dovecot.version {
        DovecotVersion::V23 => "ssl_require_crl",
        DovecotVersion::V24 => "ssl_server_require_crl",
    };
    DovecotFiles { folder: dovecot.folder.clone(), setting, reload: dovecot.reload.clone() }
}
