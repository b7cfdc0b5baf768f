//! What programs have written, for searches that must not miss anything while the programs go on.

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Every file below a folder: its path from there, and what stands in it. A file or folder that is taken away meanwhile
/// is gone; whatever else keeps one from being read is an error.
pub fn below(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let unreadable = || next.display().to_string();
        for entry in there(std::fs::read_dir(&next)).with_context(unreadable)?.into_iter().flatten() {
            let Some(entry) = there(entry).with_context(unreadable)? else { continue };
            let (path, Some(kind)) = (entry.path(), there(entry.file_type()).with_context(unreadable)?) else {
                continue;
            };
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Some(bytes) = there(std::fs::read(&path)).with_context(|| path.display().to_string())?
            {
                found.push((path.strip_prefix(folder)?.display().to_string(), bytes));
            }
        }
    }
    Ok(found)
}

fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
