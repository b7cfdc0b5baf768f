//! One task for each address: fetches ahead of need, and again soon where that fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::super::BadCrl;
use super::super::crl::SIZE_MAX;
use super::{Inner, SourceStatus};
use crate::http::{Bounds, HttpError};

/// One fetch from end to end.
const DEADLINE: Duration = Duration::from_secs(10);
/// First and longest wait after a fetch that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Least time between two fetches that went well.
const LEAST: Duration = Duration::from_secs(60);
/// What a server is asked for (RFC 2585 section 4.2).
const ACCEPT: &str = "application/pkix-crl, application/octet-stream;q=0.9, */*;q=0.1";

/// Why an address gave no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ListError {
    /// Nothing came.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What came is no good.
    #[error(transparent)]
    List(#[from] BadCrl),
    /// The task that reads it failed.
    #[error("the list can't be read")]
    Reading,
}

impl ListError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Http(error) => error.code(),
            Self::List(error) => error.code(),
            Self::Reading => "reading",
        }
    }
}

/// One address.
pub(super) struct Source {
    chain: usize,
    url: Url,
    /// Held during a fetch.
    fetching: tokio::sync::Mutex<()>,
    report: Mutex<Report>,
}

#[derive(Clone, Copy, Default)]
struct Report {
    /// Whose list came from here.
    place: Option<usize>,
    error: Option<ListError>,
}

impl Source {
    pub(super) fn new(chain: usize, url: Url) -> Self {
        Self { chain, url, fetching: tokio::sync::Mutex::default(), report: Mutex::default() }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong with the list of this authority.
    pub(super) fn error_of(&self, chain: usize, place: usize) -> Option<&'static str> {
        let report = *self.report();
        let its = self.chain == chain && report.place == Some(place);
        report.error.filter(|_| its).map(ListError::code)
    }

    pub(super) fn status(&self, inner: &Inner) -> Option<SourceStatus> {
        let (chain, report) = (inner.chains.0.get(self.chain)?, *self.report());
        let authority = report.place.and_then(|place| chain.authorities().get(place));
        Some(SourceStatus {
            chain: chain.name().to_owned(),
            url: self.url.to_string(),
            authority: authority.map(|authority| authority.certificate().subject().to_owned()),
            error: report.error.map(ListError::code),
            message: report.error.map(|error| error.to_string()),
        })
    }
}

/// Fetches for ever.
pub(super) async fn run(inner: Arc<Inner>, at: usize) {
    let mut retries = retries();
    loop {
        let pause = match round(&inner, at).await {
            Some(Ok(place)) => {
                retries = self::retries();
                pause(&inner, at, place)
            }
            Some(Err(_)) => retries.next().unwrap_or(RETRY.1).min(inner.settings.refresh),
            None => return,
        };
        sleep_until(Instant::now() + pause).await;
    }
}

/// Fetches once, unless there is no such address. Two at a time for one address there never are.
pub(super) async fn round(inner: &Arc<Inner>, at: usize) -> Option<Result<usize, ListError>> {
    let source = inner.sources.get(at)?;
    let _one_at_a_time = source.fetching.lock().await;
    let fetched = fetch(inner, source).await;
    let before = {
        let mut report = source.report();
        let before = report.error;
        report.error = fetched.err();
        report.place = fetched.ok().or(report.place);
        before
    };
    let chain = inner.chains.0.get(source.chain).map_or("", |chain| chain.name());
    let url = source.url.as_str();
    match fetched {
        Ok(_) if before.is_some() => tracing::info!(chain, url, "revocation list fetched again"),
        Err(error) if before != Some(error) => {
            tracing::warn!(
                chain,
                url,
                code = error.code(),
                "no revocation list: {error}; the last good one stays in use"
            );
        }
        Ok(_) | Err(_) => {}
    }
    Some(fetched)
}

async fn fetch(inner: &Arc<Inner>, source: &Source) -> Result<usize, ListError> {
    let bounds = Bounds { deadline: DEADLINE, body: SIZE_MAX };
    let bytes = inner.http.document(&source.url, ACCEPT, bounds).await?;
    let (inner, chain) = (Arc::clone(inner), source.chain);
    tokio::task::spawn_blocking(move || inner.take(chain, &bytes)).await.unwrap_or(Err(ListError::Reading))
}

/// Until the next fetch, after one that went well.
fn pause(inner: &Inner, at: usize, place: usize) -> Duration {
    let chain = inner.sources.get(at).map_or(0, |source| source.chain);
    let held = inner.slot(chain, place).and_then(|slot| slot.load_full());
    let left = held.map(|held| Duration::from_secs(held.list.next_update().since(inner.clock.now())));
    wait(left.unwrap_or(Duration::ZERO), inner.settings.refresh, part_of)
}

/// `refresh`, or half of the time that is `left` before the list runs out where that is less: time for other tries,
/// before certificates are refused. `at_random` takes a part of the tenth that it is given away, so that several
/// sidecars don't ask at one moment. [`LEAST`] at least.
fn wait(left: Duration, refresh: Duration, at_random: impl FnOnce(Duration) -> Duration) -> Duration {
    let longest = refresh.min(left / 2).max(LEAST);
    longest.saturating_sub(at_random(longest / 10)).max(LEAST)
}

/// From nothing to all of `most`, at random.
fn part_of(most: Duration) -> Duration {
    let jitter = ExponentialBuilder::new().with_min_delay(most).with_jitter().build().next();
    // The builder's jitter lies between one and two times what it is given.
    jitter.map_or(most, |jitter| jitter.saturating_sub(most))
}

fn retries() -> backon::ExponentialBackoff {
    let builder = ExponentialBuilder::new().with_min_delay(RETRY.0).with_max_delay(RETRY.1).with_factor(2.0);
    builder.with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn the_next_fetch_is_ahead_of_the_lists_end_and_not_too_soon() {
        for (left, refresh, earliest, latest) in [
            // Outdated already, and about to be.
            (0, HOUR, 60, 60),
            (61, HOUR, 60, 60),
            (120, HOUR, 60, 60),
            // Half of what is left, less a tenth.
            (1000, HOUR, 450, 500),
            (HOUR, HOUR, 1620, 1800),
            (HOUR + 1, HOUR, 1620, 1800),
            // Long enough.
            (2 * HOUR, HOUR, 3240, 3600),
            (7 * 24 * HOUR, HOUR, 3240, 3600),
            (7 * 24 * HOUR, 24 * HOUR, 77_760, 86_400),
            (7 * 24 * HOUR, 60, 60, 60),
            (u64::MAX, HOUR, 3240, 3600),
        ] {
            let wait = |at_random: fn(Duration) -> Duration| {
                wait(Duration::from_secs(left), Duration::from_secs(refresh), at_random).as_secs()
            };
            assert_eq!((wait(|tenth| tenth), wait(|_| Duration::ZERO)), (earliest, latest), "{left} {refresh}");
            assert!((earliest..=latest).contains(&wait(part_of)), "{left} {refresh}");
            assert!(latest < left || left < LEAST.as_secs(), "{left} {refresh}");
        }
    }
}
