//! Crowds at the sockets of sending (SASL server, policy delegation, `gate.sock`) of the real program: idle connections
//! by the thousand, clients that write a byte a second, floods of what no client may say. Memory stays flat, and
//! whoever belongs there is served.
//!
//! Owns the bounds. They are for the worst moment and not for the middle one, and stand far above what was measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "a real program is waited for in real time, always with a bound")]

mod peers;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::{Psc, doctor_one};
use octroi_tests::memory::proportional_set_size;
use octroi_tests::sidecar::{Settings, Sidecar};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;

use self::peers::{Door, Peer};

const UN: &str = "docteur.un@bal.example.test";

/// Idle connections to each socket.
const IDLE: usize = 1_000;
/// Clients at each socket that write a byte a second.
const SLOW: usize = 100;
/// Connections of one flood to each socket, and how many floods there are.
const BROKEN: usize = 200;
const FLOODS: usize = 5;

/// What all of it together may take, MiB more than the program at rest.
const CROWDED_MIB: f64 = 64.0;
/// What the later floods may take that the first did not, MiB: nothing is kept of one.
const GROWN_MIB: f64 = 8.0;

/// A sidecar with its three sockets.
struct Stage {
    psc: Psc,
    sidecar: Sidecar,
}

impl Stage {
    async fn start() -> Result<Self> {
        // Both ends are on this machine, and the program takes over what is allowed here.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
        let psc = Psc::start().await?;
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let more = format!(
            "[postfix]\nsasl_socket = \"sasl.sock\"\ndelegation_socket = \"policy.sock\"\nuser = \"{uid}:{gid}\"\n"
        );
        let settings = Settings { more, ..Settings::default() };
        let sidecar = tokio::task::block_in_place(|| Sidecar::start(&psc, &settings))?;
        Ok(Self { psc, sidecar })
    }

    async fn peer(&self, door: Door) -> Result<Peer> {
        Peer::connect(&self.sidecar.folder().join(door.socket())).await.with_context(|| format!("{door:?}"))
    }

    /// MiB.
    fn memory(&self) -> Result<f64> {
        proportional_set_size(self.sidecar.pid().context("it runs")?)
    }

    /// A login and a message under it, as Postfix asks for both: this process is the smtpd.
    async fn serves(&self) -> Result<()> {
        let token = self.psc.token(&doctor_one()).mint();
        let response = STANDARD.encode(format!("user={UN}\x01auth=Bearer {token}\x01\x01"));
        let mut login = self.peer(Door::Sasl).await?;
        login.rest(Door::Sasl).await?;
        let said = login.ask(&format!("AUTH\t2\tXOAUTH2\tservice=smtp\tresp={response}\n"), "\n").await?;
        ensure!(said == format!("OK\t2\tuser={UN}\n"), "{said:?}\n{}", self.sidecar.log());
        let mut message = self.peer(Door::Delegation).await?;
        let question = format!(
            "request=smtpd_access_policy\nprotocol_state=MAIL\nsender={UN}\nsasl_username={UN}\n\
             encryption_protocol=TLSv1.3\n\n"
        );
        let said = message.ask(&question, "\n\n").await?;
        ensure!(said == "action=DUNNO\n\n", "{said:?}\n{}", self.sidecar.log());
        self.peer(Door::Gate).await?.rest(Door::Gate).await
    }

    /// Idle connections to every socket, each of which has carried something long.
    async fn idle(&self) -> Result<Vec<(Door, Peer)>> {
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            for door in Door::ALL {
                let mut peer = self.peer(door).await?;
                peer.rest(door).await?;
                idle.push((door, peer));
            }
        }
        Ok(idle)
    }

    /// One flood, all at once; every connection must be closed unanswered.
    async fn flood(&self) -> Result<()> {
        let mut flood = JoinSet::new();
        for number in 0..BROKEN {
            for door in Door::ALL {
                let mut peer = self.peer(door).await?;
                // Each second one begins with what is good, and is answered that far.
                let good = usize::from(number.is_multiple_of(2));
                flood.spawn(async move {
                    let said = peer.is_closed_after(&door.broken(number)).await?;
                    ensure!(!said.contains("\nOK") && said.matches("DUNNO").count() <= good, "{door:?}: {said}");
                    Ok(())
                });
            }
        }
        while let Some(ended) = flood.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Slow clients, until the door has closed on every one of them; the largest size meanwhile.
    async fn slow(&self) -> Result<f64> {
        let mut slow = JoinSet::new();
        for _ in 0..SLOW {
            for door in [Door::Sasl, Door::Delegation] {
                let peer = self.peer(door).await?;
                slow.spawn(peer.writes_until_closed(door.slowly()));
            }
        }
        let mut largest = self.memory()?;
        while let Some(ended) = slow.join_next().await {
            ended??;
            largest = largest.max(self.memory()?);
        }
        Ok(largest)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_idle_slow_and_broken_clients() -> Result<()> {
    let stage = Stage::start().await?;
    stage.serves().await?;
    let before = stage.memory()?;

    let mut idle = stage.idle().await?;
    let mut sizes = vec![("idle", stage.memory()?)];
    for _ in 0..FLOODS {
        stage.flood().await?;
        sizes.push(("flood", stage.memory()?));
    }
    sizes.push(("slow", stage.slow().await?));

    let shown = || format!("MiB, {before:.1} at rest: {sizes:.1?}");
    let floods: Vec<_> = sizes.iter().filter(|(what, _)| *what == "flood").map(|(_, size)| *size).collect();
    let (first, later) = floods.split_first().context("floods")?;
    let most = |sizes: &[f64]| sizes.iter().copied().fold(0.0, f64::max);
    ensure!(most(later) - first <= GROWN_MIB, "floods are kept: {}", shown());
    let all: Vec<_> = sizes.iter().map(|(_, size)| *size).collect();
    ensure!(most(&all) - before <= CROWDED_MIB, "a crowd takes too much: {}", shown());
    println!("{}", shown());

    // Those who waited are still there, and a newcomer is served.
    for (door, peer) in idle.iter_mut().filter(|(door, _)| *door != Door::Gate).step_by(97) {
        peer.goes_on(*door, 4).await?;
    }
    stage.serves().await
}
