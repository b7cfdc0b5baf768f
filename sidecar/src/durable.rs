//! Files that are whole or as they were before, whatever ends the process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Makes a folder that is closed to others, and those above it, where they are not there. Blocks.
///
/// # Errors
/// The disk's.
pub fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => File::open(above)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

/// Puts `bytes` into `path` (mode 0600), in the place of what was there. `folder`, which holds it, is made (0700).
/// Blocks.
///
/// # Errors
/// The disk's. The former content is then still there, or, where only the folder could not be synced, the new.
pub fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    make(folder)?;
    swap(folder, path, bytes, 0o600)
}

/// The same for what other users read: `path` gets mode 0644, and `folder` 0755 where it is made.
///
/// # Errors
/// As [`replace`].
pub fn publish(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !folder.is_dir() {
        make(folder)?;
        // Whatever the umask: they are there to be read.
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    swap(folder, path, bytes, 0o644)
}

/// Removes `path` from `folder`, for good. What is not there is none the worse for it. Blocks.
///
/// # Errors
/// The disk's. The file is then still there, or, where only the folder could not be synced, may come back after a
/// crash.
pub fn remove(folder: &Path, path: &Path) -> io::Result<()> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match fs::remove_file(path) {
        Err(error) if !gone(&error) => return Err(error),
        _ => {}
    }
    match File::open(folder) {
        Err(error) if gone(&error) => Ok(()),
        folder => folder?.sync_all(),
    }
}

fn swap(folder: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    if mode != 0o600 {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}
