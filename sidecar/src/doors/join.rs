//! The join between a SASL login and the mail that follows it: by the process id of the smtpd that serves both.
//!
//! One smtpd serves one client after another, and each at most one login (a second AUTH is refused by Postfix). So the
//! last login on a process id is the current client's exactly when Postfix names its mailbox as `sasl_username`; a new
//! CONNECT forgets it. Never by address. The table is bounded, and a login that it lost is an outage, not a refusal.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixSeconds;
use crate::evidence::directory::MailboxAddress;
use crate::gate::Login;

/// What a SASL client was told is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// A login.
    Login(Login),
    /// The mailbox that a client named with EXTERNAL. It proves nothing: the certificate comes with the questions about
    /// messages, and is judged there.
    Claim {
        /// The mailbox.
        mailbox: MailboxAddress,
        /// When.
        at: UnixSeconds,
    },
}

impl Joined {
    const fn mailbox(&self) -> &MailboxAddress {
        match self {
            Self::Login(login) => &login.mailbox,
            Self::Claim { mailbox, .. } => mailbox,
        }
    }

    const fn at(&self) -> UnixSeconds {
        match self {
            Self::Login(login) => login.at,
            Self::Claim { at, .. } => *at,
        }
    }
}

impl From<Login> for Joined {
    fn from(login: Login) -> Self {
        Self::Login(login)
    }
}

/// The logins of the smtpd processes.
#[derive(Debug)]
pub struct Joins {
    capacity: usize,
    life_seconds: u64,
    logins: Mutex<HashMap<u32, Joined>>,
}

impl Joins {
    /// Processes remembered by default: eighty times Postfix's default process limit.
    pub const CAPACITY: usize = 8_192;
    /// Longest time for which a login is remembered, in seconds: the longest provider session there is.
    pub const LIFE_SECONDS: u64 = 14_400;

    /// An empty table of at most `capacity` processes, each forgotten `life_seconds` after its login.
    #[must_use]
    pub fn new(capacity: usize, life_seconds: u64) -> Self {
        Self { capacity: capacity.max(1), life_seconds, logins: Mutex::default() }
    }

    /// Records the login, or the claim, on process `pid`, in the place of an earlier one. When the table is full the
    /// oldest login of another process goes.
    pub fn record(&self, pid: u32, login: impl Into<Joined>) {
        let login = login.into();
        let mut logins = self.logins();
        if logins.len() >= self.capacity && !logins.contains_key(&pid) {
            let now = login.at();
            logins.retain(|_, known| now.since(known.at()) < self.life_seconds);
            let oldest = logins.iter().min_by_key(|(_, known)| known.at()).map(|(pid, _)| *pid);
            if let Some(oldest) = oldest.filter(|_| logins.len() >= self.capacity) {
                logins.remove(&oldest);
            }
        }
        logins.insert(pid, login);
    }

    /// Forgets the login on process `pid`: a new client connected to it.
    pub fn reset(&self, pid: u32) {
        self.logins().remove(&pid);
    }

    /// The login, or the claim, on process `pid`, if it is the one that Postfix names and not too old.
    #[must_use]
    pub fn find(&self, pid: u32, sasl_username: &str, now: UnixSeconds) -> Option<Joined> {
        let logins = self.logins();
        let login = logins.get(&pid)?;
        let is_it = !sasl_username.is_empty() && login.mailbox().as_str() == sasl_username;
        (is_it && now.since(login.at()) < self.life_seconds).then(|| login.clone())
    }

    /// Processes remembered now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logins().len()
    }

    /// No process is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic while the lock was held can't have left an entry half-written: every change is one insert or removal.
    fn logins(&self) -> MutexGuard<'_, HashMap<u32, Joined>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::directory::IdNat;
    use crate::gate::{DecisionId, Holder};

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn login(mailbox: &str, at: UnixSeconds) -> Login {
        Login {
            mailbox: MailboxAddress::parse(mailbox).unwrap(),
            decision: DecisionId::example(),
            holder: Holder::Person {
                issuer: "https://psc.test".into(),
                identity: IdNat::parse("899700000011").unwrap(),
            },
            at,
        }
    }

    #[test]
    fn a_login_is_found_by_process_and_name() {
        let joins = Joins::new(4, 100);
        joins.record(7, login("a@x.test", NOW));
        assert_eq!(joins.find(7, "a@x.test", NOW), Some(login("a@x.test", NOW).into()));
        assert_eq!(joins.find(8, "a@x.test", NOW), None);
        assert_eq!(joins.find(7, "b@x.test", NOW), None);
        assert_eq!(joins.find(7, "", NOW), None);
    }

    #[test]
    fn an_earlier_clients_login_never_leaks_to_the_next() {
        let joins = Joins::new(4, 100);
        joins.record(7, login("a@x.test", NOW));
        // The next client on the same process did not log in.
        assert_eq!(joins.find(7, "", NOW), None);
        joins.reset(7);
        assert_eq!(joins.find(7, "a@x.test", NOW), None);
        // The one after it did, as somebody else.
        joins.record(7, login("b@x.test", NOW));
        assert_eq!(joins.find(7, "a@x.test", NOW), None);
        assert_eq!(joins.find(7, "b@x.test", NOW), Some(login("b@x.test", NOW).into()));
    }

    #[test]
    fn a_login_is_forgotten_after_its_life() {
        let joins = Joins::new(4, 100);
        joins.record(7, login("a@x.test", NOW));
        assert!(joins.find(7, "a@x.test", NOW.plus(99)).is_some());
        assert!(joins.find(7, "a@x.test", NOW.plus(100)).is_none());
    }

    #[test]
    fn a_full_table_drops_the_oldest_login() {
        let joins = Joins::new(2, 100);
        joins.record(1, login("a@x.test", NOW));
        joins.record(2, login("b@x.test", NOW.plus(1)));
        joins.record(2, login("b@x.test", NOW.plus(2)));
        assert_eq!(joins.len(), 2);
        joins.record(3, login("c@x.test", NOW.plus(3)));
        assert_eq!(joins.len(), 2);
        assert_eq!(joins.find(1, "a@x.test", NOW.plus(3)), None);
        assert!(joins.find(2, "b@x.test", NOW.plus(3)).is_some() && joins.find(3, "c@x.test", NOW.plus(3)).is_some());
        // Those whose life is over go all at once.
        joins.record(4, login("d@x.test", NOW.plus(200)));
        assert_eq!(joins.len(), 1);
    }
}
