//! The embedded store: SQLite in a folder of its own.
//!
//! One thread writes. It takes every write that waits, up to a bound, into one transaction (group commit) and
//! answers only after the commit reached the disk: write-ahead log with `synchronous=FULL`, which syncs the log at
//! each commit. Readers have a connection of their own and never wait for the writer.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use super::{
    Authentication, LastAuthentication, Means, Page, Store, StoreError, StoredCertificate, StoredCertificates,
    WRITE_DEADLINE, schema,
};
use super::{sqlite_certificates as certificates, sqlite_directory as directory, sqlite_trust_space as trust_space};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::Fingerprint;
use crate::evidence::directory::{Mailbox, MailboxAddress};
use crate::evidence::trust_space::TrustList;

/// Writes that may wait: more logins than that cannot be in flight within one deadline.
const QUEUE: usize = 4096;
/// Writes in one transaction: bounds the wait of the first one.
const GROUP: usize = 512;
/// Pause after a transaction of several logins: more are on their way, and waking the writer for each, with a sync of
/// the disk for each, costs more than the moment that they wait. A login that comes alone never waits for others.
const GATHER: Duration = Duration::from_micros(500);
/// How long SQLite itself waits for a lock, for instance of a backup.
const BUSY: Duration = Duration::from_millis(1000);

/// The embedded store. Dropping it ends the writer thread once what was accepted is written.
pub struct Sqlite {
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<std::thread::JoinHandle<()>>,
    reader: Arc<Mutex<Connection>>,
}

enum Write {
    Authentication(Authentication, oneshot::Sender<Result<(), StoreError>>),
    Directory(Vec<Mailbox>, oneshot::Sender<Result<(), StoreError>>),
    TrustSpace(TrustList, oneshot::Sender<Result<(), StoreError>>),
    Enrol(Vec<StoredCertificate>, oneshot::Sender<Result<(), StoreError>>),
    Withdraw(Fingerprint, UnixSeconds, oneshot::Sender<Result<bool, StoreError>>),
}

impl Sqlite {
    /// Opens the store in `folder`, which it makes (mode 0700) or closes to others. Blocks: called at the start.
    ///
    /// # Errors
    /// The folder or the file can't be used, is damaged, or was written by a later version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let file =
            private_file(folder).map_err(|error| StoreError::Failed(format!("{}: {error}", folder.display())))?;
        let mut connection = connect(&file)?;
        schema::migrate(&mut connection)?;
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if sound != "ok" {
            return Err(StoreError::Corrupt(sound));
        }
        let reader = connect(&file)?;
        let (writes, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_all(connection, queue))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self { writes: Some(writes), writer: Some(writer), reader: Arc::new(Mutex::new(reader)) })
    }

    fn enqueue(&self, write: Write) -> Result<(), StoreError> {
        let writes = self.writes.as_ref().ok_or_else(gone)?;
        writes.try_send(write).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || {
            // A poisoned lock only means that an earlier reader panicked; the connection holds no state of its own.
            query(&reader.lock().unwrap_or_else(PoisonError::into_inner))
        });
        read.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            // Its own panic, if any, was reported by the panic hook.
            drop(writer.join());
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn load_directory(&self) -> Result<Vec<Mailbox>, StoreError> {
        self.read(directory::load).await
    }

    async fn replace_directory(&self, mailboxes: Vec<Mailbox>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Write::Directory(mailboxes, answer))?;
        answered.await.map_err(|_| gone())?
    }

    async fn load_trust_space(&self) -> Result<Option<TrustList>, StoreError> {
        self.read(trust_space::load).await
    }

    async fn replace_trust_space(&self, list: TrustList) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Write::TrustSpace(list, answer))?;
        answered.await.map_err(|_| gone())?
    }

    async fn load_certificates(&self) -> Result<StoredCertificates, StoreError> {
        self.read(certificates::load).await
    }

    async fn enrol(&self, certificates: Vec<StoredCertificate>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Write::Enrol(certificates, answer))?;
        answered.await.map_err(|_| gone())?
    }

    async fn withdraw(&self, certificate: Fingerprint, at: UnixSeconds) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Write::Withdraw(certificate, at, answer))?;
        answered.await.map_err(|_| gone())?
    }

    async fn record_authentication(&self, authentication: Authentication) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(Write::Authentication(authentication, answer))?;
        let answered = tokio::time::timeout(WRITE_DEADLINE, answered).await;
        answered.map_err(|_| StoreError::Timeout)?.map_err(|_| gone())?
    }

    async fn last_authentications(&self, page: Page) -> Result<Vec<LastAuthentication>, StoreError> {
        self.read(move |connection| last_authentications(connection, &page)).await
    }
}

