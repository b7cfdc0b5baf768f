//! Decisions recorded for replay: what was shown without its signature, what was known of the person, and what the
//! policy answered. Off unless the configuration asks for it.
//!
//! The request path offers what it has to a bounded queue and never waits. A thread of the lowest priority takes the
//! signature out, asks the policy once more (the same values give the same answer) and writes.

mod file;
mod filler;
mod replay;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use self::file::Files;
pub use self::file::remove;
pub use self::replay::{Change, Replay, ReplayError, replay};
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::{Directory, MailboxAddress, MailboxKind};
use crate::policy::Release;
use crate::policy::wit::login;
use crate::trial;
use crate::trial::vectors::{Introspected, Introspection, Kind, Login, Mailbox, Protocol};

/// Most decisions that wait to be written.
const QUEUE: usize = 256;
/// How often old lines are looked for where nobody logs in.
const LOOK: Duration = Duration::from_secs(60);

/// A decision, as the request path has it. Holds the token: in memory alone, and not for long.
pub struct Decided {
    /// Its name.
    pub decision: String,
    /// When.
    pub now: UnixSeconds,
    /// What the policy was shown.
    pub asked: login::Attempt,
    /// What the issuer said of the token, where it was asked.
    pub introspection: Option<login::Introspection>,
    /// What was decided in the end: kind and code of the reason.
    pub outcome: (&'static str, Option<&'static str>),
    /// The policy.
    pub release: Arc<Release>,
}

/// One line of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Leads to the audit record.
    pub decision: String,
    /// What it was recorded under.
    pub policy: String,
    /// What was decided in the end, keys and rails included.
    pub decided: String,
    /// What was shown, and what the policy answered by itself.
    pub login: Login,
}

/// What a recorder is made with.
pub struct RecorderParts {
    /// The files' folder.
    pub folder: PathBuf,
    /// Most bytes of the files together.
    pub most: u64,
    /// Whose mailbox it is.
    pub directory: Directory,
    /// Domains of mailboxes, by issuer.
    pub domains: Vec<(String, Vec<String>)>,
    /// The clock.
    pub clock: Clock,
}

/// Records decisions. With its last user it ends, and what still waits is lost: a policy that spins must not hold up
/// the end of the process.
pub struct Recorder {
    queue: Option<SyncSender<Decided>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    unfit: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(..)")
    }
}

impl Recorder {
    /// Starts one.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(parts: RecorderParts) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let kept = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || {
            // It gives way to every thread that serves: setpriority(2) on the caller, which on Linux is this one
            // thread.
            if let Err(error) = rustix::process::setpriority_process(None, 19) {
                tracing::warn!(%error, "decisions are recorded at the priority of the logins");
            }
            let files = Files::new(parts.folder.clone(), parts.most);
            Writing { parts, files, counts: kept, told: false }.write_all(&waiting);
        })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), counts })
    }

    /// Offers a decision. Never waits.
    pub fn offer(&self, decided: Decided) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(decided).is_ok());
        if !taken {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counters since the start. Names are stable.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let Counts { written, dropped, unfit, failed, .. } = &*self.counts;
        [("written", written), ("dropped", dropped), ("unfit", unfit), ("failed", failed)]
            .map(|(name, count)| (format!("recorded_decisions_{name}"), count.load(Ordering::Relaxed)))
            .to_vec()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.counts.over.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Its own panic, if any, was reported by the panic hook.
            drop(thread.join());
        }
    }
}

struct Writing {
    parts: RecorderParts,
    files: Files,
    counts: Arc<Counts>,
    told: bool,
}

