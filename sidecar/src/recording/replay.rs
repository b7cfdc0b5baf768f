//! Recorded decisions shown to another policy: what it would have answered.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::{Recorded, file};
use crate::clock::UnixSeconds;
use crate::policy::Release;
use crate::trial;

/// What would change. The same record and the same policy give the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// What the decisions were shown to.
    pub against: String,
    /// Decisions shown.
    pub shown: u64,
    /// Those that it answers as it was answered then.
    pub same: u64,
    /// Lines that can't be read.
    pub unreadable: u64,
    /// The others, by what changes.
    pub changes: Vec<Change>,
}

/// One kind of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What the policy answered then.
    pub before: String,
    /// What the other one answers.
    pub after: String,
    /// How often.
    pub times: u64,
    /// The first such decision, which leads to its audit record.
    pub first: String,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The disk's.
    #[error("the recorded decisions can't be read: {0}")]
    Disk(#[from] io::Error),
}

/// Shows what is recorded in `folder`, within the day before `now`, to a policy. Blocks; some tens of microseconds a
/// decision.
///
/// # Errors
/// [`ReplayError`]
pub fn replay(folder: &Path, release: &Release, now: UnixSeconds) -> Result<Replay, ReplayError> {
    let mut replay = Replay { against: format!("sha256:{}", release.digest()), ..Replay::default() };
    let mut changes: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    for line in file::lines(folder)? {
        let Ok(recorded) = serde_json::from_slice::<Recorded>(&line?) else {
            replay.unreadable += 1;
            continue;
        };
        if !file::is_kept(recorded.login.now, now) {
            continue;
        }
        let Ok(course) = trial::login(release, &recorded.login) else {
            replay.unreadable += 1;
            continue;
        };
        replay.shown += 1;
        if course.answer == recorded.login.expect {
            replay.same += 1;
            continue;
        }
        let kind = (word(&recorded.login.expect, &course.answer), word(&course.answer, &recorded.login.expect));
        changes.entry(kind).or_insert_with(|| (0, recorded.decision.clone())).0 += 1;
    }
    let change = |((before, after), (times, first))| Change { before, after, times, first };
    replay.changes = changes.into_iter().map(change).collect();
    Ok(replay)
}

/// An answer by its reason alone: whose mailboxes they are does not matter here.
fn word(answer: &trial::vectors::Answer, other: &trial::vectors::Answer) -> String {
    use trial::vectors::Answer;
    match (answer, other) {
        (Answer::Allow(mailboxes), Answer::Allow(_)) => format!("allow {} mailboxes", mailboxes.len()),
        (Answer::Allow(_), Answer::Deny(_) | Answer::Unavailable(_)) => "allow".to_owned(),
        (Answer::Deny(_) | Answer::Unavailable(_), _) => answer.to_string(),
    }
}
