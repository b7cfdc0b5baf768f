//! The signatures that held a moment ago, so that a token seen before costs no second verification.
//!
//! Remembers that a signature held and what the rails read of that payload, which the same bytes say again: it judges
//! nothing, and claims, times and mailboxes are judged every time. Only what held is remembered, so that bad tokens
//! take no room here. A mail client opens several connections with one token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use moka::sync::Cache;

use super::keys::VerifyingKey;
use super::token::{Proven, Unproven};

/// How long one is held: a token of Pro Sante Connect lives two minutes. moka's own clock; nothing depends on it.
const LIFE: Duration = Duration::from_secs(180);

/// The memory. Share it by reference or `Arc`; one serves every issuer.
pub struct Signatures {
    /// None where every signature is to be verified every time.
    held: Option<Cache<Mark, Arc<Proven>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Counts, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignaturesStatus {
    /// Signatures held now.
    pub held: u64,
    /// Tokens found.
    pub hits: u64,
    /// Tokens not found.
    pub misses: u64,
}

/// The token together with the very key: its set's generation, its algorithm, its material. A set that changes makes
/// every mark of the old one unreachable, and no two issuers share a generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Mark([u8; 32]);

impl Signatures {
    /// Holds nothing yet, and at most so many. Zero: nothing ever.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let cache = || Cache::builder().max_capacity(most as u64).time_to_live(LIFE).build();
        Self { held: (most > 0).then(cache), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// What `token` (the whole compact JWS) proves under `key`: known, or found out by `verify`.
    ///
    /// # Errors
    /// Those of `verify`.
    pub fn proven(
        &self,
        token: &[u8],
        key: &VerifyingKey,
        verify: impl FnOnce() -> Result<Proven, Unproven>,
    ) -> Result<Arc<Proven>, Unproven> {
        let Some(held) = &self.held else { return verify().map(Arc::new) };
        let mark = Mark::of(token, key);
        if let Some(proven) = held.get(&mark) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(proven);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let proven = Arc::new(verify()?);
        held.insert(mark, Arc::clone(&proven));
        Ok(proven)
    }

    /// Whether the signature of `token` is known to hold under `key`. Verifies nothing.
    #[must_use]
    pub fn knows(&self, token: &[u8], key: &VerifyingKey) -> bool {
        self.held.as_ref().is_some_and(|held| held.contains_key(&Mark::of(token, key)))
    }

    /// A picture for the operator.
    #[must_use]
    pub fn status(&self) -> SignaturesStatus {
        SignaturesStatus {
            held: self.held.as_ref().map_or(0, Cache::entry_count),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl Mark {
    fn of(token: &[u8], key: &VerifyingKey) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&key.generation.number().to_be_bytes());
        // Algorithms are few: their place in the enumeration tells them apart within one process.
        context.update(&[key.algorithm as u8]);
        context.update(key.material());
        context.update(token);
        let mut mark = [0; 32];
        mark.copy_from_slice(context.finish().as_ref());
        Self(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::keys::test_key;

    const MOST: usize = 1000;

    fn good() -> Result<Proven, Unproven> {
        Ok(Proven::example())
    }

    #[test]
    fn a_token_seen_before_is_not_verified_again_under_the_same_key() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        let first = signatures.proven(b"a.b.c", &key, good).unwrap();
        let again = signatures.proven(b"a.b.c", &key, || panic!("verified again")).unwrap();
        assert!(Arc::ptr_eq(&first, &again) && signatures.knows(b"a.b.c", &key));
        let status = signatures.status();
        assert_eq!((status.hits, status.misses), (1, 1));
    }

    #[test]
    fn what_is_not_proven_is_verified_again_and_takes_no_room() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        for unproven in [Unproven::Signature, Unproven::Payload] {
            assert_eq!(signatures.proven(b"a.b.c", &key, || Err(unproven)).err(), Some(unproven));
        }
        assert!(!signatures.knows(b"a.b.c", &key));
        signatures.held.as_ref().unwrap().run_pending_tasks();
        assert_eq!(signatures.status().held, 0);
        assert!(signatures.proven(b"a.b.c", &key, good).is_ok());
    }

    #[test]
    fn another_token_or_the_same_one_under_another_set_of_keys_is_verified() {
        let (signatures, old, new) = (Signatures::new(MOST), test_key(), test_key());
        assert_ne!(old.generation, new.generation);
        assert!(signatures.proven(b"a.b.c", &old, good).is_ok());
        assert!(signatures.proven(b"a.b.d", &old, || Err(Unproven::Signature)).is_err());
        assert!(signatures.proven(b"a.b.c", &new, || Err(Unproven::Signature)).is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        for n in 0..3 * MOST as u64 {
            assert!(signatures.proven(&n.to_be_bytes(), &key, good).is_ok());
        }
        signatures.held.as_ref().unwrap().run_pending_tasks();
        assert!(signatures.status().held <= MOST as u64);
    }

    #[test]
    fn without_room_every_signature_is_verified() {
        let (signatures, key) = (Signatures::new(0), test_key());
        assert!(signatures.proven(b"a.b.c", &key, good).is_ok());
        assert!(!signatures.knows(b"a.b.c", &key));
        assert!(signatures.proven(b"a.b.c", &key, || Err(Unproven::Signature)).is_err());
    }
}
