//! A short memory of answers, and one question for all who ask about one token at once.
//!
//! Yes and no are held apart, each bounded: a flood of bad tokens can't drive out the good ones. moka keeps the tables
//! and joins the questions; how long an answer counts is checked here, at every look, against the token's own `exp`
//! too.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use moka::future::Cache as Table;
use tokio::time::Instant;

use super::answer::{Active, Introspected};
use crate::clock::{Clock, UnixSeconds};

/// Most answers of each kind.
const ACTIVE: u64 = 8192;
const INACTIVE: u64 = 4096;

/// Token, issuer and client that asked, as one digest: no token is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(issuer: &str, client: &str, token: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [issuer.as_bytes(), client.as_bytes(), token] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

#[derive(Clone)]
struct Yes {
    answer: Active,
    until: Instant,
}

pub(super) struct Cache {
    active: Table<Key, Yes>,
    inactive: Table<Key, Instant>,
    remember_active: Duration,
    remember_inactive: Duration,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Counts, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) active: u64,
    pub(super) inactive: u64,
}

#[derive(Clone, Copy)]
enum NotActive {
    Inactive,
    Unavailable,
}

impl Cache {
    /// `None` where answers are not to be remembered.
    pub(super) fn new(remember_active: Duration, remember_inactive: Duration) -> Option<Self> {
        // moka's own clock only cleans up what nobody asks for again.
        (!remember_active.is_zero()).then(|| Self {
            active: Table::builder().max_capacity(ACTIVE).time_to_live(remember_active.max(MOMENT)).build(),
            inactive: Table::builder().max_capacity(INACTIVE).time_to_live(remember_inactive.max(MOMENT)).build(),
            remember_active,
            remember_inactive,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// The remembered answer, else that of `ask`, which at most one of those who ask about a token runs.
    pub(super) async fn answer(
        &self,
        key: Key,
        expires_at: UnixSeconds,
        clock: &Clock,
        ask: impl Future<Output = Introspected>,
    ) -> Introspected {
        if let Some(remembered) = self.remembered(&key, expires_at, clock.now()).await {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return remembered;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let asked = self.active.try_get_with(key, async {
            match ask.await {
                Introspected::Active(answer) => Ok(self.yes(answer, expires_at, clock.now())),
                Introspected::Inactive => {
                    self.inactive.insert(key, Instant::now() + self.remember_inactive).await;
                    Err(NotActive::Inactive)
                }
                Introspected::Unavailable => Err(NotActive::Unavailable),
            }
        });
        match asked.await {
            Ok(yes) => Introspected::Active(yes.answer),
            Err(not) => match *not {
                NotActive::Inactive => Introspected::Inactive,
                NotActive::Unavailable => Introspected::Unavailable,
            },
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            active: self.active.entry_count(),
            inactive: self.inactive.entry_count(),
        }
    }

    async fn remembered(&self, key: &Key, expires_at: UnixSeconds, now: UnixSeconds) -> Option<Introspected> {
        if let Some(yes) = self.active.get(key).await {
            let expired = now >= expires_at || yes.answer.expires_at.is_some_and(|exp| now >= exp);
            if Instant::now() < yes.until && !expired {
                return Some(Introspected::Active(yes.answer));
            }
            self.active.invalidate(key).await;
            return None;
        }
        let until = self.inactive.get(key).await?;
        (Instant::now() < until).then_some(Introspected::Inactive)
    }

    fn yes(&self, answer: Active, expires_at: UnixSeconds, now: UnixSeconds) -> Yes {
        let expires_at = answer.expires_at.map_or(expires_at, |said| said.min(expires_at));
        let left = Duration::from_secs(expires_at.since(now));
        Yes { answer, until: Instant::now() + left.min(self.remember_active) }
    }
}

/// moka takes no life of zero.
const MOMENT: Duration = Duration::from_millis(1);
