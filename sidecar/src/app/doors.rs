//! Opens the doors that the configuration asks for, and closes them in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::submission::give;
use super::{Ground, enrolment, record};
use crate::config::{self, Config};
use crate::doors::admin::{AdminDoor, CertificatesService, Importer, Overview, TrustSpaceImporter};
use crate::doors::dovecot::DovecotDoors;
use crate::doors::dovecot_introspection::IntrospectionDoor;
use crate::doors::dovecot_policy::{PolicyDoor, PolicyParts, PolicySettings};
use crate::doors::dovecot_structures::StructuresFile;
use crate::doors::grpc::GateDoor;
use crate::doors::http;
use crate::doors::probe::Probes;
use crate::doors::unix::UnixDoor;
use crate::evidence::import::Surroundings;
use crate::metrics::MetricsDoor;

/// A sidecar whose doors are open.
pub struct Running {
    ground: Ground,
    dovecot: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    doors: JoinSet<()>,
}

/// Time for every door to close. The doors for Dovecot and Postfix have five seconds of their own; gRPC has no limit
/// for a client that does not answer.
const GRACE: Duration = Duration::from_secs(8);

/// Counters of one part, by name.
type Counts = Box<dyn Fn() -> Vec<(String, u64)> + Send + Sync>;

impl Running {
    /// Opens the doors that the configuration asks for.
    ///
    /// # Errors
    /// The first door that can't be opened; those opened before are closed again.
    pub async fn open(config: &Config, ground: Ground) -> anyhow::Result<Self> {
        let (stop, _) = watch::channel(false);
        let mut running = Self { ground, dovecot: None, stop, doors: JoinSet::new() };
        let probes = match (&config.check.canary, &config.check.non_member) {
            (Some(canary), Some(non_member)) => Some(Arc::new(Probes::new(canary.clone(), non_member.clone()))),
            (None, _) | (_, None) => None,
        };
        let (audit, tickets) = (running.ground.audit.clone(), Arc::clone(&running.ground.tickets));
        let mut counts: Vec<Counts> = vec![Box::new(move || audit.counts()), Box::new(move || tickets.counts())];
        let gate = Arc::clone(&running.ground.gate);
        counts.push(Box::new(move || {
            let failures = gate.service().probation.as_ref().map_or(0, |probation| probation.failures());
            vec![("policy_failures".to_owned(), failures)]
        }));
        if let Some(recorder) = running.ground.recorder.clone() {
            counts.push(Box::new(move || recorder.counts()));
        }
        if let Some(dovecot) = &config.dovecot {
            counts.push(running.open_dovecot(dovecot, probes.clone()).await?);
        }
        if let Some(postfix) = &config.postfix {
            running.open_postfix(postfix)?;
        }
        running.open_gate(config)?;
        let overview = Arc::new(running.overview(config, counts));
        if let Some(metrics) = &config.metrics {
            running.open_metrics(metrics, Arc::clone(&overview)).await?;
        }
        running.open_admin(config, probes, overview)?;
        Ok(running)
    }

    async fn open_dovecot(&mut self, dovecot: &config::Dovecot, probes: Option<Arc<Probes>>) -> anyhow::Result<Counts> {
        let ground = &self.ground;
        let introspection =
            IntrospectionDoor::new(Arc::clone(&ground.gate).into(), Arc::clone(&ground.handles), ground.clock.clone());
        let introspection = match probes {
            Some(probes) => introspection.with_probes(probes),
            None => introspection,
        };
        let policy = PolicyDoor::new(PolicyParts {
            settings: PolicySettings {
                other_mechanisms: dovecot.other_mechanisms.clone(),
                uncounted_users: dovecot.uncounted_users.clone(),
            },
            handles: Arc::clone(&ground.handles),
            directory: ground.directory.clone(),
            certificates: Arc::clone(&ground.gate).into(),
            store: Arc::clone(&ground.store),
            witness: record::witness(ground.audit.clone()),
            clock: ground.clock.clone(),
        });
        let (secret, policy_secret) = (dovecot.introspection_secret.clone(), dovecot.policy_secret.clone());
        let doors = Arc::new(DovecotDoors::new(introspection, secret, policy, policy_secret));
        let listener = http::listen(dovecot.listen).await?;
        let address = listener.local_addr()?;
        tracing::info!(door = "dovecot", %address, "listening");
        self.dovecot = Some(address);
        let (serving, end) = (Arc::clone(&doors), self.end());
        self.doors.spawn(async move { http::serve(listener, serving, http::Limits::default(), end).await });
        Ok(Box::new(move || record::counts(doors.policy())))
    }

