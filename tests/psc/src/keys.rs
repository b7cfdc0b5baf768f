//! Signing keys of the stand-in and the set that it publishes (JWKS, RFC 7517).
//!
//! Owns key generation, signing and rotation. Private keys leave only as PKCS#8 for a state folder; what is published
//! may be spoilt on purpose, but only when a test says so.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use crate::encode::{pem, url64};

/// What the stand-in signs with (RFC 7518 section 3.1). Pro Santé Connect's access tokens carry RS256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048-bit key.
    Rs256,
    /// RSASSA-PSS with SHA-256, 2048-bit key.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// The name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// Length of a signature, in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Rs256 | Self::Ps256 => 256,
            Self::Es256 => 64,
        }
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

/// A key pair with its `kid`.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
}

impl SigningKey {
    /// Makes a fresh key (an RSA one takes some tens of milliseconds).
    ///
    /// # Errors
    /// When the cryptographic library can't make one.
    pub fn generate(kid: &str, algorithm: Algorithm) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).context("no RSA key could be made")?)
            }
            Algorithm::Es256 => {
                let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                Pair::Ec(made.context("no P-256 key could be made")?)
            }
        };
        Ok(Self { kid: kid.to_owned(), algorithm, pair })
    }

    /// Reads an RSA key from PKCS#8 DER.
    ///
    /// # Errors
    /// When the bytes are no such key.
    pub fn rsa_from_pkcs8(kid: &str, der: &[u8]) -> Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(der).context("not an RSA key in PKCS#8")?;
        Ok(Self { kid: kid.to_owned(), algorithm: Algorithm::Rs256, pair: Pair::Rsa(pair) })
    }

    /// The private key in PKCS#8 DER.
    ///
    /// # Errors
    /// When the cryptographic library can't write it.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>> {
        Ok(match &self.pair {
            Pair::Rsa(pair) => pair.as_der().context("the RSA key can't be written")?.as_ref().to_vec(),
            Pair::Ec(pair) => pair.to_pkcs8v1().context("the P-256 key can't be written")?.as_ref().to_vec(),
        })
    }

    /// The private key in PEM (PKCS#8).
    ///
    /// # Errors
    /// As [`SigningKey::to_pkcs8`].
    pub fn private_pem(&self) -> Result<String> {
        Ok(pem("PRIVATE KEY", &self.to_pkcs8()?))
    }

    /// `kid`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// `alg`.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs as a JWS does (ECDSA as two fixed-length numbers, RFC 7518 section 3.4).
    ///
    /// # Errors
    /// When the cryptographic library can't sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match self.algorithm {
                    Algorithm::Ps256 => pair.sign(&RSA_PSS_SHA256, &random, message, &mut signature),
                    Algorithm::Rs256 | Algorithm::Es256 => {
                        pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    }
                }
                .context("RSA can't sign")?;
                Ok(signature)
            }
            Pair::Ec(pair) => Ok(pair.sign(&random, message).context("P-256 can't sign")?.as_ref().to_vec()),
        }
    }

    /// The public key as a published JWK.
    ///
    /// # Errors
    /// When the key can't be written as one.
    pub fn jwk(&self) -> Result<Value> {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = DecodingKey::from_rsa_der(pair.public_key().as_ref());
                serde_json::to_value(Jwk::from_decoding_key(&public, None)?)?
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..33).zip(point.get(33..65)).context("not an uncompressed point")?;
                json!({"kty": "EC", "crv": "P-256", "x": url64(x), "y": url64(y)})
            }
        };
        let members = jwk.as_object_mut().context("a JWK is an object")?;
        members.insert("kid".to_owned(), json!(self.kid));
        members.insert("alg".to_owned(), json!(self.algorithm.name()));
        members.insert("use".to_owned(), json!("sig"));
        Ok(jwk)
    }

    /// The public key as PEM (`SubjectPublicKeyInfo`): what an attacker would take as an HMAC secret.
    ///
    /// # Errors
    /// When the key can't be written.
    pub fn public_pem(&self) -> Result<String> {
        let der = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().context("no public key")?.as_ref().to_vec(),
            Pair::Ec(pair) => pair.public_key().as_der().context("no public key")?.as_ref().to_vec(),
        };
        Ok(pem("PUBLIC KEY", &der))
    }
}

struct Ring {
    signing: Arc<SigningKey>,
    published: Vec<Arc<SigningKey>>,
    extra: Vec<Value>,
}

/// The keys that the stand-in signs with and those that it publishes: the same ones, unless a test parts them.
pub struct Keys(Mutex<Ring>);

impl Keys {
    /// Signs with `first` and publishes it.
    #[must_use]
    pub fn new(first: SigningKey) -> Self {
        let first = Arc::new(first);
        Self(Mutex::new(Ring { signing: first.clone(), published: vec![first], extra: Vec::new() }))
    }

    /// The key that signs now.
    #[must_use]
    pub fn signing(&self) -> Arc<SigningKey> {
        self.with(|ring| ring.signing.clone())
    }

    /// Every published key, in order.
    #[must_use]
    pub fn published(&self) -> Vec<Arc<SigningKey>> {
        self.with(|ring| ring.published.clone())
    }

    /// Publishes a key beside the others; signing goes on with the old one.
    pub fn publish(&self, key: SigningKey) -> Arc<SigningKey> {
        let key = Arc::new(key);
        self.with(|ring| ring.published.push(key.clone()));
        key
    }

    /// Signs with this key from now on, published or not.
    pub fn sign_with(&self, key: &Arc<SigningKey>) {
        self.with(|ring| ring.signing = key.clone());
    }

    /// Publishes no key under this `kid` any more. Tokens signed with it stop being valid here.
    pub fn withdraw(&self, kid: &str) {
        self.with(|ring| ring.published.retain(|key| key.kid() != kid));
    }

    /// Ordinary rotation: a fresh key signs and is published beside the old ones.
    ///
    /// # Errors
    /// When no key could be made.
    pub fn rotate(&self, kid: &str, algorithm: Algorithm) -> Result<Arc<SigningKey>> {
        let key = self.publish(SigningKey::generate(kid, algorithm)?);
        self.sign_with(&key);
        Ok(key)
    }

    /// Rotation that keeps the `kid`: new material takes the old key's place, which is gone at once.
    ///
    /// # Errors
    /// When no key could be made.
    pub fn replace_same_kid(&self) -> Result<Arc<SigningKey>> {
        let old = self.signing();
        let key = Arc::new(SigningKey::generate(old.kid(), old.algorithm())?);
        self.with(|ring| {
            ring.published.retain(|published| published.kid() != old.kid());
            ring.published.push(key.clone());
            ring.signing = key.clone();
        });
        Ok(key)
    }

    /// Publishes these entries ahead of the real keys, whatever they are: unusable keys, or something else.
    pub fn publish_also(&self, entries: Vec<Value>) {
        self.with(|ring| ring.extra = entries);
    }

    /// The published set (RFC 7517 section 5).
    ///
    /// # Errors
    /// When a key can't be written as a JWK.
    pub fn jwks(&self) -> Result<Value> {
        let (mut entries, keys) = self.with(|ring| (ring.extra.clone(), ring.published.clone()));
        for key in keys {
            entries.push(key.jwk()?);
        }
        Ok(json!({ "keys": entries }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ring) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
