//! The outbound HTTP client: one per issuer, for its keys, its discovery document and its introspection; and
//! [`Downloads`] of the command line.
//!
//! Every call has one deadline over connecting, asking and reading, and one size limit that is enforced while reading.
//! No redirect is followed, no cookie kept, no proxy taken from the environment. An error never holds a URL, a header
//! or a body: what went out may be a token, what came back is a stranger's.

mod answer;
mod download;
mod fault;

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, ClientBuilder, RequestBuilder, redirect, tls};
use tokio::time::timeout;
use url::Url;

pub use answer::Answer;
pub use download::{Downloads, Received};
pub use fault::HttpError;

use crate::secret::Secret;

/// What a client of one issuer trusts and shows.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// PEM certificates trusted beside the system's roots. `None`: the system's alone.
    pub extra_roots: Option<Vec<u8>>,
    /// PEM certificate chain and private key shown to the server (RFC 8705 section 2). `None`: none is shown.
    pub identity: Option<Secret>,
    /// Proxy for every call. `None`: none, whatever the environment says.
    pub proxy: Option<Url>,
}

/// Why a client can't be made: a fault of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpSetupError {
    /// `extra_roots` holds no certificate.
    #[error("the file of extra root certificates holds no readable PEM certificate")]
    ExtraRoots,
    /// `identity` is not a certificate chain with its key.
    #[error("the client certificate is not a PEM certificate chain with its private key")]
    Identity,
    /// `proxy` is not a proxy URL.
    #[error("the proxy is not a usable URL")]
    Proxy,
    /// The TLS stack refuses the whole of it.
    #[error("no TLS client can be made of these settings")]
    Tls,
}

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connecting, asking, reading and the one retry together.
    pub deadline: Duration,
    /// Largest body that is read, in bytes.
    pub body: usize,
}

/// One call. Each may be repeated without harm: a GET, or the question about a token.
#[derive(Debug)]
pub enum Call<'a> {
    /// A JSON document.
    Get {
        /// Entity tag of the copy already held.
        etag: Option<&'a str>,
        /// Asks caches on the way to look again (RFC 9111 section 5.2.1.4).
        revalidate: bool,
    },
    /// A form, answered with JSON.
    Form {
        /// The form, encoded.
        body: &'a Secret,
        /// Value of `Authorization`.
        authorization: Option<&'a Secret>,
    },
}

/// A client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pooled: Client,
    /// For the one retry: it keeps no connection, so it can't meet a second dead one.
    fresh: Client,
}

/// A kept connection is dropped after this long: below the idle limits of usual servers, balancers and NAT (60 s).
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Bytes sent and not acknowledged for this long mean a dead connection (RFC 5482), while time is left for the retry.
const UNACKNOWLEDGED: Duration = Duration::from_millis(700);

impl HttpClient {
    /// Makes a client. Reads the system's roots now, so a new root needs a new client.
    ///
    /// # Errors
    /// [`HttpSetupError`].
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpSetupError> {
        let build = |idle: usize| {
            let builder = base(settings)?.pool_max_idle_per_host(idle);
            // A machine without any root certificate can still speak plain HTTP to loopback; its TLS calls fail.
            builder.build().or_else(|_| {
                base(settings)?.pool_max_idle_per_host(idle).tls_certs_only([]).build().map_err(|_| HttpSetupError::Tls)
            })
        };
        Ok(Self { pooled: build(8)?, fresh: build(0)? })
    }

    /// Makes one call and reads its whole answer. A call whose connection was closed before an answer came is made a
    /// second time, at once and within the same deadline: a kept connection may have died unseen.
    ///
    /// # Errors
    /// [`HttpError`]. An answer other than 200, or 304 to a conditional GET, is [`HttpError::Status`].
    pub async fn call(&self, url: &Url, call: &Call<'_>, bounds: Bounds) -> Result<Answer, HttpError> {
        let tried = timeout(bounds.deadline, async {
            match once(&self.pooled, url, call, bounds).await {
                Err(HttpError::Closed) => once(&self.fresh, url, call, bounds).await,
                other => other,
            }
        });
        tried.await.unwrap_or(Err(HttpError::Deadline))
    }

