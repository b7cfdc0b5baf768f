//! A token's outer form: JWS compact serialisation (RFC 7515 section 7.1) and its header.
//!
//! Owns the refusal of every other form and of every header that asks to be verified in a way the issuer did not
//! publish (RFC 8725 sections 2 and 3). It never verifies: it says which part is signed, and with what it claims to be.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::contract::Algorithm;
use crate::json::{Object, Value};
use crate::reason::DenyReason;

/// Longest token taken, in bytes. Tokens of Pro Santé Connect measure 1 to 3 kB.
pub const MAX_TOKEN: usize = 8_192;

/// Longest `kid` taken, in bytes. Keycloak's are 43.
const MAX_KEY_ID: usize = 256;

/// A token in compact form whose header is acceptable.
pub(crate) struct Jws {
    /// Length of the signed part, from the token's first byte: up to, not including, the last dot.
    pub(crate) signed: usize,
    /// `alg`.
    pub(crate) algorithm: Algorithm,
    /// `kid`.
    pub(crate) key_id: Option<String>,
    /// The payload after base64url decoding, not yet read.
    pub(crate) payload: Vec<u8>,
}

/// Takes a token apart. `allowed` are the algorithms of the settings.
///
/// # Errors
/// `too-large`, `token-encrypted`, `token-malformed`, and what the header adds.
pub(crate) fn read(token: &[u8], allowed: &[Algorithm]) -> Result<Jws, DenyReason> {
    if token.len() > MAX_TOKEN {
        return Err(DenyReason::TooLarge);
    }
    let mut parts = token.split(|&byte| byte == b'.');
    let (header, payload, signature) = match (parts.next(), parts.next(), parts.next(), parts.count()) {
        (Some(header), Some(payload), Some(signature), 0) => (header, payload, signature),
        (.., 2) => return Err(DenyReason::TokenEncrypted),
        _ => return Err(DenyReason::TokenMalformed),
    };
    let (algorithm, key_id) = read_header(&decode(header)?, allowed)?;
    let payload = decode(payload)?;
    decode(signature)?;
    Ok(Jws { signed: token.len() - signature.len() - 1, algorithm, key_id, payload })
}

/// base64url without padding and with zero trailing bits (RFC 7515 section 2): one value has one spelling. No part of
/// a signed token is empty.
fn decode(part: &[u8]) -> Result<Vec<u8>, DenyReason> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(DenyReason::TokenMalformed),
    }
}

/// Judges the header. `jku`, `x5u`, `jwk` and `x5c` are not read at all: keys come from the issuer alone (RFC 8725
/// section 3.10). Neither are `cty`, `zip` and `b64`, which mean nothing without `crit` or encryption.
fn read_header(bytes: &[u8], allowed: &[Algorithm]) -> Result<(Algorithm, Option<String>), DenyReason> {
    let header = Object::parse(bytes).map_err(|_| DenyReason::TokenMalformed)?;
    if header.has("crit") {
        return Err(DenyReason::CriticalHeader);
    }
    let algorithm = match header.member("alg") {
        Some(Value::Text(name)) => Algorithm::from_name(name).filter(|algorithm| allowed.contains(algorithm)),
        _ => return Err(DenyReason::TokenMalformed),
    };
    let algorithm = algorithm.ok_or(DenyReason::AlgorithmRefused)?;
    match header.member("typ") {
        None if !header.has("typ") => {}
        Some(Value::Text(kind)) if is_token_type(kind) => {}
        Some(Value::Text(_)) => return Err(DenyReason::TokenType),
        _ => return Err(DenyReason::TokenMalformed),
    }
    let key_id = match header.member("kid") {
        None if !header.has("kid") => None,
        Some(Value::Text(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Some(id.as_ref().into()),
        _ => return Err(DenyReason::TokenMalformed),
    };
    Ok((algorithm, key_id))
}

/// `typ` is a media type, compared without case (RFC 7515 section 4.1.9). Pro Santé Connect says `JWT`.
fn is_token_type(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("JWT") || kind.eq_ignore_ascii_case("at+jwt")
}

#[cfg(test)]
mod tests;
