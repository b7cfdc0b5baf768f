//! The life of a policy: staged, put into service, taken back, retired, while logins go on.
//!
//! A step is checked, then written down, then done, and recorded with who took it and why; a step that fails anywhere
//! leaves the policy in service as it is. A rollback needs nothing but what is on disk. Components are compiled off the
//! threads that serve logins.

pub mod shelf;
pub mod standing;
pub mod versions;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use self::shelf::{Shelf, ShelfError};
use self::standing::{Held, Mark, Refusal, Standing, Which};
use self::versions::{NotNewer, Versions};
use crate::audit::{Audit, PolicyEvent, PolicyStep};
use crate::clock::Clock;
use crate::config::PolicySettings;
use crate::gate::Gate;
use crate::policy::{Bundle, Digest, Engine, LoadError, MAX_COMPONENT, MAX_SETTINGS, Release, Trust, TrustError};

/// Longest reason, characters.
pub const MAX_TEXT: usize = 200;
/// Longest origin, characters: a registry, a repository, a tag and a digest as long as they may be.
pub const MAX_ORIGIN: usize = 800;

/// What the life of a policy is led with.
pub struct ReleasesParts {
    /// What the policy in service decides for. It serves the configuration's own.
    pub gate: Arc<Gate>,
    /// Compiles.
    pub engine: Engine,
    /// Where releases lie.
    pub folder: PathBuf,
    /// Completes their settings.
    pub settings: PolicySettings,
    /// Whose signatures they need.
    pub trust: Trust,
    /// The record.
    pub audit: Audit,
    /// The clock.
    pub clock: Clock,
}

/// The releases of this sidecar.
pub struct Releases {
    parts: ReleasesParts,
    shelf: Shelf,
    configured: Arc<Release>,
    /// Held over a whole step: two at once must not write down one and put the other into service.
    desk: Mutex<Desk>,
}

struct Desk {
    standing: Standing,
    /// Compiled releases of those that are kept: a rollback must not wait for a compiler.
    loaded: HashMap<Digest, Arc<Release>>,
}

/// Who takes a step, and why.
#[derive(Clone, Debug)]
pub struct Who {
    /// The uid at the other end of the admin socket.
    pub uid: u32,
    /// In their own words.
    pub reason: String,
}

/// Why a step was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// What was given does not hold.
    #[error("{0}")]
    Invalid(String),
    /// The component does not load, or refuses its settings.
    #[error("the component can't be a release: {0}")]
    Component(#[from] LoadError),
    /// As things stand.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It had to be newer.
    #[error("{0}")]
    NotNewer(#[from] NotNewer),
    /// It is not signed as it must be.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// The disk's.
    #[error("it could not be written down or read: {0}")]
    Shelf(#[from] ShelfError),
    /// A thread went away.
    #[error("the step was not finished")]
    Thread,
}

impl fmt::Debug for Releases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Releases({})", self.shelf.folder().display())
    }
}

impl Releases {
    /// Reads how things stand, and puts the release that was in service into service again.
    ///
    /// # Errors
    /// It can't be read, or does not load. Nothing else is put in its place: the configuration's own policy may lack what
    /// the release was made for. Whoever wants that one moves the folder away.
    pub async fn open(parts: ReleasesParts) -> Result<Self, StepError> {
        let shelf = Shelf::new(parts.folder.clone());
        let reading = shelf.clone();
        let standing = blocking(move || {
            let standing = reading.standing()?;
            reading.sweep(&standing);
            Ok(standing)
        })
        .await?;
        let releases = Self {
            configured: parts.gate.release(),
            shelf,
            desk: Mutex::new(Desk { standing: Standing::default(), loaded: HashMap::new() }),
            parts,
        };
        let mut desk = releases.desk.lock().await;
        if let Which::Release(release) = standing.active {
            let loaded = releases.load(release).await?;
            if loaded.is_unsigned() {
                tracing::warn!(release = %release, "the policy in service is a release that nobody signed");
            }
            desk.loaded.insert(release, Arc::clone(&loaded));
            releases.parts.gate.put_in_service(loaded);
        }
        if let Some(Which::Release(release)) = standing.previous {
            match releases.load(release).await {
                Ok(loaded) => drop(desk.loaded.insert(release, loaded)),
                Err(error) => tracing::error!(%release, %error, "a rollback would fail: its release does not load"),
            }
        }
        desk.standing = standing;
        drop(desk);
        Ok(releases)
    }

