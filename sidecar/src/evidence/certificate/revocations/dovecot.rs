//! The files that Dovecot reads: authorities and lists of each chain, and whether it is to want lists.
//!
//! Dovecot wants a current list of every authority or refuses everybody: it knows no grace. Told not to look it looks
//! at no list at all, and lets in whom this sidecar has never seen. So it is told that under an operator's suspension
//! alone, and refuses every certificate from a list's nextUpdate on, also where the list stays usable here
//! (`max_stale`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::super::Fingerprint;
use super::{Inner, ListState};
use crate::clock::UnixSeconds;

/// The reload from end to end.
const DEADLINE: Duration = Duration::from_secs(10);
/// Time between two looks: a list runs out without anything happening.
const LOOK: Duration = Duration::from_secs(30);

/// Where the files are, and how Dovecot is told of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DovecotFiles {
    /// Folder, made 0755: NAME.pem and NAME-crl.conf for each chain, 0644.
    pub folder: PathBuf,
    /// The setting that makes Dovecot want lists: `ssl_require_crl` or, for 2.4, `ssl_server_require_crl`.
    pub setting: &'static str,
    /// Command that makes Dovecot read them, word by word. Empty: it is not told.
    pub reload: Vec<String>,
}

/// What Dovecot was given for a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    /// Content of each authority's list; `None`: it has none.
    lists: Vec<Option<Fingerprint>>,
    require: bool,
}

pub(super) struct Dovecot {
    files: DovecotFiles,
    /// Held while files are written and Dovecot is told.
    settling: tokio::sync::Mutex<()>,
    told: Mutex<Told>,
}

struct Told {
    given: Vec<Option<Given>>,
    /// Something was written since the last reload that went well.
    reload: bool,
    error: Option<&'static str>,
}

impl Dovecot {
    pub(super) fn new(files: DovecotFiles, chains: usize) -> Self {
        // Whether Dovecot has read what a process before wrote is not known: it is told once more.
        let told = Told { given: vec![None; chains], reload: true, error: None };
        Self { files, settling: tokio::sync::Mutex::default(), told: Mutex::new(told) }
    }

