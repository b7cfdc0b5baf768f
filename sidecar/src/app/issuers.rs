//! From the configured issuers to the gate's: each with a client, keys and an introspection of its own.

use std::path::Path;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{ClientAuth, Issuer as Configured, KeySource as ConfiguredKeys};
use crate::evidence::introspection::{ClientAuthentication, Endpoint, Introspection, IntrospectionSettings};
use crate::evidence::keys::{Discovery, KeyCopy, KeySettings, KeySource, Keys};
use crate::gate::Issuer;
use crate::http::{HttpClient, HttpSettings};
use crate::secret::Secret;

/// Starts an issuer's key set and, where one is configured, its introspection. Within a runtime.
///
/// # Errors
/// A certificate file that can't be used, or an address that is none.
pub(super) fn start(configured: &Configured, state_dir: &Path, clock: &Clock) -> anyhow::Result<Issuer> {
    build(configured, Some(KeyCopy { folder: state_dir.join("keys"), clock: clock.clone() }), clock)
}

/// The same, with a copy of the keys on disk or without one: a check changes nothing.
///
/// # Errors
/// As [`start`].
pub(crate) fn build(configured: &Configured, copy: Option<KeyCopy>, clock: &Clock) -> anyhow::Result<Issuer> {
    let name = configured.issuer.as_str();
    let start = || -> anyhow::Result<Issuer> {
        let roots = configured.ca_file.as_deref().map(read).transpose()?;
        let http = HttpClient::new(&HttpSettings { extra_roots: roots, identity: identity(configured), proxy: None })?;
        let addresses = match &configured.keys {
            ConfiguredKeys::DiscoveryUrl(url) => vec![url.clone()],
            ConfiguredKeys::Discovery | ConfiguredKeys::JwksUrl(_) | ConfiguredKeys::JwksFile(_) => {
                Discovery::usual_addresses(name)?
            }
        };
        let discovery = Discovery::new(name, addresses, http.clone())?;
        let source = match &configured.keys {
            ConfiguredKeys::Discovery | ConfiguredKeys::DiscoveryUrl(_) => KeySource::Discovery(discovery.clone()),
            ConfiguredKeys::JwksUrl(url) => KeySource::Url(url.clone()),
            ConfiguredKeys::JwksFile(path) => KeySource::File(path.clone()),
        };
        let keys = key_settings(configured, copy);
        Ok(Issuer {
            name: name.into(),
            mailbox_domains: configured.mailbox_domains.clone(),
            keys: Keys::start(keys, source, http.clone()),
            introspection: introspection(configured, discovery, http, clock.clone()),
        })
    };
    start().with_context(|| format!("issuer {name}"))
}

fn key_settings(configured: &Configured, copy: Option<KeyCopy>) -> KeySettings {
    let holding = configured.holding;
    KeySettings {
        floor: holding.refetch_floor,
        refresh: holding.refresh,
        refresh_bounds: holding.refresh_bounds,
        max_stale: holding.max_stale,
        copy,
        ..KeySettings::new(configured.issuer.as_str())
    }
}

fn introspection(
    configured: &Configured,
    discovery: Discovery,
    http: HttpClient,
    clock: Clock,
) -> Option<Introspection> {
    let client = configured.client.as_ref()?;
    let endpoint = match &configured.introspection_url {
        Some(url) => Endpoint::Url(url.clone()),
        None => Endpoint::Discovery(discovery),
    };
    let id = client.id.clone();
    let client = match client.auth.clone() {
        ClientAuth::Basic(secret) => ClientAuthentication::Basic { id, secret },
        ClientAuth::Post(secret) => ClientAuthentication::Post { id, secret },
        ClientAuth::PrivateKeyJwt(key) => ClientAuthentication::PrivateKeyJwt { id, key },
        ClientAuth::Certificate(_) => ClientAuthentication::Tls { id },
    };
    let asking = configured.asking;
    let settings = IntrospectionSettings {
        deadline: asking.deadline,
        in_flight: asking.in_flight,
        remember_active: asking.remember_active,
        remember_inactive: asking.remember_inactive,
        max_degraded: asking.max_degraded,
        ..IntrospectionSettings::new(configured.issuer.clone(), endpoint, client)
    };
    Some(Introspection::new(settings, http, clock))
}

/// The certificate that is shown to the issuer, where that is how it knows us.
fn identity(configured: &Configured) -> Option<Secret> {
    match &configured.client.as_ref()?.auth {
        ClientAuth::Certificate(identity) => Some(identity.clone()),
        ClientAuth::Basic(_) | ClientAuth::Post(_) | ClientAuth::PrivateKeyJwt(_) => None,
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}
