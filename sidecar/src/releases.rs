//! The life of a policy: staged, put into service, taken back, retired, while logins go on.
//!
//! A step is checked, then written down, then done, and recorded with who took it and why; a step that fails anywhere
//! leaves the policy in service as it is. A rollback needs nothing but what is on disk. Components are compiled off the
//! threads that serve logins.

pub mod examination;
mod service;
pub mod shelf;
mod staging;
pub mod standing;
mod step;
pub mod versions;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use self::shelf::Shelf;
use self::standing::{Held, Mark, Quarantine, Refusal, Standing, Trial, Which};
use self::step::is_line;
pub use self::step::{MAX_LISTED, MAX_ORIGIN, MAX_TEXT, Portion, StepError, Who};
use self::versions::Versions;
use crate::audit::{Audit, PolicyEvent, PolicyStep};
use crate::clock::Clock;
use crate::config::PolicySettings;
use crate::evidence::directory::IdNat;
use crate::gate::{Failed, Gate, Shadow};
use crate::policy::{Bundle, Digest, Engine, Release, Trust};

/// Pause between two tries to take a release back.
const AGAIN: Duration = Duration::from_secs(5);

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
    /// The folder with the operator's vectors.
    pub vectors: Option<PathBuf>,
    /// The watch over what came last.
    pub probation: ProbationSettings,
    /// The record.
    pub audit: Audit,
    /// The clock.
    pub clock: Clock,
}

/// How a release is watched after it came into service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbationSettings {
    /// For how long, seconds. 0: nothing is ever taken back by itself.
    pub seconds: u64,
    /// Once it failed so many persons, on attempts whose signature holds, it is taken back.
    pub persons: usize,
}

/// The releases of this sidecar.
pub struct Releases {
    parts: ReleasesParts,
    shelf: Shelf,
    configured: Arc<Release>,
    quarantine: UnboundedSender<Failed>,
    /// Held while a release is compiled and examined.
    bench: Mutex<()>,
    /// Held over a whole step: two at once must not write down one and put the other into service.
    desk: Mutex<Desk>,
}

