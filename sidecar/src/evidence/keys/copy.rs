//! The last good key document on disk, so that the sidecar starts and serves while the issuer is away.
//!
//! A copy counts only when it is whole (checksum), this issuer's, not writable by others, and no older than keys may
//! be. It is replaced in one step: a crash leaves the old one or the new one.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::jwk;
use super::set::KeySet;
use crate::clock::{Clock, UnixSeconds};

/// Where the copies are.
#[derive(Clone, Debug)]
pub struct KeyCopy {
    /// A folder of the sidecar's own; made (0700) when it is missing. One file (0600) for each issuer.
    pub folder: PathBuf,
    /// For the date of the copy, which must outlive the process.
    pub clock: Clock,
}

/// What is wrong with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CopyError {
    /// There is none yet.
    #[error("there is no copy of the keys on disk yet")]
    None,
    /// It can't be read.
    #[error("the copy of the keys on disk can't be read")]
    Unreadable,
    /// Others may write it.
    #[error("the copy of the keys on disk may be written by others")]
    Permissions,
    /// It is not whole, or not a copy.
    #[error("the copy of the keys on disk is damaged")]
    Damaged,
    /// It is another issuer's.
    #[error("the copy of the keys on disk is another issuer's")]
    Issuer,
    /// It is from the future: the clock is, or was, wrong.
    #[error("the copy of the keys on disk is dated in the future: is the clock right?")]
    Future,
    /// It can't be written.
    #[error("the copy of the keys can't be written to disk")]
    Unwritable,
}

impl CopyError {
    /// Stable code for status and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unreadable => "unreadable",
            Self::Permissions => "permissions",
            Self::Damaged => "damaged",
            Self::Issuer => "issuer",
            Self::Future => "future",
            Self::Unwritable => "unwritable",
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    issuer: String,
    confirmed_at: u64,
    document: String,
    sha256: String,
}

/// Largest file, in bytes: the largest document, escaped, and the rest.
const SIZE_MAX: u64 = 1 << 20;
/// How far in the future a copy may be dated: two clocks, or one that was set.
const AHEAD: u64 = 300;

impl KeyCopy {
    /// The set of the copy and its age.
    ///
    /// # Errors
    /// [`CopyError`].
    pub(super) fn read(&self, issuer: &str) -> Result<(KeySet, Duration), CopyError> {
        let file = File::open(self.path(issuer)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => CopyError::None,
            _ => CopyError::Unreadable,
        })?;
        let metadata = file.metadata().map_err(|_| CopyError::Unreadable)?;
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(CopyError::Permissions);
        }
        if !metadata.is_file() || metadata.len() > SIZE_MAX {
            return Err(CopyError::Damaged);
        }
        let mut bytes = Vec::new();
        file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(|_| CopyError::Unreadable)?;
        let record: Record = serde_json::from_slice(&bytes).map_err(|_| CopyError::Damaged)?;
        if record.sha256 != record.checksum() {
            return Err(CopyError::Damaged);
        }
        if record.issuer != issuer {
            return Err(CopyError::Issuer);
        }
        let (now, confirmed) = (self.clock.now(), UnixSeconds(record.confirmed_at));
        if confirmed.since(now) > AHEAD {
            return Err(CopyError::Future);
        }
        let set = jwk::parse(record.document.as_bytes()).map_err(|_| CopyError::Damaged)?;
        Ok((set, Duration::from_secs(now.since(confirmed))))
    }

    /// Replaces the copy: `document` is the issuer's, confirmed now.
    ///
    /// # Errors
    /// [`CopyError::Unwritable`].
    pub(super) fn write(&self, issuer: &str, document: &str) -> Result<(), CopyError> {
        let mut record = Record {
            issuer: issuer.to_owned(),
            confirmed_at: self.clock.now().0,
            document: document.to_owned(),
            sha256: String::new(),
        };
        record.sha256 = record.checksum();
        let bytes = serde_json::to_vec(&record).map_err(|_| CopyError::Unwritable)?;
        crate::durable::replace(&self.folder, &self.path(issuer), &bytes).map_err(|_| CopyError::Unwritable)
    }

    pub(super) fn path(&self, issuer: &str) -> PathBuf {
        let digest = hex(aws_lc_rs::digest::digest(&SHA256, issuer.as_bytes()).as_ref());
        self.folder.join(format!("keys-{}.json", digest.get(..16).unwrap_or_default()))
    }
}

impl Record {
    fn checksum(&self) -> String {
        let mut context = Context::new(&SHA256);
        for part in [self.issuer.as_bytes(), &self.confirmed_at.to_be_bytes(), self.document.as_bytes()] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        hex(context.finish().as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
