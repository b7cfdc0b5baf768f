//! Downloads of the command line: files of any type, from servers that the operator names.
//!
//! One deadline holds over all calls of a client together, and each has a limit for its body that is enforced while
//! reading. No redirect is followed: whoever may be sent elsewhere looks where to first.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{HttpError, HttpSettings, HttpSetupError, base};
use crate::secret::Secret;

/// Bytes sent and not acknowledged for this long mean a dead connection (RFC 5482): nobody waits at a login here.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// Most values of one header that are looked at.
const VALUES: usize = 8;

/// A client for downloads.
#[derive(Clone, Debug)]
pub struct Downloads {
    client: Client,
    until: Instant,
}

/// An answer. Its body is read where the status is 200, else left.
pub struct Received {
    /// HTTP status.
    pub status: u16,
    /// Where a redirect leads, as written.
    pub location: Option<String>,
    /// What the server wants to be shown (RFC 9110 section 11.6.1), one challenge or several in each.
    pub challenges: Vec<String>,
    /// The body of a status 200.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received({}, {} bytes)", self.status, self.body.len())
    }
}

impl Downloads {
    /// A client whose calls are all done within `deadline` from now on. Trusts the system's roots and `extra_roots`
    /// (PEM).
    ///
    /// # Errors
    /// [`HttpSetupError`]
    pub fn new(extra_roots: Option<Vec<u8>>, deadline: Duration) -> Result<Self, HttpSetupError> {
        let settings = HttpSettings { extra_roots, identity: None, proxy: None };
        let builder = || Ok(base(&settings)?.tcp_user_timeout(UNACKNOWLEDGED));
        // A machine without any root certificate can still speak plain HTTP to loopback; its TLS calls fail.
        let client =
            builder()?.build().or_else(|_| builder()?.tls_certs_only([]).build().map_err(|_| HttpSetupError::Tls))?;
        Ok(Self { client, until: Instant::now() + deadline })
    }

    /// GET. `limit`: the largest body that is read, bytes.
    ///
    /// # Errors
    /// [`HttpError`]; a status is none.
    pub async fn get(
        &self,
        url: &Url,
        accept: &str,
        authorization: Option<&Secret>,
        limit: usize,
    ) -> Result<Received, HttpError> {
        let mut request = self.client.get(url.clone()).header(ACCEPT, accept);
        if let Some(value) = authorization {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| HttpError::Request)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let whole = async {
            let response = request.send().await.map_err(|error| HttpError::of(&error))?;
            let text = |name: HeaderName| {
                let values = response.headers().get_all(name).iter().take(VALUES);
                values.filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect::<Vec<_>>()
            };
            let (location, challenges) = (text(LOCATION).pop(), text(WWW_AUTHENTICATE));
            let status = response.status().as_u16();
            let body = if status == 200 { super::answer::body(response, limit).await? } else { Vec::new() };
            Ok(Received { status, location, challenges, body })
        };
        timeout_at(self.until, whole).await.unwrap_or(Err(HttpError::Deadline))
    }
}