struct Desk {
    standing: Standing,
    /// Compiled releases of those that are kept: a rollback must not wait for a compiler.
    loaded: HashMap<Digest, Arc<Release>>,
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
    /// It can't be read, or does not load. Nothing else is put in its place: the configuration's own policy may lack
    /// what the release was made for. Whoever wants that one moves the folder away.
    pub async fn open(parts: ReleasesParts) -> Result<Arc<Self>, StepError> {
        let shelf = Shelf::new(parts.folder.clone());
        let reading = shelf.clone();
        let standing = blocking(move || {
            let standing = reading.standing()?;
            reading.sweep(&standing);
            Ok(standing)
        })
        .await?;
        let (quarantine, mut failed) = unbounded_channel();
        let releases = Arc::new(Self {
            configured: Arc::clone(&parts.gate.service().release),
            shelf,
            bench: Mutex::new(()),
            desk: Mutex::new(Desk { standing: Standing::default(), loaded: HashMap::new() }),
            quarantine,
            parts,
        });
        releases.resume(standing).await?;
        let looking = Arc::downgrade(&releases);
        tokio::spawn(async move {
            while let Some(failed) = failed.recv().await {
                // A full disk must not be the end of it.
                loop {
                    let Some(releases) = looking.upgrade() else { return };
                    if releases.take_back(&failed).await {
                        break;
                    }
                    drop(releases);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        });
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
        let taken = self.keep(bundle, release, &who, versions).await;
        self.record(PolicyStep::Stage, Some(release), &who, taken.as_ref().err());
        taken
    }

    /// Puts a release into service, or the configuration's own policy: for all, or for the given share of persons.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn activate(
        &self,
        name: &str,
        portion: Portion,
        versions: Versions,
        who: Who,
    ) -> Result<Standing, StepError> {
        let mut desk = self.desk.lock().await;
        let which = match name {
            "configuration" => Ok(Which::Configuration),
            name => desk.standing.find(name).map(|held| Which::Release(held.release)),
        };
        let taken = match which {
            Ok(which) => {
                let next = self.mark(&who).and_then(|mark| {
                    if let Which::Release(release) = which
                        && let Some(held) = desk.standing.held(release)
                    {
                        self.permit(&desk, &held.version, versions)?;
                    }
                    self.portioned(&desk.standing, which, portion, mark)
                });
                self.change(&mut desk, next).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        let release = which.ok().and_then(released);
        self.record(PolicyStep::Activate, release, &who, taken.as_ref().err());
        taken
    }

    /// Lets a release answer in the shadow of the one in service, or ends that where `name` is empty.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn shadow(&self, name: &str, who: Who) -> Result<Standing, StepError> {
        let mut desk = self.desk.lock().await;
        let found = match name {
            "" => Ok(None),
            name => desk.standing.find(name).map(|held| Some(held.release)),
        };
        let taken = match found {
            Ok(release) => {
                let next = self.mark(&who).and_then(|_| Ok(desk.standing.clone().shadowed(release)?));
                self.change(&mut desk, next).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        self.record(PolicyStep::Shadow, found.ok().flatten(), &who, taken.as_ref().err());
        taken
    }

    /// Takes the last step back.
    ///
    /// # Errors
    /// [`StepError`]
    pub async fn roll_back(&self, who: Who) -> Result<Standing, StepError> {
        let mut desk = self.desk.lock().await;
        let next = self.mark(&who).and_then(|mark| Ok(desk.standing.clone().rolled_back(mark)?));
        let taken = self.change(&mut desk, next).await;
        let release = taken.as_ref().ok().and_then(|standing| released(standing.active));
        self.record(PolicyStep::Rollback, release, &who, taken.as_ref().err());
        taken
    }

    /// What is in the shadow.
    #[must_use]
    pub fn in_shadow(&self) -> Option<Arc<Shadow>> {
        self.parts.gate.shadow()
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

    /// Takes a release back that failed in its probation. `false`: it could not be done, and has to be.
    async fn take_back(&self, failed: &Failed) -> bool {
        let mut desk = self.desk.lock().await;
        let Ok(release) = format!("sha256:{}", failed.release).parse::<Digest>() else { return true };
        let why = format!("failed {} persons on proven attempts, at last with {}", failed.persons, failed.code);
        let at = self.parts.clock.now().0;
        let quarantine = Quarantine { at, code: failed.code.to_owned(), persons: failed.persons };
        let next = desk.standing.clone().quarantined(release, quarantine).map_err(StepError::from);
        let taken = self.change(&mut desk, next).await;
        let who = Who { uid: None, reason: why };
        self.record(PolicyStep::Quarantine, Some(release), &who, taken.as_ref().err());
        matches!(taken, Ok(_) | Err(StepError::Refused(_)))
    }

    /// Checks that all that is to decide can, writes it down, and puts it into service.
    async fn change(&self, desk: &mut Desk, next: Result<Standing, StepError>) -> Result<Standing, StepError> {
        let next = next?;
        let service = self.service(desk, &next).await?;
        let shadow = match self.shadow_of(desk, &next).await {
            Err(error) if next.shadow == desk.standing.shadow => {
                // It decides nothing, and must not stand in the way of those that do.
                tracing::error!(%error, "the release in the shadow does not load");
                None
            }
            shadow => shadow?,
        };
        let (shelf, before) = (self.shelf.clone(), desk.standing.clone());
        desk.standing = blocking(move || {
            shelf.change(&before, &next)?;
            Ok(next)
        })
        .await?;
        self.parts.gate.put_in_service(service);
        if let Some(shadow) = shadow {
            self.parts.gate.put_in_shadow(shadow);
        }
        Ok(desk.standing.clone())
    }

    fn portioned(
        &self,
        standing: &Standing,
        which: Which,
        portion: Portion,
        mark: Mark,
    ) -> Result<Standing, StepError> {
        let serving = self.parts.gate.service();
        let standing = standing.clone().with_version(&serving.release.card().version);
        let Portion { percent, identities } = portion;
        if percent == 0 && identities.is_empty() {
            return Ok(standing.activated(which, mark)?);
        }
        let Which::Release(release) = which else { return Err(Refusal::Share.into()) };
        if identities.len() > MAX_LISTED {
            return Err(StepError::Invalid(format!("expected at most {MAX_LISTED} identities")));
        }
        let listed = identities.iter().map(|identity| {
            let identity = IdNat::parse(identity);
            // Who it is stays out of the complaint: it goes to the log.
            let identity = identity.map_err(|error| StepError::Invalid(format!("an identity: {error}")))?;
            Ok(self.parts.audit.pseudonyms().digest(&identity))
        });
        let listed = listed.collect::<Result<_, StepError>>()?;
        let percent = u8::try_from(percent).map_err(|_| Refusal::Share)?;
        Ok(standing.tried(Trial { release, percent, listed, mark })?)
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

    fn mark(&self, who: &Who) -> Result<Mark, StepError> {
        let reason = who.reason.trim();
        if reason.is_empty() || !is_line(reason, MAX_TEXT) {
            let expected = format!("expected a reason, one line of at most {MAX_TEXT} characters: it is recorded");
            return Err(StepError::Invalid(expected));
        }
        Ok(Mark { at: self.parts.clock.now().0, uid: who.uid.unwrap_or_default(), reason: reason.to_owned() })
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StepError::Thread)?
}
