//! The token endpoint: authorization codes and refresh tokens become access tokens (RFC 6749, RFC 7636).
//!
//! Owns both grants. A code is good for one attempt, a refresh token for one use.

use anyhow::Result;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde_json::json;

use super::{Answer, Call};
use crate::encode::{sha256, url64};
use crate::realm::{Issued, Login, REFRESH_LIFETIME, Realm};
use crate::token::ACCESS_LIFETIME;

pub(super) fn token(realm: &Realm, call: &Call) -> Result<Answer> {
    let client = realm.caller(call).map(|(client, _)| client);
    let Some(client) = client else {
        return Ok(Answer::invalid_client());
    };
    let login = match call.body.one("grant_type") {
        Some("authorization_code") => from_code(realm, call, &client.id),
        Some("refresh_token") => call.body.one("refresh_token").and_then(|token| realm.take_refresh(token, &client.id)),
        Some(_) => {
            return Ok(Answer::error(StatusCode::BAD_REQUEST, "unsupported_grant_type", "Unsupported grant_type"));
        }
        None => return Ok(Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Missing grant_type")),
    };
    match login {
        Some(login) => Ok(issued(&realm.issue(login)?)),
        None => Ok(Answer::error(StatusCode::BAD_REQUEST, "invalid_grant", "Code or token not valid")),
    }
}

/// The code belongs to this client, this redirection and this verifier (RFC 7636 section 4.6), or to nobody.
fn from_code(realm: &Realm, call: &Call, client_id: &str) -> Option<Login> {
    let grant = realm.take_code(call.body.one("code")?)?;
    let verifier = call.body.one("code_verifier")?;
    let holds = grant.login.client_id == client_id
        && Some(grant.redirect_uri.as_str()) == call.body.one("redirect_uri")
        && grant.challenge == url64(&sha256(verifier.as_bytes()));
    holds.then_some(grant.login)
}

fn issued(issued: &Issued) -> Answer {
    let answer = json!({
        "access_token": issued.access,
        "expires_in": ACCESS_LIFETIME,
        "refresh_expires_in": REFRESH_LIFETIME,
        "refresh_token": issued.refresh,
        "token_type": "Bearer",
        "id_token": issued.id,
        "not-before-policy": 0,
        "session_state": issued.login.sid,
        "scope": issued.login.scope,
    });
    Answer::json(StatusCode::OK, &answer).with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
