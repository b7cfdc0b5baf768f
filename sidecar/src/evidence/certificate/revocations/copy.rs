//! The last good list of each authority on disk, as it came: its signature, verified again, tells whether it is whole.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::super::crl::{self, SIZE_MAX};
use super::super::{BadCrl, Crl};
use super::{Held, Inner, ListError};
use crate::clock::UnixSeconds;

impl Inner {
    /// Takes the copies into use, before anything is fetched.
    pub(super) fn start_from_copies(&self) {
        for (at, chain) in self.chains.0.iter().enumerate() {
            for place in 0..chain.authorities().len() {
                let (Some(path), Some(slot)) = (self.copy_path(at, place), self.slot(at, place)) else { continue };
                match read(&path) {
                    Ok(None) => {}
                    Ok(Some((bytes, fetched_at))) => match Crl::read(&bytes, chain.authorities(), self.clock.now()) {
                        Ok((found, list)) if found == place => {
                            tracing::info!(chain = chain.name(), number = %list.number(), "list read from the copy on disk");
                            slot.store(Some(Arc::new(Held { list, fetched_at })));
                        }
                        Ok(_) => tell(chain.name(), &path, &BadCrl::Issuer),
                        Err(error) => tell(chain.name(), &path, &error),
                    },
                    Err(error) => tell(chain.name(), &path, &error),
                }
            }
        }
    }

    /// Verifies a list and puts it in the place of the one that is held. Gives the place of its authority. Blocks.
    pub(super) fn take(&self, at: usize, bytes: &[u8]) -> Result<usize, ListError> {
        let chain = self.chains.0.get(at).ok_or(BadCrl::Issuer)?;
        let now = self.clock.now();
        let (place, list) = Crl::read(bytes, chain.authorities(), now)?;
        let slot = self.slot(at, place).ok_or(BadCrl::Issuer)?;
        let _one_at_a_time = self.taking();
        let held = slot.load_full();
        if let Some(held) = &held {
            list.may_replace(&held.list)?;
        }
        let is_new = held.is_none_or(|held| held.list.content() != list.content());
        if is_new {
            let (number, entries, next_update) = (list.number(), list.entries(), list.next_update().0);
            tracing::info!(chain = chain.name(), %number, entries, next_update, "new revocation list");
        }
        // Also where an earlier write failed: from the copy a restart begins, and Dovecot is served.
        if is_new || self.copied(at, place, &list).is_none() {
            self.keep(at, place, bytes);
        }
        slot.store(Some(Arc::new(Held { list, fetched_at: now })));
        self.changed.notify_one();
        Ok(place)
    }

    fn keep(&self, at: usize, place: usize, bytes: &[u8]) {
        let (Some(path), Ok(der)) = (self.copy_path(at, place), crl::der(bytes)) else { return };
        // The list itself counts all the same: what it revokes must not wait for a disk.
        if let Err(error) = crate::durable::replace(&self.settings.folder, &path, &der) {
            tracing::error!(path = %path.display(), %error, "the copy of a revocation list can't be written");
        }
    }

    /// DER of the list that is held, from its copy. `None`: there is no copy of it.
    pub(super) fn copied(&self, at: usize, place: usize, list: &Crl) -> Option<Vec<u8>> {
        let (bytes, _) = read(&self.copy_path(at, place)?).ok()??;
        (crl::content(&bytes) == Some(list.content())).then_some(bytes)
    }

    pub(super) fn slot(&self, at: usize, place: usize) -> Option<&arc_swap::ArcSwapOption<Held>> {
        self.held.get(at)?.get(place)
    }

    fn copy_path(&self, at: usize, place: usize) -> Option<PathBuf> {
        let chain = self.chains.0.get(at)?;
        let authority = chain.authorities().get(place)?.certificate().fingerprint().to_string();
        let short = authority.get(..16)?;
        Some(self.settings.folder.join(format!("{}-{short}.crl", chain.name())))
    }
}

fn tell(chain: &str, path: &std::path::Path, error: &dyn std::fmt::Display) {
    tracing::warn!(chain, path = %path.display(), %error, "the copy of a revocation list on disk is ignored");
}

/// The copy and when it was written; `None` where there is none.
fn read(path: &std::path::Path) -> io::Result<Option<(Vec<u8>, UnixSeconds)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let written = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut bytes = Vec::new();
    // One byte more than may be: what is larger is then refused.
    file.take(SIZE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some((bytes, UnixSeconds(written))))
}
