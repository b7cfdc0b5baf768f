//! The stand-in's idea of the time.
//!
//! Owns the only reading of the system clock in this crate. A test gives its own source, or moves the clock while the
//! stand-in runs, to play a provider that is ahead or behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A clock in seconds since 1970-01-01T00:00:00Z. Clones share the skew.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn Fn() -> u64 + Send + Sync>,
    skew: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only reading of the clock in this crate")]
    pub fn system() -> Self {
        Self::from_source(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    #[must_use]
    pub fn standing_at(seconds: u64) -> Self {
        Self::from_source(move || seconds)
    }

    /// A clock that asks `source` each time.
    #[must_use]
    pub fn from_source(source: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(source), skew: Arc::new(AtomicI64::new(0)) }
    }

    /// Now, in seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.source)().saturating_add_signed(self.skew.load(Ordering::Relaxed))
    }

    /// Moves the clock by `seconds`, backwards when negative, on top of earlier moves.
    pub fn advance(&self, seconds: i64) {
        self.skew.fetch_add(seconds, Ordering::Relaxed);
    }
}