    fn open_gate(&mut self, config: &Config) -> anyhow::Result<()> {
        let path = &config.server.gate_socket;
        let door = bind(path, &config.server.gate_uids)?;
        if let Some(group) = config.server.gate_group {
            give(path, group).with_context(|| {
                let path = path.display();
                format!("giving {path} to group {group}, [server] gate_group: run as root or as a member of the group")
            })?;
        }
        let ground = &self.ground;
        let (judge, tickets) = (Arc::clone(&ground.gate).into(), Arc::clone(&ground.tickets));
        let judging = Arc::clone(&ground.gate);
        let gate = GateDoor::new(judge, tickets, ground.audit.pseudonyms().clone(), move || judging.can_judge());
        let end = self.end();
        self.doors.spawn(async move { ended("gate", gate.serve(door, end).await) });
        Ok(())
    }

    fn overview(&self, config: &Config, counts: Vec<Counts>) -> Overview {
        let ground = &self.ground;
        Overview {
            gate: Arc::clone(&ground.gate),
            introspection: config.issuers.iter().map(|i| (i.issuer.clone(), i.introspection)).collect(),
            directory: ground.directory.clone(),
            trust_space: ground.trust_space.clone(),
            enrolment: ground.enrolment.clone(),
            revocations: ground.revocations.clone(),
            counts,
            clock: ground.clock.clone(),
        }
    }

    async fn open_metrics(&mut self, metrics: &config::Metrics, overview: Arc<Overview>) -> anyhow::Result<()> {
        let listener = http::listen(metrics.listen).await?;
        let address = listener.local_addr()?;
        tracing::info!(door = "metrics", metrics = %address, "listening");
        let (door, end) = (Arc::new(MetricsDoor::new(overview)), self.end());
        self.doors.spawn(async move { http::serve(listener, door, http::Limits::default(), end).await });
        Ok(())
    }

    fn open_admin(
        &mut self,
        config: &Config,
        probes: Option<Arc<Probes>>,
        overview: Arc<Overview>,
    ) -> anyhow::Result<()> {
        let door = bind(&config.server.admin_socket, &config.server.admin_uids)?;
        let structures = self.open_structures(config);
        let ground = &self.ground;
        let surroundings = Surroundings {
            reserved: config.check.canary.iter().chain(&config.check.non_member).cloned().collect(),
            domains: config.issuers.iter().flat_map(|issuer| issuer.mailbox_domains.clone()).collect(),
        };
        let admin = AdminDoor {
            importer: Importer::new(Arc::clone(&ground.store), ground.directory.clone(), surroundings),
            trust_space: TrustSpaceImporter::new(
                Arc::clone(&ground.store),
                ground.trust_space.clone(),
                ground.clock.clone(),
            ),
            certificates: CertificatesService::new(enrolment::parts(ground, structures)),
            directory: ground.directory.clone(),
            store: Arc::clone(&ground.store),
            probes,
            throttle: ground.gate.throttle().clone(),
            releases: Arc::clone(&ground.releases),
            overview,
        };
        let end = self.end();
        self.doors.spawn(async move { ended("admin", admin.serve(door, end).await) });
        Ok(())
    }

    /// Keeps the file of structures for Dovecot, where there is to be one.
    fn open_structures(&mut self, config: &Config) -> Option<Arc<StructuresFile>> {
        let file = Arc::new(enrolment::structures(config, &self.ground)?);
        let (kept, end) = (Arc::clone(&file), self.end());
        self.doors.spawn(async move {
            tokio::select! {
                () = kept.watch() => {}
                () = end => {}
            }
        });
        Some(file)
    }

    /// Serves a door beside the others.
    pub(super) fn spawn(&mut self, door: impl Future<Output = ()> + Send + 'static) {
        self.doors.spawn(door);
    }

    /// Ends when the doors are to close.
    pub(super) fn end(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.stop.subscribe();
        async move {
            // An error means that the sender is gone: the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    }

    /// Where the doors for Dovecot listen.
    #[must_use]
    pub const fn dovecot(&self) -> Option<SocketAddr> {
        self.dovecot
    }

    /// What the doors stand on.
    #[must_use]
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Closes the doors: no new requests, those in flight end within their grace. A client that does not let go of its
    /// connection is let go of.
    pub async fn close(mut self) {
        // Nobody listening any more is what is wanted.
        let _ = self.stop.send(true);
        let all = async { while self.doors.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            tracing::warn!("a client did not let go of its connection");
            self.doors.shutdown().await;
        }
    }
}

pub(super) fn bind(path: &Path, uids: &[u32]) -> anyhow::Result<UnixDoor> {
    let door = UnixDoor::bind(path, uids).with_context(|| format!("opening {}", path.display()))?;
    tracing::info!(socket = %path.display(), "listening");
    Ok(door)
}

fn ended(door: &str, result: Result<(), tonic::transport::Error>) {
    if let Err(error) = result {
        tracing::error!(door, %error, "a door failed and is closed");
    }
}
