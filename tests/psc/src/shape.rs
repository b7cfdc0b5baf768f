//! What can stand in the place of a token's signature, and how its parts can be written down.
//!
//! Owns the honest way and the dishonest ones. Knows nothing of claims.

use std::sync::Arc;

use anyhow::Result;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};

use crate::encode::url64;
use crate::keys::SigningKey;

/// What stands in the place of the signature.
#[derive(Clone)]
pub enum Seal {
    /// The signature of the token's key over the token.
    Honest,
    /// The honest signature with one bit turned.
    Flipped,
    /// Nothing.
    Empty,
    /// A true signature of the token's key, over the token with one more byte.
    OtherBytes,
    /// The signature of another key over the token, whatever the header says.
    By(Arc<SigningKey>),
    /// HMAC-SHA-256 with this secret.
    Hmac(Vec<u8>),
    /// These bytes. The cheapest way to many distinct bad tokens.
    Bytes(Vec<u8>),
}

impl Seal {
    pub(crate) fn make(&self, key: &SigningKey, signed: &str) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Honest => key.sign(signed.as_bytes())?,
            Self::Flipped => {
                let mut signature = key.sign(signed.as_bytes())?;
                if let Some(byte) = signature.get_mut(17) {
                    *byte ^= 0x10;
                }
                signature
            }
            Self::Empty => Vec::new(),
            Self::OtherBytes => key.sign(format!("{signed}A").as_bytes())?,
            Self::By(other) => other.sign(signed.as_bytes())?,
            Self::Hmac(secret) => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&secret, signed.as_bytes()).as_ref().to_vec()
            }
            Self::Bytes(bytes) => bytes.clone(),
        })
    }
}

/// How the parts are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JWS compact serialization (RFC 7515 section 7.1): the only good one.
    Compact,
    /// Compact, each part padded with `=` to a multiple of four.
    Padded,
    /// Compact, in the alphabet with `+` and `/`.
    StandardAlphabet,
    /// Compact, with bits set after the last byte of the signature: lax decoders read the same bytes.
    TrailingBits,
    /// Compact, with a line break in the payload.
    LineBreak,
    /// Header and payload, without the last dot.
    TwoParts,
    /// Compact and one empty part more.
    FourParts,
    /// Five parts, as an encrypted token has (RFC 7516 section 7.1).
    FiveParts,
    /// Flattened JSON serialization (RFC 7515 section 7.2.2).
    Json,
    /// Compact, cut off in the middle of the signature.
    Truncated,
}

impl Form {
    pub(crate) fn write(self, header: &[u8], payload: &[u8], signature: &[u8]) -> String {
        let (head, body, sign) = (url64(header), url64(payload), url64(signature));
        match self {
            Self::Compact => format!("{head}.{body}.{sign}"),
            Self::Padded => [header, payload, signature].map(|part| URL_SAFE.encode(part)).join("."),
            Self::StandardAlphabet => [header, payload, signature].map(|part| STANDARD_NO_PAD.encode(part)).join("."),
            Self::TrailingBits => format!("{head}.{body}.{}", with_trailing_bits(&sign)),
            Self::LineBreak => {
                let (first, rest) = body.split_at(body.len() / 2);
                format!("{head}.{first}\n{rest}.{sign}")
            }
            Self::TwoParts => format!("{head}.{body}"),
            Self::FourParts => format!("{head}.{body}.{sign}."),
            Self::FiveParts => {
                format!("{head}.{sign}.{}.{body}.{}", url64(b"initializing"), url64(b"authentication.t"))
            }
            Self::Json => format!(r#"{{"protected":"{head}","payload":"{body}","signature":"{sign}"}}"#),
            Self::Truncated => {
                let (kept, _) = sign.split_at(sign.len() / 2);
                format!("{head}.{body}.{kept}")
            }
        }
    }
}

/// The last letter of 64 or 256 bytes carries two bits of data and four that a strict decoder wants to be zero.
fn with_trailing_bits(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = text.to_owned();
    let last = text.pop().and_then(|letter| ALPHABET.find(letter));
    let next = last.and_then(|at| ALPHABET.chars().nth(at + 1));
    text.extend(next);
    text
}
