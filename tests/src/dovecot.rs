//! A real Dovecot, 2.3 or 2.4, started with the very files an operator installs.
//!
//! Each server has its own folder, ports, certificate and mail, so that several run at once, in the Debian root of its
//! version. Must never touch the host's own Dovecot or its configuration, and must never outlive the test.

mod files;
mod meeting;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;

use crate::pki::Pki;
pub use files::edit;
pub use meeting::Meeting;

use crate::servers::{MailFolder, Place, Suite, Supervisor, free_ports, greets};

/// The password of every mailbox for PLAIN and LOGIN: the site's other means of logging in.
pub const PASSWORD: &str = "the-site-s-own-password";

/// How long a server may take to greet. A cold start on a busy machine of two cores takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Which Dovecot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 2.3.19, Debian 12.
    V2_3,
    /// 2.4.1, Debian 13.
    V2_4,
}

/// One HTTP endpoint on 127.0.0.1 that the server asks.
#[derive(Clone, Debug)]
pub struct Door {
    /// Its port.
    pub port: u16,
    /// The secret in the address's userinfo; `[A-Za-z0-9_-]+`.
    pub secret: String,
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which Dovecot.
    pub version: Version,
    /// Who says whose token it is, at `/introspect`.
    pub introspection: Door,
    /// Who has the last word, at `/policy`.
    pub policy: Door,
    /// Mailboxes with one message each, whose subject is [`subject`].
    pub mailboxes: Vec<String>,
    /// Whether the site takes login tickets, and where it finds what that needs.
    pub tickets: Option<Tickets>,
    /// Where the site takes client certificates: the folder that the sidecar writes, as the server sees it.
    pub certificates: Option<String>,
    /// Configuration after Octroi's include: what a careless site might add.
    pub after: String,
    /// Whether the site's other password database is kept to PLAIN and LOGIN, as it must be.
    pub passwords_filtered: bool,
    /// Whether `octroi-site.conf` was installed.
    pub site_file: bool,
    /// What a careless site replaced in the installed files: each text stands in at least one of them.
    pub edited: Vec<(String, String)>,
    /// Where the mailboxes lie; nothing: in a folder of its own.
    pub mail: Option<MailFolder>,
}

impl Setup {
    /// A site that followed the instructions.
    pub fn new(version: Version, introspection: Door, policy: Door, mailboxes: &[&str]) -> Self {
        let mailboxes = mailboxes.iter().map(ToString::to_string).collect();
        Self {
            version,
            introspection,
            policy,
            mailboxes,
            tickets: None,
            certificates: None,
            after: String::new(),
            passwords_filtered: true,
            site_file: true,
            edited: Vec::new(),
            mail: None,
        }
    }
}

/// What a site that takes login tickets has beside Octroi's other files, as the server sees it.
#[derive(Clone, Debug)]
pub struct Tickets {
    /// The program `octroi-checkpassword`.
    pub program: String,
    /// `gate.sock` of the sidecar.
    pub socket: String,
}

/// The subject of the one message of a mailbox.
pub fn subject(mailbox: &str) -> String {
    format!("Delivered to {mailbox}")
}

#[derive(Clone, Copy)]
struct Ports {
    imap: u16,
    imaps: u16,
}

/// A running server. Dropping it ends it.
pub struct Dovecot {
    version: Version,
    ports: Ports,
    folder: PathBuf,
    /// What the server sees as `/`.
    root: PathBuf,
    pki: Pki,
    _supervisor: Supervisor,
}

impl Dovecot {
    /// Starts one and waits for its greeting. Blocks.
    ///
    /// Fails where the package is missing, the Debian 13 root can't be made, or the configuration is refused; the error
    /// then carries what the server said.
    pub fn start(setup: &Setup) -> Result<Self> {
        // Free ports are found by asking for one and letting go of it: another process may be quicker.
        let mut last = None;
        for _ in 0..3 {
            match Self::try_start(setup) {
                Ok(server) => return Ok(server),
                Err(error) if format!("{error:#}").contains("Address already in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no free port")?)
    }

    fn try_start(setup: &Setup) -> Result<Self> {
        let pki = Pki::new()?;
        let [imap, imaps] = free_ports()?;
        let ports = Ports { imap, imaps };
        let place = Place::new(match setup.version {
            Version::V2_3 => Suite::Bookworm,
            Version::V2_4 => Suite::Trixie,
        })?;
        files::write(&place, setup, ports, &pki)?;
        let configuration = format!("{}/etc/dovecot.conf", place.seen_as);
        let command = place.command(&["/usr/sbin/dovecot", "-F", "-c", &configuration]);
        let supervisor = Supervisor::start(&place.folder, &command)?;
        let Place { folder, root, .. } = place;
        let server = Self { version: setup.version, ports, folder, root, pki, _supervisor: supervisor };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // A greeting comes once the login process has reached the authentication process: the server is ready then.
            if greets(self.ports.imap, b"* OK") {
                return Ok(());
            }
            let ended = self._supervisor.ended();
            if ended || Instant::now() > deadline {
                let console = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
                bail!("Dovecot {:?} did not start (ended: {ended}):\n{console}\n{}", self.version, self.log());
            }
            #[expect(clippy::disallowed_methods, reason = "a foreign process tells nobody when it is ready")]
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Which Dovecot this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The port that starts in the clear and offers STARTTLS, on 127.0.0.1.
    pub fn imap_port(&self) -> u16 {
        self.ports.imap
    }

    /// The port that starts with TLS, on 127.0.0.1.
    pub fn imaps_port(&self) -> u16 {
        self.ports.imaps
    }

    /// The certificate authority to trust; names `localhost` and 127.0.0.1.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The same as a PEM file.
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("etc/authority.pem")
    }

    /// The main configuration file as the server sees it.
    pub fn configuration(&self) -> Result<String> {
        Ok(format!("/{}/etc/dovecot.conf", self.folder.strip_prefix(&self.root)?.display()))
    }

    /// The command that prints the settings in a file of [`Self::folder`], word by word, as this host has to call it.
    pub fn doveconf(&self, file: &str) -> Result<Vec<String>> {
        let path = self.folder.join(file);
        let seen_as = format!("/{}", path.strip_prefix(&self.root)?.display());
        let root = self.root.display().to_string();
        Ok(["/usr/sbin/chroot", &root, "/usr/bin/doveconf", "-n", "-c", &seen_as].map(str::to_owned).into())
    }

    /// What the server sees as `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything of this server: configuration, mail, logs. Gone once the server is dropped.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.join("dovecot.log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The first log line that holds all of `needles`, once it is there; fails after twenty seconds.
    pub async fn logged(&self, needles: &[&str]) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| needles.iter().all(|needle| line.contains(needle))) {
                return Ok(line.to_owned());
            }
            ensure!(Instant::now() < deadline, "{needles:?} is not in the log:\n{log}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
