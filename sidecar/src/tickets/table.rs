//! The table of tickets: bounded, in memory alone, and a hash is all that it knows of a ticket.
//!
//! A full table issues nothing more until a ticket is redeemed or has expired. It never drops a live one: its holder
//! was told that it is good, and would be refused for the sake of whoever floods. So that no person can fill it alone,
//! each may hold a few tickets at one moment.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Standing;
use super::ticket::{Ticket, TicketHash};
use crate::clock::UnixSeconds;
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::DecisionId;
use crate::reason::{DenyReason, UnavailableReason};

/// What a ticket stands for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The one mailbox.
    pub mailbox: MailboxAddress,
    /// The decision under which it was issued.
    pub decision: DecisionId,
    /// Issuer of the token.
    pub issuer: Arc<str>,
    /// The person, as the proven token carries them.
    pub identity: IdNat,
    /// What the login is worth later.
    pub standing: Standing,
}

/// Bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketLimits {
    /// Life of a ticket, in seconds.
    pub life_seconds: u64,
    /// Live tickets at one moment.
    pub live: usize,
    /// Live tickets of one person at one moment.
    pub live_per_person: usize,
}

impl TicketLimits {
    /// The bounds that go with a life: 16 384 live tickets, at 60 s a login every 4 ms; 64 of one person, more than any
    /// mail client opens connections.
    #[must_use]
    pub const fn with_life(life_seconds: u64) -> Self {
        Self { life_seconds, live: 16_384, live_per_person: 64 }
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    limits: TicketLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<TicketHash, Slot>,
    /// Issued tickets, oldest first, with the moment at which each expires.
    issued: VecDeque<(UnixSeconds, TicketHash)>,
    /// Used and expired tickets, oldest first, with the moment at which each is forgotten.
    spent: VecDeque<(UnixSeconds, TicketHash)>,
    live: usize,
    live_of: HashMap<IdNat, usize>,
}

#[derive(Debug)]
enum Slot {
    Live(Entry, UnixSeconds),
    Used,
    Expired,
}

impl Table {
    /// How long a used or expired ticket is told apart from an unknown one, in seconds.
    pub(super) const REMEMBERED_SECONDS: u64 = 600;

    pub(super) fn new(limits: TicketLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Issues a ticket for `entry`, good before the moment that comes with it.
    ///
    /// # Errors
    /// [`UnavailableReason::Overloaded`]: no place, or no random bytes.
    pub(super) fn issue(&self, entry: Entry, now: UnixSeconds) -> Result<(Ticket, UnixSeconds), UnavailableReason> {
        let ticket = Ticket::random().ok_or(UnavailableReason::Overloaded)?;
        let (hash, expires_at) = (ticket.hash(), now.plus(self.limits.life_seconds));
        let mut state = self.state();
        state.age(now);
        let own = state.live_of.get(&entry.identity).copied().unwrap_or_default();
        if state.live >= self.limits.live || own >= self.limits.live_per_person {
            return Err(UnavailableReason::Overloaded);
        }
        state.make_room(self.limits.live);
        state.live += 1;
        *state.live_of.entry(entry.identity.clone()).or_default() += 1;
        state.slots.insert(hash, Slot::Live(entry, expires_at));
        state.issued.push_back((expires_at, hash));
        Ok((ticket, expires_at))
    }

    /// What a ticket stands for, if it opens `mailbox` now. It stays good: see [`take`](Self::take).
    ///
    /// # Errors
    /// Why this ticket opens nothing: unknown, used, expired, or another mailbox's.
    pub(super) fn find(
        &self,
        hash: TicketHash,
        mailbox: &MailboxAddress,
        now: UnixSeconds,
    ) -> Result<Entry, (Option<Entry>, DenyReason)> {
        let mut state = self.state();
        state.age(now);
        match state.slots.get(&hash) {
            None => Err((None, DenyReason::TicketUnknown)),
            Some(Slot::Used) => Err((None, DenyReason::TicketUsed)),
            Some(Slot::Expired) => Err((None, DenyReason::TicketExpired)),
            Some(Slot::Live(entry, expires_at)) if *expires_at <= now => {
                Err((Some(entry.clone()), DenyReason::TicketExpired))
            }
            Some(Slot::Live(entry, _)) if entry.mailbox != *mailbox => {
                Err((Some(entry.clone()), DenyReason::TicketMailbox))
            }
            Some(Slot::Live(entry, _)) => Ok(entry.clone()),
        }
    }

    /// Takes a ticket: of all who found it, one gets it, and it is used afterwards.
    ///
    /// # Errors
    /// [`DenyReason::TicketUsed`]: somebody was quicker.
    pub(super) fn take(&self, hash: TicketHash, now: UnixSeconds) -> Result<(), DenyReason> {
        self.state().spend(hash, Slot::Used, now).then_some(()).ok_or(DenyReason::TicketUsed)
    }

    /// Live tickets.
    pub(super) fn live(&self) -> usize {
        self.state().live
    }

    /// A panic while the lock was held can't have left a slot half-written: every change of one is an insert or a
    /// removal. The counts could be one too high, which refuses early and never admits.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the life of a ticket; `false` where it was over already.
    fn spend(&mut self, hash: TicketHash, end: Slot, now: UnixSeconds) -> bool {
        let Some(slot @ Slot::Live(..)) = self.slots.get_mut(&hash) else { return false };
        let Slot::Live(entry, _) = std::mem::replace(slot, end) else { return false };
        self.live = self.live.saturating_sub(1);
        if let Some(own) = self.live_of.get_mut(&entry.identity) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.live_of.remove(&entry.identity);
            }
        }
        self.spent.push_back((now.plus(Table::REMEMBERED_SECONDS), hash));
        true
    }

    /// Ends what has expired and forgets what was spent long ago. Amortised: each ticket passes each queue once.
    fn age(&mut self, now: UnixSeconds) {
        while let Some((_, hash)) = self.issued.pop_front_if(|(expires_at, _)| *expires_at <= now) {
            self.spend(hash, Slot::Expired, now);
        }
        while let Some((_, hash)) = self.spent.pop_front_if(|(forgotten_at, _)| *forgotten_at <= now) {
            self.slots.remove(&hash);
        }
    }

    /// Keeps the spent tickets to as many as may live, and the queue of issued ones, in which used tickets wait for
    /// their time, to twice that.
    fn make_room(&mut self, live: usize) {
        while self.spent.len() >= live {
            let Some((_, oldest)) = self.spent.pop_front() else { break };
            self.slots.remove(&oldest);
        }
        if self.issued.len() >= live.saturating_mul(2) {
            let slots = &self.slots;
            self.issued.retain(|(_, hash)| matches!(slots.get(hash), Some(Slot::Live(..))));
        }
    }
}

#[cfg(test)]
mod tests;
