//! An issuer's signing keys: fetched ahead of need by one task, held in memory as one immutable set, and kept in use
//! for a bounded time while the issuer is away.
//!
//! A login looks a key up without a lock or an await. Only a key that the set does not have makes it wait, for one
//! fetch that all such logins share. What the sidecar can't know is `Unavailable`; `Unknown` is said only after a
//! fetch begun later than the question has shown the key absent. A key of one issuer never stands in another's set.

mod absent;
mod copy;
mod discovery;
mod fetches;
mod jwk;
mod material;
mod refresh;
mod roca;
mod set;
mod source;
mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

pub use copy::{CopyError, KeyCopy};
pub use discovery::{Description, Discovery, DiscoveryError};
pub use jwk::{SetError, Skip, Skipped};
pub use set::{Generation, KeySet, Lookup, VerifyingKey};
pub use source::{FetchError, FetchKeys, Fetched, Fetching, KeySource};
pub use status::{KeyError, KeyStatus, KeysState, KeysStatus, Origin};

use crate::http::HttpClient;
use absent::{Absent, Mark};
use fetches::{Begun, Done, Fetches};

/// A key shown absent is not asked for again this soon, whatever the floor.
const JUST_NOW: Duration = Duration::from_secs(5);

/// How the keys of one issuer are held.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The issuer, as in `iss`. For status, logs and the copy on disk.
    pub issuer: String,
    /// Least time between two fetches that logins ask for; a fetch that failed or was scheduled counts too.
    ///
    /// # Defaults
    /// 30 s.
    pub floor: Duration,
    /// Time between two scheduled fetches where the server does not say.
    ///
    /// # Defaults
    /// 10 min.
    pub refresh: Duration,
    /// Bounds of what a server may say about it. A server that says seven days would keep a new key from working.
    ///
    /// # Defaults
    /// 60 s to 1 h.
    pub refresh_bounds: (Duration, Duration),
    /// How long keys stay in use after they should have been refreshed. They go when the next try has had its time as
    /// well (less than two minutes), so that an outage of exactly this length refuses nobody.
    ///
    /// # Defaults
    /// 4 h.
    pub max_stale: Duration,
    /// How long one login waits for a fetch.
    ///
    /// # Defaults
    /// 1.5 s: below what a mail server waits.
    pub wait: Duration,
    /// Most logins that wait for a fetch at once; the next ones are told to try again. A flood of unknown kids while
    /// the issuer hangs must not take every place that a login with a known key could have.
    ///
    /// # Defaults
    /// 128.
    pub waiting: usize,
    /// The last good document on disk.
    ///
    /// # Defaults
    /// None: the sidecar then can't serve tokens before the issuer has answered once.
    pub copy: Option<KeyCopy>,
}

impl KeySettings {
    /// The defaults, for an issuer.
    #[must_use]
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            floor: Duration::from_secs(30),
            refresh: Duration::from_secs(600),
            refresh_bounds: (Duration::from_secs(60), Duration::from_secs(3600)),
            max_stale: Duration::from_secs(4 * 3600),
            wait: Duration::from_millis(1500),
            waiting: 128,
            copy: None,
        }
    }
}

