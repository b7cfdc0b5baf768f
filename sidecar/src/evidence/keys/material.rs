//! Key material of one JWK, decoded, measured and refused where it is weak. Knows nothing of names and purposes.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::jwk::{Skip, text};
use super::roca;

/// Key material, decoded and measured.
pub(super) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed points (SEC 1 section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// RSA sizes, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl Material {
    pub(super) fn rsa(jwk: &Map<String, Value>) -> Result<Self, Skip> {
        let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if bits < *RSA_BITS.start() {
            return Err(Skip::RsaTooSmall);
        }
        if bits > *RSA_BITS.end() {
            return Err(Skip::RsaTooLarge);
        }
        let exponent = e.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        if e.len() > 5 || exponent < 3 || exponent.is_multiple_of(2) || exponent >> 33 != 0 {
            return Err(Skip::Exponent);
        }
        if roca::is_suspect(&n) {
            return Err(Skip::Roca);
        }
        Ok(Self::Rsa { n, e })
    }

    pub(super) fn ec(jwk: &Map<String, Value>) -> Result<Self, Skip> {
        match text(jwk, "crv") {
            Some("P-256") => Ok(Self::P256(point(jwk, 32)?)),
            Some("P-384") => Ok(Self::P384(point(jwk, 48)?)),
            Some(_) => Err(Skip::Curve),
            None => Err(Skip::Encoding),
        }
    }

    pub(super) fn okp(jwk: &Map<String, Value>) -> Result<Self, Skip> {
        match text(jwk, "crv") {
            Some("Ed25519") => Ok(Self::Ed25519(bytes(jwk, "x", 32)?)),
            Some(_) => Err(Skip::Curve),
            None => Err(Skip::Encoding),
        }
    }

    pub(super) fn decoding(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::P256(point) | Self::P384(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
        }
    }

    pub(super) fn parsed(&self, algorithm: Algorithm) -> Result<ParsedPublicKey, Skip> {
        let rsa = |parameters| match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok(),
            Self::P256(_) | Self::P384(_) | Self::Ed25519(_) => None,
        };
        let parsed = match (algorithm, self) {
            (Algorithm::RS256, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::RS384, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::RS512, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::PS256, _) => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            (Algorithm::PS384, _) => rsa(&signature::RSA_PSS_2048_8192_SHA384),
            (Algorithm::PS512, _) => rsa(&signature::RSA_PSS_2048_8192_SHA512),
            (Algorithm::ES256, Self::P256(point)) => {
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).ok()
            }
            (Algorithm::ES384, Self::P384(point)) => {
                ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).ok()
            }
            (Algorithm::EdDSA, Self::Ed25519(point)) => ParsedPublicKey::new(&signature::ED25519, point).ok(),
            _ => None,
        };
        parsed.ok_or(Skip::Invalid)
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        match self {
            Self::Rsa { n, e } => {
                context.update(b"rsa");
                context.update(&n.len().to_be_bytes());
                context.update(n);
                context.update(e);
            }
            Self::P256(point) | Self::P384(point) | Self::Ed25519(point) => {
                context.update(b"curve");
                context.update(point);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// A positive integer (RFC 7518 section 6.3.1), without leading zero bytes: some encoders leave one.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Skip> {
    let encoded = text(jwk, name).ok_or(Skip::Encoding)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Skip::Encoding)?;
    let number: Vec<u8> = decoded.into_iter().skip_while(|byte| *byte == 0).collect();
    if number.is_empty() { Err(Skip::Encoding) } else { Ok(number) }
}

fn bytes(jwk: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, Skip> {
    let encoded = text(jwk, name).ok_or(Skip::Encoding)?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Skip::Encoding)?;
    if decoded.len() == length { Ok(decoded) } else { Err(Skip::Encoding) }
}

fn point(jwk: &Map<String, Value>, length: usize) -> Result<Vec<u8>, Skip> {
    let mut point = vec![0x04];
    point.extend(bytes(jwk, "x", length)?);
    point.extend(bytes(jwk, "y", length)?);
    Ok(point)
}
