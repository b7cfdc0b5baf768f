//! Clients that the stand-in knows: software that logs people in, and operators that introspect.
//!
//! Owns client authentication (RFC 6749 section 2.3.1). A secret is compared and never shown.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
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
    /// Client secret; none for a public client, which can't introspect.
    pub secret: Option<String>,
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
        Self { id: id.to_owned(), secret: None, entitled: true, redirect_uris: Vec::new() }
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
    pub(crate) secret: Option<String>,
    pub(crate) shown: Shown,
}

/// Reads the client's credentials; nothing where there are none, or two kinds at once (RFC 6749 section 2.3).
pub(crate) fn claimed(headers: &HeaderMap, form: &Form) -> Option<Claimed> {
    let basic = headers.get(AUTHORIZATION).map(|value| value.to_str().ok().and_then(basic_credentials));
    match (basic, form.one("client_id"), form.one("client_secret")) {
        (Some(basic), _, None) => {
            let (id, secret) = basic?;
            Some(Claimed { id, secret: Some(secret), shown: Shown::Basic })
        }
        (None, Some(id), Some(secret)) => {
            Some(Claimed { id: id.to_owned(), secret: Some(secret.to_owned()), shown: Shown::Post })
        }
        (None, Some(id), None) => Some(Claimed { id: id.to_owned(), secret: None, shown: Shown::Public }),
        (Some(_), _, Some(_)) | (None, None, _) => None,
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