/// The keys of one issuer. Clones share them; the fetching task ends with the last clone.
#[derive(Clone)]
pub struct Keys(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
    task: AbortHandle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Inner {
    settings: KeySettings,
    fetcher: Box<dyn FetchKeys>,
    current: ArcSwapOption<Current>,
    fetches: Fetches,
    absent: Mutex<Absent>,
    waiting: Semaphore,
    report: Mutex<status::Report>,
}

/// A set and the moment at which the issuer last confirmed it.
struct Current {
    set: Arc<KeySet>,
    confirmed: Instant,
    /// Its age at that moment: not zero for a copy from disk.
    age: Duration,
    /// Age at which it should have been refreshed.
    fresh_for: Duration,
    /// When the issuer itself was last asked for what the set holds, past every cache on the way. `None`: not yet.
    asked: Option<Instant>,
}

impl Current {
    fn age(&self) -> Duration {
        self.age.saturating_add(self.confirmed.elapsed())
    }

    /// Since when it should have been refreshed.
    fn overdue(&self) -> Duration {
        self.age().saturating_sub(self.fresh_for)
    }
}

/// What a fetch says about a signature that did not hold.
#[derive(Clone, Debug)]
pub enum AfterBadSignature {
    /// The issuer now publishes another key under that name: worth one more verification.
    NewKey(Arc<VerifyingKey>),
    /// A fetch begun after the token was issued shows the same key, or none: the signature is bad.
    Confirmed,
    /// The token is younger than what is known of the issuer's keys, and no fetch was due, or it failed: it may be
    /// signed with a newer key.
    Unchecked,
}

impl Keys {
    /// Starts with the keys of the copy on disk, if there is a good one, and fetches at once. Must be called within a
    /// Tokio runtime.
    #[must_use]
    pub fn start(settings: KeySettings, source: KeySource, http: HttpClient) -> Self {
        Self::start_with(settings, Box::new(source::Fetcher { source, http }))
    }

    /// The same with another way to fetch.
    #[must_use]
    pub fn start_with(settings: KeySettings, fetcher: Box<dyn FetchKeys>) -> Self {
        let inner = Arc::new(Inner {
            fetches: Fetches::new(settings.floor),
            waiting: Semaphore::new(settings.waiting),
            settings,
            fetcher,
            current: ArcSwapOption::empty(),
            absent: Mutex::default(),
            report: Mutex::default(),
        });
        refresh::start_from_copy(&inner);
        let task = tokio::spawn(refresh::run(Arc::clone(&inner))).abort_handle();
        Self(Arc::new(Handle { inner, task }))
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.inner.settings.issuer
    }

    /// What the set in use says. Waits for nothing. `Unknown` here is not yet a refusal: the set may be behind.
    #[must_use]
    pub fn lookup(&self, kid: Option<&str>, algorithm: Algorithm) -> Lookup {
        self.0.inner.lookup(kid, algorithm)
    }

    /// What the issuer says: as [`lookup`](Self::lookup), after one shared fetch where the set in use has no answer.
    /// Only `Unknown` from here is a refusal.
    pub async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Lookup {
        let inner = &*self.0.inner;
        let first = inner.lookup(kid, algorithm);
        match &first {
            Lookup::Found(_) | Lookup::Unfit => return first,
            Lookup::Unknown if self.knows_absent(kid, algorithm) => return first,
            Lookup::Unknown | Lookup::Unavailable => {}
        }
        let (begun, done) = inner.fetches.demand();
        let ended = inner.wait(begun, done).await;
        match inner.lookup(kid, algorithm) {
            Lookup::Unknown if ended == Ended::Answered => {
                inner.absent().insert(Mark::of(kid, algorithm));
                Lookup::Unknown
            }
            Lookup::Unknown => Lookup::Unavailable,
            other => other,
        }
    }

    /// Whether there is no such key, as far as can be said without asking: a fetch has shown it absent and no later
    /// news can be had yet, or no key with such a name is ever taken into a set. Once there may be news the name is
    /// asked for again: a provider's node that lags behind the one that signs must not cost its tokens more than the
    /// floor.
    #[must_use]
    pub fn knows_absent(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let inner = &*self.0.inner;
        let age = inner.absent().age(&Mark::of(kid, algorithm));
        kid.is_some_and(|kid| !jwk::is_printable(kid))
            || age.is_some_and(|age| age < JUST_NOW || inner.fetches.is_settled())
    }

    /// What to do about a signature that did not hold under `key`: the issuer may have new material under the same
    /// name. Makes at most one fetch for all, under the same floor as unknown keys.
    ///
    /// `age`: for how long the token has existed at least, as it says itself (unproven: a lie can only cost its teller
    /// the fetch). One that is older than the last answer of the issuer can't have been signed with a newer key.
    pub async fn refresh_after_bad_signature(&self, key: &VerifyingKey, age: Duration) -> AfterBadSignature {
        let inner = &*self.0.inner;
        if let Some(new) = inner.replaced(key) {
            return AfterBadSignature::NewKey(new);
        }
        if inner.has_asked_within(age) {
            return AfterBadSignature::Confirmed;
        }
        let (begun, done) = inner.fetches.demand();
        let ended = inner.wait(begun, done).await;
        match inner.replaced(key) {
            Some(new) => AfterBadSignature::NewKey(new),
            // The fetch that was waited for may have begun before the question, and still after the token.
            None if ended == Ended::Answered || inner.has_asked_within(age) => AfterBadSignature::Confirmed,
            None => AfterBadSignature::Unchecked,
        }
    }

    /// Waits until a first fetch has ended, well or badly.
    pub async fn tried(&self) {
        let mut done = self.0.inner.fetches.watch();
        // The sender lives as long as `self`.
        let _ = done.wait_for(|done| done.number > 0).await;
    }

    /// Whether there are usable keys, and whether they are current.
    #[must_use]
    pub fn state(&self) -> KeysState {
        status::state(&self.0.inner)
    }

    /// A picture for the operator.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        status::of(&self.0.inner)
    }
}

/// How a shared fetch ended for one who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It began after the question and brought a good answer.
    Answered,
    /// Anything else: it began before, failed, took too long, or was not due.
    Open,
}

impl Inner {
    fn lookup(&self, kid: Option<&str>, algorithm: Algorithm) -> Lookup {
        let current = self.current.load();
        match &*current {
            Some(current) if self.is_usable(current) => current.set.lookup(kid, algorithm),
            Some(_) | None => Lookup::Unavailable,
        }
    }

    fn is_usable(&self, current: &Current) -> bool {
        current.overdue() <= self.settings.max_stale.saturating_add(refresh::patience(&self.settings))
    }

    /// Whether the set in use is what the issuer answered to a question less than `age` ago.
    fn has_asked_within(&self, age: Duration) -> bool {
        let current = self.current.load();
        current.as_ref().and_then(|current| current.asked).is_some_and(|asked| asked.elapsed() < age)
    }

    fn replaced(&self, key: &VerifyingKey) -> Option<Arc<VerifyingKey>> {
        match self.lookup(key.kid.as_deref(), key.algorithm) {
            Lookup::Found(found) if found.material != key.material => Some(found),
            Lookup::Found(_) | Lookup::Unknown | Lookup::Unfit | Lookup::Unavailable => None,
        }
    }

    async fn wait(&self, begun: Begun, mut done: watch::Receiver<Done>) -> Ended {
        let (number, after_question) = match begun {
            Begun::Now(number) => (number, true),
            Begun::Before(number) => (number, false),
            Begun::NotDue => return Ended::Open,
        };
        let Ok(_place) = self.waiting.try_acquire() else { return Ended::Open };
        match timeout(self.settings.wait, done.wait_for(|done| done.number >= number)).await {
            Ok(Ok(done)) if done.good && after_question => Ended::Answered,
            _ => Ended::Open,
        }
    }

    fn absent(&self) -> std::sync::MutexGuard<'_, Absent> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> std::sync::MutexGuard<'_, status::Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key of a set of its own, for tests of what is built on keys.
#[cfg(test)]
pub(crate) fn test_key() -> Arc<VerifyingKey> {
    tests::key()
}

#[cfg(test)]
mod tests;
