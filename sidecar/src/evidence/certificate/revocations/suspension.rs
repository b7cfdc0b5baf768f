//! The check, suspended by an operator while lists can't be had: for a stated time, with a reason, and never for good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::clock::UnixSeconds;

/// Longest suspension, seconds.
pub const SUSPENSION_MAX: u64 = 7 * 86_400;
/// How far a clock may be set back without ending the suspension that it dated, seconds.
const LEEWAY: u64 = 300;
/// Longest reason and name, in characters.
const TEXT_MAX: usize = 200;
/// Largest file, in bytes.
const SIZE_MAX: u64 = 16 * 1024;

/// A suspension.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    since: u64,
    until: u64,
    reason: String,
    by: String,
}

/// A suspension of the revocation check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// From when on.
    pub since: UnixSeconds,
    /// Until when: its last second.
    pub until: UnixSeconds,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
}

impl Suspension {
    /// Whether it holds: from its beginning to its end. One that begins later was made while the clock was ahead. So
    /// none holds beyond [`SUSPENSION_MAX`] and [`LEEWAY`] from now; a bound on its end alone would let such a one hold
    /// for that long, and not for the time that was asked for.
    fn holds(&self, now: UnixSeconds) -> bool {
        self.since <= now.plus(LEEWAY) && now <= self.until
    }
}

/// Why there is no suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuspensionError {
    /// It would have ended already.
    #[error("the suspension would end in the past: give a later moment")]
    Past,
    /// Longer than seven days.
    #[error("a suspension lasts seven days at most: give an earlier moment, and suspend again where that is needed")]
    TooLong,
    /// No reason or no name.
    #[error("a suspension needs a reason and a name, of 1 to {TEXT_MAX} characters each, without control characters")]
    Text,
    /// The disk.
    #[error("the suspension can't be changed on disk: see `octroi status` for what holds, and try again")]
    Disk,
}

/// How the file is changed for good ([`crate::durable`]).
struct Disk {
    replace: fn(&Path, &Path, &[u8]) -> io::Result<()>,
    remove: fn(&Path, &Path) -> io::Result<()>,
}

const DISK: Disk = Disk { replace: crate::durable::replace, remove: crate::durable::remove };

pub(super) struct Suspensions {
    folder: PathBuf,
    current: ArcSwapOption<Suspension>,
    disk: Disk,
}

impl Suspensions {
    /// Reads the one that a process before wrote. One that can't be read is told, and is none: the check then holds.
    pub(super) fn open(folder: &Path, now: UnixSeconds) -> Self {
        let current = match read(&path(folder)) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the suspension of the revocation check can't be read: it does not hold");
                None
            }
        };
        if let Some(suspension) = &current {
            told_at_start(suspension, now);
        }
        Self { folder: folder.to_owned(), current: ArcSwapOption::from_pointee(current), disk: DISK }
    }

    pub(super) fn at(&self, now: UnixSeconds) -> Option<Suspension> {
        let current = self.current.load();
        current.as_ref().filter(|suspension| suspension.holds(now)).map(|suspension| Suspension::clone(suspension))
    }

    pub(super) fn begin(
        &self,
        now: UnixSeconds,
        until: UnixSeconds,
        reason: &str,
        by: &str,
    ) -> Result<Suspension, SuspensionError> {
        if until <= now {
            return Err(SuspensionError::Past);
        }
        let record = Record { since: now.0, until: until.0, reason: reason.to_owned(), by: by.to_owned() };
        let suspension = record.checked()?;
        let bytes = serde_json::to_vec(&record).map_err(|_| SuspensionError::Disk)?;
        let file = path(&self.folder);
        let before = fs::read(&file).ok();
        if (self.disk.replace)(&self.folder, &file, &bytes).is_err() {
            self.put_back(before.as_deref());
            return Err(SuspensionError::Disk);
        }
        self.current.store(Some(Arc::new(suspension.clone())));
        Ok(suspension)
    }

    /// After a write that failed: the new file may be there all the same, and must not come into force at the next
    /// start.
    fn put_back(&self, before: Option<&[u8]>) {
        let file = path(&self.folder);
        let changed = match before {
            Some(bytes) => (self.disk.replace)(&self.folder, &file, bytes),
            None => (self.disk.remove)(&self.folder, &file),
        };
        if let Err(error) = changed {
            tracing::error!(%error, "a suspension that could not be written whole can't be taken back for sure");
        }
        self.read_back();
    }

    /// Lets hold what the disk shows: what is in force is never something else than what a restart finds.
    fn read_back(&self) {
        match read(&path(&self.folder)) {
            Ok(found) => self.current.store(found.map(Arc::new)),
            Err(error) => tracing::error!(%error, "the suspension of the revocation check can't be read back"),
        }
    }

    pub(super) fn end(&self) -> Result<(), SuspensionError> {
        if (self.disk.remove)(&self.folder, &path(&self.folder)).is_err() {
            self.read_back();
            return Err(SuspensionError::Disk);
        }
        self.current.store(None);
        Ok(())
    }
}