    pub(super) fn error(&self) -> Option<&'static str> {
        self.told().error
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the files up to date for ever.
pub(super) async fn run(inner: Arc<Inner>) {
    if inner.dovecot.is_none() {
        return;
    }
    loop {
        settle(&inner).await;
        tokio::select! {
            () = inner.changed.notified() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// Writes what has to be others, and tells Dovecot where anything was written, or it could not be told before.
pub(super) async fn settle(inner: &Arc<Inner>) {
    let Some(dovecot) = &inner.dovecot else { return };
    let _one_at_a_time = dovecot.settling.lock().await;
    let writing = Arc::clone(inner);
    let written = tokio::task::spawn_blocking(move || write_all(&writing)).await;
    let mut error = written.unwrap_or(Some("writing"));
    let reload = dovecot.told().reload && !dovecot.files.reload.is_empty();
    if reload {
        match tell(&dovecot.files.reload).await {
            Ok(()) => dovecot.told().reload = false,
            Err(code) => error = Some(code),
        }
    }
    let before = std::mem::replace(&mut dovecot.told().error, error);
    match error {
        Some(code) if before != error => {
            tracing::error!(code, "Dovecot does not have the current revocation lists; this is tried again");
        }
        None if before.is_some() => tracing::info!("Dovecot has the current revocation lists"),
        Some(_) | None => {}
    }
}

pub(super) fn enforces(inner: &Inner, chain: &str, now: UnixSeconds) -> bool {
    let Some(dovecot) = &inner.dovecot else { return false };
    let Some(at) = inner.chains.0.iter().position(|configured| configured.name() == chain) else { return false };
    let told = dovecot.told();
    let given = told.given.get(at).and_then(Option::as_ref);
    let current = states(inner, at, now).iter().all(|state| *state == ListState::Current);
    let same = given.is_some_and(|given| given.require && given.lists == contents(inner, at));
    current && same && !told.reload && !dovecot.files.reload.is_empty()
}

fn contents(inner: &Inner, at: usize) -> Vec<Option<Fingerprint>> {
    let held = inner.held.get(at).into_iter().flatten();
    held.map(|slot| slot.load().as_ref().map(|held| held.list.content())).collect()
}

fn states(inner: &Inner, at: usize, now: UnixSeconds) -> Vec<ListState> {
    let held = inner.held.get(at).into_iter().flatten();
    let state = |held: &super::Held| inner.state(&held.list, now);
    held.map(|slot| slot.load().as_ref().map_or(ListState::Missing, |held| state(held))).collect()
}

/// Whether Dovecot is to want lists: always, but while an operator has suspended the check and one is out of date or
/// missing.
fn require(inner: &Inner, at: usize, now: UnixSeconds) -> bool {
    inner.suspensions.at(now).is_none() || states(inner, at, now).iter().all(|state| *state == ListState::Current)
}

/// Writes the files of every chain that needs others. Gives the code of what went wrong last. Blocks.
fn write_all(inner: &Inner) -> Option<&'static str> {
    let (Some(dovecot), now) = (&inner.dovecot, inner.clock.now()) else { return None };
    let mut error = None;
    for (at, chain) in inner.chains.0.iter().enumerate() {
        let wanted = Given { lists: contents(inner, at), require: require(inner, at, now) };
        let folder = &dovecot.files.folder;
        let bundle = folder.join(format!("{}.pem", chain.name()));
        let setting = folder.join(format!("{}-crl.conf", chain.name()));
        let there = bundle.is_file() && setting.is_file();
        if there && dovecot.told().given.get(at).is_some_and(|given| given.as_ref() == Some(&wanted)) {
            continue;
        }
        let word = if wanted.require { "yes" } else { "no" };
        let line = format!("{} = {word}\n", dovecot.files.setting);
        let written = pem(inner, at, &wanted).ok_or("copy").and_then(|pem| {
            let changed = [(&bundle, pem.as_bytes()), (&setting, line.as_bytes())];
            changed.iter().try_for_each(|(path, bytes)| write(dovecot, folder, path, bytes)).map_err(|_| "write")
        });
        match written {
            Ok(()) => {
                if let Some(given) = dovecot.told().given.get_mut(at) {
                    *given = Some(wanted);
                }
            }
            Err(code) => error = Some(code),
        }
    }
    error
}

fn write(dovecot: &Dovecot, folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    dovecot.told().reload = true;
    crate::durable::publish(folder, path, bytes)
}

/// All authorities and all lists of a chain. `None` where a list that is wanted is not the one on disk.
fn pem(inner: &Inner, at: usize, wanted: &Given) -> Option<String> {
    let chain = inner.chains.0.get(at)?;
    let mut pem = String::new();
    for (place, authority) in chain.authorities().iter().enumerate() {
        block(&mut pem, "CERTIFICATE", authority.certificate().der());
        if let Some(content) = wanted.lists.get(place).copied().flatten() {
            let held = inner.slot(at, place)?.load_full().filter(|held| held.list.content() == content)?;
            block(&mut pem, "X509 CRL", &inner.copied(at, place, &held.list)?);
        }
    }
    Some(pem)
}

/// RFC 7468.
fn block(pem: &mut String, label: &str, der: &[u8]) {
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in der.chunks(48) {
        STANDARD.encode_string(line, pem);
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
}

async fn tell(command: &[String]) -> Result<(), &'static str> {
    let [program, arguments @ ..] = command else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(DEADLINE, command.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            tracing::warn!(%status, "the command that reloads Dovecot failed");
            Err("reload-failed")
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the command that reloads Dovecot can't be started");
            Err("reload-not-started")
        }
        Err(_) => Err("reload-deadline"),
    }
}