    /// How things stand.
    pub async fn standing(&self) -> Standing {
        self.desk.lock().await.standing.clone()
    }

    /// Checks a release and keeps it.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn stage(&self, bundle: Bundle, who: Who) -> Result<Held, StepError> {
        self.stage_if(bundle, who, Versions::Any).await
    }

    /// As [`Self::stage`], where `versions` lets it.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn stage_if(&self, bundle: Bundle, who: Who, versions: Versions) -> Result<Held, StepError> {
        let release = bundle.statement().release();
        let mut desk = self.desk.lock().await;
        let taken = self.keep(&mut desk, bundle, release, &who, versions).await;
        self.record(PolicyStep::Stage, Some(release), &who, taken.as_ref().err());
        taken
    }

    /// Puts a release into service, or the configuration's own policy.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn activate(&self, name: &str, who: Who) -> Result<Option<Held>, StepError> {
        self.activate_if(name, who, Versions::Any).await
    }

    /// As [`Self::activate`], where `versions` lets it.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn activate_if(&self, name: &str, who: Who, versions: Versions) -> Result<Option<Held>, StepError> {
        let mut desk = self.desk.lock().await;
        let which = match name {
            "configuration" => Ok(Which::Configuration),
            name => desk.standing.find(name).map(|held| Which::Release(held.release)),
        };
        let taken = match which {
            Ok(which) => {
                let next = self.mark(&who).and_then(|mark| {
                    if let Some(held) = desk.standing.held.iter().find(|held| Which::Release(held.release) == which) {
                        self.permit(&desk, &held.version, versions)?;
                    }
                    Ok(desk.standing.clone().activated(which, mark)?)
                });
                self.change(&mut desk, next).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        let release = which.ok().and_then(released);
        self.record(PolicyStep::Activate, release, &who, taken.as_ref().err());
        taken
    }

    /// Puts what was in service before back.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn roll_back(&self, who: Who) -> Result<Option<Held>, StepError> {
        let mut desk = self.desk.lock().await;
        let release = desk.standing.previous.and_then(released);
        let next = self.mark(&who).and_then(|mark| Ok(desk.standing.clone().rolled_back(mark)?));
        let taken = self.change(&mut desk, next).await;
        self.record(PolicyStep::Rollback, release, &who, taken.as_ref().err());
        taken
    }

    /// Forgets a release.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn retire(&self, name: &str, who: Who) -> Result<(), StepError> {
        let mut desk = self.desk.lock().await;
        let found = desk.standing.find(name).map(|held| held.release);
        let taken = match found {
            Ok(release) => self.forget(&mut desk, release, &who).await,
            Err(refusal) => Err(refusal.into()),
        };
        self.record(PolicyStep::Retire, found.ok(), &who, taken.as_ref().err());
        taken
    }

    /// Whether `versions` lets a release with this version in.
    fn permit(&self, desk: &Desk, version: &str, versions: Versions) -> Result<(), StepError> {
        let serving = self.parts.gate.release().card().version.clone();
        Ok(versions.permit(version, &serving, desk.standing.highest.as_deref())?)
    }

    async fn keep(
        &self,
        desk: &mut Desk,
        bundle: Bundle,
        release: Digest,
        who: &Who,
        versions: Versions,
    ) -> Result<Held, StepError> {
        let staged = self.mark(who)?;
        sizes(&bundle)?;
        let compiling = self.compiling();
        let (loaded, signed_by, bundle) = blocking(move || {
            let (loaded, signed_by) = compiling(&bundle)?;
            Ok((loaded, signed_by, bundle))
        })
        .await?;
        let (name, version) = (loaded.card().name.clone(), loaded.card().version.clone());
        self.permit(desk, &version, versions)?;
        let held = Held { release, name, version, origin: bundle.origin.clone(), signed_by, staged };
        let before = desk.standing.clone();
        let next = before.clone().with(held.clone())?;
        let shelf = self.shelf.clone();
        desk.standing = blocking(move || {
            shelf.put(&bundle)?;
            shelf.change(&before, &next)?;
            Ok(next)
        })
        .await?;
        desk.loaded.insert(release, Arc::new(loaded));
        Ok(held)
    }

    async fn change(&self, desk: &mut Desk, next: Result<Standing, StepError>) -> Result<Option<Held>, StepError> {
        let next = next?;
        let policy = match next.active {
            Which::Configuration => Arc::clone(&self.configured),
            Which::Release(release) => match desk.loaded.get(&release) {
                Some(loaded) => Arc::clone(loaded),
                None => self.load(release).await?,
            },
        };
        let (shelf, before) = (self.shelf.clone(), desk.standing.clone());
        desk.standing = blocking(move || {
            shelf.change(&before, &next)?;
            Ok(next)
        })
        .await?;
        if let Which::Release(release) = desk.standing.active {
            desk.loaded.insert(release, Arc::clone(&policy));
        }
        self.parts.gate.put_in_service(policy);
        let active = released(desk.standing.active);
        Ok(active.and_then(|release| desk.standing.held.iter().find(|held| held.release == release).cloned()))
    }

    async fn forget(&self, desk: &mut Desk, release: Digest, who: &Who) -> Result<(), StepError> {
        self.mark(who)?;
        let before = desk.standing.clone();
        let next = before.clone().without(release)?;
        let shelf = self.shelf.clone();
        desk.standing = blocking(move || {
            shelf.change(&before, &next)?;
            shelf.remove(release);
            Ok(next)
        })
        .await?;
        desk.loaded.remove(&release);
        Ok(())
    }

    /// Reads a release from disk and compiles it. Its signatures are held against the signers of today.
    async fn load(&self, release: Digest) -> Result<Arc<Release>, StepError> {
        let (shelf, compiling) = (self.shelf.clone(), self.compiling());
        let (loaded, _) = blocking(move || compiling(&shelf.get(release)?)).await?;
        Ok(Arc::new(loaded))
    }

    /// Checks who signed a release, and only then reads and compiles it.
    fn compiling(&self) -> impl FnOnce(&Bundle) -> Result<(Release, Vec<String>), StepError> + Send + 'static {
        let ReleasesParts { engine, settings, trust, .. } = &self.parts;
        let (engine, settings, trust) = (engine.clone(), settings.clone(), trust.clone());
        move |bundle| {
            let statement = bundle.statement();
            let signed_by = trust.check(&statement, &bundle.signatures)?;
            let complete = settings.complete(bundle.settings.as_deref());
            let complete = complete.map_err(|expected| StepError::Invalid(format!("settings.json: {expected}")))?;
            let loaded = Release::load(&engine, &bundle.component, &complete)?;
            Ok((loaded.known_as(statement.release(), signed_by.is_empty()), signed_by))
        }
    }

    fn mark(&self, who: &Who) -> Result<Mark, StepError> {
        let reason = who.reason.trim();
        if reason.is_empty() || !is_line(reason, MAX_TEXT) {
            let expected = format!("expected a reason, one line of at most {MAX_TEXT} characters: it is recorded");
            return Err(StepError::Invalid(expected));
        }
        Ok(Mark { at: self.parts.clock.now().0, uid: who.uid, reason: reason.to_owned() })
    }

    fn record(&self, step: PolicyStep, release: Option<Digest>, who: &Who, error: Option<&StepError>) {
        let (code, uid) = (step.code(), who.uid);
        let shown = release.map(|release| release.to_string());
        match error {
            None => tracing::info!(step = code, release = shown, uid, "a policy step was taken"),
            Some(error) => tracing::warn!(step = code, release = shown, uid, %error, "a policy step failed"),
        }
        self.parts.audit.policy(&PolicyEvent {
            step,
            now: self.parts.clock.now(),
            release: shown.as_deref(),
            uid,
            reason: &who.reason,
            error: error.map(ToString::to_string).as_deref(),
        });
    }
}

fn released(which: Which) -> Option<Digest> {
    match which {
        Which::Configuration => None,
        Which::Release(release) => Some(release),
    }
}

fn sizes(bundle: &Bundle) -> Result<(), StepError> {
    if bundle.component.len() > MAX_COMPONENT {
        return Err(StepError::Invalid(format!("expected a component of at most {MAX_COMPONENT} bytes")));
    }
    if bundle.settings.as_ref().is_some_and(|settings| settings.len() > MAX_SETTINGS) {
        return Err(StepError::Invalid(format!("expected settings of at most {MAX_SETTINGS} bytes")));
    }
    if !is_line(&bundle.origin, MAX_ORIGIN) {
        return Err(StepError::Invalid(format!("expected an origin of one line, at most {MAX_ORIGIN} characters")));
    }
    Ok(())
}

/// One line that may stand in a record and on a terminal.
fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StepError::Thread)?
}
