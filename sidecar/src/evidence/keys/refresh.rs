//! The one task that fetches: on schedule ahead of need, and when a login asks for a key that the set does not have.
//! A document that is no good never takes the place of one that is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::source::Fetched;
use super::status::{KeyError, Origin};
use super::{Current, Inner, KeySettings, KeySet, jwk};

/// Longest time between two scheduled fetches while they fail.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Fetches for ever.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut held: Option<String> = None;
    let mut failures = 0;
    loop {
        let revalidate = inner.current.load().is_some();
        let ended = fetch(&inner, held.as_deref(), revalidate).await;
        let pause = match &ended {
            Ok((etag, fresh_for)) => {
                held.clone_from(etag);
                failures = 0;
                until_refresh(&inner.settings, *fresh_for)
            }
            Err(_) => {
                failures += 1;
                until_retry(&inner.settings, failures)
            }
        };
        let next = Instant::now() + pause;
        inner.report().ended(ended.as_ref().err().copied(), next);
        inner.fetches.end(ended.is_ok());
        tokio::select! {
            biased;
            () = inner.fetches.demanded() => {}
            () = sleep_until(next) => inner.fetches.begin_scheduled(),
        }
    }
}

type Confirmed = (Option<String>, Option<Duration>);

async fn fetch(inner: &Inner, etag: Option<&str>, revalidate: bool) -> Result<Confirmed, KeyError> {
    match inner.fetcher.fetch(etag, revalidate).await? {
        Fetched::Unchanged { fresh_for } => {
            confirm(inner, None);
            Ok((etag.map(str::to_owned), fresh_for))
        }
        Fetched::Document { body, etag, fresh_for } => {
            confirm(inner, Some(jwk::parse(&body)?));
            Ok((etag, fresh_for))
        }
    }
}

/// Puts a new set into use, or confirms the one in use. A set with the same keys keeps its generation.
fn confirm(inner: &Inner, new: Option<KeySet>) {
    let held = inner.current.load().as_ref().map(|current| Arc::clone(&current.set));
    let set = match (held, new) {
        (Some(held), Some(new)) if held.same_keys(&new) && held.skipped() == new.skipped() => held,
        (_, Some(new)) => {
            inner.absent().clear();
            Arc::new(new)
        }
        (Some(held), None) => held,
        (None, None) => return,
    };
    inner.current.store(Some(Arc::new(Current { set, confirmed: Instant::now(), age: Duration::ZERO })));
    inner.report().origin = Some(Origin::Issuer);
}

fn until_refresh(settings: &KeySettings, fresh_for: Option<Duration>) -> Duration {
    let (least, most) = settings.refresh_bounds;
    fresh_for.unwrap_or(settings.refresh).clamp(least, most)
}

/// Twice as long after each failure, from the floor up to [`RETRY_MAX`].
fn until_retry(settings: &KeySettings, failures: u32) -> Duration {
    let doubled = settings.floor.saturating_mul(1 << failures.saturating_sub(1).min(8));
    doubled.min(RETRY_MAX.max(settings.floor))
}
