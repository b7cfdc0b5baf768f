//! A real Exim, started with the very files an operator installs.
//!
//! Each server has its own folder in the Debian 13 root, its own ports, certificate, spool and mail. The sidecar's
//! sockets for it are in that folder too, so the place comes before the sidecar and the sidecar before the server. Must
//! never touch the host's own mail configuration, and must never outlive the test.

mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::Instant;

use crate::pki::Pki;
use crate::servers::{self, Suite, Supervisor, account, free_ports, greets};

/// How long a server may take to greet.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a message may take from the client's last line to the mailbox.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// The password of every mailbox for PLAIN: the site's other means of logging in.
pub const PASSWORD: &str = "the-site-s-own-password";

/// The folder of a server that is not started yet.
#[derive(Debug)]
pub struct Place {
    place: servers::Place,
    user: (u32, u32),
}

impl Place {
    /// A new one, in the Debian 13 root.
    pub fn new() -> Result<Self> {
        let place = servers::Place::new(Suite::Trixie)?;
        let user = account(&place.root, "Debian-exim")?;
        files::prepare(&place.folder, user)?;
        Ok(Self { place, user })
    }

    /// The `[postfix]` section of the sidecar that this server asks.
    pub fn sidecar_section(&self) -> String {
        let ((uid, gid), folder) = (self.user, self.place.folder.display());
        format!(
            "[postfix]\nsasl_socket = \"{folder}/run/sasl\"\ndelegation_socket = \"{folder}/run/policy\"\n\
             user = \"{uid}:{gid}\"\n"
        )
    }

    /// A socket in the place of the sidecar's for policy delegation; see [`Setup::policy_socket`].
    pub fn other_policy_socket(&self) -> PathBuf {
        self.place.folder.join("run/other")
    }

    /// Lets the server connect to a socket that the test made.
    pub fn give(&self, path: &Path) -> Result<()> {
        Ok(std::os::unix::fs::chown(path, Some(self.user.0), Some(self.user.1))?)
    }
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Mailboxes that it delivers to.
    pub mailboxes: Vec<String>,
    /// More lines of its main section.
    pub main: String,
    /// Name of the socket for policy delegation, beside the sidecar's: `policy` is the sidecar's own.
    pub policy_socket: &'static str,
    /// The site's own authenticators that may send.
    pub other_authenticators: &'static str,
}

impl Setup {
    /// A site that followed the instructions.
    pub fn new(mailboxes: &[&str]) -> Self {
        let mailboxes = mailboxes.iter().map(ToString::to_string).collect();
        Self { mailboxes, main: String::new(), policy_socket: "policy", other_authenticators: "" }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    submission: u16,
    submissions: u16,
    mx: u16,
}

/// A running server. Dropping it ends it.
pub struct Exim {
    ports: Ports,
    folder: PathBuf,
    pki: Pki,
    supervisor: Supervisor,
}

impl Exim {
    /// Starts one and waits for its greeting. Blocks.
    ///
    /// Fails where the package is missing or the configuration is refused; the error then carries what the server said.
    pub fn start(Place { place, user }: &Place, setup: &Setup) -> Result<Self> {
        let pki = Pki::new()?;
        let [submission, submissions, mx] = free_ports()?;
        let ports = Ports { submission, submissions, mx };
        files::write(place, *user, setup, ports, &pki)?;
        let config = format!("{}/etc/exim.conf", place.seen_as);
        let command = place.command(&["/usr/sbin/exim4", "-C", &config, "-bdf"]);
        let supervisor = Supervisor::start(&place.folder, &command)?;
        let server = Self { ports, folder: place.folder.clone(), pki, supervisor };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if [self.ports.submission, self.ports.mx].into_iter().all(|port| greets(port, b"220 ")) {
                return Ok(());
            }
            let ended = self.supervisor.ended();
            if ended || Instant::now() > deadline {
                let console = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
                bail!("Exim did not start (ended: {ended}):\n{console}\n{}", self.log());
            }
            #[expect(clippy::disallowed_methods, reason = "a foreign process tells nobody when it is ready")]
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The submission port that starts in the clear and offers STARTTLS, on 127.0.0.1.
    pub fn submission_port(&self) -> u16 {
        self.ports.submission
    }

    /// The submission port that starts with TLS, on 127.0.0.1.
    pub fn submissions_port(&self) -> u16 {
        self.ports.submissions
    }

    /// The port where other sites deliver, on 127.0.0.1: none of the submission ports.
    pub fn mx_port(&self) -> u16 {
        self.ports.mx
    }

    /// The certificate authority to trust; names `localhost` and 127.0.0.1.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The same as a PEM file.
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("etc/authority.pem")
    }

    /// Everything of this server: configuration, spool, mail, logs. Gone once the server is dropped.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        let read = |name| fs::read(self.folder.join("log").join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("mainlog"), read("rejectlog"), read("paniclog")].concat()).into_owned()
    }

    /// The delivered message that has this subject, once it is in the mailbox.
    pub async fn delivered(&self, mailbox: &str, subject: &str) -> Result<String> {
        let deadline = Instant::now() + DELIVERED_WITHIN;
        loop {
            if let Some(message) = self.messages(mailbox).into_iter().find(|message| has_subject(message, subject)) {
                return Ok(message);
            }
            ensure!(Instant::now() < deadline, "{subject:?} does not come to {mailbox}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether a message of this subject was accepted: delivered, or on its way.
    pub fn has_accepted(&self, subject: &str) -> bool {
        let line = format!(" T=\"{subject}\"");
        self.log().lines().any(|logged| logged.contains(" <= ") && logged.contains(&line))
    }

    fn messages(&self, mailbox: &str) -> Vec<String> {
        let new = fs::read_dir(self.folder.join("mail").join(mailbox).join("new"));
        new.into_iter().flatten().flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect()
    }
}

fn has_subject(message: &str, subject: &str) -> bool {
    message.lines().any(|line| line.strip_prefix("Subject: ") == Some(subject))
}
