//! The one task that fetches: on schedule ahead of need, and when a login asks for a key that the set does not have.
//! A document that is no good never takes the place of one that is.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::{Instant, sleep_until, timeout};

use super::copy::CopyError;
use super::source::Fetched;
use super::status::{KeyError, KeysState, Origin};
use super::{Current, FetchError, Inner, KeySet, KeySettings, SetError, jwk, status};
use crate::http::HttpError;

/// Longest wait before another scheduled try, less its jitter of up to as much again.
const RETRY_MAX: Duration = Duration::from_secs(45);

/// One fetch, whatever its source: more than the limits of its parts together.
const FETCH_MAX: Duration = Duration::from_secs(15);

/// What the task remembers of the last good document.
#[derive(Default)]
struct Held {
    etag: Option<String>,
    document: Option<String>,
}

/// Fetches for ever.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut held = Held::default();
    let mut retries = retries(&inner.settings);
    let mut demanded = true;
    let mut told = (status::state(&inner), number(&inner));
    loop {
        let fetched = timeout(FETCH_MAX, fetch(&inner, &mut held, demanded)).await;
        let fetched = fetched.unwrap_or(Err(FetchError::Http(HttpError::Deadline).into()));
        let pause = match &fetched {
            Ok(fresh_for) => {
                retries = self::retries(&inner.settings);
                until_refresh(*fresh_for)
            }
            Err(_) => retries.next().unwrap_or(RETRY_MAX),
        };
        let next = Instant::now() + pause;
        inner.report().ended(fetched.as_ref().err().copied(), next);
        inner.fetches.end(fetched.is_ok());
        told = announce(&inner, told);
        if fetched.is_ok() {
            keep(&inner, held.document.clone()).await;
        }
        demanded = tokio::select! {
            biased;
            () = inner.fetches.demanded() => true,
            () = sleep_until(next) => false,
        };
        inner.fetches.begin_scheduled();
    }
}

/// Takes the copy on disk into use, before anything is fetched.
pub(super) fn start_from_copy(inner: &Inner) {
    let Some(copy) = &inner.settings.copy else { return };
    match copy.read(&inner.settings.issuer) {
        Ok((set, age)) => {
            let fresh_for = fresh_for(&inner.settings, None);
            let current = Current { set: Arc::new(set), confirmed: Instant::now(), age, fresh_for, asked: None };
            inner.current.store(Some(Arc::new(current)));
            inner.report().origin = Some(Origin::Disk);
            tracing::info!(
                issuer = inner.settings.issuer,
                age_seconds = age.as_secs(),
                "keys read from the copy on disk"
            );
        }
        Err(CopyError::None) => {}
        Err(error) => {
            inner.report().copy_error = Some(error);
            tracing::warn!(issuer = inner.settings.issuer, code = error.code(), "{error}");
        }
    }
}

/// Fetches once and gives how long the answer stays fresh. `demanded`: a login waits for what is new, so caches on the
/// way must not answer with what was.
async fn fetch(inner: &Inner, held: &mut Held, demanded: bool) -> Result<Duration, KeyError> {
    let asked = demanded.then(Instant::now);
    match inner.fetcher.fetch(held.etag.as_deref(), demanded).await? {
        Fetched::Unchanged { fresh_for } => {
            let fresh_for = self::fresh_for(&inner.settings, fresh_for);
            confirm(inner, None, fresh_for, asked)?;
            Ok(fresh_for)
        }
        Fetched::Document { body, etag, fresh_for } => {
            let fresh_for = self::fresh_for(&inner.settings, fresh_for);
            confirm(inner, Some(jwk::parse(&body)?), fresh_for, asked)?;
            *held = Held { etag, document: String::from_utf8(body).ok() };
            Ok(fresh_for)
        }
    }
}

