//! Clients that the stand-in knows: software that logs people in, and operators that introspect.
//!
//! Owns what a request shows of its client (RFC 6749 section 2.3.1, RFC 7523 section 2.2, RFC 8705 section 2). A secret
//! is compared and never shown.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;
use url::Url;

use crate::encode::random_text;
use crate::form::Form;

/// Default client identifier of a mail operator.
pub const OPERATOR: &str = "operateur-d-essai";
/// Default client identifier of a mail client that can't keep a secret: authorization code with PKCE, nothing else.
pub const PUBLIC_CLIENT: &str = "client-de-messagerie";

/// One registered client.
#[derive(Clone)]
pub struct Client {
    /// Client identifier.
    pub id: String,
    /// Client secret.
    pub secret: Option<String>,
    /// Public key, a JWK with `alg`, of the assertions with which it shows itself (`private_key_jwt`).
    pub key: Option<Value>,
    /// SHA-256 of the certificate (DER) with which it shows itself (`tls_client_auth`). A client with none of the three
    /// is a public one, which can't introspect.
    pub certificate: Option<Vec<u8>>,
    /// Whether introspection tells this client the truth. Where it is false every token is called inactive, as
    /// Keycloak does to a caller that is not in the token's audience.
    pub entitled: bool,
    /// Where an authorization may be sent, compared exactly; a loopback address always may (RFC 8252 section 7.3).
    pub redirect_uris: Vec<String>,
}

/// How a client showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`.
    Assertion,
    /// `tls_client_auth`.
    Certificate,
    /// An identifier alone.
    Public,
}

impl Client {
    /// A client with a random secret, entitled, that redirects to loopback only.
    ///
    /// # Errors
    /// Without a random source.
    pub fn confidential(id: &str) -> Result<Self> {
        Ok(Self { secret: Some(random_text()?), ..Self::public(id) })
    }

    /// A client without a secret: it can log people in with PKCE, and never introspects.
    #[must_use]
    pub fn public(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: None,
            key: None,
            certificate: None,
            entitled: true,
            redirect_uris: Vec::new(),
        }
    }

    pub(crate) fn may_redirect_to(&self, uri: &str) -> bool {
        let Ok(parsed) = Url::parse(uri) else { return false };
        let web = matches!(parsed.scheme(), "http" | "https");
        let loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        self.redirect_uris.iter().any(|allowed| allowed == uri) || (web && loopback && parsed.fragment().is_none())
    }
}

/// What a request shows of its client, not yet checked.
pub(crate) struct Claimed {
    pub(crate) id: String,
    pub(crate) proof: Proof,
}

/// With what a request backs its claim.
pub(crate) enum Proof {
    Basic(String),
    Post(String),
    Assertion(String),
    /// The certificate of the connection, or nothing.
    Elsewhere,
}

/// `client_assertion_type` of RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Reads the client's credentials; nothing where there are none, or two kinds at once (RFC 6749 section 2.3).
pub(crate) fn claimed(headers: &HeaderMap, form: &Form) -> Option<Claimed> {
    let basic = headers.get(AUTHORIZATION).map(|value| value.to_str().ok().and_then(basic_credentials));
    let assertion = form.one("client_assertion");
    if assertion.is_some() != (form.one("client_assertion_type") == Some(JWT_BEARER)) {
        return None;
    }
    let id = form.one("client_id").map(str::to_owned);
    match (basic, assertion, form.one("client_secret")) {
        (Some(basic), None, None) => {
            let (id, secret) = basic?;
            Some(Claimed { id, proof: Proof::Basic(secret) })
        }
        (None, None, Some(secret)) => Some(Claimed { id: id?, proof: Proof::Post(secret.to_owned()) }),
        (None, Some(assertion), None) => Some(Claimed { id: id?, proof: Proof::Assertion(assertion.to_owned()) }),
        (None, None, None) => Some(Claimed { id: id?, proof: Proof::Elsewhere }),
        (Some(_), _, Some(_)) | (Some(_), Some(_), _) | (None, Some(_), Some(_)) => None,
    }
}

/// Identifier and secret are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    if text.is_empty() || text.contains(['&', '=']) {
        return None;
    }
    form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned())
}
