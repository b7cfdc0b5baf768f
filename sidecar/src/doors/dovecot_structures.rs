//! A second lock on Dovecot's side: a passwd-file with the structures whose certificates may be used at all.
//!
//! Dovecot asks the sidecar about every login by certificate; should that question ever be left out, a structure
//! without a usable certificate is still turned away by Dovecot itself. It sees a changed file without a reload.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::{Clock, UnixSeconds};
use crate::durable;
use crate::evidence::certificate::enrolled::{Enrolment, Set};

/// Name of the file.
pub const NAME: &str = "structures";
/// How often it is looked at for certificates that have expired.
const PERIOD: Duration = Duration::from_secs(600);
/// How soon it is tried again where it could not be written.
const RETRY: Duration = Duration::from_secs(30);

/// The file, kept.
pub struct StructuresFile {
    folder: PathBuf,
    enrolment: Enrolment,
    clock: Clock,
    /// Held over look and write: of two changes at once the later must win.
    turn: Mutex<()>,
}

impl StructuresFile {
    /// The file in `folder`, which is made (0755) where it is not there.
    #[must_use]
    pub fn new(folder: PathBuf, enrolment: Enrolment, clock: Clock) -> Self {
        Self { folder, enrolment, clock, turn: Mutex::new(()) }
    }

    /// Writes it, if it is not as it should be: whole or as before. Whether it did.
    ///
    /// # Errors
    /// The disk's, with the path. The former content is then still there.
    pub async fn keep(&self) -> io::Result<bool> {
        let _turn = self.turn.lock().await;
        let (folder, set, now) = (self.folder.clone(), self.enrolment.snapshot(), self.clock.now());
        let written = tokio::task::spawn_blocking(move || write(&folder, &set, now)).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Keeps it as certificates expire, until dropped.
    pub async fn watch(self: Arc<Self>) {
        let mut failing = false;
        loop {
            let pause = match self.keep().await {
                Ok(changed) => {
                    if changed {
                        tracing::info!(folder = %self.folder.display(), "structures for Dovecot written");
                    }
                    failing = false;
                    PERIOD
                }
                Err(error) => {
                    if !failing {
                        tracing::error!(%error, "the file of structures for Dovecot can't be written; tried again");
                    }
                    failing = true;
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// What the file holds at `now`: one line for each structure with a certificate that may be used, in their order.
#[must_use]
pub fn content(set: &Set, now: UnixSeconds) -> String {
    let usable = set.all().iter().filter(|enrolled| enrolled.standing(now).is_usable());
    let structures: BTreeSet<&str> = usable.map(|enrolled| enrolled.structure.as_str()).collect();
    structures.into_iter().fold(String::new(), |mut lines, structure| {
        // In lower case, as Dovecot looks users up: departments of Corsica have a letter in their FINESS numbers.
        let structure = structure.to_ascii_lowercase();
        // An empty password: this file alone lets nobody in, the certificate has been proven before it is read.
        let _ = writeln!(lines, "{structure}:{{PLAIN}}:::::");
        lines
    })
}

fn write(folder: &Path, set: &Set, now: UnixSeconds) -> io::Result<bool> {
    let (path, wanted) = (folder.join(NAME), content(set, now));
    if holds(&path, wanted.as_bytes()) {
        return Ok(false);
    }
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    durable::publish(folder, &path, wanted.as_bytes()).map_err(told)?;
    Ok(true)
}

/// Whether the file is as it should be. One that can't be read is not.
fn holds(path: &Path, wanted: &[u8]) -> bool {
    let mut found = Vec::new();
    let most = wanted.len() as u64 + 1;
    let read = std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut found));
    read.is_ok() && found == wanted
}

#[cfg(test)]
mod tests;
