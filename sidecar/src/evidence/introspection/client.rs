//! One question on the wire: the form, and as whom the sidecar asks (RFC 6749 section 2.3.1, RFC 7523, RFC 8705).

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::answer::{self, Introspected};
use super::assertion::AssertionKey;
use super::{Endpoint, IntrospectionSettings};
use crate::clock::UnixSeconds;
use crate::evidence::keys::DiscoveryError;
use crate::http::{Answer, Bounds, Call, HttpClient, HttpError};
use crate::secret::Secret;

/// As whom the sidecar asks.
#[derive(Clone)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: in the header, each part form-encoded first.
    Basic {
        /// Client id.
        id: String,
        /// Client secret.
        secret: Secret,
    },
    /// `client_secret_post`: in the form.
    Post {
        /// Client id.
        id: String,
        /// Client secret.
        secret: Secret,
    },
    /// `private_key_jwt`: a signed assertion in the form.
    PrivateKeyJwt {
        /// Client id.
        id: String,
        /// The key that signs.
        key: AssertionKey,
    },
    /// `tls_client_auth` or `self_signed_tls_client_auth`: the certificate of the HTTP client.
    Tls {
        /// Client id.
        id: String,
    },
}

impl ClientAuthentication {
    /// Client id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Basic { id, .. } | Self::Post { id, .. } | Self::PrivateKeyJwt { id, .. } | Self::Tls { id } => id,
        }
    }
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Basic { .. } => "Basic",
            Self::Post { .. } => "Post",
            Self::PrivateKeyJwt { .. } => "PrivateKeyJwt",
            Self::Tls { .. } => "Tls",
        };
        write!(f, "{kind}({})", self.id())
    }
}

/// Why a question got no answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AskError {
    /// The call failed.
    #[error("the introspection can't be had: {0}")]
    Http(#[from] HttpError),
    /// The issuer refuses the caller (401, 403): id, secret or key is wrong, or not allowed to introspect.
    #[error("the issuer refuses the caller: check the client id and its credential")]
    CallerRefused,
    /// The provider's description can't be had, or does not say where.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// What came is not an answer.
    #[error("the introspection answer is not one")]
    Malformed,
    /// The sidecar's assertion can't be made.
    #[error("the client assertion can't be made")]
    Assertion,
    /// The token is not text: nothing was asked.
    #[error("the token is not text")]
    Token,
}

impl AskError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Http(fault) => fault.code(),
            Self::CallerRefused => "caller-refused",
            Self::Discovery(fault) => fault.code(),
            Self::Malformed => "malformed",
            Self::Assertion => "assertion",
            Self::Token => "token",
        }
    }
}

/// Largest answer, in bytes.
const BODY: usize = 64 << 10;

/// One question under way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Introspected, AskError>> + Send + 'a>>;

/// Puts questions to an issuer; the seam at which a test puts one that answers as told.
pub trait AskIssuer: Send + Sync {
    /// Asks once about a token. Nobody waits for the answer after `by`; `now` is for what is dated.
    fn ask<'a>(&'a self, token: &'a str, by: Instant, now: UnixSeconds) -> Asking<'a>;
}

/// The real thing.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) settings: IntrospectionSettings,
    pub(super) http: HttpClient,
}

impl AskIssuer for Client {
    fn ask<'a>(&'a self, token: &'a str, by: Instant, now: UnixSeconds) -> Asking<'a> {
        Box::pin(self.exchange(token, by, now))
    }
}

impl Client {
    async fn exchange(&self, token: &str, by: Instant, now: UnixSeconds) -> Result<Introspected, AskError> {
        let url = self.address().await?;
        let (body, authorization) = self.form(token, now)?;
        let call = Call::Form { body: &body, authorization: authorization.as_ref() };
        let bounds = Bounds { deadline: by.saturating_duration_since(Instant::now()), body: BODY };
        match self.http.call(&url, &call, bounds).await {
            Ok(Answer::Json { body, .. }) => answer::read(&body, &self.settings.issuer).ok_or(AskError::Malformed),
            Ok(Answer::NotModified { .. }) => Err(AskError::Malformed),
            Err(HttpError::Status(401 | 403)) => Err(AskError::CallerRefused),
            Err(error) => Err(error.into()),
        }
    }

    async fn address(&self) -> Result<Url, DiscoveryError> {
        let discovery = match &self.settings.endpoint {
            Endpoint::Url(url) => return Ok(url.clone()),
            Endpoint::Discovery(discovery) => discovery,
        };
        let description = discovery.description().await?;
        let alias = match &self.settings.client {
            ClientAuthentication::Tls { .. } => description.introspection_mtls,
            ClientAuthentication::Basic { .. }
            | ClientAuthentication::Post { .. }
            | ClientAuthentication::PrivateKeyJwt { .. } => None,
        };
        alias.or(description.introspection).ok_or(DiscoveryError::Missing)
    }

    /// The form and the `Authorization` that goes with it.
    fn form(&self, token: &str, now: UnixSeconds) -> Result<(Secret, Option<Secret>), AskError> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let header = match &self.settings.client {
            ClientAuthentication::Basic { id, secret } => {
                let pair = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
                Some(Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))))
            }
            ClientAuthentication::Post { id, secret } => {
                form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
                None
            }
            ClientAuthentication::PrivateKeyJwt { id, key } => {
                let assertion = key.assertion(id, &self.settings.issuer, now).ok_or(AskError::Assertion)?;
                form.append_pair("client_id", id)
                    .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", assertion.expose());
                None
            }
            ClientAuthentication::Tls { id } => {
                form.append_pair("client_id", id);
                None
            }
        };
        Ok((Secret::new(form.finish()), header))
    }
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpSettings;

    fn form(client: ClientAuthentication) -> (Secret, Option<Secret>) {
        let endpoint = Endpoint::Url(Url::parse("https://issuer.example.test/introspect").unwrap());
        let settings = IntrospectionSettings::new("https://issuer.example.test", endpoint, client);
        let http = HttpClient::new(&HttpSettings::default()).unwrap();
        Client { settings, http }.form("a.b.c", UnixSeconds(1_800_000_000)).unwrap()
    }

    #[test]
    fn basic_encodes_both_parts_as_a_form_does_before_base64() {
        let client = ClientAuthentication::Basic { id: "le client".into(), secret: Secret::new("s:é+/=%") };
        let (body, header) = form(client);
        assert_eq!(body.expose(), "token=a.b.c&token_type_hint=access_token");
        let expected = format!("Basic {}", STANDARD.encode("le+client:s%3A%C3%A9%2B%2F%3D%25"));
        assert_eq!(header.map(|header| header.expose().to_owned()), Some(expected));
    }

    #[test]
    fn post_carries_the_secret_in_the_form_and_no_header() {
        let (body, header) = form(ClientAuthentication::Post { id: "id".into(), secret: Secret::new("a&b=c") });
        assert_eq!(body.expose(), "token=a.b.c&token_type_hint=access_token&client_id=id&client_secret=a%26b%3Dc");
        assert!(header.is_none());
    }

    #[test]
    fn a_certificate_is_named_by_the_client_id_alone() {
        let (body, header) = form(ClientAuthentication::Tls { id: "id".into() });
        assert_eq!(body.expose(), "token=a.b.c&token_type_hint=access_token&client_id=id");
        assert!(header.is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let client = ClientAuthentication::Basic { id: "id".into(), secret: Secret::new("planted") };
        assert_eq!(format!("{client:?}"), "Basic(id)");
    }
}
