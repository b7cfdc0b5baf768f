//! The signatures that held a moment ago, so that a token seen before costs no second verification.
//!
//! Remembers that a signature held, nothing of what the token says: claims and times are judged every time. Only what
//! held is remembered, so that bad tokens take no room here. A mail client opens several connections with one token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use moka::sync::Cache;

use super::keys::VerifyingKey;

/// How long one is held: a token of Pro Sante Connect lives two minutes. moka's own clock; nothing depends on it.
const LIFE: Duration = Duration::from_secs(180);

/// The memory. Share it by reference or `Arc`; one serves every issuer.
pub struct Signatures {
    /// None where every signature is to be verified every time.
    held: Option<Cache<Mark, ()>>,
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

    /// Whether the signature of `token` (the whole compact JWS) holds under `key`: known, or found out by `verify`.
    pub fn holds(&self, token: &[u8], key: &VerifyingKey, verify: impl FnOnce() -> bool) -> bool {
        let Some(held) = &self.held else { return verify() };
        let mark = Mark::of(token, key);
        if held.contains_key(&mark) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let holds = verify();
        if holds {
            held.insert(mark, ());
        }
        holds
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

    #[test]
    fn a_token_seen_before_is_not_verified_again_under_the_same_key() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        assert!(signatures.holds(b"a.b.c", &key, || true));
        assert!(signatures.holds(b"a.b.c", &key, || panic!("verified again")));
        assert_eq!(signatures.status().hits, 1);
    }

    #[test]
    fn what_did_not_hold_is_verified_again_and_takes_no_room() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        for n in 0..1000 {
            assert!(!signatures.holds(format!("bad.{n}").as_bytes(), &key, || false));
        }
        assert!(signatures.holds(b"bad.1", &key, || true));
        signatures.held.as_ref().unwrap().run_pending_tasks();
        assert_eq!(signatures.status().held, 1);
    }

    #[test]
    fn another_token_or_the_same_one_under_another_set_of_keys_is_verified() {
        let (signatures, old, new) = (Signatures::new(MOST), test_key(), test_key());
        assert_ne!(old.generation, new.generation);
        assert!(signatures.holds(b"a.b.c", &old, || true));
        assert!(!signatures.holds(b"a.b.d", &old, || false));
        assert!(!signatures.holds(b"a.b.c", &new, || false));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (signatures, key) = (Signatures::new(MOST), test_key());
        for n in 0..3 * MOST as u64 {
            assert!(signatures.holds(&n.to_be_bytes(), &key, || true));
        }
        signatures.held.as_ref().unwrap().run_pending_tasks();
        assert!(signatures.status().held <= MOST as u64);
    }

    #[test]
    fn without_room_every_signature_is_verified() {
        let (signatures, key) = (Signatures::new(0), test_key());
        assert!(signatures.holds(b"a.b.c", &key, || true));
        assert!(!signatures.knows(b"a.b.c", &key));
        assert!(!signatures.holds(b"a.b.c", &key, || false));
    }
}
