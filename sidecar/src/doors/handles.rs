//! Handles: the join between a positive introspection answer and the login that Dovecot makes of it.
//!
//! A handle is random, good for one login, and short-lived. The table is bounded and lives in memory alone. Handles
//! are kept as they are, not hashed: they stand in Dovecot's login line by design, and one of them opens nothing; it
//! only lets the holder of the policy door's secret count a login that Dovecot has already proven.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixSeconds;
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::DecisionId;
use crate::reason::DenyReason;

/// 128 random bits, written `h-` and 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle(u128);

impl Handle {
    /// A fresh handle. `None` when the system gives no random bytes.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = [0_u8; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(u128::from_be_bytes(bytes)))
    }

    /// Parses the written form; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("h-")?;
        let canonical = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if canonical { u128::from_str_radix(digits, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h-{:032x}", self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a login under a handle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A professional opens a mailbox: counted as its authentication.
    Login {
        /// The decision that granted it.
        decision: DecisionId,
        /// Issuer of the token.
        issuer: String,
        /// The person, as the proven token carries them. Never leaves this process but as a keyed digest.
        identity: IdNat,
    },
    /// The installation check knocks: answered like a login, counted as none.
    Probe,
}

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The mailboxes of the answer; never empty.
    pub mailboxes: Vec<MailboxAddress>,
    /// Whether and how the login counts.
    pub purpose: Purpose,
}

/// The table of handles. Shared by the introspection door, which issues, and the policy door, which takes.
#[derive(Debug)]
pub struct Handles {
    life_seconds: u64,
    capacity: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    slots: HashMap<Handle, Slot>,
    /// Issued handles, oldest first, with the moment at which each goes stale.
    live: VecDeque<(UnixSeconds, Handle)>,
    /// Used and stale handles, oldest first, with the moment at which each is forgotten.
    spent: VecDeque<(UnixSeconds, Handle)>,
}

#[derive(Debug)]
enum Slot {
    /// Boxed: most slots are spent ones, twenty times as many as live ones, and a slot is as large as its largest
    /// variant.
    Live(Box<Entry>),
    Used,
    Stale,
}

impl Handles {
    /// Handles kept by default: two thousand logins a second for a default life of 30 s.
    pub const CAPACITY: usize = 65_536;
    /// How long a used or stale handle is told apart from an unknown one, in seconds.
    pub const REMEMBERED_SECONDS: u64 = 600;

    /// A table whose handles live `life_seconds` and that holds at most `capacity` of them, spent ones included. When
    /// it is full the oldest spent handle goes first, then the oldest live one: its login is refused, never accepted.
    #[must_use]
    pub fn new(life_seconds: u64, capacity: usize) -> Self {
        Self { life_seconds, capacity: capacity.max(1), table: Mutex::default() }
    }

    /// Issues a handle for `entry`. `None` when the system gives no random bytes.
    #[must_use]
    pub fn issue(&self, entry: Entry, now: UnixSeconds) -> Option<Handle> {
        let handle = Handle::random()?;
        let mut table = self.table();
        table.age(now);
        table.make_room(self.capacity);
        table.slots.insert(handle, Slot::Live(Box::new(entry)));
        table.live.push_back((now.plus(self.life_seconds), handle));
        Some(handle)
    }

    /// Takes a handle for a login to `mailbox`: it is used afterwards.
    ///
    /// A mailbox outside the handle's set takes nothing: somebody else's attempt must not burn the member's handle.
    ///
    /// # Errors
    /// Why this handle opens nothing: unknown, used, stale, or another mailbox's.
    pub fn take(&self, handle: Handle, mailbox: &MailboxAddress, now: UnixSeconds) -> Result<Entry, DenyReason> {
        let mut table = self.table();
        table.age(now);
        match table.slots.get(&handle) {
            None => return Err(DenyReason::HandleUnknown),
            Some(Slot::Used) => return Err(DenyReason::HandleUsed),
            Some(Slot::Stale) => return Err(DenyReason::HandleStale),
            Some(Slot::Live(entry)) if !entry.mailboxes.contains(mailbox) => return Err(DenyReason::HandleMailbox),
            Some(Slot::Live(_)) => {}
        }
        let taken = table.slots.insert(handle, Slot::Used);
        table.spent.push_back((now.plus(Self::REMEMBERED_SECONDS), handle));
        match taken {
            Some(Slot::Live(entry)) => Ok(*entry),
            Some(Slot::Used | Slot::Stale) | None => Err(DenyReason::HandleUnknown),
        }
    }

