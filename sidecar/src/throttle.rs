//! Limits the work that one client address can cause for nothing: signatures that do not hold, tokens that are not
//! active, keys that do not exist.
//!
//! It never refuses a token whose signature holds: work done for a good token is not charged, and an address over its
//! share is made to wait a little before its next check, not turned away. An outage is nobody's fault and never
//! charged. There is no count per mailbox: a lockout would be a weapon against a named doctor.

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

    /// What an address may waste. A mail client that tries an expired session again, or a typing error, is far below.
    const fn quota(self) -> Quota {
        match self {
            Self::Signature => Quota::per_second(TEN).allow_burst(FIFTY),
            Self::Introspection => Quota::per_second(ONE).allow_burst(TWENTY),
            Self::KeyFetch => Quota::per_minute(ONE).allow_burst(FIVE),
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
    origins: Cache<Origin, Arc<Charges>>,
    waiting: Semaphore,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Duration>>;

struct Charges([Charge; Work::ALL.len()]);

struct Charge {
    limiter: Limiter,
    charged: AtomicU64,
    /// Milliseconds on [`Ticks`] until which the origin is slowed.
    slowed_until: AtomicU64,
}

/// Most origins remembered.
const ORIGINS: u64 = 8192;
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
    pub fn new() -> Self {
        let origins = Cache::builder().max_capacity(ORIGINS).time_to_idle(IDLE).build();
        Self(Arc::new(Inner { clock: Ticks(Instant::now()), origins, waiting: Semaphore::new(WAITING) }))
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
        let Some(charges) = client.and_then(|client| self.0.origins.get(&Origin::of(client))) else {
            return Duration::ZERO;
        };
        charges.of(work).slowed_for(self.0.clock.now())
    }

    /// Charges work that was for nothing. Never call it for a good token, nor for an outage.
    pub fn charge(&self, work: Work, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        let charges = self.0.origins.get_with(Origin::of(client), || Arc::new(Charges::new(&self.0.clock)));
        let charge = charges.of(work);
        charge.charged.fetch_add(1, Ordering::Relaxed);
        if let Err(over) = charge.limiter.check() {
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
        Self::new()
    }
}

impl Charges {
    fn new(clock: &Ticks) -> Self {
        Self(Work::ALL.map(|work| Charge {
            limiter: RateLimiter::direct_with_clock(work.quota(), clock.clone()),
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
const TEN: NonZeroU32 = ONE.saturating_add(9);
const TWENTY: NonZeroU32 = ONE.saturating_add(19);
const FIFTY: NonZeroU32 = ONE.saturating_add(49);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn charged(throttle: &Throttle, work: Work, client: Option<IpAddr>, times: u32) {
        for _ in 0..times {
            throttle.charge(work, client);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_within_its_share_never_waits() {
        let (throttle, client) = (Throttle::new(), address("192.0.2.1"));
        charged(&throttle, Work::Signature, client, 50);
        let before = Instant::now();
        throttle.pace(Work::Signature, client).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_over_its_share_waits_a_little_and_is_let_through() {
        let (throttle, client) = (Throttle::new(), address("192.0.2.1"));
        charged(&throttle, Work::Signature, client, 51);
        let before = Instant::now();
        throttle.pace(Work::Signature, client).await;
        assert!((Duration::from_millis(50)..=WAIT_MAX).contains(&before.elapsed()), "{:?}", before.elapsed());
        charged(&throttle, Work::KeyFetch, client, 6);
        let before = Instant::now();
        throttle.pace(Work::KeyFetch, client).await;
        assert_eq!(before.elapsed().as_millis().clamp(500, 502), before.elapsed().as_millis());
        // Its other work, and others, are not touched.
        assert!(throttle.slowed_for(Work::Introspection, client).is_zero());
        assert!(throttle.slowed_for(Work::KeyFetch, address("192.0.2.2")).is_zero());
        advance(Duration::from_secs(61)).await;
        assert!(throttle.slowed_for(Work::KeyFetch, client).is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_address_is_never_slowed() {
        let throttle = Throttle::new();
        charged(&throttle, Work::Signature, None, 10_000);
        assert!(throttle.slowed_for(Work::Signature, None).is_zero());
        assert!(throttle.list().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_wait_at_once() {
        let (throttle, client) = (Throttle::new(), address("192.0.2.1"));
        charged(&throttle, Work::KeyFetch, client, 6);
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move { throttle.pace(Work::KeyFetch, client).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let before = Instant::now();
        throttle.pace(Work::KeyFetch, client).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        for one in waiting {
            one.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_is_one_origin_however_many_addresses_it_has() {
        let throttle = Throttle::new();
        for n in 0..60_u16 {
            throttle.charge(Work::Signature, address(&format!("2001:db8:1:2:{n:x}::1")));
        }
        assert!(!throttle.slowed_for(Work::Signature, address("2001:db8:1:2::ffff")).is_zero());
        assert!(throttle.slowed_for(Work::Signature, address("2001:db8:1:3::1")).is_zero());
        assert_eq!(Origin::of("::ffff:192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
        assert_eq!(Origin::of("2001:db8:1:2:3::1".parse().unwrap()).to_string(), "2001:db8:1:2::/64");
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_can_list_and_clear() {
        let (throttle, one, other) = (Throttle::new(), address("192.0.2.1"), address("192.0.2.2"));
        charged(&throttle, Work::Signature, one, 70);
        charged(&throttle, Work::Introspection, other, 3);
        let list = throttle.list();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].origin, list[0].work, list[0].charged), (Origin::of(one.unwrap()), Work::Signature, 70));
        assert!(!list[0].slowed_for.is_zero() && list[1].slowed_for.is_zero());
        assert_eq!((throttle.clear(one), throttle.clear(one)), (1, 0));
        assert!(throttle.slowed_for(Work::Signature, one).is_zero());
        assert_eq!(throttle.clear(None), 1);
        assert!(throttle.list().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_million_addresses_take_a_bounded_room() {
        let throttle = Throttle::new();
        for n in 0..100_000_u32 {
            throttle.charge(Work::Signature, Some(IpAddr::from(n.to_be_bytes())));
        }
        throttle.0.origins.run_pending_tasks();
        assert!(throttle.0.origins.entry_count() <= ORIGINS);
        assert!(throttle.list().len() <= LISTED);
    }
}