/// Puts a new set into use, or confirms the one in use. A set with the same keys keeps its generation.
fn confirm(inner: &Inner, new: Option<KeySet>, fresh_for: Duration, asked: Option<Instant>) -> Result<(), KeyError> {
    let before = inner.current.load();
    let asked = asked.or_else(|| before.as_ref().and_then(|current| current.asked));
    let held = before.as_ref().map(|current| Arc::clone(&current.set));
    let set = match (held, new) {
        (Some(held), Some(new)) if held.same_keys(&new) && held.skipped() == new.skipped() => held,
        (_, Some(new)) => {
            inner.absent().clear();
            Arc::new(new)
        }
        (Some(held), None) => held,
        (None, None) => return Err(SetError::NotASet.into()),
    };
    let current = Current { set, confirmed: Instant::now(), age: Duration::ZERO, fresh_for, asked };
    inner.current.store(Some(Arc::new(current)));
    inner.report().origin = Some(Origin::Issuer);
    Ok(())
}

/// Writes the copy, off the runtime's threads. It is dated at each confirmation: its age is that of the keys.
async fn keep(inner: &Arc<Inner>, document: Option<String>) {
    let (Some(copy), Some(document)) = (inner.settings.copy.clone(), document) else { return };
    let issuer = inner.settings.issuer.clone();
    let written = tokio::task::spawn_blocking(move || copy.write(&issuer, &document)).await;
    let error = written.unwrap_or(Err(CopyError::Unwritable)).err();
    let before = std::mem::replace(&mut inner.report().copy_error, error);
    if let Some(error) = error.filter(|error| before != Some(*error)) {
        tracing::warn!(issuer = inner.settings.issuer, code = error.code(), "{error}");
    }
}

fn number(inner: &Inner) -> Option<u64> {
    inner.current.load().as_ref().map(|current| current.set.generation().number())
}

/// One line when the state or the set has changed since the last one; none otherwise.
fn announce(inner: &Inner, before: (KeysState, Option<u64>)) -> (KeysState, Option<u64>) {
    let now = (status::state(inner), number(inner));
    let issuer = &inner.settings.issuer;
    if now.1 != before.1 {
        let current = inner.current.load();
        let set = current.as_ref().map(|current| &current.set);
        let kids: Vec<&str> = set.iter().flat_map(|set| set.keys()).filter_map(|key| key.kid.as_deref()).collect();
        let skipped = set.map_or(0, |set| set.skipped().len());
        tracing::info!(issuer, generation = now.1, ?kids, skipped, "signing keys changed");
    }
    if now.0 == before.0 {
        return now;
    }
    let code = inner.report().last_error().map(KeyError::code);
    match now.0 {
        KeysState::Current => tracing::info!(issuer, "signing keys are current"),
        KeysState::Stale => {
            tracing::warn!(issuer, code, "signing keys can't be refreshed; the last good ones stay in use")
        }
        KeysState::Unavailable => tracing::error!(issuer, code, "no usable signing keys: logins are told to try again"),
    }
    now
}

/// How long an answer stays fresh: what the server says, within the bounds, or else the configured time.
fn fresh_for(settings: &KeySettings, said: Option<Duration>) -> Duration {
    let (least, most) = settings.refresh_bounds;
    said.unwrap_or(settings.refresh).clamp(least, most.max(least))
}

/// Ahead of need: within the last tenth of what is allowed, so that several sidecars don't ask at one moment.
fn until_refresh(whole: Duration) -> Duration {
    let early = whole / 10;
    let jitter = ExponentialBuilder::new().with_min_delay(early).with_jitter().build().next();
    // The builder's jitter lies between one and two times what it is given.
    whole.saturating_sub(jitter.map_or(early, |jitter| jitter.saturating_sub(early)))
}

/// The longest that can pass until a failed try has been followed by another one.
pub(super) fn patience(settings: &KeySettings) -> Duration {
    2 * RETRY_MAX.max(settings.floor) + FETCH_MAX
}

fn retries(settings: &KeySettings) -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(settings.floor.max(Duration::from_secs(1)))
        .with_max_delay(RETRY_MAX.max(settings.floor))
        .with_factor(1.5)
        .with_jitter()
        .without_max_times()
        .build()
}
