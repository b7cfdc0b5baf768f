//! A server under measurement: a process of its own, which ends with this one whatever happens to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::Instant;

use crate::cpu;

/// How long a server may take until it answers.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks whether it does.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// A loopback port.
    Tcp(u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// A loopback port that nobody listens on.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn free_port() -> anyhow::Result<u16> {
        Ok(TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?.port())
    }

    async fn answers(&self) -> bool {
        match self {
            Self::Tcp(port) => TcpStream::connect(("127.0.0.1", *port)).await.is_ok(),
            Self::Unix(path) => UnixStream::connect(path).await.is_ok(),
        }
    }
}

/// A process that ends with its last user.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to do about a process that can't be ended, or has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server, at one of its addresses.
pub(crate) struct Server {
    name: String,
    process: Rc<Process>,
    address: Address,
}

impl Server {
    /// Starts a program, its output going to `log`, and waits until it accepts connections.
    ///
    /// # Errors
    /// It can't be started, or ends at once, or never listens: then with the end of what it wrote.
    pub(crate) async fn start(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        address: Address,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = std::fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        // setpriv (util-linux) asks the kernel to end the server when this process ends, however that comes about.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let mut process = Process(child);
        let deadline = Instant::now() + PATIENCE;
        while !address.answers().await {
            if process.0.try_wait()?.is_some() || Instant::now() > deadline {
                let wrote = std::fs::read_to_string(log).unwrap_or_default();
                anyhow::bail!("{name} does not listen at {address:?}; it wrote:\n{wrote}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Self { name: name.to_owned(), process: Rc::new(process), address })
    }

    /// The same server at another of its addresses.
    pub(crate) fn at(&self, address: Address) -> Self {
        Self { name: self.name.clone(), process: self.process.clone(), address }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// CPU time used so far.
    ///
    /// # Errors
    /// It is gone.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu::of_tree(self.pid())
    }
}
