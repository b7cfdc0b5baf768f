//! The keys that a fetch has shown absent: a bounded, short memory, so that a token of an unknown key costs no second
//! fetch. Held as digests: a kid is a stranger's text of any length.

use std::collections::VecDeque;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use jsonwebtoken::Algorithm;
use tokio::time::Instant;

/// Most entries; the oldest makes room.
const ENTRIES: usize = 128;
/// How long an entry counts.
const LIFE: Duration = Duration::from_secs(300);

/// What was asked for: a kid, or the only key of an algorithm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; 32]);

impl Mark {
    pub(super) fn of(kid: Option<&str>, algorithm: Algorithm) -> Self {
        let mut context = Context::new(&SHA256);
        match kid {
            Some(kid) => {
                context.update(b"kid ");
                context.update(kid.as_bytes());
            }
            None => context.update(format!("alg {algorithm:?}").as_bytes()),
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.finish().as_ref());
        Self(mark)
    }
}

/// The memory. A crate for 128 entries would bring its own clock, which tests can't stop.
#[derive(Default)]
pub(super) struct Absent(VecDeque<(Mark, Instant)>);

impl Absent {
    /// How long ago it was shown absent, where it is still held.
    pub(super) fn age(&self, mark: &Mark) -> Option<Duration> {
        let held = self.0.iter().find(|(held, since)| held == mark && since.elapsed() < LIFE);
        held.map(|(_, since)| since.elapsed())
    }

    pub(super) fn insert(&mut self, mark: Mark) {
        self.0.retain(|(held, since)| *held != mark && since.elapsed() < LIFE);
        if self.0.len() >= ENTRIES {
            self.0.pop_front();
        }
        self.0.push_back((mark, Instant::now()));
    }

    /// Forgets all: the set has changed.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
