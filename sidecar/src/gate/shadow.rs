//! A release that answers beside the one in service, on the same attempts, and changes nothing.
//!
//! The request path does no more than to offer a copy of the attempt to a bounded queue. A thread of the lowest
//! priority judges it again, for at most a tenth of one processor's time: what is proven is looked up, nothing is
//! fetched, nobody is asked and nobody is charged. Kept are counts of differences and a few samples without anything of
//! the person.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempt, Basis, DecisionId, Facts, Gate, Missing, Outcome, Step};
use crate::clock::UnixSeconds;
use crate::policy::Release;
use crate::policy::wit::login::{self, Introspect};
use crate::reason::{DenyReason, UnavailableReason};
use crate::recording::Decided;

/// Most attempts that wait for the shadow. An attempt has at most some ten kilobytes.
const QUEUE: usize = 256;
/// How long the shadow works before it rests.
const STINT: Duration = Duration::from_micros(500);
/// Longest rest: its end must not be waited for.
const LONGEST_REST: Duration = Duration::from_millis(50);
/// Most kinds of difference that are counted apart. Reasons are a closed list: this is never reached by chance.
const KINDS: usize = 1024;
/// Most samples, the last ones.
const SAMPLES: usize = 100;

/// An attempt that was decided, as it is offered to who looks on. Holds the token: in memory alone, and not for long.
pub(super) struct Live {
    pub(super) id: DecisionId,
    pub(super) attempt: Attempt,
    pub(super) now: UnixSeconds,
    /// What the issuer said of the token, where it was asked.
    pub(super) introspection: Option<login::Introspection>,
    pub(super) outcome: Outcome,
}

/// A release in the shadow of the one in service.
pub struct Shadow {
    release: Arc<Release>,
    queue: SyncSender<Live>,
    tally: Arc<Tally>,
}

/// What came of it so far.
#[derive(Default)]
struct Tally {
    offered: AtomicU64,
    dropped: AtomicU64,
    same: AtomicU64,
    unknown: AtomicU64,
    /// Attempts that were taken out of the queue.
    taken: AtomicU64,
    /// Nobody wants to know any more.
    over: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    differences: BTreeMap<(String, String), u64>,
    samples: VecDeque<Sample>,
}

/// One attempt on which the two differ, without anything of the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: UnixSeconds,
    /// The decision, which leads to the audit record.
    pub decision: DecisionId,
    /// The way in.
    pub door: &'static str,
    /// What was decided.
    pub decided: String,
    /// What the shadow would have decided.
    pub shadow: String,
}

/// What came of a shadow so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowReport {
    /// Attempts judged by both, with the same outcome.
    pub same: u64,
    /// Differences: what was decided, what the shadow would have decided, how often.
    pub differences: Vec<(String, String, u64)>,
    /// Attempts that the shadow could not judge with what was at hand: it asks for something that the policy in service
    /// did not ask for.
    pub unknown: u64,
    /// Attempts that were not looked at because too many waited.
    pub dropped: u64,
    /// Attempts that still wait.
    pub waiting: u64,
    /// The last differences.
    pub samples: Vec<Sample>,
}

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shadow({})", self.release.digest())
    }
}

