//! Whether a certificate is revoked: lists of every authority, fetched ahead of need, held in memory, kept on disk, and
//! handed on to Dovecot.
//!
//! A list that says "revoked" is believed however old it is. What no usable list speaks of is `Unavailable`, unless an
//! operator has suspended the check, for a stated time and reason. A bad answer never takes the place of a good list.

mod copy;
mod dovecot;
mod refresh;
mod status;
mod suspension;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use url::Url;

pub use dovecot::DovecotFiles;
pub use refresh::ListError;
pub use status::{ListState, ListStatus, RevocationsStatus, SourceStatus};
pub use suspension::{SUSPENSION_MAX, Suspension, SuspensionError};

use super::{Chains, Crl, Path};
use crate::clock::{Clock, UnixSeconds};
use crate::http::HttpClient;
use dovecot::Dovecot;
use refresh::Source;
use suspension::Suspensions;

/// How lists are held.
#[derive(Clone, Debug)]
pub struct RevocationSettings {
    /// Time between two fetches of a list; sooner where it runs out sooner.
    pub refresh: Duration,
    /// How long after its nextUpdate a list stays usable.
    pub max_stale: Duration,
    /// Folder of the copies, the sidecar's own.
    pub folder: PathBuf,
    /// Where the lists come from, each with the place of its chain.
    pub sources: Vec<(usize, Url)>,
    /// The files that Dovecot reads. `None`: none are written.
    pub dovecot: Option<DovecotFiles>,
}

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Neither it nor an authority above it is revoked.
    Good {
        /// A list was past its nextUpdate, or was needed and missing while the check is suspended.
        degraded: bool,
    },
    /// It, or an authority above it, is revoked.
    Revoked,
    /// A list that is needed is missing or too old.
    Unavailable,
}

/// The lists of all chains. Clones share them; the fetching ends with the last clone.
#[derive(Clone)]
pub struct Revocations(Arc<Handle>);

struct Handle {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

struct Inner {
    chains: Arc<Chains>,
    settings: RevocationSettings,
    http: HttpClient,
    clock: Clock,
    /// For each chain, for each of its authorities.
    held: Vec<Vec<ArcSwapOption<Held>>>,
    sources: Vec<Source>,
    /// Taken while a list is compared with the held one and put in its place.
    taking: Mutex<()>,
    suspensions: Suspensions,
    dovecot: Option<Dovecot>,
    /// Dovecot's files may have to be others.
    changed: Notify,
}

/// A list in use.
struct Held {
    list: Crl,
    /// When its authority last gave it.
    fetched_at: UnixSeconds,
}

impl Revocations {
    /// Starts with the copies on disk and fetches at once. Blocks for reading them. Must be called within a Tokio
    /// runtime.
    #[must_use]
    pub fn start(chains: Arc<Chains>, settings: RevocationSettings, http: HttpClient, clock: Clock) -> Self {
        let empty = |chain: &super::Chain| chain.authorities().iter().map(|_| ArcSwapOption::empty()).collect();
        let inner = Arc::new(Inner {
            held: chains.0.iter().map(empty).collect(),
            sources: settings.sources.iter().map(|(chain, url)| Source::new(*chain, url.clone())).collect(),
            taking: Mutex::default(),
            suspensions: Suspensions::open(&settings.folder, clock.now()),
            dovecot: settings.dovecot.clone().map(|files| Dovecot::new(files, chains.0.len())),
            changed: Notify::new(),
            chains,
            settings,
            http,
            clock,
        });
        inner.start_from_copies();
        let fetching = (0..inner.sources.len()).map(|at| tokio::spawn(refresh::run(Arc::clone(&inner), at)));
        let mut tasks: Vec<AbortHandle> = fetching.map(|task| task.abort_handle()).collect();
        tasks.push(tokio::spawn(dovecot::run(Arc::clone(&inner))).abort_handle());
        Self(Arc::new(Handle { inner, tasks }))
    }

    /// The chains whose lists these are.
    #[must_use]
    pub fn chains(&self) -> &Arc<Chains> {
        &self.0.inner.chains
    }

    /// Looks up the certificate of `path`, and every authority on it but the root, in their issuers' lists. Waits for
    /// nothing.
    #[must_use]
    pub fn verdict(&self, path: &Path<'_>, now: UnixSeconds) -> Revocation {
        self.0.inner.verdict(path, now)
    }