impl Record {
    fn checked(&self) -> Result<Suspension, SuspensionError> {
        let good = |text: &str| (1..=TEXT_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if !good(&self.reason) || !good(&self.by) {
            return Err(SuspensionError::Text);
        }
        if self.until.saturating_sub(self.since) > SUSPENSION_MAX {
            return Err(SuspensionError::TooLong);
        }
        let (since, until) = (UnixSeconds(self.since), UnixSeconds(self.until));
        Ok(Suspension { since, until, reason: self.reason.clone(), by: self.by.clone() })
    }
}

/// One that has ended is none.
fn told_at_start(suspension: &Suspension, now: UnixSeconds) {
    let Suspension { since, until, reason, by } = suspension;
    let (since, until) = (since.0, until.0);
    if suspension.holds(now) {
        tracing::warn!(until, reason, by, "the revocation check is suspended");
    } else if now.0 < since {
        tracing::error!(
            since,
            until,
            reason,
            by,
            "the revocation check is not suspended: a suspension on disk begins in the future. Set the clock, and end the \
             suspension (`octroi certificate crl resume`)"
        );
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("suspension.json")
}

fn read(path: &Path) -> Result<Option<Suspension>, String> {
    let found = fs::metadata(path);
    let size = match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| error.to_string())?.len(),
    };
    if size > SIZE_MAX {
        return Err("the file is too large".to_owned());
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|_| "the file is damaged".to_owned())?;
    record.checked().map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::tests::Lines;

    const NOW: UnixSeconds = UnixSeconds(1000);

    fn full() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    /// The file changes; that its folder has it can't be made sure.
    const NOT_SYNCED: Disk = Disk {
        replace: |folder, path, bytes| crate::durable::replace(folder, path, bytes).and(Err(full())),
        remove: |folder, path| crate::durable::remove(folder, path).and(Err(full())),
    };

    fn on(folder: &Path, disk: Disk) -> Suspensions {
        Suspensions { disk, ..Suspensions::open(folder, NOW) }
    }

    fn reason(suspensions: &Suspensions) -> Option<String> {
        suspensions.at(NOW).map(|suspension| suspension.reason)
    }

    #[test]
    fn a_suspension_that_is_refused_for_the_disk_is_none_after_a_restart_either() {
        let folder = tempfile::tempdir().unwrap();
        let failing = on(folder.path(), NOT_SYNCED);
        assert_eq!(failing.begin(NOW, NOW.plus(9), "drill", "root"), Err(SuspensionError::Disk));
        assert_eq!((reason(&failing), reason(&on(folder.path(), DISK))), (None, None));
    }

    #[test]
    fn one_made_while_the_clock_was_ahead_does_not_hold_once_it_is_right() {
        let (day, folder) = (86_400, tempfile::tempdir().unwrap());
        // Ahead by a month, by a day, and by a second more than is let pass: for an hour, and for the longest time.
        for (ahead, length) in
            [30 * day, day, LEEWAY + 1].into_iter().flat_map(|ahead| [(ahead, 3600), (ahead, 7 * day)])
        {
            let wrong = NOW.plus(ahead);
            let suspensions = on(folder.path(), DISK);
            suspensions.begin(wrong, wrong.plus(length), "drill", "root").unwrap();
            assert!(suspensions.at(wrong).is_some());
            for suspensions in [suspensions, on(folder.path(), DISK)] {
                assert_eq!(suspensions.at(NOW), None, "{ahead} {length}");
                // Not either when its end is no further away than any may be.
                assert_eq!(suspensions.at(UnixSeconds(wrong.0 - LEEWAY - 1)), None, "{ahead} {length}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_right_by_little_ends_none() {
        let folder = tempfile::tempdir().unwrap();
        let suspensions = on(folder.path(), DISK);
        let until = NOW.plus(SUSPENSION_MAX);
        suspensions.begin(NOW, until, "drill", "root").unwrap();
        assert!([NOW.0 - LEEWAY, NOW.0, until.0].into_iter().all(|now| suspensions.at(UnixSeconds(now)).is_some()));
        assert_eq!(suspensions.at(until.plus(1)), None);
    }

    #[test]
    fn the_log_says_of_none_that_it_holds_unless_it_does() {
        let folder = tempfile::tempdir().unwrap();
        on(folder.path(), DISK).begin(NOW, NOW.plus(9), "drill", "root").unwrap();
        let told = |now| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
            tracing::subscriber::with_default(subscriber, || Suspensions::open(folder.path(), now));
            lines.taken().concat()
        };
        assert!(told(NOW).contains("the revocation check is suspended"));
        assert!(told(UnixSeconds(NOW.0 - LEEWAY - 1)).contains("the revocation check is not suspended"));
        assert_eq!(told(NOW.plus(10)), "");
    }

    #[test]
    fn one_that_can_t_take_the_place_of_another_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        on(folder.path(), DISK).begin(NOW, NOW.plus(9), "first", "root").unwrap();
        let failing = on(folder.path(), NOT_SYNCED);
        assert_eq!(failing.begin(NOW, NOW.plus(99), "second", "root"), Err(SuspensionError::Disk));
        let first = Some("first".to_owned());
        assert_eq!((reason(&failing), reason(&on(folder.path(), DISK))), (first.clone(), first));
    }

    #[test]
    fn an_end_that_may_not_outlast_a_crash_is_told_and_holds_until_then() {
        let folder = tempfile::tempdir().unwrap();
        on(folder.path(), DISK).begin(NOW, NOW.plus(9), "drill", "root").unwrap();
        let failing = on(folder.path(), NOT_SYNCED);
        assert_eq!(failing.end(), Err(SuspensionError::Disk));
        assert_eq!(reason(&failing), None);
        let refusing = Disk { remove: |_, _| Err(full()), ..DISK };
        on(folder.path(), DISK).begin(NOW, NOW.plus(9), "drill", "root").unwrap();
        let failing = on(folder.path(), refusing);
        assert_eq!(failing.end(), Err(SuspensionError::Disk));
        assert_eq!(reason(&failing).as_deref(), Some("drill"), "it lasts on, here and on disk");
        assert_eq!(on(folder.path(), DISK).end(), Ok(()));
        assert_eq!(reason(&on(folder.path(), DISK)), None);
    }
}
