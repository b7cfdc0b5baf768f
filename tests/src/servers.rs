//! Where real mail servers run: in Debian roots of their own, by chroot(8), as processes like any other of this
//! machine.
//!
//! Owns the roots, made once by `tests/servers/make-root.sh`, and a folder in one for each server. Must never touch a
//! mail server of the host or its configuration, and must never let a server outlive the test.

mod supervisor;

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

pub(crate) use supervisor::Supervisor;

/// Who owns the mail: no user of this machine.
pub(crate) const MAIL_UID: u32 = 5999;

/// Short: a unix socket in a queue directory below such a folder has 108 bytes for its whole path.
const PREFIX: &str = "s-";

/// A Debian release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12: Dovecot 2.3, Postfix.
    Bookworm,
    /// Debian 13: Dovecot 2.4, Exim.
    Trixie,
}

/// A folder for one server, and how to run a command beside it.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder, as this program sees it.
    pub(crate) folder: PathBuf,
    /// The same as the server sees it.
    pub(crate) seen_as: String,
    /// The root.
    pub(crate) root: PathBuf,
}

impl Place {
    /// A new folder in that root, which is made now if it is not there. Blocks.
    pub(crate) fn new(suite: Suite) -> Result<Self> {
        let root = root(suite)?;
        let parent = root.join("octroi");
        fs::create_dir_all(&parent)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?.keep();
        let seen_as = format!("/{}", folder.strip_prefix(&root)?.display());
        Ok(Self { folder, seen_as, root })
    }

    /// A command line that runs `command` in the root.
    pub(crate) fn command(&self, command: &[&str]) -> Vec<String> {
        let chroot = ["/usr/sbin/chroot".to_owned(), self.root.display().to_string()];
        chroot.into_iter().chain(command.iter().map(ToString::to_string)).collect()
    }
}

/// Mailboxes, a maildir each, named by its address.
#[derive(Clone, Debug)]
pub struct MailFolder {
    /// As this program sees it.
    pub(crate) folder: PathBuf,
    /// As the servers of its root see it.
    pub(crate) seen_as: String,
}

impl MailFolder {
    /// `mail` in a server's own folder; not made yet.
    pub(crate) fn within(place: &Place) -> Self {
        Self { folder: place.folder.join("mail"), seen_as: format!("{}/mail", place.seen_as) }
    }
}

/// Writes a file of a server.
pub(crate) fn put(path: &Path, text: &str, mode: u32) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}

/// A root, made now if it is not there.
pub(crate) fn root(suite: Suite) -> Result<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = match suite {
        Suite::Bookworm => "bookworm",
        Suite::Trixie => "trixie",
    };
    let root = tests.join("../target").join(name);
    let made = Command::new("/bin/sh")
        .arg(tests.join("servers/make-root.sh"))
        .arg(name)
        .arg(&root)
        .output()
        .context("/bin/sh")?;
    ensure!(
        made.status.success(),
        "make-root.sh {name} failed:\n{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(root.canonicalize()?)
}

/// A user's number and its group's, as the users of a root's own are numbered.
pub(crate) fn account(root: &Path, name: &str) -> Result<(u32, u32)> {
    let users = fs::read_to_string(root.join("etc/passwd"))?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let mut fields = line.with_context(|| format!("the root has no user {name}"))?.split(':').skip(2);
    let mut number = || fields.next().and_then(|number| number.parse().ok()).context("not a line of passwd");
    Ok((number()?, number()?))
}

/// Whether a server on this port of 127.0.0.1 begins its greeting so.
pub(crate) fn greets(port: u16, begin: &[u8; 4]) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut greeting).is_ok()
        && &greeting == begin
}

/// Ports of 127.0.0.1 that were free a moment ago: another process may be quicker. Held together until all are known,
/// so that no two are the same.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let listeners = [(); N].map(|()| octroi_psc::listen_on_a_free_port(Ipv4Addr::LOCALHOST.into()));
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
