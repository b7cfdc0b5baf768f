//! Limits the work that one client address can cause for nothing: signatures that do not hold, tokens that are not
//! active, keys that do not exist.
//!
//! It never refuses a token whose signature holds: work done for a good token is not charged, and an address over its
//! share is made to wait a little before its next check, not turned away. An outage is nobody's fault and never
//! charged. There is no count per mailbox: a lockout would be a weapon against a named doctor.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Work that a client can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Verifying a signature. Charge one that did not hold.
    Signature,
    /// Asking the issuer about a token. Charge one that is not active.
    Introspection,
    /// Fetching an issuer's keys. Charge a key that stayed unknown.
    KeyFetch,
}

impl Work {
    const ALL: [Self; 3] = [Self::Signature, Self::Introspection, Self::KeyFetch];

    /// Stable code for status and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Introspection => "introspection",
            Self::KeyFetch => "key-fetch",
        }
    }

    /// What an origin that was quiet for a while may waste at once.
    const fn burst(self) -> NonZeroU32 {
        match self {
            Self::Signature => FIFTY,
            Self::Introspection => TWENTY,
            Self::KeyFetch => FIVE,
        }
    }
}

/// An address, or for IPv6 the /64 that one site has: who has one has 2^64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an address. An IPv4 address in IPv6 notation is that IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(IpAddr::V4(v4)),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What one origin may waste before it is slowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Signatures that do not hold, a minute, after a burst of 50. `None`: no limit.
    pub bad_signatures: Option<NonZeroU32>,
    /// Tokens that their issuer calls not active, a minute, after a burst of 20. `None`: no limit.
    pub inactive_tokens: Option<NonZeroU32>,
    /// Keys that a fetch has shown not to exist, a minute, after a burst of 5. `None`: no limit.
    pub unknown_keys: Option<NonZeroU32>,
    /// Addresses that stand for many people (a webmail, a proxy): never charged, never slowed.
    pub exempt: Vec<IpAddr>,
}

impl Default for Allowance {
    /// A mail client that tries an expired session again, or a typing error, is far below.
    fn default() -> Self {
        Self {
            bad_signatures: NonZeroU32::new(600),
            inactive_tokens: NonZeroU32::new(60),
            unknown_keys: Some(NonZeroU32::MIN),
            exempt: Vec::new(),
        }
    }
}

impl Allowance {
    fn quota(&self, work: Work) -> Option<Quota> {
        let per_minute = match work {
            Work::Signature => self.bad_signatures,
            Work::Introspection => self.inactive_tokens,
            Work::KeyFetch => self.unknown_keys,
        };
        per_minute.map(|per_minute| Quota::per_minute(per_minute).allow_burst(work.burst()))
    }
}

/// What an operator sees of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The origin.
    pub origin: Origin,
    /// The work.
    pub work: Work,
    /// How often it was charged since the origin was first seen or last cleared.
    pub charged: u64,
    /// For how much longer it is slowed. Zero: it is not.
    pub slowed_for: Duration,
}

/// The limits of all origins. Clones share them.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    clock: Ticks,
    quotas: [Option<Quota>; Work::ALL.len()],
    exempt: HashSet<Origin>,
    origins: Cache<Origin, Arc<Charges>>,
    waiting: Semaphore,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

struct Charges([Charge; Work::ALL.len()]);

struct Charge {
    /// None where nothing is limited: counted all the same.
    limiter: Option<Limiter>,
    charged: AtomicU64,
    /// Milliseconds on [`Ticks`] until which the origin is slowed.
    slowed_until: AtomicU64,
}

/// Most origins remembered.
const ORIGINS: u64 = 4096;
/// An origin that causes nothing is forgotten after this long.
const IDLE: Duration = Duration::from_secs(1800);
/// Longest wait before one check.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Most logins made to wait at once; the next ones are not. Waiting takes a place that an honest login could have: were
/// it unbounded, the limit would be the attack.
const WAITING: usize = 32;
/// Most lines of a list.
const LISTED: usize = 1000;

impl Throttle {
    /// Nobody is slowed yet.
    #[must_use]
    pub fn new(allowance: &Allowance) -> Self {
        Self(Arc::new(Inner {
            clock: Ticks(Instant::now()),
            quotas: Work::ALL.map(|work| allowance.quota(work)),
            exempt: allowance.exempt.iter().copied().map(Origin::of).collect(),
            origins: Cache::builder().max_capacity(ORIGINS).time_to_idle(IDLE).build(),
            waiting: Semaphore::new(WAITING),
        }))
    }