    /// GET of a document of any type: whoever asks looks at what came. Asked a second time where the connection was
    /// closed before an answer came.
    ///
    /// # Errors
    /// [`HttpError`]. An answer other than 200, a redirect for instance, is [`HttpError::Status`].
    pub async fn document(&self, url: &Url, accept: &str, bounds: Bounds) -> Result<Vec<u8>, HttpError> {
        let ask = async |client: &Client| {
            let asked = client.get(url.clone()).header(ACCEPT, accept).send().await;
            let response = asked.map_err(|error| HttpError::of(&error))?;
            match response.status().as_u16() {
                200 => answer::body(response, bounds.body).await,
                status => Err(HttpError::Status(status)),
            }
        };
        let tried = timeout(bounds.deadline, async {
            match ask(&self.pooled).await {
                Err(HttpError::Closed) => ask(&self.fresh).await,
                other => other,
            }
        });
        tried.await.unwrap_or(Err(HttpError::Deadline))
    }
}

fn base(settings: &HttpSettings) -> Result<ClientBuilder, HttpSetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("octroi/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .tls_version_min(tls::Version::TLS_1_2)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_keepalive(POOL_IDLE)
        .tcp_user_timeout(UNACKNOWLEDGED);
    if let Some(pem) = &settings.extra_roots {
        let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| HttpSetupError::ExtraRoots)?;
        if roots.is_empty() {
            return Err(HttpSetupError::ExtraRoots);
        }
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(pem) = &settings.identity {
        builder = builder.identity(identity(pem)?);
    }
    if let Some(proxy) = &settings.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(|_| HttpSetupError::Proxy)?);
    }
    Ok(builder)
}

/// Reads a certificate chain and its private key, in PEM: what [`HttpSettings::identity`] takes.
///
/// # Errors
/// [`HttpSetupError::Identity`].
pub fn identity(pem: &Secret) -> Result<reqwest::Identity, HttpSetupError> {
    reqwest::Identity::from_pem(pem.expose().as_bytes()).map_err(|_| HttpSetupError::Identity)
}

async fn once(client: &Client, url: &Url, call: &Call<'_>, bounds: Bounds) -> Result<Answer, HttpError> {
    let response = request(client, url, call)?.send().await.map_err(|error| HttpError::of(&error))?;
    Answer::read(response, call, bounds.body).await
}

fn request(client: &Client, url: &Url, call: &Call<'_>) -> Result<RequestBuilder, HttpError> {
    match call {
        Call::Get { etag, revalidate } => {
            let mut request = client.get(url.clone()).header(ACCEPT, "application/json");
            if let Some(etag) = etag {
                request = request.header(IF_NONE_MATCH, *etag);
            }
            if *revalidate {
                request = request.header(CACHE_CONTROL, "no-cache");
            }
            Ok(request)
        }
        Call::Form { body, authorization } => {
            let mut request = client
                .post(url.clone())
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.expose().to_owned());
            if let Some(value) = authorization {
                let mut value = HeaderValue::from_str(value.expose()).map_err(|_| HttpError::Request)?;
                value.set_sensitive(true);
                request = request.header(AUTHORIZATION, value);
            }
            Ok(request)
        }
    }
}

/// Whether an address may be asked on behalf of an issuer: `https`, or plain `http` on loopback for an issuer that is
/// itself a loopback one.
#[must_use]
pub fn may_be_asked(url: &Url, issuer: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => issuer.scheme() == "http" && is_loopback(url) && is_loopback(issuer),
        _ => false,
    }
}

/// Whether the host of an address is this machine by its name or number.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests;
