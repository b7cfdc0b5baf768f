//! One question on the wire: the form, and as whom the sidecar asks (RFC 6749 section 2.3.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::answer::{self, Introspected};
use super::{Endpoint, IntrospectionSettings};
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
}

impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { id, .. } => write!(f, "Basic({id})"),
            Self::Post { id, .. } => write!(f, "Post({id})"),
        }
    }
}

/// Why a question got no answer that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AskError {
    /// The call failed.
    #[error("the introspection can't be had: {0}")]
    Http(#[from] HttpError),
    /// The provider's description can't be had, or does not say where.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// What came is not an answer.
    #[error("the introspection answer is not one")]
    Malformed,
    /// The token is not text.
    #[error("the token is not text")]
    Token,
}

/// Largest answer, in bytes.
const BODY: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) settings: IntrospectionSettings,
    pub(super) http: HttpClient,
}

impl Client {
    pub(super) async fn ask(&self, token: &[u8]) -> Result<Introspected, AskError> {
        let asked = tokio::time::timeout(self.settings.deadline, self.exchange(token)).await;
        asked.unwrap_or(Err(AskError::Http(HttpError::Deadline)))
    }

    async fn exchange(&self, token: &[u8]) -> Result<Introspected, AskError> {
        let url = self.address().await?;
        let token = std::str::from_utf8(token).map_err(|_| AskError::Token)?;
        let (body, authorization) = form(token, &self.settings.client);
        let call = Call::Form { body: &body, authorization: authorization.as_ref() };
        let bounds = Bounds { deadline: self.settings.deadline, body: BODY };
        match self.http.call(&url, &call, bounds).await? {
            Answer::Json { body, .. } => answer::read(&body, &self.settings.issuer).ok_or(AskError::Malformed),
            Answer::NotModified { .. } => Err(AskError::Malformed),
        }
    }

    async fn address(&self) -> Result<Url, DiscoveryError> {
        match &self.settings.endpoint {
            Endpoint::Url(url) => Ok(url.clone()),
            Endpoint::Discovery(discovery) => {
                discovery.description().await?.introspection.ok_or(DiscoveryError::Missing)
            }
        }
    }
}

/// The form and the `Authorization` that goes with it.
fn form(token: &str, client: &ClientAuthentication) -> (Secret, Option<Secret>) {
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token).append_pair("token_type_hint", "access_token");
    match client {
        ClientAuthentication::Basic { id, secret } => {
            let pair = Secret::new(format!("{}:{}", encode(id), encode(secret.expose())));
            let header = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
            (Secret::new(form.finish()), Some(header))
        }
        ClientAuthentication::Post { id, secret } => {
            form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            (Secret::new(form.finish()), None)
        }
    }
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_encodes_both_parts_as_a_form_does_before_base64() {
        let client = ClientAuthentication::Basic { id: "le client".into(), secret: Secret::new("s:é+/=%") };
        let (body, header) = form("a.b.c", &client);
        assert_eq!(body.expose(), "token=a.b.c&token_type_hint=access_token");
        let expected = format!("Basic {}", STANDARD.encode("le+client:s%3A%C3%A9%2B%2F%3D%25"));
        assert_eq!(header.map(|header| header.expose().to_owned()), Some(expected));
    }

    #[test]
    fn post_carries_the_secret_in_the_form_and_no_header() {
        let client = ClientAuthentication::Post { id: "id".into(), secret: Secret::new("a&b=c") };
        let (body, header) = form("a.b.c", &client);
        assert_eq!(body.expose(), "token=a.b.c&token_type_hint=access_token&client_id=id&client_secret=a%26b%3Dc");
        assert!(header.is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let client = ClientAuthentication::Basic { id: "id".into(), secret: Secret::new("planted") };
        assert!(!format!("{client:?}").contains("planted"));
    }
}
