//! A JWK Set document (RFC 7517) read into keys: strict about the set, patient with each key.
//!
//! A key that can't be used is left out with its reason and harms no other (section 5). A set that is no set, or that
//! leaves nothing usable, is refused whole. Nothing here trusts a token.

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::material::Material;
use super::set::{Generation, KeySet, VerifyingKey};

/// Most entries of one set. A provider has a handful.
const ENTRIES_MAX: usize = 128;
/// Longest `kid`, in bytes.
pub(super) const KID_MAX: usize = 256;

/// Why a document is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SetError {
    /// Not a JSON object with an array `keys`: a page, a truncated answer.
    #[error("the answer is not a JWK Set")]
    NotASet,
    /// More entries than are read.
    #[error("the JWK Set has more than {ENTRIES_MAX} keys")]
    TooMany,
    /// No key of it can be used.
    #[error("the JWK Set holds no usable key")]
    NoUsableKey,
    /// Two different keys answer to one `kid` and algorithm. Trying both would double the work of every forged token
    /// and leave open which of them is meant; the set that was good before stays in force instead.
    #[error("two different keys of the JWK Set share one kid and algorithm")]
    AmbiguousKid,
}

impl SetError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotASet => "not-a-key-set",
            Self::TooMany => "too-many-keys",
            Self::NoUsableKey => "no-usable-key",
            Self::AmbiguousKid => "ambiguous-kid",
        }
    }
}

/// A key of the document that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Place in the array, from 0.
    pub index: usize,
    /// Its `kid`, where it has a printable one.
    pub kid: Option<String>,
    /// Why.
    pub reason: Skip,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Skip {
    /// Not a JSON object with a string `kty`.
    #[error("not a JWK")]
    NotAJwk,
    /// `kty` other than RSA, EC, OKP.
    #[error("unknown key type")]
    KeyType,
    /// A shared secret (`kty` oct): who reads the document could sign.
    #[error("symmetric key")]
    Symmetric,
    /// Its private half is published: anybody can sign with it.
    #[error("the private key is published")]
    Private,
    /// `use` other than `sig` (section 4.2).
    #[error("not for signatures (use)")]
    Use,
    /// `key_ops` without `verify` (section 4.3).
    #[error("not for verification (key_ops)")]
    Operations,
    /// `alg` is not an accepted signature algorithm.
    #[error("algorithm not accepted")]
    Algorithm,
    /// `alg` does not go with `kty` or `crv` (RFC 7518 section 3.1).
    #[error("algorithm and key type or curve do not match")]
    Mismatch,
    /// `crv` other than P-256, P-384, Ed25519.
    #[error("curve not accepted")]
    Curve,
    /// A member is missing, or not strict base64url of the right length.
    #[error("a member is missing or badly encoded")]
    Encoding,
    /// RSA modulus below 2048 bits (RFC 7518 section 3.3).
    #[error("RSA modulus below 2048 bits")]
    RsaTooSmall,
    /// RSA modulus above 8192 bits: a verification would take too long.
    #[error("RSA modulus above 8192 bits")]
    RsaTooLarge,
    /// RSA exponent even, 1 or above 33 bits.
    #[error("RSA exponent not accepted")]
    Exponent,
    /// RSA modulus of the kind that CVE-2017-15361 factors.
    #[error("RSA modulus made by a weak generator (ROCA)")]
    Roca,
    /// The cryptographic library refuses it: a point off the curve, an even modulus.
    #[error("not a valid public key")]
    Invalid,
    /// `kid` is not a string of 1 to 256 printable ASCII characters.
    #[error("kid is not a short printable text")]
    Kid,
    /// The very same key stands earlier in the document.
    #[error("the same key once more")]
    Repeated,
}

impl Skip {
    /// Stable code for status and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAJwk => "not-a-jwk",
            Self::KeyType => "key-type",
            Self::Symmetric => "symmetric",
            Self::Private => "private-key-published",
            Self::Use => "use",
            Self::Operations => "key-ops",
            Self::Algorithm => "algorithm",
            Self::Mismatch => "algorithm-mismatch",
            Self::Curve => "curve",
            Self::Encoding => "encoding",
            Self::RsaTooSmall => "rsa-too-small",
            Self::RsaTooLarge => "rsa-too-large",
            Self::Exponent => "rsa-exponent",
            Self::Roca => "roca",
            Self::Invalid => "invalid",
            Self::Kid => "kid",
            Self::Repeated => "repeated",
        }
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// Reads a document.
///
/// # Errors
/// [`SetError`].
pub(super) fn parse(document: &[u8]) -> Result<KeySet, SetError> {
    let Document { keys } = serde_json::from_slice(document).map_err(|_| SetError::NotASet)?;
    if keys.len() > ENTRIES_MAX {
        return Err(SetError::TooMany);
    }
    let generation = Generation::next();
    let (mut usable, mut skipped): (Vec<VerifyingKey>, Vec<Skipped>) = (Vec::new(), Vec::new());
    for (index, jwk) in keys.iter().enumerate() {
        match read(jwk, generation) {
            Ok(found) => {
                if found.iter().any(|key| usable.iter().any(|held| is_ambiguous(held, key))) {
                    return Err(SetError::AmbiguousKid);
                }
                if found.iter().all(|key| usable.iter().any(|held| is_same(held, key))) {
                    skipped.push(Skipped { index, kid: printable_kid(jwk), reason: Skip::Repeated });
                    continue;
                }
                usable.extend(found);
            }
            Err(reason) => skipped.push(Skipped { index, kid: printable_kid(jwk), reason }),
        }
    }
    if usable.is_empty() {
        return Err(SetError::NoUsableKey);
    }
    Ok(KeySet::new(generation, usable, skipped))
}

