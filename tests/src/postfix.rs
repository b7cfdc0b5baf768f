//! A real Postfix, started with the very files an operator appends to `main.cf` and `master.cf`.
//!
//! Each server has its own folder, ports, queue, certificate and mail, so that several run at once, in the Debian 12
//! root. Its smtpd are confined to the queue directory, as Debian does. Must never touch the host's own mail server,
//! and must never outlive the test.

mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::Instant;

use crate::pki::Pki;
use crate::servers::{MailFolder, Place, Suite, Supervisor, account, free_ports, greets};

/// How long a server may take to greet. A cold start on a busy machine of two cores takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long an accepted message may take to arrive: what is deferred comes never, or after minutes.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// What a server is started with.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Mailboxes of the site, in the domain `bal.example.test`.
    pub mailboxes: Vec<String>,
    /// Most smtpd processes of each submission service; nothing: as shipped.
    pub processes: Option<u16>,
    /// Where the site takes client certificates: the folder that the sidecar writes, as the server sees it.
    pub certificates: Option<String>,
    /// Lines of the site's own `main.cf`, behind the others.
    pub main: &'static str,
}

impl Setup {
    /// A site with these mailboxes.
    pub fn new(mailboxes: &[&str]) -> Self {
        Self { mailboxes: mailboxes.iter().map(ToString::to_string).collect(), ..Self::default() }
    }
}

#[derive(Clone, Copy)]
struct Ports {
    smtp: u16,
    submission: u16,
    submissions: u16,
    certificates: u16,
}

/// A running server. Dropping it ends it.
pub struct Postfix {
    ports: Ports,
    folder: PathBuf,
    mail: MailFolder,
    root: PathBuf,
    account: (u32, u32),
    pki: Pki,
    supervisor: Supervisor,
}

impl Postfix {
    /// Starts one and waits for its greeting on port 25. Blocks. The sidecar may come later: [`Self::sockets`].
    ///
    /// Fails where the Debian 12 root can't be made, or the configuration is refused; the error then carries what the
    /// server said.
    pub fn start(setup: &Setup) -> Result<Self> {
        let pki = Pki::new()?;
        let [smtp, submission, submissions, certificates] = free_ports()?;
        let ports = Ports { smtp, submission, submissions, certificates };
        let place = Place::new(Suite::Bookworm)?;
        let account = account(&place.root, "postfix")?;
        files::write(&place, setup, ports, account, &pki)?;
        let etc = format!("{}/etc", place.seen_as);
        let command = place.command(&["/bin/sh", "-c", include_str!("postfix/start.sh"), "start", &etc]);
        let supervisor = Supervisor::start(&place.folder, &command)?;
        let mail = MailFolder::within(&place);
        let server = Self { ports, folder: place.folder, mail, root: place.root, account, pki, supervisor };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !greets(self.ports.smtp, b"220 ") {
            let ended = self.supervisor.ended();
            if ended || Instant::now() > deadline {
                let console = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
                bail!("Postfix did not start (ended: {ended}):\n{console}\n{}", self.log());
            }
            #[expect(clippy::disallowed_methods, reason = "a foreign process tells nobody when it is ready")]
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// `[postfix]` of the sidecar's configuration, for this server.
    pub fn sidecar_section(&self) -> String {
        let (uid, gid) = self.account;
        let (sasl, policy) = self.sockets();
        format!(
            "[postfix]\nsasl_socket = \"{}\"\ndelegation_socket = \"{}\"\nuser = \"{uid}:{gid}\"\n\
             certificate_sasl_socket = \"{}-certificates\"\n",
            sasl.display(),
            policy.display(),
            sasl.display(),
        )
    }

    /// Where it looks for its SASL server and its policy server.
    pub fn sockets(&self) -> (PathBuf, PathBuf) {
        let folder = self.folder.join("queue/octroi");
        (folder.join("sasl"), folder.join("policy"))
    }

    /// Number of the user that its daemons run as, and of that user's group.
    pub fn account(&self) -> (u32, u32) {
        self.account
    }

    /// The port where other operators deliver.
    pub fn smtp_port(&self) -> u16 {
        self.ports.smtp
    }

    /// The port that starts in the clear and offers STARTTLS.
    pub fn submission_port(&self) -> u16 {
        self.ports.submission
    }

    /// The port that starts with TLS.
    pub fn submissions_port(&self) -> u16 {
        self.ports.submissions
    }

    /// The port that asks for client certificates, where the site takes them.
    pub fn certificates_port(&self) -> u16 {
        self.ports.certificates
    }

    /// The certificate authority to trust; names `localhost` and 127.0.0.1.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The same as a PEM file.
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("etc/authority.pem")
    }

    /// Everything of this server: configuration, queue, logs. Gone once the server is dropped.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The command that prints the parameters of a folder in [`Self::folder`], word by word, as this host has to call
    /// it.
    pub fn postconf(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.folder.join(folder);
        let seen_as = format!("/{}", path.strip_prefix(&self.root)?.display());
        let root = self.root.display().to_string();
        Ok(["/usr/sbin/chroot", &root, "/usr/sbin/postconf", "-c", &seen_as].map(str::to_owned).into())
    }

    /// What the server sees as `/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.join("postfix.log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The mailboxes that it delivers to, for a Dovecot of the same root.
    pub fn mail(&self) -> MailFolder {
        self.mail.clone()
    }

    /// The messages in a mailbox that nobody has read, and that hold `needle`.
    pub fn messages(&self, mailbox: &str, needle: &str) -> Result<Vec<String>> {
        let new = self.mail.folder.join(mailbox).join("new");
        if !new.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(new)? {
            // Read by its owner, a message moves on while we look.
            let message = fs::read(entry?.path()).unwrap_or_default();
            let message = String::from_utf8_lossy(&message).into_owned();
            if message.contains(needle) {
                found.push(message);
            }
        }
        Ok(found)
    }

    /// The one message with that subject, once it has arrived.
    pub async fn delivered(&self, mailbox: &str, subject: &str) -> Result<String> {
        let deadline = Instant::now() + DELIVERED_WITHIN;
        loop {
            let mut found = self.messages(mailbox, &format!("Subject: {subject}\n"))?;
            ensure!(found.len() < 2, "it arrived twice");
            if let Some(message) = found.pop() {
                return Ok(message);
            }
            ensure!(Instant::now() < deadline, "{subject:?} does not arrive in {mailbox}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