    /// Handles held now, spent ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().slots.len()
    }

    /// No handle is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic while the lock was held can't have left a slot half-written: every change is one insert or removal.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Marks what has gone stale and forgets what was spent long ago. Amortised: each handle passes each queue once.
    fn age(&mut self, now: UnixSeconds) {
        while let Some((_, handle)) = self.live.pop_front_if(|(stale_at, _)| *stale_at <= now) {
            if let Some(slot @ Slot::Live(_)) = self.slots.get_mut(&handle) {
                *slot = Slot::Stale;
                self.spent.push_back((now.plus(Handles::REMEMBERED_SECONDS), handle));
            }
        }
        while let Some((_, handle)) = self.spent.pop_front_if(|(forgotten_at, _)| *forgotten_at <= now) {
            self.slots.remove(&handle);
        }
    }

    /// Makes room for one more handle, in the map and in both queues.
    fn make_room(&mut self, capacity: usize) {
        while self.slots.len() >= capacity {
            let Some((_, oldest)) = self.spent.pop_front().or_else(|| self.live.pop_front()) else { break };
            self.slots.remove(&oldest);
        }
        // Handles used early stay in `live` until their time; without this a flood of logins would let it grow.
        while self.live.len() >= capacity {
            let Some((_, oldest)) = self.live.pop_front() else { break };
            if let Some(Slot::Live(_)) = self.slots.get(&oldest) {
                self.slots.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> MailboxAddress {
        MailboxAddress::parse(text).unwrap()
    }

    fn entry(mailboxes: &[&str]) -> Entry {
        Entry { mailboxes: mailboxes.iter().map(|text| address(text)).collect(), purpose: Purpose::Probe }
    }

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    #[test]
    fn a_handle_is_good_for_one_login_and_is_then_used() {
        let handles = Handles::new(30, 8);
        let handle = handles.issue(entry(&["a@x.test"]), NOW).unwrap();
        assert_eq!(handles.take(handle, &address("a@x.test"), NOW), Ok(entry(&["a@x.test"])));
        assert_eq!(handles.take(handle, &address("a@x.test"), NOW), Err(DenyReason::HandleUsed));
    }

    #[test]
    fn another_mailbox_is_refused_and_does_not_burn_the_members_handle() {
        let handles = Handles::new(30, 8);
        let handle = handles.issue(entry(&["a@x.test", "b@x.test"]), NOW).unwrap();
        assert_eq!(handles.take(handle, &address("c@x.test"), NOW), Err(DenyReason::HandleMailbox));
        assert!(handles.take(handle, &address("b@x.test"), NOW).is_ok());
        assert_eq!(handles.take(handle, &address("c@x.test"), NOW), Err(DenyReason::HandleUsed));
    }

    #[test]
    fn a_handle_goes_stale_at_the_end_of_its_life_and_is_forgotten_later() {
        let handles = Handles::new(30, 8);
        let young = handles.issue(entry(&["a@x.test"]), NOW).unwrap();
        let old = handles.issue(entry(&["a@x.test"]), NOW).unwrap();
        assert!(handles.take(young, &address("a@x.test"), NOW.plus(29)).is_ok());
        assert_eq!(handles.take(old, &address("a@x.test"), NOW.plus(30)), Err(DenyReason::HandleStale));
        assert_eq!(handles.take(young, &address("a@x.test"), NOW.plus(30)), Err(DenyReason::HandleUsed));
        let later = NOW.plus(30 + Handles::REMEMBERED_SECONDS);
        assert_eq!(handles.take(old, &address("a@x.test"), later), Err(DenyReason::HandleUnknown));
        assert!(handles.is_empty());
    }

    #[test]
    fn a_handle_never_issued_is_unknown() {
        let handles = Handles::new(30, 8);
        let stranger = Handle::random().unwrap();
        assert_eq!(handles.take(stranger, &address("a@x.test"), NOW), Err(DenyReason::HandleUnknown));
    }

    #[test]
    fn a_full_table_drops_spent_handles_before_live_ones() {
        let handles = Handles::new(30, 3);
        let spent = handles.issue(entry(&["a@x.test"]), NOW).unwrap();
        handles.take(spent, &address("a@x.test"), NOW).unwrap();
        let kept: Vec<_> = (0..3).map(|_| handles.issue(entry(&["a@x.test"]), NOW).unwrap()).collect();
        assert_eq!(handles.len(), 3);
        assert_eq!(handles.take(spent, &address("a@x.test"), NOW), Err(DenyReason::HandleUnknown));
        for handle in kept {
            assert!(handles.take(handle, &address("a@x.test"), NOW).is_ok());
        }
    }

    #[test]
    fn a_full_table_of_live_handles_drops_the_oldest() {
        let handles = Handles::new(30, 2);
        let [oldest, ..] = std::array::from_fn::<_, 3, _>(|_| handles.issue(entry(&["a@x.test"]), NOW).unwrap());
        assert_eq!(handles.len(), 2);
        assert_eq!(handles.take(oldest, &address("a@x.test"), NOW), Err(DenyReason::HandleUnknown));
    }

    #[test]
    fn a_flood_of_logins_grows_neither_map_nor_queues() {
        let handles = Handles::new(30, 16);
        for _ in 0..1_000 {
            let handle = handles.issue(entry(&["a@x.test"]), NOW).unwrap();
            handles.take(handle, &address("a@x.test"), NOW).unwrap();
        }
        let table = handles.table();
        assert!(table.slots.len() <= 16 && table.live.len() <= 16 && table.spent.len() <= 17, "{table:?}");
    }

    #[test]
    fn only_the_written_form_parses() {
        let handle = Handle::random().unwrap();
        assert_eq!(Handle::parse(&handle.to_string()), Some(handle));
        for text in [
            "",
            "h-",
            "h-0",
            "0123456789abcdef0123456789abcdef",
            "h-0123456789ABCDEF0123456789ABCDEF",
            "h-+123456789abcdef0123456789abcdef",
            "h-0123456789abcdef0123456789abcdef0",
            "H-0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(Handle::parse(text), None, "{text:?}");
        }
    }
}
