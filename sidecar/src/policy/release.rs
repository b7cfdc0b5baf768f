//! A policy in service: a component that was checked and compiled, with the settings that it accepted.
//!
//! Every login gets instances of its own. An [`Instance`] is neither `Send` nor shared, so that the compiler refuses
//! code that keeps one across an `.await`: no instance ever waits for a network.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use wasmtime::component::{self, InstancePre, Linker};
use wasmtime::{Store, Trap};

use super::bundle::Digest;
use super::engine::{Engine, Guard};
use super::wit::PolicyPre;
use super::wit::certificate;
use super::wit::login::{self, Attempt, Evidence, Inquiry, Refusal, Verdict};
use super::wit::manifest::{self, Card};
use super::wit::submission::{self, Request};
use crate::clock::UnixSeconds;
use crate::reason::UnavailableReason;

/// Longest name and version of a policy, characters (`wit/policy.wit`, card).
const MAX_NAME: usize = 64;

/// One thing wrong with the settings, as the policy says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer of the value at fault (RFC 6901).
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Why a component can't become a release.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not a component, or not a valid one.
    #[error("not a valid WebAssembly component: {0:#}")]
    Invalid(wasmtime::Error),
    /// It wants something from outside.
    #[error("a policy imports nothing, this component imports: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It does not export the world `octroi:policy/policy`.
    #[error("the component does not export the world octroi:policy/policy@0.2.0: {0:#}")]
    World(wasmtime::Error),
    /// It failed while it read its settings.
    #[error("the policy failed while it described itself or read its settings: {0}")]
    Fault(#[from] Fault),
    /// Its card is not what a card must be.
    #[error("the policy's card: expected a name and a version of 1 to {MAX_NAME} ASCII characters without blanks")]
    Card,
    /// It refused its settings.
    #[error("the policy refuses its settings: {}", problems(.0))]
    Settings(Vec<Problem>),
}

fn problems(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.pointer, p.message)).collect();
    lines.join("; ")
}

/// Why a call gave no answer. Never says what the policy was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The policy trapped: a panic, an out-of-bounds access, an exhausted stack, an answer that breaks the contract.
    #[error("the policy trapped")]
    Trapped,
    /// The deadline passed.
    #[error("the policy took too long")]
    Timeout,
    /// It wanted more memory or table elements than it may have, or there were too many instances.
    #[error("the policy asked for more than its limits")]
    Limit,
}

impl From<Fault> for UnavailableReason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Trapped => Self::PolicyTrapped,
            Fault::Timeout => Self::PolicyTimeout,
            Fault::Limit => Self::PolicyLimit,
        }
    }
}

/// A policy in service.
pub struct Release {
    engine: Engine,
    component: InstancePre<Guard>,
    interfaces: Arc<Interfaces>,
    card: Arc<Card>,
    digest: String,
    unsigned: bool,
    settings: Arc<[u8]>,
}

/// Where the functions of each interface are. Every instance has its functions' types checked before they are called;
/// an interface of which nothing is called costs nothing.
struct Interfaces {
    manifest: manifest::GuestIndices,
    login: login::GuestIndices,
    submission: submission::GuestIndices,
    certificate: certificate::GuestIndices,
}

impl Interfaces {
    fn of(component: &InstancePre<Guard>) -> wasmtime::Result<Self> {
        Ok(Self {
            manifest: manifest::GuestIndices::new(component)?,
            login: login::GuestIndices::new(component)?,
            submission: submission::GuestIndices::new(component)?,
            certificate: certificate::GuestIndices::new(component)?,
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Release({} {} {})", self.card.name, self.card.version, self.digest)
    }
}

impl Release {
    /// Checks a component, compiles it and lets it read its settings. Takes a third of a second of CPU: not for a
    /// thread that serves logins.
    ///
    /// # Errors
    /// The first step that fails; a settings error carries every problem.
    pub fn load(engine: &Engine, wasm: &[u8], settings: &str) -> Result<Self, LoadError> {
        let component = engine.component(wasm).map_err(LoadError::Invalid)?;
        let imports: Vec<String> =
            component.component_type().imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
        if !imports.is_empty() {
            return Err(LoadError::Imports(imports));
        }
        let component = Linker::new(engine.wasmtime()).instantiate_pre(&component).map_err(LoadError::World)?;
        is_whole(engine, &component)?;
        let mut release = Self {
            engine: engine.clone(),
            interfaces: Arc::new(Interfaces::of(&component).map_err(LoadError::World)?),
            component,
            card: Arc::new(Card { name: String::new(), version: String::new(), settings_schema: String::new() }),
            digest: Digest::of(wasm).hex(),
            unsigned: false,
            settings: Arc::default(),
        };
        release.card = Arc::new(release.instance()?.describe()?);
        if !(is_name(&release.card.name) && is_name(&release.card.version)) {
            return Err(LoadError::Card);
        }
        release.settings = release.instance()?.configure(settings)?.map_err(LoadError::Settings)?.into();
        Ok(release)
    }

    /// The same component under other settings, for trials: it has the same name.
    ///
    /// # Errors
    /// The policy refuses them, or fails while it reads them.
    pub fn reconfigured(&self, settings: &str) -> Result<Self, LoadError> {
        Ok(Self {
            settings: self.instance()?.configure(settings)?.map_err(LoadError::Settings)?.into(),
            ..self.on(self.engine.clone())
        })
    }

    /// The same release for calls that no login waits for: a call's time is that which it had on the processor.
    #[must_use]
    pub fn in_background(&self) -> Self {
        self.on(self.engine.in_background())
    }

    fn on(&self, engine: Engine) -> Self {
        Self {
            engine,
            component: self.component.clone(),
            interfaces: Arc::clone(&self.interfaces),
            card: Arc::clone(&self.card),
            digest: self.digest.clone(),
            unsigned: self.unsigned,
            settings: Arc::clone(&self.settings),
        }
    }

    /// A fresh instance with all limits armed, for the calls of one login.
    ///
    /// # Errors
    /// [`Fault::Limit`] when the component does not fit the limits or too many instances live.
    pub fn instance(&self) -> Result<Instance<'_>, Fault> {
        let mut store = self.engine.store();
        match self.component.instantiate(&mut store) {
            Ok(instance) => Ok(Instance { store, instance, login: None, release: self, here: PhantomData }),
            Err(error) => Err(fault(&store, &error).unwrap_or(Fault::Limit)),
        }
    }

    /// The same, under the name that decisions carry from now on: that of its release. `unsigned`: nobody signed it.
    #[must_use]
    pub fn known_as(mut self, release: Digest, unsigned: bool) -> Self {
        self.digest = release.hex();
        self.unsigned = unsigned;
        self
    }

    /// Whether it came as a release that nobody signed.
    #[must_use]
    pub const fn is_unsigned(&self) -> bool {
        self.unsigned
    }

    /// The policy's card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What decisions are recorded under, in hexadecimal: the SHA-256 of the component, or the release's digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// What may stand in logs, tables and names of files.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Has one instance made and the type of every function of the world checked.
fn is_whole(engine: &Engine, component: &InstancePre<Guard>) -> Result<(), LoadError> {
    let policy = PolicyPre::new(component.clone()).map_err(LoadError::World)?;
    let mut store = engine.store();
    match policy.instantiate(&mut store) {
        Ok(_) => Ok(()),
        Err(error) => Err(fault(&store, &error).map_or(LoadError::World(error), LoadError::Fault)),
    }
}

/// One instance of the policy. Stays on its thread, inside one computation.
pub struct Instance<'r> {
    store: Store<Guard>,
    instance: component::Instance,
    login: Option<login::Guest>,
    release: &'r Release,
    here: PhantomData<*const ()>,
}

impl Instance<'_> {
    /// Lets the policy read the attempt.
    ///
    /// # Errors
    /// The policy gave no answer.
    pub fn open(&mut self, attempt: &Attempt, now: UnixSeconds) -> Result<Result<Inquiry, Refusal>, Fault> {
        let login = self.login()?;
        let answer = login.call_open(&mut self.store, &self.release.settings, attempt, now.0);
        self.login = Some(login);
        answer.map_err(|error| self.fault(&error))
    }