    /// The suspension of the check, while it lasts.
    #[must_use]
    pub fn suspended(&self, now: UnixSeconds) -> Option<Suspension> {
        self.0.inner.suspensions.at(now)
    }

    /// Suspends the check until `until`: what no usable list speaks of counts as good. In place of a suspension before.
    /// Survives a restart. Blocks for the disk.
    ///
    /// # Errors
    /// [`SuspensionError`]; nothing is changed then. Where the disk fails even at taking the change back, what it shows
    /// holds.
    pub fn suspend(&self, until: UnixSeconds, reason: &str, by: &str) -> Result<Suspension, SuspensionError> {
        let suspension = self.0.inner.suspensions.begin(self.0.inner.clock.now(), until, reason, by)?;
        tracing::warn!(until = until.0, reason, by, "the revocation check is suspended");
        self.0.inner.changed.notify_one();
        Ok(suspension)
    }

    /// Ends the suspension, if there is one. Blocks for the disk.
    ///
    /// # Errors
    /// [`SuspensionError::Disk`]: the suspension then lasts on, or has ended and could come back after a crash.
    pub fn resume(&self, by: &str) -> Result<(), SuspensionError> {
        let ended = self.0.inner.suspensions.end();
        self.0.inner.changed.notify_one();
        ended?;
        tracing::warn!(by, "the revocation check is resumed");
        Ok(())
    }

    /// Fetches every list now, one after the other, and then brings Dovecot's files up to date: an operator's wish.
    pub async fn refresh(&self) {
        for at in 0..self.0.inner.sources.len() {
            refresh::round(&self.0.inner, at).await;
        }
        self.settle().await;
    }

    /// Brings Dovecot's files up to date now, and tells it where that is set up.
    pub async fn settle(&self) {
        dovecot::settle(&self.0.inner).await;
    }

    /// Whether Dovecot itself now refuses what the lists in use revoke: it was told of exactly these, none is past its
    /// nextUpdate, it is to want them, and its reload succeeded.
    #[must_use]
    pub fn enforced_by_dovecot(&self, chain: &str, now: UnixSeconds) -> bool {
        dovecot::enforces(&self.0.inner, chain, now)
    }

    /// A picture for the operator.
    #[must_use]
    pub fn status(&self, now: UnixSeconds) -> RevocationsStatus {
        status::of(&self.0.inner, now)
    }
}

impl Inner {
    fn verdict(&self, path: &Path<'_>, now: UnixSeconds) -> Revocation {
        let (mut degraded, mut open) = (false, false);
        for (certificate, authority) in path.revocable() {
            let held = self.held_of(path.chain().name(), authority);
            match held {
                // However old the list: nobody comes back from it.
                Some(held) if held.list.revokes(certificate.serial()) => return Revocation::Revoked,
                // Another list of the same authority speaks of it.
                Some(held) if !held.list.speaks_of(certificate) => open = true,
                Some(held) => match self.state(&held.list, now) {
                    ListState::Current => {}
                    ListState::Stale => degraded = true,
                    ListState::Unusable | ListState::Missing => open = true,
                },
                None => open = true,
            }
        }
        match open {
            true if self.suspensions.at(now).is_some() => Revocation::Good { degraded: true },
            true => Revocation::Unavailable,
            false => Revocation::Good { degraded },
        }
    }

    fn held_of(&self, chain: &str, authority: &super::Authority) -> Option<Arc<Held>> {
        let at = self.chains.0.iter().position(|configured| configured.name() == chain)?;
        let wanted = authority.certificate().fingerprint();
        let place = self.chains.0.get(at)?.authorities().iter();
        let place = place.map(|authority| authority.certificate().fingerprint()).position(|known| known == wanted)?;
        self.held.get(at)?.get(place)?.load_full()
    }

    fn state(&self, list: &Crl, now: UnixSeconds) -> ListState {
        match now {
            now if now <= list.next_update() => ListState::Current,
            now if now <= list.next_update().plus(self.settings.max_stale.as_secs()) => ListState::Stale,
            _ => ListState::Unusable,
        }
    }

    fn taking(&self) -> std::sync::MutexGuard<'_, ()> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
