//! Token introspection (RFC 7662), as Pro Santé Connect answers it.
//!
//! Owns the answer. It is never given to a client whose credentials don't hold.

use hyper::StatusCode;
use hyper::header::HOST;
use serde_json::{Map, Value, json};

use super::{Answer, Call};
use crate::client::Shown;
use crate::realm::{IntrospectionCall, Realm, Said};

pub(super) fn introspect(realm: &Realm, call: &Call) -> Answer {
    // A public client proves nothing: RFC 7662 section 2.1 wants the caller authorized.
    let Some((client, shown)) = realm.caller(call).filter(|(_, shown)| *shown != Shown::Public) else {
        return Answer::invalid_client();
    };
    let host = call.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let seen = IntrospectionCall { client_id: client.id.clone(), shown, form: call.body.clone(), host };
    realm.record_introspection(seen);
    let Some(token) = call.body.one("token") else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid_request", "Token not provided");
    };
    let answer = match realm.said_of(token) {
        Some(Said::Inactive) => inactive(),
        Some(Said::Answer(value)) => value,
        None if !client.entitled => inactive(),
        None => access(realm, token).or_else(|| refresh(realm, token)).unwrap_or_else(inactive),
    };
    Answer::json(StatusCode::OK, &answer)
}

fn inactive() -> Value {
    json!({"active": false})
}

/// The claims of the token, and what introspection adds to them.
fn access(realm: &Realm, token: &str) -> Option<Value> {
    let mut claims = realm.valid_claims(token)?;
    let copy = |claims: &mut Map<String, Value>, from: &str, to: &str| {
        if let Some(value) = claims.get(from).cloned() {
            claims.insert(to.to_owned(), value);
        }
    };
    copy(&mut claims, "azp", "client_id");
    copy(&mut claims, "preferred_username", "username");
    claims.insert("email_verified".to_owned(), json!(false));
    claims.insert("active".to_owned(), json!(true));
    Some(Value::Object(claims))
}

/// A refresh token's answer carries no `SubjectNameID`: only an access token's does.
fn refresh(realm: &Realm, token: &str) -> Option<Value> {
    let (login, expires_at) = realm.refresh_login(token)?;
    Some(json!({
        "active": true,
        "typ": "Refresh",
        "iss": realm.issuer,
        "exp": expires_at,
        "azp": login.client_id,
        "client_id": login.client_id,
        "session_state": login.sid,
        "sid": login.sid,
        "scope": login.scope,
    }))
}
