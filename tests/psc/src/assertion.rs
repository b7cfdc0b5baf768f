//! A client's signed assertion that it is the one who calls (RFC 7523 section 3, OpenID Connect Core section 9).
//!
//! Owns the checks. Whether an assertion was shown before is the realm's to know.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::encode::url64_bytes;

/// Seconds for which an assertion may be made ahead.
const LONGEST: u64 = 300;

/// The `jti` of an assertion that `client` signed with `key` for `audience`, good at `now`.
pub(crate) fn holds(assertion: &str, key: &Value, client: &str, audience: &str, now: u64) -> Option<String> {
    let claims = signed_by(assertion, key)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_u64);
    let for_us = match claims.get("aud")? {
        Value::Array(list) => matches!(list.as_slice(), [Value::String(only)] if only == audience),
        other => other.as_str() == Some(audience),
    };
    let in_time = seconds("exp").is_some_and(|exp| now < exp && exp <= now + LONGEST)
        && seconds("iat").is_some_and(|iat| iat <= now);
    let is_client = text("iss") == Some(client) && text("sub") == Some(client);
    (for_us && in_time && is_client).then(|| text("jti").filter(|jti| !jti.is_empty()).map(str::to_owned))?
}

fn signed_by(assertion: &str, key: &Value) -> Option<Map<String, Value>> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Map<String, Value> = serde_json::from_slice(&url64_bytes(header)?).ok()?;
    // The registered key says how, never the assertion.
    let algorithm = key.get("alg")?.as_str()?;
    if header.get("alg").and_then(Value::as_str) != Some(algorithm) {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    let (decoding, algorithm) = (DecodingKey::from_jwk(&jwk).ok()?, algorithm.parse::<Algorithm>().ok()?);
    let holds = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &decoding, algorithm).ok()?;
    holds.then(|| serde_json::from_slice(&url64_bytes(payload)?).ok())?
}
