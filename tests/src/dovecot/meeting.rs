//! A place that a program of the host and a server both reach, each under a name of its own.
//!
//! Owns one folder. Must never hold what the server's users may not read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Tickets;
use crate::servers::{Place, Suite};
use crate::sidecar::program;

/// Where `gate.sock` and `octroi-checkpassword` are met. Gone with this value.
pub struct Meeting {
    place: Place,
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // Nothing to be done about a failure here: the root's folder for tests is emptied with the root.
        let _ = fs::remove_dir_all(&self.place.folder);
    }
}

impl Meeting {
    /// For a Dovecot 2.3. The program is put there; the socket is the sidecar's to make.
    pub fn new() -> Result<Self> {
        let meeting = Self { place: Place::new(Suite::Bookworm)? };
        fs::set_permissions(meeting.folder(), Permissions::from_mode(0o755))?;
        let built = program("octroi-checkpassword");
        fs::copy(&built, meeting.program())
            .with_context(|| format!("{}: build octroi-checkpassword first", built.display()))?;
        Ok(meeting)
    }

    /// The folder, as this program sees it.
    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    /// The socket, as the sidecar sees it.
    pub fn socket(&self) -> PathBuf {
        self.place.folder.join("gate.sock")
    }

    /// The program, as this program sees it.
    pub fn program(&self) -> PathBuf {
        self.place.folder.join("octroi-checkpassword")
    }

    /// Both, as the server sees them.
    pub fn tickets(&self) -> Tickets {
        let seen_as = &self.place.seen_as;
        Tickets { program: format!("{seen_as}/octroi-checkpassword"), socket: format!("{seen_as}/gate.sock") }
    }

    /// Number of a user or group of the server's system: `passwd` or `group`.
    pub fn number_of(&self, database: &str, name: &str) -> Result<u32> {
        let path = self.place.root.join("etc").join(database);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut fields = text.lines().map(|line| line.split(':')).filter(|line| line.clone().next() == Some(name));
        let number = fields.next().and_then(|mut line| line.nth(2)).with_context(|| format!("no {name}"))?;
        Ok(number.parse()?)
    }
}
