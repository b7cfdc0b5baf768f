//! Keyed digests of national identifiers: what logs and answers carry in their place.
//!
//! The same person gives the same digest on this installation, and no other installation can link it: HMAC-SHA-256
//! (RFC 2104) with a key that never leaves the state folder, cut to 64 bits.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::evidence::directory::IdNat;

/// Bytes of the key: the block that HMAC-SHA-256 makes best use of.
const KEY: usize = 32;

/// The key, shared. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Pseudonyms(Arc<hmac::Key>);

impl Pseudonyms {
    /// Reads `pseudonym.key` in the state folder, or makes it (0600) at the first start. Blocks: called at the start.
    ///
    /// # Errors
    /// The file can't be read or made, has another length than the key, or is open to others. It is never replaced:
    /// with a new key every earlier record would lose its meaning unnoticed.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let path = state_dir.join("pseudonym.key");
        let mut file = match OpenOptions::new().read(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(state_dir, &path)?;
                OpenOptions::new().read(true).open(&path)?
            }
            opened => opened?,
        };
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(wrong("is open to others; chmod 600 it"));
        }
        let mut key = zeroize::Zeroizing::new(Vec::with_capacity(KEY + 1));
        io::Read::by_ref(&mut file).take(KEY as u64 + 1).read_to_end(&mut key)?;
        if key.len() != KEY {
            return Err(wrong("is not a key of 32 bytes; restore it from a backup, or move it away for a new one"));
        }
        Ok(Self::from_key(&key))
    }

    /// Digests under a given key.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The digest of an identifier: 16 hexadecimal digits.
    #[must_use]
    pub fn digest(&self, identity: &IdNat) -> String {
        let tag = hmac::sign(&self.0, identity.as_str().as_bytes());
        let shown = tag.as_ref().first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(shown))
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

/// Writes a new key whole or not at all: a half-written one would be refused for ever after.
fn make(state_dir: &Path, path: &Path) -> io::Result<()> {
    let mut key = zeroize::Zeroizing::new([0; KEY]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| io::Error::other("no random bytes"))?;
    let draft = state_dir.join(format!("pseudonym.key.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(key.as_slice())?;
        file.sync_all()?;
        // A link, not a rename: of two that start together, the first key stays.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }?;
        fs::File::open(state_dir)?.sync_all()
    })();
    let _ = fs::remove_file(&draft);
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_person_keeps_the_digest_over_restarts_and_another_installation_has_another() {
        let one = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let id = IdNat::parse("899700000011").unwrap();
        let digest = Pseudonyms::open(one.path()).unwrap().digest(&id);
        assert_eq!(digest.len(), 16);
        assert_eq!(Pseudonyms::open(one.path()).unwrap().digest(&id), digest);
        assert_ne!(Pseudonyms::open(other.path()).unwrap().digest(&id), digest);
        let mode = fs::metadata(one.path().join("pseudonym.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_damaged_or_open_key_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pseudonym.key");
        for (content, mode) in [(&[7_u8; 31][..], 0o600), (&[7; 33], 0o600), (&[], 0o600), (&[7; 32], 0o640)] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(Pseudonyms::open(folder.path()).is_err());
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn the_digest_is_hmac_sha_256() {
        // Computed with Python's hmac: RFC 4231's own cases are no idNat.
        let id = IdNat::parse("899700000011").unwrap();
        assert_eq!(Pseudonyms::from_key(&[0x0b; 32]).digest(&id), "70e0d0302560fe56");
    }
}
