//! The audit trail: one JSON line per decision, per after-auth answer and per message, and the counters that go with
//! them.
//!
//! Never a credential, never a claim: the person is a keyed digest. Recording never blocks a login: a thread writes,
//! a bounded queue lies between, and what does not fit is counted and told.

mod certificate;
mod counters;
mod decision;
mod line;
mod opening;
mod policy;
mod submission;
mod ticket;
mod writer;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use self::certificate::CertificateLine;
pub use self::certificate::{CertificateEvent, CertificateStep};
use self::counters::Counters;
pub use self::decision::{AfterAuth, Judgement};
use self::decision::{AfterAuthLine, JudgementLine};
pub use self::opening::CertificateJudged;
use self::opening::OpeningLine;
use self::policy::PolicyLine;
pub use self::policy::{PolicyEvent, PolicyStep};
use self::submission::SubmissionLine;
pub use self::submission::Submitted;
use self::ticket::TicketLine;
pub use self::ticket::{TicketEvent, TicketOutcome, TicketStep};
use self::writer::Writer;
use crate::pseudonym::Pseudonyms;

/// Room for nearly every line, in bytes: a longer one grows.
const LINE: usize = 768;

/// The trail. Clones share it; the last one writes what still waits before it goes.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    writer: Writer,
    pseudonyms: Pseudonyms,
    counters: Counters,
}

impl Audit {
    /// Appends to `file`, made with mode 0600. Blocks: called at the start.
    ///
    /// # Errors
    /// The file can't be opened, or the thread can't be started.
    pub fn open(file: &Path, pseudonyms: Pseudonyms) -> io::Result<Self> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let output = append(file)?;
        Self::start(output, Some(file.to_owned()), pseudonyms)
    }

    /// Writes lines to `output`, for tests and for whoever embeds the gate.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn to(output: impl Write + Send + 'static, pseudonyms: Pseudonyms) -> io::Result<Self> {
        Self::start(Box::new(output), None, pseudonyms)
    }

    fn start(output: Box<dyn Write + Send>, file: Option<PathBuf>, pseudonyms: Pseudonyms) -> io::Result<Self> {
        let writer = Writer::start(output, file)?;
        Ok(Self(Arc::new(Inner { writer, pseudonyms, counters: Counters::default() })))
    }

    /// The digests that the trail uses.
    #[must_use]
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.0.pseudonyms
    }

    /// Records a decision.
    pub fn judgement(&self, judgement: &Judgement<'_>) {
        self.0.counters.count(judgement.outcome, judgement.identities_differ);
        self.write(&JudgementLine::new(judgement, &self.0.pseudonyms));
    }

    /// Records a decision on a client certificate.
    pub fn opening(&self, judged: &CertificateJudged<'_>) {
        self.0.counters.count_opening(judged.outcome);
        self.write(&OpeningLine::new(judged, &self.0.pseudonyms));
    }

    /// Records an answer to Dovecot's after-auth question.
    pub fn after_auth(&self, answer: &AfterAuth<'_>) {
        self.write(&AfterAuthLine::new(answer));
    }

    /// Records an answer about a message, where it matters.
    pub fn submission(&self, submitted: &Submitted<'_>) {
        if submitted.matters() {
            self.0.counters.count_submission(submitted.outcome);
            self.write(&SubmissionLine::new(submitted, &self.0.pseudonyms));
        }
    }

    /// Records a step of a login ticket.
    pub fn ticket(&self, event: &TicketEvent<'_>) {
        self.0.counters.count_ticket(event.step, event.outcome);
        self.write(&TicketLine::new(event, &self.0.pseudonyms));
    }

    /// Records a step in the life of a policy.
    pub fn policy(&self, event: &PolicyEvent<'_>) {
        self.write(&PolicyLine::new(event));
    }

    /// Records a step about certificates.
    pub fn certificate(&self, event: &CertificateEvent<'_>) {
        self.write(&CertificateLine::new(event, &self.0.pseudonyms));
    }

    fn write(&self, line: &impl Serialize) {
        let mut text = Vec::with_capacity(LINE);
        match serde_json::to_writer(&mut text, line) {
            Ok(()) => self.0.writer.send(&text),
            Err(_) => self.0.writer.lose(1),
        }
    }

    /// Opens the file anew: after it was rotated away.
    pub fn reopen(&self) {
        self.0.writer.reopen();
    }

    /// Decisions by outcome and reason, and records lost, since the start. Names are stable.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, u64)> {
        let mut counts = self.0.counters.counts();
        counts.push(("audit_records_lost".to_owned(), self.0.writer.lost()));
        counts
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit(..)")
    }
}

fn append(file: &Path) -> io::Result<Box<dyn Write + Send>> {
    let opened: File = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    Ok(Box::new(opened))
}

#[cfg(test)]
mod tests;
