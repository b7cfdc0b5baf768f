//! What outlives the process: the mailbox directory, the trust space, enrolled certificates, and when each mailbox was
//! last authenticated.
//!
//! One contract, one test suite for all that keep it. A store never decides anything and knows no token.

mod schema;
mod sqlite;
mod sqlite_certificates;
mod sqlite_directory;
mod sqlite_trust_space;

use std::fmt;

use async_trait::async_trait;

pub use self::sqlite::Sqlite;
use crate::clock::UnixSeconds;
use crate::evidence::certificate::Fingerprint;
use crate::evidence::directory::{Mailbox, MailboxAddress};
use crate::evidence::trust_space::TrustList;

/// The contract. What was acknowledged with `Ok` is durable: it outlives a kill -9 and a loss of power.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Every mailbox, in the order of addresses.
    ///
    /// # Errors
    /// The store can't be read, or holds what no import wrote.
    async fn load_directory(&self) -> Result<Vec<Mailbox>, StoreError>;

    /// Puts `mailboxes` in the place of the whole directory, entirely or not at all. Recorded authentications stay,
    /// those of mailboxes that are gone too.
    ///
    /// # Errors
    /// Nothing was changed.
    async fn replace_directory(&self, mailboxes: Vec<Mailbox>) -> Result<(), StoreError>;

    /// The trust space's list; `None` before the first import.
    ///
    /// # Errors
    /// The store can't be read, or holds what no import wrote.
    async fn load_trust_space(&self) -> Result<Option<TrustList>, StoreError>;

    /// Puts `list` in the place of the one before, entirely or not at all.
    ///
    /// # Errors
    /// Nothing was changed.
    async fn replace_trust_space(&self, list: TrustList) -> Result<(), StoreError>;

    /// Every certificate that was ever enrolled, in the order of fingerprints. One that is not what its fingerprint
    /// says is told in the log and left out.
    ///
    /// # Errors
    /// The store can't be read.
    async fn load_certificates(&self) -> Result<StoredCertificates, StoreError>;

    /// Adds certificates, entirely or not at all. One that is there already keeps its dates, that of its withdrawal
    /// too.
    ///
    /// # Errors
    /// Nothing was changed.
    async fn enrol(&self, certificates: Vec<StoredCertificate>) -> Result<(), StoreError>;

    /// Marks a certificate as withdrawn, for good. Whether it did: `false` where it is not there, or is withdrawn
    /// already.
    ///
    /// # Errors
    /// Nothing was changed.
    async fn withdraw(&self, certificate: Fingerprint, at: UnixSeconds) -> Result<bool, StoreError>;

    /// Records that a mailbox was authenticated; an older moment than the recorded one changes nothing.
    ///
    /// # Errors
    /// It may or may not be recorded: the caller must not count the login. Never waits longer than [`WRITE_DEADLINE`].
    async fn record_authentication(&self, authentication: Authentication) -> Result<(), StoreError>;

    /// The directory's mailboxes in the order of addresses, each with its last authentication by any means.
    ///
    /// # Errors
    /// The store can't be read.
    async fn last_authentications(&self, page: Page) -> Result<Vec<LastAuthentication>, StoreError>;
}

/// Longest wait for a write, below Dovecot's patience for an auth-policy answer (2 s as shipped).
pub const WRITE_DEADLINE: std::time::Duration = std::time::Duration::from_millis(1500);

/// One authentication that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The mailbox opened.
    pub mailbox: MailboxAddress,
    /// When.
    pub at: UnixSeconds,
    /// By what.
    pub means: Means,
}

/// An enrolled certificate as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// The certificate. The store does not read it.
    pub der: Vec<u8>,
    /// When it was first enrolled.
    pub enrolled_at: UnixSeconds,
    /// When the operator withdrew it.
    pub withdrawn_at: Option<UnixSeconds>,
}

/// Every enrolled certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCertificates {
    /// Those that are as they were enrolled, in the order of fingerprints.
    pub whole: Vec<StoredCertificate>,
    /// Those whose content is damaged, with the moment of their withdrawal.
    pub damaged: Vec<(Fingerprint, Option<UnixSeconds>)>,
}

/// By what a mailbox was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// A token of a provider.
    Psc,
    /// A client certificate of a structure (AUTH_CLI).
    Certificate,
    /// Another SASL mechanism, by its name in upper case.
    Mechanism(String),
}

impl Means {
    /// The word kept in the store: `PSC`, `AUTH_CLI`, or the mechanism. No SASL mechanism is called so.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Psc => "PSC",
            Self::Certificate => "AUTH_CLI",
            Self::Mechanism(name) => name,
        }
    }

    /// The means with this word.
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        match code {
            "PSC" => Self::Psc,
            "AUTH_CLI" => Self::Certificate,
            name => Self::Mechanism(name.to_owned()),
        }
    }
}

/// A part of a list, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Starts with the first address after this one; empty: from the start.
    pub after: String,
    /// At most this many.
    pub limit: u32,
}

/// A mailbox of the directory and its last authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAuthentication {
    /// The mailbox.
    pub mailbox: MailboxAddress,
    /// When it was last authenticated, and by what. `None`: not since it is recorded.
    pub last: Option<(UnixSeconds, Means)>,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many writes wait already.
    #[error("the store has too many writes waiting")]
    Overloaded,
    /// No answer within [`WRITE_DEADLINE`].
    #[error("the store did not answer in time")]
    Timeout,
    /// The store can't be read or written.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The store holds something that no import of this version wrote.
    #[error("the store holds {0}: restore it, or import the directory again")]
    Corrupt(String),
    /// The store was written by a later version.
    #[error("the store has schema {found}, this version knows {known}: install the later version again")]
    Newer {
        /// Version of the store.
        found: u32,
        /// Latest version known here.
        known: u32,
    },
}

#[cfg(test)]
mod contract;
