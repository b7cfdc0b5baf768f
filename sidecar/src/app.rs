//! The composition root: from a configuration to a running sidecar. Nothing here decides anything.
//!
//! Order matters: what can fail is built before anything listens, so that a sidecar that answers is a whole one.

mod certificates;
mod doors;
mod enrolment;
mod issuers;
mod record;
mod submission;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

pub use self::doors::Running;
pub(crate) use self::issuers::build as issuer;
pub(crate) use self::submission::account;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::{Config, PolicySettings};
use crate::doors::handles::Handles;
use crate::evidence::certificate::enrolled::Enrolment;
use crate::evidence::certificate::{Certificates, Chains, Revocations};
use crate::evidence::directory::{Directory, Snapshot};
use crate::evidence::signatures::Signatures;
use crate::evidence::trust_space::TrustSpace;
use crate::gate::{Gate, Parts};
use crate::policy::{EMBEDDED, Engine, Limits, Release};
use crate::pseudonym::Pseudonyms;
use crate::rails::Rails;
use crate::recording::{Recorder, RecorderParts};
use crate::releases::{ProbationSettings, Releases, ReleasesParts};
use crate::store::{Sqlite, Store};
use crate::throttle::Throttle;
use crate::tickets::{TicketLimits, Tickets};

/// Most handles at one moment. At a login a millisecond and a life of 30 s, twice what is ever open.
const HANDLES: usize = 65_536;

/// How long a start waits for first keys.
const FIRST_KEYS: Duration = Duration::from_secs(3);

/// What every door stands on.
#[derive(Clone)]
pub struct Ground {
    /// The gate.
    pub gate: Arc<Gate>,
    /// Whose mailbox it is.
    pub directory: Directory,
    /// To whom one may send.
    pub trust_space: TrustSpace,
    /// The enrolled certificates.
    pub enrolment: Enrolment,
    /// The configured chains of authorities.
    pub chains: Arc<Chains>,
    /// Chains of client certificates and their revocation lists. `None`: no chain is configured.
    pub revocations: Option<Revocations>,
    /// What outlives the process.
    pub store: Arc<dyn Store>,
    /// The audit trail.
    pub audit: Audit,
    /// Handles of token logins on their way through Dovecot.
    pub handles: Arc<Handles>,
    /// Login tickets.
    pub tickets: Arc<Tickets>,
    /// The policy's releases.
    pub releases: Arc<Releases>,
    /// Records decisions for replay, where that is wished.
    pub recorder: Option<Arc<Recorder>>,
    /// The clock.
    pub clock: Clock,
}

