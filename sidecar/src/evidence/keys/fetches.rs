//! Who may begin a fetch, and who waits for which one: one at a time, and none on a login's behalf before the floor
//! has passed since the last one began, whoever began it and however it ended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The last fetch that ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Its number, from 1; 0 before the first.
    pub(super) number: u64,
    /// Whether it brought a good answer.
    pub(super) good: bool,
}

/// What became of a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// A fetch of this number begins for it.
    Now(u64),
    /// One of this number had begun before, and is not done.
    Before(u64),
    /// The floor has not passed.
    NotDue,
}

pub(super) struct Fetches {
    floor: Duration,
    state: Mutex<State>,
    wake: Notify,
    done: watch::Sender<Done>,
}

#[derive(Default)]
struct State {
    number: u64,
    under_way: bool,
    began: Option<Instant>,
}

impl Fetches {
    pub(super) fn new(floor: Duration) -> Self {
        // The first fetch begins with the task: a login that comes before it joins it.
        let state = State { number: 1, under_way: true, began: Some(Instant::now()) };
        Self { floor, state: Mutex::new(state), wake: Notify::new(), done: watch::Sender::new(Done::default()) }
    }

    /// Asks for a fetch on behalf of a login, and for news of it.
    pub(super) fn demand(&self) -> (Begun, watch::Receiver<Done>) {
        // Subscribed before the state is read: a fetch that ends in between is not missed.
        let done = self.done.subscribe();
        let mut state = self.state();
        if state.under_way {
            return (Begun::Before(state.number), done);
        }
        if !state.is_due(self.floor) {
            return (Begun::NotDue, done);
        }
        state.begin();
        self.wake.notify_one();
        (Begun::Now(state.number), done)
    }

    /// Whether the last good answer is the latest news that there can be: it was no failure that came after it, and no
    /// demand would begin a fetch now.
    pub(super) fn is_settled(&self) -> bool {
        let good = self.done.borrow().good;
        let state = self.state();
        good && (state.under_way || !state.is_due(self.floor))
    }

    /// Marks a fetch as begun, unless a demand did.
    pub(super) fn begin_scheduled(&self) {
        let mut state = self.state();
        if !state.under_way {
            state.begin();
        }
    }

    /// Returns when a fetch is demanded.
    pub(super) async fn demanded(&self) {
        loop {
            self.wake.notified().await;
            if self.state().under_way {
                return;
            }
        }
    }

    /// Marks the fetch under way as ended.
    pub(super) fn end(&self, good: bool) {
        let number = {
            let mut state = self.state();
            state.under_way = false;
            state.number
        };
        self.done.send_replace(Done { number, good });
    }

    pub(super) fn watch(&self) -> watch::Receiver<Done> {
        self.done.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, floor: Duration) -> bool {
        self.began.is_none_or(|began| began.elapsed() >= floor)
    }

    fn begin(&mut self) {
        self.number = self.number.saturating_add(1);
        self.under_way = true;
        self.began = Some(Instant::now());
    }
}
