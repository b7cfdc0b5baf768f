//! The sidecar's own signature as its client credential: `private_key_jwt` (RFC 7523 section 2.2, OpenID Connect Core
//! section 9). Each assertion is good for one question and a minute.

use std::fmt;

use aws_lc_rs::rand;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::clock::UnixSeconds;
use crate::secret::Secret;

/// A private key with which the sidecar signs its assertions.
#[derive(Clone)]
pub struct AssertionKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
}

/// Why a file holds no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionKeyError {
    /// Not PEM with an RSA or P-256 private key.
    #[error("the file holds no RSA or P-256 private key in PEM")]
    Unreadable,
    /// The key does not sign.
    #[error("the private key can't be used to sign")]
    Unusable,
}

/// How long an assertion is good: enough for one question and two clocks.
const LIFE: u64 = 60;

impl AssertionKey {
    /// Reads a private key: RSA signs with RS256, P-256 with ES256. `kid` names it at the issuer.
    ///
    /// # Errors
    /// [`AssertionKeyError`].
    pub fn from_pem(pem: &Secret, kid: Option<String>) -> Result<Self, AssertionKeyError> {
        let bytes = pem.expose().as_bytes();
        let (key, algorithm) = EncodingKey::from_rsa_pem(bytes)
            .map(|key| (key, Algorithm::RS256))
            .or_else(|_| EncodingKey::from_ec_pem(bytes).map(|key| (key, Algorithm::ES256)))
            .map_err(|_| AssertionKeyError::Unreadable)?;
        let key = Self { key, algorithm, kid };
        key.assertion("probe", "probe", UnixSeconds(0)).map(|_| key).ok_or(AssertionKeyError::Unusable)
    }

    /// An assertion that `client` is the one who asks, made for `audience`.
    pub(super) fn assertion(&self, client: &str, audience: &str, now: UnixSeconds) -> Option<Secret> {
        let mut random = [0; 16];
        rand::fill(&mut random).ok()?;
        let claims = Claims {
            iss: client,
            sub: client,
            aud: audience,
            jti: format!("{:032x}", u128::from_be_bytes(random)),
            iat: now.0,
            exp: now.plus(LIFE).0,
        };
        let header = Header { kid: self.kid.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.key).ok().map(Secret::new)
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({:?})", self.algorithm)
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}