    /// Waits, at most half a second, where the origin is over its share. A client whose address is not known is never
    /// slowed: it would be everybody.
    pub async fn pace(&self, work: Work, client: Option<IpAddr>) {
        let slowed = self.slowed_for(work, client);
        if slowed.is_zero() {
            return;
        }
        if let Ok(_place) = self.0.waiting.try_acquire() {
            sleep(slowed.min(WAIT_MAX)).await;
        }
    }

    /// For how much longer the origin is over its share. For [`Work::KeyFetch`]: while it is, ask for no fetch on its
    /// behalf and answer that the key is not available.
    #[must_use]
    pub fn slowed_for(&self, work: Work, client: Option<IpAddr>) -> Duration {
        let Some(charges) = self.0.origin(client).and_then(|origin| self.0.origins.get(&origin)) else {
            return Duration::ZERO;
        };
        charges.of(work).slowed_for(self.0.clock.now())
    }

    /// Charges work that was for nothing. Never call it for a good token, nor for an outage.
    pub fn charge(&self, work: Work, client: Option<IpAddr>) {
        let Some(origin) = self.0.origin(client) else { return };
        let charges = self.0.origins.get_with(origin, || Arc::new(Charges::new(&self.0)));
        let charge = charges.of(work);
        charge.charged.fetch_add(1, Ordering::Relaxed);
        if let Some(Err(over)) = charge.limiter.as_ref().map(RateLimiter::check) {
            let now = self.0.clock.now();
            let until = now.saturating_add(over.wait_time_from(now));
            let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            charge.slowed_until.fetch_max(until, Ordering::Relaxed);
        }
    }

    /// The origins that were charged, those slowed now first, then by their charges. At most 1000 lines.
    #[must_use]
    pub fn list(&self) -> Vec<Throttled> {
        let now = self.0.clock.now();
        let mut list: Vec<Throttled> = self
            .0
            .origins
            .iter()
            .flat_map(|(origin, charges)| {
                Work::ALL.map(|work| {
                    let charge = charges.of(work);
                    let charged = charge.charged.load(Ordering::Relaxed);
                    Throttled { origin: *origin, work, charged, slowed_for: charge.slowed_for(now) }
                })
            })
            .filter(|line| line.charged > 0)
            .collect();
        list.sort_by_key(|line| (line.slowed_for.is_zero(), std::cmp::Reverse(line.charged), line.origin));
        list.truncate(LISTED);
        list
    }

    /// Forgets one origin, or all. Gives how many were forgotten.
    pub fn clear(&self, client: Option<IpAddr>) -> u64 {
        if let Some(client) = client {
            return u64::from(self.0.origins.remove(&Origin::of(client)).is_some());
        }
        self.0.origins.run_pending_tasks();
        let held = self.0.origins.entry_count();
        self.0.origins.invalidate_all();
        held
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(&Allowance::default())
    }
}

impl Inner {
    /// Whose work it is; nobody's where the address is not known or exempt.
    fn origin(&self, client: Option<IpAddr>) -> Option<Origin> {
        client.map(Origin::of).filter(|origin| !self.exempt.contains(origin))
    }
}

impl Charges {
    fn new(inner: &Inner) -> Self {
        Self(inner.quotas.map(|quota| Charge {
            limiter: quota.map(|quota| RateLimiter::direct_with_clock(quota, inner.clock.clone())),
            charged: AtomicU64::new(0),
            slowed_until: AtomicU64::new(0),
        }))
    }

    const fn of(&self, work: Work) -> &Charge {
        let [signature, introspection, key_fetch] = &self.0;
        match work {
            Work::Signature => signature,
            Work::Introspection => introspection,
            Work::KeyFetch => key_fetch,
        }
    }
}

impl Charge {
    fn slowed_for(&self, now: Duration) -> Duration {
        Duration::from_millis(self.slowed_until.load(Ordering::Relaxed)).duration_since(now).into()
    }
}

/// Tokio's clock for governor: tests can stop it.
#[derive(Clone, Debug)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

const ONE: NonZeroU32 = NonZeroU32::MIN;
const FIVE: NonZeroU32 = ONE.saturating_add(4);
const TWENTY: NonZeroU32 = ONE.saturating_add(19);
const FIFTY: NonZeroU32 = ONE.saturating_add(49);

#[cfg(test)]
mod tests;
