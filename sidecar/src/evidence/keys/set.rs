//! One issuer's keys as they stood at one moment: immutable, numbered, looked up without a lock or an await.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::ParsedPublicKey;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::jwk::Skipped;

/// Number of a key set. No two sets of this process share one, whatever their issuers: what was proven under a
/// generation can't be mistaken for something proven under another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// The next number.
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// The number, for status and logs.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A public key bound to one algorithm. An RSA key that fits two of them stands twice in its set.
pub struct VerifyingKey {
    /// `kid` (RFC 7517 section 4.5), where the issuer gives one. Printable ASCII, at most 256 bytes.
    pub kid: Option<String>,
    /// The one algorithm that this key verifies; taken from the JWK, never from a token.
    pub algorithm: Algorithm,
    /// The key for jsonwebtoken.
    pub decoding: DecodingKey,
    /// The set that this key belongs to.
    pub generation: Generation,
    pub(super) parsed: ParsedPublicKey,
    /// SHA-256 of the key material alone: tells whether two keys are one.
    pub(super) material: [u8; 32],
}

impl VerifyingKey {
    /// Whether `signature` (decoded) holds over `signed` under this key and its algorithm. The key was parsed once,
    /// when its set was read.
    #[must_use]
    pub fn holds(&self, signed: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(signed, signature).is_ok()
    }

    /// SHA-256 of the key material: equal for two keys when, and only when, they are one.
    #[must_use]
    pub const fn material(&self) -> &[u8; 32] {
        &self.material
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// What a key set says about a token's `kid` and `alg`.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// This key.
    Found(Arc<VerifyingKey>),
    /// The issuer publishes no such key.
    Unknown,
    /// There is a key, and not for this algorithm; or a token without `kid` fits several.
    Unfit,
    /// Nothing can be said: no keys, keys too old, or a key unknown to a set that may be behind.
    Unavailable,
}

/// One issuer's usable keys.
#[derive(Debug)]
pub struct KeySet {
    generation: Generation,
    keys: Vec<Arc<VerifyingKey>>,
    by_kid: HashMap<String, Vec<usize>>,
    skipped: Vec<Skipped>,
}

impl KeySet {
    pub(super) fn new(generation: Generation, keys: Vec<VerifyingKey>, skipped: Vec<Skipped>) -> Self {
        let mut by_kid: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            if let Some(kid) = &key.kid {
                by_kid.entry(kid.clone()).or_default().push(at);
            }
        }
        Self { generation, keys: keys.into_iter().map(Arc::new).collect(), by_kid, skipped }
    }

    /// The key for a token's header. With a `kid`, that key and no other; without one, the only key that fits the
    /// algorithm (a token that leaves the choice open is not tried against several keys).
    #[must_use]
    pub fn lookup(&self, kid: Option<&str>, algorithm: Algorithm) -> Lookup {
        let Some(kid) = kid else {
            let mut fits = self.keys.iter().filter(|key| key.algorithm == algorithm);
            return match (fits.next(), fits.next()) {
                (Some(key), None) => Lookup::Found(Arc::clone(key)),
                (Some(_), Some(_)) => Lookup::Unfit,
                (None, _) => Lookup::Unknown,
            };
        };
        let Some(named) = self.by_kid.get(kid) else { return Lookup::Unknown };
        named
            .iter()
            .filter_map(|at| self.keys.get(*at))
            .find(|key| key.algorithm == algorithm)
            .map_or(Lookup::Unfit, |key| Lookup::Found(Arc::clone(key)))
    }

    /// Its number.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Its keys, one for each algorithm that a JWK fits.
    #[must_use]
    pub fn keys(&self) -> &[Arc<VerifyingKey>] {
        &self.keys
    }

    /// The keys of the document that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Whether both sets hold the same keys for the same names and algorithms.
    pub(super) fn same_keys(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|(a, b)| a.kid == b.kid && a.algorithm == b.algorithm && a.material == b.material)
    }
}