impl Writing {
    fn write_all(mut self, waiting: &Receiver<Decided>) {
        loop {
            match waiting.recv_timeout(LOOK) {
                Ok(_) if self.counts.over.load(Ordering::Relaxed) => return,
                Ok(decided) => self.write(&decided),
                Err(RecvTimeoutError::Timeout) => {
                    let expired = self.files.expire(self.parts.clock.now());
                    self.tell(expired.err().as_ref());
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, decided: &Decided) {
        let Some(recorded) = self.recorded(decided) else {
            self.counts.unfit.fetch_add(1, Ordering::Relaxed);
            let expired = self.files.expire(decided.now);
            self.tell(expired.err().as_ref());
            return;
        };
        let line = serde_json::to_vec(&recorded).map_err(io::Error::from);
        let written = line.and_then(|line| self.files.append(&line, decided.now));
        let count = if written.is_ok() { &self.counts.written } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.tell(written.err().as_ref());
    }

    /// The first failure of several is told.
    fn tell(&mut self, error: Option<&io::Error>) {
        if let (Some(error), false) = (error, self.told) {
            let folder = self.parts.folder.display();
            tracing::error!(%folder, %error, "decisions can't be recorded for replay");
        }
        self.told = error.is_some();
    }

    /// The line. `None`: the signature can't be taken out with certainty.
    fn recorded(&self, decided: &Decided) -> Option<Recorded> {
        let mut login = shown(&decided.asked)?;
        // Whoever asks over gRPC may have put anything there.
        if !(is_mechanism(login.mechanism.as_deref()) && is_mailbox(decided.asked.mailbox.as_deref())) {
            return None;
        }
        login.name.clone_from(&decided.decision);
        login.now = decided.now.0;
        login.mailbox.clone_from(&decided.asked.mailbox);
        login.introspection = decided.introspection.as_ref().map(introspection).unwrap_or_default();
        login.mailboxes = self.mailboxes(&login);
        login.expect = trial::login(&decided.release.in_background(), &login).ok()?.answer;
        let (kind, code) = decided.outcome;
        Some(Recorded {
            decision: decided.decision.clone(),
            policy: decided.release.digest().to_owned(),
            decided: code.map_or_else(|| kind.to_owned(), |code| format!("{kind} {code}")),
            login,
        })
    }

    /// What the directory has for the person whom the token names, in the issuer's domains: for whatever policy comes,
    /// also where the one in service did not get so far.
    fn mailboxes(&self, login: &Login) -> Vec<Mailbox> {
        let Some(claims) = claims(login) else { return Vec::new() };
        let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
        let tail = || text("sub").and_then(|sub| sub.rsplit_once(':')).map(|(_, tail)| tail);
        let Some(identity) = text("SubjectNameID").or_else(|| text("preferred_username")).or_else(tail) else {
            return Vec::new();
        };
        let issuer = text("iss").unwrap_or_default();
        let Some((_, domains)) = self.parts.domains.iter().find(|(name, _)| name == issuer) else { return Vec::new() };
        let directory = self.parts.directory.snapshot();
        crate::rails::listed(&directory, identity, domains)
            .map(|mailbox| Mailbox {
                address: mailbox.address.as_str().to_owned(),
                kind: match mailbox.kind {
                    MailboxKind::Per => Kind::Per,
                    MailboxKind::Org => Kind::Org,
                    MailboxKind::App => Kind::App,
                },
                persons: u32::try_from(mailbox.persons.len()).unwrap_or(u32::MAX),
            })
            .collect()
    }
}

/// A mechanism's name (RFC 4422 section 3.1: up to 20 characters), or none.
fn is_mechanism(name: Option<&str>) -> bool {
    name.is_none_or(|name| name.len() <= 20)
}

/// An address in which no token hides, or none.
fn is_mailbox(asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| MailboxAddress::parse(asked).is_ok() && filler::is_short(asked))
}

/// What was shown, without its signature.
fn shown(asked: &login::Attempt) -> Option<Login> {
    let protocol = match asked.protocol {
        login::Protocol::Imap => Protocol::Imap,
        login::Protocol::Smtp => Protocol::Smtp,
        login::Protocol::Other => Protocol::Other,
    };
    Some(match &asked.credentials {
        login::Credentials::Bearer(token) => Login { token: Some(filler::token(token)?), protocol, ..Login::default() },
        login::Credentials::Sasl(message) => Login {
            mechanism: Some(message.mechanism.clone()),
            response: Some(filler::message(&message.response)?),
            protocol,
            ..Login::default()
        },
    })
}

/// The claims of the token that a login shows.
fn claims(login: &Login) -> Option<serde_json::Value> {
    let decoded = login.response.as_ref().and_then(|response| STANDARD.decode(response).ok());
    let text = match (&login.token, &decoded) {
        (Some(token), _) => token.as_str(),
        (None, Some(message)) => {
            let message = std::str::from_utf8(message).ok()?;
            message.split_once("earer ")?.1.split('\u{1}').next()?
        }
        (None, None) => return None,
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?).ok()
}

fn introspection(said: &login::Introspection) -> Introspection {
    match said {
        login::Introspection::NotAsked | login::Introspection::Unavailable => Introspection::Unavailable,
        login::Introspection::Inactive => Introspection::Inactive,
        login::Introspection::Active(active) => Introspection::Active(Introspected {
            subject: active.subject.clone(),
            session: active.session.clone(),
            authorized_party: active.authorized_party.clone(),
            expires_at: active.expires_at,
        }),
    }
}