impl Shadow {
    /// Starts one beside `gate`. Ends with its last user, and with the gate.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(release: Arc<Release>, gate: &Arc<Gate>) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let tally = Arc::new(Tally::default());
        let (gate, judged, kept) = (Arc::downgrade(gate), release.in_background(), Arc::clone(&tally));
        std::thread::Builder::new().name("policy-shadow".into()).spawn(move || {
            step_back();
            look_on(&gate, &judged, &waiting, &kept);
        })?;
        Ok(Self { release, queue, tally })
    }

    /// The release.
    #[must_use]
    pub const fn release(&self) -> &Arc<Release> {
        &self.release
    }

    /// Offers an attempt, copied only where there is room. Never waits.
    pub(super) fn offer(&self, live: impl FnOnce() -> Live) {
        let Tally { offered, dropped, taken, .. } = &*self.tally;
        let offered = offered.fetch_add(1, Ordering::Relaxed);
        let waiting = offered.saturating_sub(taken.load(Ordering::Relaxed) + dropped.load(Ordering::Relaxed));
        if waiting >= QUEUE as u64 || self.queue.try_send(live()).is_err() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> ShadowReport {
        let Tally { offered, dropped, same, unknown, kept, .. } = &*self.tally;
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let differences: Vec<_> = kept
            .differences
            .iter()
            .map(|((decided, shadow), times)| (decided.clone(), shadow.clone(), *times))
            .collect();
        let [offered, dropped, same, unknown] = [offered, dropped, same, unknown].map(|c| c.load(Ordering::Relaxed));
        let judged = same + unknown + differences.iter().map(|(_, _, times)| times).sum::<u64>();
        let waiting = offered.saturating_sub(dropped).saturating_sub(judged);
        ShadowReport { same, differences, unknown, dropped, waiting, samples: kept.samples.iter().cloned().collect() }
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.tally.over.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    fn note(&self, live: &Live, shadow: Option<&Outcome>) {
        let Some(shadow) = shadow else {
            self.unknown.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let Some((decided, shadow)) = difference(&live.outcome, shadow) else {
            self.same.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { differences, samples } = &mut *kept;
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        let (at, decision, door) = (live.now, live.id, live.attempt.door.code());
        samples.push_back(Sample { at, decision, door, decided: decided.clone(), shadow: shadow.clone() });
        let kinds = differences.len();
        match differences.entry((decided, shadow)) {
            std::collections::btree_map::Entry::Vacant(_) if kinds >= KINDS => {}
            entry => *entry.or_default() += 1,
        }
    }
}

/// Two outcomes in words, where they differ.
fn difference(decided: &Outcome, shadow: &Outcome) -> Option<(String, String)> {
    if let (Outcome::Allow(one), Outcome::Allow(other)) = (decided, shadow) {
        let mailboxes = |permit: &crate::rails::Permit| {
            let mut mailboxes: Vec<_> = permit.mailboxes().iter().map(ToString::to_string).collect();
            mailboxes.sort_unstable();
            mailboxes
        };
        return (mailboxes(one) != mailboxes(other)).then(|| ("allow".to_owned(), "allow other mailboxes".to_owned()));
    }
    let (decided, shadow) = (word(decided), word(shadow));
    (decided != shadow).then_some((decided, shadow))
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(_) => "allow".to_owned(),
        Outcome::Deny(reason) => format!("deny {}", reason.code()),
        Outcome::Unavailable(reason) => format!("unavailable {}", reason.code()),
    }
}

/// Whether an outcome comes from the issuer's keys alone.
const fn is_of_keys(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Deny(DenyReason::KeyUnknown | DenyReason::SignatureInvalid)
            | Outcome::Unavailable(UnavailableReason::KeysUnavailable)
    )
}

/// Gives way to every thread that serves: setpriority(2) on the caller, which on Linux is this one thread.
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::warn!(%error, "the shadow runs at the priority of the logins");
    }
}

/// Rests nine times as long as it worked: on a machine that is full of logins, a low priority alone would still cost
/// them more than a shadow is worth.
fn look_on(gate: &Weak<Gate>, release: &Release, waiting: &Receiver<Live>, tally: &Tally) {
    let mut worked = Duration::ZERO;
    while let Ok(live) = waiting.recv() {
        if tally.over.load(Ordering::Relaxed) {
            return;
        }
        tally.taken.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let Some(gate) = gate.upgrade() else { return };
        tally.note(&live, gate.again(release, &live).as_ref());
        drop(gate);
        worked += begun.elapsed();
        if worked >= STINT {
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep((9 * worked).min(LONGEST_REST));
            worked = Duration::ZERO;
        }
    }
}

impl Gate {
    /// Shows a decision to those who look on: the shadow, and whoever records. Costs nothing where there is neither.
    pub(super) fn show(
        &self,
        id: DecisionId,
        attempt: &Attempt,
        asked: login::Attempt,
        outcome: &Outcome,
        facts: &Facts,
        release: Arc<Release>,
    ) {
        let introspection = || facts.basis.as_ref().map(|basis| basis.introspection.clone());
        if let Some(shadow) = &*self.shadow.load() {
            shadow.offer(|| {
                let (attempt, outcome) = (attempt.clone(), outcome.clone());
                Live { id, attempt, now: self.clock.now(), introspection: introspection(), outcome }
            });
        }
        if let Some(recorder) = &self.recorder {
            let outcome = match outcome {
                Outcome::Allow(_) => ("allow", None),
                Outcome::Deny(reason) => ("deny", Some(reason.code())),
                Outcome::Unavailable(reason) => ("unavailable", Some(reason.code())),
            };
            let (decision, now) = (id.to_string(), self.clock.now());
            recorder.offer(Decided { decision, now, asked, introspection: introspection(), outcome, release });
        }
    }

    /// What `release` makes of an attempt that was decided, from what is at hand. `None`: it asks for more.
    fn again(&self, release: &Release, live: &Live) -> Option<Outcome> {
        let raw = super::terms::raw(&live.attempt.credentials)?;
        let asked = super::terms::ask(&live.attempt);
        match self.at_once(release, &live.attempt, &asked, &raw, live.now, &mut Facts::default()) {
            Step::Done(outcome) => Some(outcome),
            Step::Wait(inquiry, Missing::Word(proven)) => {
                let introspection = match (&live.introspection, inquiry.introspect) {
                    (Some(login::Introspection::NotAsked) | None, _) | (_, Introspect::Never) => return None,
                    (Some(word), Introspect::Prefer | Introspect::Must) => word.clone(),
                };
                let basis = Basis { inquiry: *inquiry, proven, introspection };
                let instance = release.instance().ok()?;
                Some(self.decide(instance, live.attempt.mailbox.as_deref(), &basis, live.now))
            }
            // What comes of a missing key is no policy's doing.
            Step::Wait(_, Missing::Key | Missing::NewerKey(_) | Missing::Turn(_)) => {
                is_of_keys(&live.outcome).then(|| live.outcome.clone())
            }
        }
    }
}
