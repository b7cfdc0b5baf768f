//! What an operator sees of an issuer's keys.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::time::Instant;

use super::{CopyError, FetchError, Generation, Inner, SetError, Skipped};

/// Why the keys could not be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyError {
    /// Nothing came.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What came is no good.
    #[error(transparent)]
    Set(#[from] SetError),
}

impl KeyError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fetch(fault) => fault.code(),
            Self::Set(fault) => fault.code(),
        }
    }
}

/// Where the set in use came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The issuer, since this process started.
    Issuer,
    /// The copy on disk.
    Disk,
}

impl Origin {
    /// Stable code for status.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Disk => "disk",
        }
    }
}

/// In what state the keys of an issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysState {
    /// Confirmed by the last fetch.
    Current,
    /// In use although the last fetch failed.
    Stale,
    /// No keys, or too old: every login of this issuer is told to try again.
    Unavailable,
}

impl KeysState {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Stale => "stale",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One key in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// Its name.
    pub kid: Option<String>,
    /// What it verifies.
    pub algorithm: Algorithm,
}

/// The picture.
#[derive(Clone, Debug)]
pub struct KeysStatus {
    /// The issuer.
    pub issuer: String,
    /// In what state.
    pub state: KeysState,
    /// Number of the set in use.
    pub generation: Option<Generation>,
    /// Where it came from.
    pub origin: Option<Origin>,
    /// Since the issuer confirmed it.
    pub age: Option<Duration>,
    /// Until the next scheduled fetch.
    pub next_refresh: Option<Duration>,
    /// Why the last fetch failed; `None` when it did not.
    pub last_error: Option<KeyError>,
    /// Since when fetches fail.
    pub failing_for: Option<Duration>,
    /// Fetches since the start.
    pub fetches: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// The keys in use.
    pub keys: Vec<KeyStatus>,
    /// The keys of the document that are not used, and why.
    pub skipped: Vec<Skipped>,
    /// What is wrong with the copy on disk; `None` when nothing is, or none is kept.
    pub copy_error: Option<CopyError>,
    /// Names that a fetch has shown absent lately.
    pub absent: usize,
}

/// What the fetching task keeps for the picture.
#[derive(Default)]
pub(super) struct Report {
    pub(super) origin: Option<Origin>,
    pub(super) copy_error: Option<CopyError>,
    next: Option<Instant>,
    last_error: Option<KeyError>,
    failing_since: Option<Instant>,
    fetches: u64,
    failures: u64,
}

impl Report {
    pub(super) fn ended(&mut self, error: Option<KeyError>, next: Instant) {
        self.next = Some(next);
        self.fetches += 1;
        self.last_error = error;
        if error.is_some() {
            self.failures += 1;
            self.failing_since.get_or_insert_with(Instant::now);
        } else {
            self.failing_since = None;
        }
    }

    pub(super) const fn last_error(&self) -> Option<KeyError> {
        self.last_error
    }
}

pub(super) fn state(inner: &Inner) -> KeysState {
    let usable = inner.current.load().as_ref().map(|current| inner.is_usable(current));
    let report = inner.report();
    let failing = report.last_error.is_some() || report.origin == Some(Origin::Disk);
    match usable {
        Some(true) if failing => KeysState::Stale,
        Some(true) => KeysState::Current,
        Some(false) | None => KeysState::Unavailable,
    }
}

pub(super) fn of(inner: &Inner) -> KeysStatus {
    let state = state(inner);
    let current = inner.current.load_full();
    let absent = inner.absent().len();
    let report = inner.report();
    let age = current.as_ref().map(|current| current.age());
    let set = current.as_ref().map(|current| &current.set);
    let keys = set.map_or(&[][..], |set| set.keys()).iter();
    KeysStatus {
        issuer: inner.settings.issuer.clone(),
        state,
        generation: set.map(|set| set.generation()),
        origin: report.origin,
        age,
        next_refresh: report.next.map(|next| next.saturating_duration_since(Instant::now())),
        last_error: report.last_error,
        failing_for: report.failing_since.map(|since| since.elapsed()),
        fetches: report.fetches,
        failures: report.failures,
        keys: keys.map(|key| KeyStatus { kid: key.kid.clone(), algorithm: key.algorithm }).collect(),
        skipped: set.map_or_else(Vec::new, |set| set.skipped().to_vec()),
        copy_error: report.copy_error,
        absent,
    }
}
