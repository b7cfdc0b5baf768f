//! Discovery document (OpenID Connect Discovery 1.0) and key set (RFC 7517).
//!
//! Owns what the stand-in publishes of itself. The document is the same at both paths.

use anyhow::Result;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use serde_json::json;

use super::{Answer, Call, Endpoint};
use crate::encode::{sha256, url64};
use crate::realm::Realm;

pub(super) fn document(realm: &Realm) -> Answer {
    let at = |endpoint: Endpoint| format!("{}{}", realm.issuer, endpoint.path());
    let authentication = json!(["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]);
    // Another name of the same server, so that it shows which one was called (RFC 8705 section 5).
    let certified = at(Endpoint::Introspect).replacen("//127.0.0.1:", "//localhost:", 1);
    Answer::json(
        StatusCode::OK,
        &json!({
            "mtls_endpoint_aliases": {"introspection_endpoint": certified},
            "issuer": realm.issuer,
            "authorization_endpoint": at(Endpoint::Authorize),
            "token_endpoint": at(Endpoint::Token),
            "introspection_endpoint": at(Endpoint::Introspect),
            "userinfo_endpoint": at(Endpoint::Userinfo),
            "end_session_endpoint": at(Endpoint::Logout),
            "revocation_endpoint": at(Endpoint::Revoke),
            "jwks_uri": at(Endpoint::Certs),
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "acr_values_supported": ["eidas1", "eidas2", "eidas3"],
            "scopes_supported": ["openid", "scope_all"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
            "token_endpoint_auth_methods_supported": authentication,
            "introspection_endpoint_auth_methods_supported": authentication,
            "revocation_endpoint_auth_methods_supported": authentication,
        }),
    )
}

pub(super) fn certs(realm: &Realm, call: &Call) -> Result<Answer> {
    let set = realm.keys.jwks()?;
    let tag = HeaderValue::from_str(&format!("\"{}\"", url64(&sha256(set.to_string().as_bytes()))))?;
    let mut answer = if call.headers.get(IF_NONE_MATCH) == Some(&tag) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        Answer::json(StatusCode::OK, &set)
    };
    if let Some(value) = realm.certs_cache_control() {
        answer = answer.with(CACHE_CONTROL, HeaderValue::from_str(&value)?);
    }
    Ok(answer.with(ETAG, tag))
}
