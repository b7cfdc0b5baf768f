//! The provider's own description: where its keys and its introspection are (OpenID Connect Discovery 1.0 section 4).
//!
//! Shared by an issuer's keys and its introspection. A document is believed only when it names the configured issuer,
//! byte for byte, and only addresses that may be asked on behalf of that issuer are taken from it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::http::{Answer, Bounds, Call, HttpClient, HttpError, may_be_asked};

/// Why the description can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DiscoveryError {
    /// None of the addresses answered; the last one's fault.
    #[error("the discovery document can't be had: {0}")]
    Http(#[from] HttpError),
    /// Not a discovery document.
    #[error("the discovery document is not one")]
    Malformed,
    /// It describes another issuer (section 4.3).
    #[error("the discovery document names another issuer")]
    Issuer,
    /// An address in it is not `https`.
    #[error("the discovery document gives an address that may not be asked")]
    Address,
    /// It does not say what is asked of it.
    #[error("the discovery document lacks the address asked for")]
    Missing,
    /// A look a moment ago failed, and the next one is not due yet.
    #[error("the discovery document could not be had a moment ago")]
    TooSoon,
}

impl DiscoveryError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Http(fault) => fault.code(),
            Self::Malformed => "discovery-malformed",
            Self::Issuer => "discovery-issuer",
            Self::Address => "discovery-address",
            Self::Missing => "discovery-missing",
            Self::TooSoon => "discovery-too-soon",
        }
    }
}

/// What is taken from the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `jwks_uri`.
    pub keys: Url,
    /// `introspection_endpoint` (RFC 8414 section 2).
    pub introspection: Option<Url>,
    /// `mtls_endpoint_aliases.introspection_endpoint` (RFC 8705 section 5).
    pub introspection_mtls: Option<Url>,
}

/// The description of one issuer, looked up when first needed and again from time to time. Clones share it.
#[derive(Clone, Debug)]
pub struct Discovery(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    issuer: String,
    issuer_url: Url,
    addresses: Vec<Url>,
    http: HttpClient,
    /// With the moment of the look; without one when the description is due to be looked up again.
    known: ArcSwapOption<(Description, Option<Instant>)>,
    failed: Mutex<Option<(DiscoveryError, Instant)>>,
}

/// Looking, at all addresses together.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(4), body: 256 << 10 };
/// A description is looked up again after this long.
const LIFE: Duration = Duration::from_secs(3600);
/// After a failure nobody looks again for this long.
const FLOOR: Duration = Duration::from_secs(10);

impl Discovery {
    /// The places where an issuer describes itself: Pro Sante Connect's own path first, then the standard one.
    ///
    /// # Errors
    /// When `issuer` is not a URL.
    pub fn usual_addresses(issuer: &str) -> Result<Vec<Url>, url::ParseError> {
        let base = issuer.trim_end_matches('/');
        ["wallet-openid-configuration", "openid-configuration"]
            .iter()
            .map(|name| Url::parse(&format!("{base}/.well-known/{name}")))
            .collect()
    }

    /// Looks nothing up yet. `issuer` is what the document must name; `addresses` are tried in their order.
    ///
    /// # Errors
    /// When `issuer` is not a URL.
    pub fn new(issuer: &str, addresses: Vec<Url>, http: HttpClient) -> Result<Self, url::ParseError> {
        Ok(Self(Arc::new(Inner {
            issuer: issuer.to_owned(),
            issuer_url: Url::parse(issuer)?,
            addresses,
            http,
            known: ArcSwapOption::empty(),
            failed: Mutex::new(None),
        })))
    }

    /// The description: the known one while it is young, else a new one; a known one outlives a failed look.
    ///
    /// # Errors
    /// [`DiscoveryError`], when there is none at all.
    pub async fn description(&self) -> Result<Description, DiscoveryError> {
        let inner = &*self.0;
        if let Some(young) = inner.known_if(is_young) {
            return Ok(young);
        }
        // The lock makes one look of many.
        let mut failed = inner.failed.lock().await;
        if let Some(young) = inner.known_if(is_young) {
            return Ok(young);
        }
        let known = inner.known_if(|_| true);
        if failed.as_ref().is_some_and(|(_, at)| at.elapsed() < FLOOR) {
            return known.ok_or(DiscoveryError::TooSoon);
        }
        match inner.look().await {
            Ok(description) => {
                *failed = None;
                inner.known.store(Some(Arc::new((description.clone(), Some(Instant::now())))));
                Ok(description)
            }
            Err(error) => {
                *failed = Some((error, Instant::now()));
                known.ok_or(error)
            }
        }
    }

    /// Makes the next question look again: an address that was given does not answer any more.
    pub fn distrust(&self) {
        if let Some(known) = self.0.known_if(|_| true) {
            self.0.known.store(Some(Arc::new((known, None))));
        }
    }
}

fn is_young(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() < LIFE)
}

impl Inner {
    fn known_if(&self, wanted: impl Fn(Option<Instant>) -> bool) -> Option<Description> {
        self.known.load().as_ref().filter(|known| wanted(known.1)).map(|known| known.0.clone())
    }

    async fn look(&self) -> Result<Description, DiscoveryError> {
        let mut last = DiscoveryError::Missing;
        let call = Call::Get { etag: None, revalidate: false };
        for address in &self.addresses {
            let answer = self.http.call(address, &call, BOUNDS).await;
            match answer.map_err(DiscoveryError::from).and_then(|answer| self.read(&answer)) {
                Ok(description) => return Ok(description),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn read(&self, answer: &Answer) -> Result<Description, DiscoveryError> {
        let Answer::Json { body, .. } = answer else { return Err(DiscoveryError::Malformed) };
        let document: Document = serde_json::from_slice(body).map_err(|_| DiscoveryError::Malformed)?;
        if document.issuer != self.issuer {
            return Err(DiscoveryError::Issuer);
        }
        let aliases = document.mtls_endpoint_aliases.unwrap_or_default();
        Ok(Description {
            keys: self.address(document.jwks_uri)?.ok_or(DiscoveryError::Missing)?,
            introspection: self.address(document.introspection_endpoint)?,
            introspection_mtls: self.address(aliases.introspection_endpoint)?,
        })
    }

    fn address(&self, text: Option<String>) -> Result<Option<Url>, DiscoveryError> {
        let Some(text) = text else { return Ok(None) };
        let url = Url::parse(&text).map_err(|_| DiscoveryError::Address)?;
        if may_be_asked(&url, &self.issuer_url) { Ok(Some(url)) } else { Err(DiscoveryError::Address) }
    }
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    #[serde(default)]
    jwks_uri: Option<String>,
    #[serde(default)]
    introspection_endpoint: Option<String>,
    #[serde(default)]
    mtls_endpoint_aliases: Option<Aliases>,
}

#[derive(Deserialize, Default)]
struct Aliases {
    #[serde(default)]
    introspection_endpoint: Option<String>,
}
