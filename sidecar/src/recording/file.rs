//! The recorded decisions on disk: two files, of which the older one is dropped as a whole, so that nothing is kept
//! longer than a day and nothing grows beyond its bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::clock::UnixSeconds;
use crate::durable;

/// Seconds after which a file is closed: two of them are a day.
const SPAN: u64 = 12 * 3600;
/// Longest line that is read back, bytes: a token has at most some eight thousand, in base64 in a message in JSON.
const MAX_LINE: u64 = 256 << 10;

/// The two files.
pub(super) struct Files {
    folder: PathBuf,
    /// Bytes of both.
    most: u64,
    current: Option<Current>,
}

struct Current {
    file: File,
    since: UnixSeconds,
    bytes: u64,
}

#[derive(Deserialize)]
struct Moment {
    login: At,
}

#[derive(Deserialize)]
struct At {
    now: u64,
}

impl Files {
    /// The files in `folder`, of at most `most` bytes together.
    pub(super) const fn new(folder: PathBuf, most: u64) -> Self {
        Self { folder, most, current: None }
    }

    /// Appends a line. Blocks.
    pub(super) fn append(&mut self, line: &[u8], now: UnixSeconds) -> io::Result<()> {
        self.expire(now)?;
        let bytes = line.len() as u64 + 1;
        if self.current.as_ref().is_some_and(|current| current.bytes + bytes > self.most / 2) {
            self.close()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open(now)?,
        };
        current.file.write_all(&[line, b"\n"].concat())?;
        current.bytes += bytes;
        self.current = Some(current);
        Ok(())
    }

    /// Drops what is too old. Called now and then, whether or not anybody logs in. Blocks.
    pub(super) fn expire(&mut self, now: UnixSeconds) -> io::Result<()> {
        let current = current(&self.folder);
        let since = self.current.as_ref().map(|current| current.since).or_else(|| first(&current));
        if since.is_some_and(|since| now.since(since) >= SPAN) {
            self.close()?;
        }
        let previous = previous(&self.folder);
        // A file whose first line can't be read has no age: it goes.
        if previous.exists() && first(&previous).is_none_or(|since| now.since(since) >= 2 * SPAN) {
            fs::remove_file(previous)?;
        }
        Ok(())
    }

    fn open(&self, now: UnixSeconds) -> io::Result<Current> {
        durable::make(&self.folder)?;
        let path = current(&self.folder);
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Current { file, since: first(&path).unwrap_or(now), bytes })
    }

    fn close(&mut self) -> io::Result<()> {
        self.current = None;
        match fs::rename(current(&self.folder), previous(&self.folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }
}

fn current(folder: &Path) -> PathBuf {
    folder.join("decisions.jsonl")
}

fn previous(folder: &Path) -> PathBuf {
    folder.join("decisions.1.jsonl")
}

/// When the first line of a file was recorded.
fn first(path: &Path) -> Option<UnixSeconds> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?.take(MAX_LINE)).read_line(&mut line).ok()?;
    let moment: Moment = serde_json::from_str(&line).ok()?;
    Some(UnixSeconds(moment.login.now))
}

/// Removes what was recorded, where nothing is to be recorded any more. Blocks.
///
/// # Errors
/// The disk's.
pub fn remove(folder: &Path) -> io::Result<()> {
    [previous(folder), current(folder)].into_iter().try_for_each(|path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Whether a line of this moment is still to be kept.
pub(super) const fn is_kept(recorded: u64, now: UnixSeconds) -> bool {
    now.since(UnixSeconds(recorded)) < 2 * SPAN
}

/// The lines of both files, the older ones first. Blocks while they are read.
///
/// # Errors
/// The disk's; that there are no files is none.
pub(super) fn lines(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>> {
    let mut files = Vec::new();
    for path in [previous(folder), current(folder)] {
        match File::open(&path) {
            Ok(file) => files.push(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
    Ok(files.into_iter().flat_map(|file| file.split(b'\n')).filter(|line| !line.as_ref().is_ok_and(Vec::is_empty)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn line(now: u64) -> Vec<u8> {
        format!(r#"{{"login":{{"now":{now}}},"filler":"{}"}}"#, "x".repeat(200)).into_bytes()
    }

    fn kept(folder: &Path) -> Vec<u64> {
        let line = |line: io::Result<Vec<u8>>| serde_json::from_slice::<Moment>(&line.unwrap()).unwrap().login.now;
        lines(folder).unwrap().map(line).collect()
    }

    #[test]
    fn lines_come_back_in_their_order_over_a_restart_from_files_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("recording");
        for now in [100, 101] {
            Files::new(folder.clone(), 10_000).append(&line(now), UnixSeconds(now)).unwrap();
        }
        assert_eq!(kept(&folder), [100, 101]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&current(&folder))), (0o700, 0o600));
    }

    #[test]
    fn the_files_stay_within_their_bound_and_lose_the_oldest_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path().to_owned(), 4_000);
        for now in 0..200 {
            files.append(&line(now), UnixSeconds(now)).unwrap();
            let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
            assert!(size(current(folder.path())) + size(previous(folder.path())) <= 4_000);
        }
        let kept = kept(folder.path());
        assert!(kept.len() > 8 && kept.is_sorted() && kept.last() == Some(&199), "{kept:?}");
    }

    #[test]
    fn nothing_is_kept_for_longer_than_a_day_even_where_nobody_logs_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::new(folder.path().to_owned(), 100_000);
        files.append(&line(1_000), UnixSeconds(1_000)).unwrap();
        files.append(&line(30_000), UnixSeconds(30_000)).unwrap();
        files.append(&line(50_000), UnixSeconds(50_000)).unwrap();
        assert_eq!(kept(folder.path()), [1_000, 30_000, 50_000]);
        files.expire(UnixSeconds(87_399)).unwrap();
        assert_eq!(kept(folder.path()), [1_000, 30_000, 50_000]);
        files.expire(UnixSeconds(87_400)).unwrap();
        assert_eq!(kept(folder.path()), [50_000]);
        // After a restart, with nothing open.
        Files::new(folder.path().to_owned(), 100_000).expire(UnixSeconds(50_000 + 86_400)).unwrap();
        assert_eq!(kept(folder.path()), [0_u64; 0]);
        fs::write(previous(folder.path()), "damaged\n").unwrap();
        files.expire(UnixSeconds(150_000)).unwrap();
        assert!(!previous(folder.path()).exists());
    }
}