/// Makes what is missing of folder and file, closed to everybody else.
fn private_file(folder: &Path) -> std::io::Result<std::path::PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    let file = folder.join("octroi.sqlite");
    // SQLite gives its log and shared-memory files the mode of the database file.
    OpenOptions::new().create(true).append(true).mode(0o600).open(&file)?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    Ok(file)
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!("the file system refuses the write-ahead log (journal mode {mode})")));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")?;
    Ok(connection)
}

fn write_all(mut connection: Connection, mut queue: mpsc::Receiver<Write>) {
    let mut waiting = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut waiting, GROUP) > 0 {
        let mut group = Vec::new();
        for write in waiting.drain(..) {
            match write {
                Write::Authentication(authentication, answer) => group.push((authentication, answer)),
                Write::Directory(mailboxes, answer) => {
                    commit_group(&mut connection, std::mem::take(&mut group));
                    // Whoever asked may have given up: the write holds all the same.
                    drop(answer.send(directory::replace(&mut connection, &mailboxes)));
                }
                Write::TrustSpace(list, answer) => {
                    commit_group(&mut connection, std::mem::take(&mut group));
                    drop(answer.send(trust_space::replace(&mut connection, &list)));
                }
                Write::Enrol(all, answer) => {
                    commit_group(&mut connection, std::mem::take(&mut group));
                    drop(answer.send(certificates::enrol(&mut connection, &all)));
                }
                Write::Withdraw(certificate, at, answer) => {
                    commit_group(&mut connection, std::mem::take(&mut group));
                    drop(answer.send(certificates::withdraw(&connection, certificate, at)));
                }
            }
        }
        let several = group.len() > 1;
        commit_group(&mut connection, group);
        if several {
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(GATHER);
        }
    }
}

/// Writes a group in one transaction and tells each of its callers.
fn commit_group(connection: &mut Connection, group: Vec<(Authentication, oneshot::Sender<Result<(), StoreError>>)>) {
    if group.is_empty() {
        return;
    }
    let written = record_all(connection, group.iter().map(|(authentication, _)| authentication));
    for (_, answer) in group {
        let told = match &written {
            Ok(()) => Ok(()),
            Err(error) => Err(StoreError::Failed(error.to_string())),
        };
        drop(answer.send(told));
    }
}

fn record_all<'a>(
    connection: &mut Connection,
    authentications: impl Iterator<Item = &'a Authentication>,
) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO authentication (mailbox, means, at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
        )?;
        for authentication in authentications {
            let at = i64::try_from(authentication.at.0).unwrap_or(i64::MAX);
            upsert.execute(params![authentication.mailbox.as_str(), authentication.means.code(), at])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn last_authentications(connection: &Connection, page: &Page) -> Result<Vec<LastAuthentication>, StoreError> {
    // SQLite takes the bare column `means` from the row that has the maximum.
    let mut query = connection.prepare_cached(
        "SELECT m.address, max(a.at), a.means FROM mailbox m LEFT JOIN authentication a ON a.mailbox = m.address
         WHERE m.address > ?1 GROUP BY m.address ORDER BY m.address LIMIT ?2",
    )?;
    let mut rows = query.query(params![page.after, page.limit])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let address: String = row.get(0)?;
        let mailbox =
            MailboxAddress::parse(&address).map_err(|_| StoreError::Corrupt("an impossible address".to_owned()))?;
        let at: Option<i64> = row.get(1)?;
        let means: Option<String> = row.get(2)?;
        let last = at.zip(means).map(|(at, means)| (UnixSeconds(at.unsigned_abs()), Means::from_code(&means)));
        listed.push(LastAuthentication { mailbox, last });
    }
    Ok(listed)
}

fn gone() -> StoreError {
    StoreError::Failed("its writer has ended".to_owned())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // SQLite's messages name tables and files; bound values never stand in them.
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests;