impl Ground {
    /// Builds it: store, directory, policy, keys. Waits a little for each issuer's first key fetch to end, well or
    /// badly.
    ///
    /// # Errors
    /// Whatever can't be opened, with its name.
    pub async fn build(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let state = &config.server.state_dir;
        let store = Sqlite::open(&state.join("store")).context("opening the store")?;
        let directory = Directory::default();
        directory.publish(Snapshot::new(store.load_directory().await.context("reading the directory")?));
        let trust_space = trust_space(&store).await;
        let audit = Audit::open(&config.audit.file, Pseudonyms::open(state).context("pseudonym key")?)
            .with_context(|| format!("opening the audit trail {}", config.audit.file.display()))?;
        let engine =
            Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("starting the engine: {error:#}"))?;
        let engine = engine.keeping_compiled(state.join("compiled"));
        let settings = PolicySettings::of(config);
        let release = release(config, &engine, &settings).await?;
        let issuers = config
            .issuers
            .iter()
            .map(|issuer| issuers::start(issuer, state, &clock))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let revocations = certificates::start(config, state, &clock)?;
        let chains = enrolment::chains(revocations.as_ref());
        let enrolment = enrolment::load(&store, &chains).await.context("reading the enrolled certificates")?;
        // Listens soon, whatever the providers do: a login that comes before the first keys waits for them by itself.
        let tried = async {
            for issuer in &issuers {
                issuer.keys.tried().await;
            }
        };
        let _ = tokio::time::timeout(FIRST_KEYS, tried).await;
        let recorder = recorder(config, &directory, &clock).context("recording decisions")?;
        let gate = Gate::new(Parts {
            release,
            issuers,
            directory: directory.clone(),
            trust_space: trust_space.clone(),
            certificates: Certificates {
                chains: Arc::clone(&chains),
                enrolment: enrolment.clone(),
                revocations: revocations.clone(),
            },
            rails: Rails { leeway: config.rails.leeway_seconds, session_max: config.rails.session_max_seconds },
            signatures: Signatures::new(config.server.remembered_signatures),
            throttle: Throttle::new(&config.throttle),
            audit: audit.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            max_in_flight: config.server.max_in_flight,
        });
        let gate = Arc::new(gate);
        let releases = Releases::open(ReleasesParts {
            gate: Arc::clone(&gate),
            engine,
            folder: state.join("policies"),
            settings,
            trust: config.policy.trust.clone(),
            vectors: config.policy.vectors.clone(),
            probation: ProbationSettings {
                seconds: config.policy.probation_seconds,
                persons: config.policy.probation_persons,
            },
            audit: audit.clone(),
            clock: clock.clone(),
        });
        let releases = releases.await.with_context(|| {
            let folder = state.join("policies");
            format!(
                "the release in service; to go on with the configuration's own policy, move {} away",
                folder.display()
            )
        })?;
        let limits = TicketLimits::with_life(config.server.ticket_seconds);
        let tickets = Tickets::new(Arc::clone(&gate).into(), limits, audit.clone(), clock.clone());
        let life = config.dovecot.as_ref().map_or(0, |dovecot| dovecot.handle_seconds);
        Ok(Self {
            gate,
            directory,
            trust_space,
            enrolment,
            chains,
            revocations,
            store: Arc::new(store),
            audit,
            handles: Arc::new(Handles::new(life, HANDLES)),
            tickets: Arc::new(tickets),
            releases,
            recorder,
            clock,
        })
    }
}

/// The list as it was last imported. One that can't be read is told and missing: sending to others is put off where the
/// policy asks for it, and everything else goes on.
async fn trust_space(store: &impl Store) -> TrustSpace {
    let trust_space = TrustSpace::default();
    match store.load_trust_space().await {
        Ok(Some(list)) => trust_space.publish(list),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the trust space's list can't be read: import it again"),
    }
    trust_space
}

fn recorder(config: &Config, directory: &Directory, clock: &Clock) -> std::io::Result<Option<Arc<Recorder>>> {
    let Some(megabytes) = config.policy.recording_megabytes else {
        // What was recorded under an earlier configuration is kept for nobody.
        crate::recording::remove(&config.server.state_dir.join("recording"))?;
        return Ok(None);
    };
    let domains = config.issuers.iter().map(|issuer| (issuer.issuer.to_string(), issuer.mailbox_domains.clone()));
    let recorder = Recorder::start(RecorderParts {
        folder: config.server.state_dir.join("recording"),
        most: megabytes << 20,
        directory: directory.clone(),
        domains: domains.collect(),
        clock: clock.clone(),
    })?;
    Ok(Some(Arc::new(recorder)))
}

async fn release(config: &Config, engine: &Engine, settings: &PolicySettings) -> anyhow::Result<Release> {
    let settings = settings.complete(None).map_err(|expected| anyhow::anyhow!("[policy.settings]: {expected}"))?;
    let (component, engine) = (config.policy.component.clone(), engine.clone());
    let load = move || -> anyhow::Result<Release> {
        let Some(path) = component else { return Ok(Release::load(&engine, EMBEDDED, &settings)?) };
        let wasm = fs::read(&path).with_context(|| format!("reading the policy {}", path.display()))?;
        Release::load(&engine, &wasm, &settings).with_context(|| format!("policy {}", path.display()))
    };
    tokio::task::spawn_blocking(load).await.context("loading the policy")?
}
