//! The endpoints of the realm: which path is which, and who answers it.
//!
//! Owns routing and the small answers that all share. Each endpoint has a file; none knows of connections or faults.

mod authorize;
mod discovery;
mod grant;
mod introspect;
mod session;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::form::Form;
use crate::realm::Realm;

/// Path of the realm, as on the real provider.
pub const REALM_PATH: &str = "/auth/realms/esante-wallet";

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `.well-known/wallet-openid-configuration`, Pro Santé Connect's own place.
    WalletDiscovery,
    /// `.well-known/openid-configuration`, the standard place.
    Discovery,
    /// `protocol/openid-connect/certs`.
    Certs,
    /// `protocol/openid-connect/auth`.
    Authorize,
    /// `protocol/openid-connect/token`.
    Token,
    /// `protocol/openid-connect/token/introspect`.
    Introspect,
    /// `protocol/openid-connect/userinfo`.
    Userinfo,
    /// `protocol/openid-connect/logout`.
    Logout,
    /// `protocol/openid-connect/revoke`.
    Revoke,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 9] = [
        Self::WalletDiscovery,
        Self::Discovery,
        Self::Certs,
        Self::Authorize,
        Self::Token,
        Self::Introspect,
        Self::Userinfo,
        Self::Logout,
        Self::Revoke,
    ];

    /// Path below the issuer.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::WalletDiscovery => "/.well-known/wallet-openid-configuration",
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Certs => "/protocol/openid-connect/certs",
            Self::Authorize => "/protocol/openid-connect/auth",
            Self::Token => "/protocol/openid-connect/token",
            Self::Introspect => "/protocol/openid-connect/token/introspect",
            Self::Userinfo => "/protocol/openid-connect/userinfo",
            Self::Logout => "/protocol/openid-connect/logout",
            Self::Revoke => "/protocol/openid-connect/revoke",
        }
    }

    pub(crate) fn at(path: &str) -> Option<Self> {
        let below = path.strip_prefix(REALM_PATH)?;
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == below)
    }
}

/// A request, read whole.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Form,
    pub(crate) body: Form,
    /// SHA-256 of the certificate that the caller showed (RFC 8705).
    pub(crate) certificate: Option<Vec<u8>>,
}

/// An answer, before any fault spoils it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

pub(crate) fn answer(realm: &Realm, endpoint: Endpoint, call: &Call) -> anyhow::Result<Answer> {
    let allowed: &[Method] = match endpoint {
        Endpoint::WalletDiscovery | Endpoint::Discovery | Endpoint::Certs => &[Method::GET],
        Endpoint::Authorize | Endpoint::Userinfo | Endpoint::Logout => &[Method::GET, Method::POST],
        Endpoint::Token | Endpoint::Introspect | Endpoint::Revoke => &[Method::POST],
    };
    if !allowed.contains(&call.method) {
        return Ok(Answer::empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    match endpoint {
        Endpoint::WalletDiscovery | Endpoint::Discovery => Ok(discovery::document(realm)),
        Endpoint::Certs => discovery::certs(realm, call),
        Endpoint::Authorize => authorize::authorize(realm, call),
        Endpoint::Token => grant::token(realm, call),
        Endpoint::Introspect => Ok(introspect::introspect(realm, call)),
        Endpoint::Userinfo => Ok(session::userinfo(realm, call)),
        Endpoint::Logout => Ok(session::logout(realm, call)),
        Endpoint::Revoke => Ok(session::revoke(realm, call)),
    }
}

impl Answer {
    pub(crate) const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        Self::text(status, "text/html;charset=UTF-8", page)
    }

    /// An error of RFC 6749 section 5.2.
    pub(crate) fn error(status: StatusCode, code: &str, description: &str) -> Self {
        Self::json(status, &json!({"error": code, "error_description": description}))
    }

    /// 401 for a client whose credentials don't hold.
    pub(crate) fn invalid_client() -> Self {
        Self::error(StatusCode::UNAUTHORIZED, "invalid_client", "Invalid client or client credentials")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"esante-wallet\""))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn text(status: StatusCode, content_type: &'static str, text: String) -> Self {
        let answer = Self { status, headers: Vec::new(), body: Bytes::from(text) };
        answer.with(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }
}