fn is_ambiguous(held: &VerifyingKey, key: &VerifyingKey) -> bool {
    held.kid.is_some() && held.kid == key.kid && held.algorithm == key.algorithm && held.material != key.material
}

fn is_same(held: &VerifyingKey, key: &VerifyingKey) -> bool {
    held.kid == key.kid && held.algorithm == key.algorithm && held.material == key.material
}

/// One JWK as the keys it stands for: one for each algorithm that it fits.
fn read(jwk: &Value, generation: Generation) -> Result<Vec<VerifyingKey>, Skip> {
    let Value::Object(jwk) = jwk else { return Err(Skip::NotAJwk) };
    let kty = text(jwk, "kty").ok_or(Skip::NotAJwk)?;
    let kind = match kty {
        "RSA" => Kind::Rsa,
        "EC" => Kind::Ec,
        "OKP" => Kind::Okp,
        "oct" => return Err(Skip::Symmetric),
        _ => return Err(Skip::KeyType),
    };
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err(Skip::Private);
    }
    purpose(jwk)?;
    let kid = kid(jwk)?;
    let material = match kind {
        Kind::Rsa => Material::rsa(jwk)?,
        Kind::Ec => Material::ec(jwk)?,
        Kind::Okp => Material::okp(jwk)?,
    };
    algorithms(jwk, &material)?
        .iter()
        .map(|algorithm| {
            Ok(VerifyingKey {
                kid: kid.clone(),
                algorithm: *algorithm,
                decoding: material.decoding(),
                generation,
                parsed: material.parsed(*algorithm)?,
                material: material.digest(),
            })
        })
        .collect()
}

enum Kind {
    Rsa,
    Ec,
    Okp,
}

fn purpose(jwk: &Map<String, Value>) -> Result<(), Skip> {
    match jwk.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err(Skip::Use),
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err(Skip::Operations),
    }
}

fn kid(jwk: &Map<String, Value>) -> Result<Option<String>, Skip> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if is_printable(kid) => Ok(Some(kid.clone())),
        Some(_) => Err(Skip::Kid),
    }
}

fn printable_kid(jwk: &Value) -> Option<String> {
    jwk.get("kid").and_then(Value::as_str).filter(|kid| is_printable(kid)).map(str::to_owned)
}

pub(super) fn is_printable(kid: &str) -> bool {
    (1..=KID_MAX).contains(&kid.len()) && kid.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// The algorithms that a key verifies. `alg` binds it to that one. Without `alg` the type and curve decide; an RSA key
/// then verifies RS256 and PS256, what providers that leave it out sign with, and nothing else: never a wider family,
/// never an HMAC.
fn algorithms(jwk: &Map<String, Value>, material: &Material) -> Result<Vec<Algorithm>, Skip> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let named = match jwk.get("alg") {
        None => None,
        Some(Value::String(name)) => Some(match name.as_str() {
            "RS256" => RS256,
            "RS384" => RS384,
            "RS512" => RS512,
            "PS256" => PS256,
            "PS384" => PS384,
            "PS512" => PS512,
            "ES256" => ES256,
            "ES384" => ES384,
            "EdDSA" | "Ed25519" => EdDSA,
            _ => return Err(Skip::Algorithm),
        }),
        Some(_) => return Err(Skip::Algorithm),
    };
    let (fits, unnamed): (&[Algorithm], &[Algorithm]) = match material {
        Material::Rsa { .. } => (&[RS256, RS384, RS512, PS256, PS384, PS512], &[RS256, PS256]),
        Material::P256(_) => (&[ES256], &[ES256]),
        Material::P384(_) => (&[ES384], &[ES384]),
        Material::Ed25519(_) => (&[EdDSA], &[EdDSA]),
    };
    match named {
        None => Ok(unnamed.to_vec()),
        Some(named) if fits.contains(&named) => Ok(vec![named]),
        Some(_) => Err(Skip::Mismatch),
    }
}

pub(super) fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}
