//! The only place that reads the system clock.
//!
//! Dates of tokens are wall-clock seconds and come from here as an argument. Durations (deadlines, ages of caches)
//! are measured with Tokio's clock, which tests can pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Seconds since 1970-01-01T00:00:00Z: NumericDate of RFC 7519 section 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This moment plus `seconds`; the end of time instead of an overflow.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Whole seconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How long the calling thread has been on a processor. Stands still while it is kept waiting.
pub(crate) fn of_thread() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or_default())
}

/// Where the time comes from: the system, or a test.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's wall clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is [`set`](Self::set). Clones share it.
    #[must_use]
    pub fn manual(now: UnixSeconds) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(now.0))))
    }

    /// Moves a manual clock. Does nothing to the system's.
    pub fn set(&self, now: UnixSeconds) {
        if let Source::Manual(at) = &self.0 {
            at.store(now.0, Ordering::SeqCst);
        }
    }

    /// The current time. A system clock before 1970 reads as 0, where every token is not yet valid.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> UnixSeconds {
        match &self.0 {
            Source::System => {
                UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
            }
            Source::Manual(at) => UnixSeconds(at.load(Ordering::SeqCst)),
        }
    }
}