    /// Lets the policy decide on what was proven.
    ///
    /// # Errors
    /// The policy gave no answer.
    pub fn decide(&mut self, inquiry: &Inquiry, evidence: &Evidence, now: UnixSeconds) -> Result<Verdict, Fault> {
        let login = self.login()?;
        let answer = login.call_decide(&mut self.store, &self.release.settings, inquiry, evidence, now.0);
        answer.map_err(|error| self.fault(&error))
    }

    /// Lets the policy judge a message.
    ///
    /// # Errors
    /// The policy gave no answer.
    pub fn judge(&mut self, request: &Request) -> Result<submission::Verdict, Fault> {
        let submission = self.release.interfaces.submission.load(&mut self.store, &self.instance);
        let answer = submission.and_then(|guest| guest.call_judge(&mut self.store, &self.release.settings, request));
        answer.map_err(|error| self.fault(&error))
    }

    /// Lets the policy judge whether a certificate opens a mailbox.
    ///
    /// # Errors
    /// The policy gave no answer.
    pub fn judge_certificate(
        &mut self,
        request: &certificate::Request,
        now: UnixSeconds,
    ) -> Result<certificate::Verdict, Fault> {
        let guest = self.release.interfaces.certificate.load(&mut self.store, &self.instance);
        let answer = guest.and_then(|guest| guest.call_judge(&mut self.store, &self.release.settings, request, now.0));
        answer.map_err(|error| self.fault(&error))
    }

    /// Bytes of linear memory that it has: memory never shrinks.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.store.data().memory()
    }

    fn describe(&mut self) -> Result<Card, Fault> {
        let manifest = self.release.interfaces.manifest.load(&mut self.store, &self.instance);
        let answer = manifest.and_then(|guest| guest.call_describe(&mut self.store));
        answer.map_err(|error| self.fault(&error))
    }

    fn configure(&mut self, settings: &str) -> Result<Result<Vec<u8>, Vec<Problem>>, Fault> {
        let manifest = self.release.interfaces.manifest.load(&mut self.store, &self.instance);
        let answer = manifest.and_then(|guest| guest.call_configure(&mut self.store, settings));
        let answer = answer.map_err(|error| self.fault(&error))?;
        Ok(answer.map_err(|problems| {
            problems.into_iter().map(|p| Problem { pointer: p.pointer, message: p.message }).collect()
        }))
    }

    /// The login interface, found once in the life of an instance: one serves `open` and, as a rule, `decide`.
    fn login(&mut self) -> Result<login::Guest, Fault> {
        match self.login.take() {
            Some(login) => Ok(login),
            None => {
                let login = self.release.interfaces.login.load(&mut self.store, &self.instance);
                login.map_err(|error| self.fault(&error))
            }
        }
    }

    fn fault(&self, error: &wasmtime::Error) -> Fault {
        fault(&self.store, error).unwrap_or(Fault::Trapped)
    }
}

/// Names a failed call: a refused growth first, since the trap that follows it says less.
fn fault(store: &Store<Guard>, error: &wasmtime::Error) -> Option<Fault> {
    if store.data().refused() {
        return Some(Fault::Limit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Some(Fault::Timeout),
        Some(_) => Some(Fault::Trapped),
        None => None,
    }
}
