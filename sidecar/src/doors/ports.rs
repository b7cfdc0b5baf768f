//! What the doors call, as values: whoever judges an attempt, and whoever keeps the record of a login.
//!
//! `app` plugs in the gate and the audit; a test plugs in an answer. A door knows neither.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::handles::{Handle, Purpose};
use crate::clock::UnixSeconds;
use crate::evidence::directory::MailboxAddress;
use crate::gate::{
    Attempt, CertificateAttempt, CertificateDecision, Decision, DecisionId, Gate, Stage, Submission, SubmissionOutcome,
};
use crate::reason::{DenyReason, UnavailableReason};

type Judging = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// Judges attempts. In service this is the gate, and nothing else.
#[derive(Clone)]
pub struct Judge(Arc<dyn Fn(Attempt) -> Judging + Send + Sync>);

impl Judge {
    /// A judge that asks `judge`.
    pub fn new<J, F>(judge: J) -> Self
    where
        J: Fn(Attempt) -> F + Send + Sync + 'static,
        F: Future<Output = Decision> + Send + 'static,
    {
        Self(Arc::new(move |attempt| Box::pin(judge(attempt))))
    }

    /// The decision on one attempt.
    pub async fn judge(&self, attempt: Attempt) -> Decision {
        (self.0)(attempt).await
    }
}

impl From<Arc<Gate>> for Judge {
    fn from(gate: Arc<Gate>) -> Self {
        Self::new(move |attempt| {
            let gate = Arc::clone(&gate);
            async move { gate.authenticate(attempt).await }
        })
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge(..)")
    }
}

/// One answer to Dovecot's after-auth question. Holds no credential; the identity in `purpose` may be recorded as a
/// keyed digest only.
#[derive(Clone, Copy, Debug)]
pub struct AfterAuth<'a> {
    /// When it was asked.
    pub at: UnixSeconds,
    /// SASL mechanism: printable ASCII, at most 64 bytes.
    pub mechanism: &'a str,
    /// The mailbox, where the user is the address of one.
    pub mailbox: Option<&'a MailboxAddress>,
    /// Dovecot's session id: printable ASCII, at most 64 bytes, empty where Dovecot gave none.
    pub session: &'a str,
    /// The handle that was shown, good or not.
    pub handle: Option<Handle>,
    /// What the handle stood for, where it was good.
    pub purpose: Option<&'a Purpose>,
    /// The decision on the client certificate, where it is a login by one.
    pub certificate: Option<DecisionId>,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
    /// The answer.
    pub outcome: AfterAuthOutcome,
}

/// Outcome of an after-auth question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAuthOutcome {
    /// The login goes on.
    Allowed {
        /// It was recorded as the mailbox's authentication.
        counted: bool,
    },
    /// The login is refused.
    Denied(DenyReason),
    /// No decision could be made; Dovecot refuses the login.
    Unavailable(UnavailableReason),
}

/// Keeps the record of after-auth answers. Must not block: a login waits for it.
#[derive(Clone)]
pub struct Witness(Arc<dyn Fn(&AfterAuth<'_>) + Send + Sync>);

impl Witness {
    /// A witness that calls `record`.
    pub fn new(record: impl Fn(&AfterAuth<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    pub(super) fn after_auth(&self, answer: &AfterAuth<'_>) {
        (self.0)(answer);
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness(..)")
    }
}

/// A message that was asked about without a login that is known here.
#[derive(Clone, Copy, Debug)]
pub struct Unjoined<'a> {
    /// When.
    pub at: UnixSeconds,
    /// How far the transaction had come.
    pub stage: Stage,
    /// What the mail server calls the login; empty where there is none.
    pub sasl_username: &'a str,
    /// `MAIL FROM`, unchecked.
    pub sender: &'a str,
    /// `RCPT TO`, unchecked.
    pub recipient: Option<&'a str>,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
    /// The answer.
    pub outcome: SubmissionOutcome,
}

/// Keeps the record of messages without a login. Must not block: a mail server waits for it.
#[derive(Clone)]
pub struct UnjoinedWitness(Arc<dyn Fn(&Unjoined<'_>) + Send + Sync>);

impl UnjoinedWitness {
    /// A witness that calls `record`.
    pub fn new(record: impl Fn(&Unjoined<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    pub(super) fn unjoined(&self, message: &Unjoined<'_>) {
        (self.0)(message);
    }
}

impl fmt::Debug for UnjoinedWitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnjoinedWitness(..)")
    }
}

type SubmissionJudging = Pin<Box<dyn Future<Output = SubmissionOutcome> + Send>>;

/// Judges submissions.
#[derive(Clone)]
pub struct SubmissionJudge(Arc<dyn Fn(Submission) -> SubmissionJudging + Send + Sync>);

impl SubmissionJudge {
    /// A judge that asks `judge`.
    pub fn new<J, F>(judge: J) -> Self
    where
        J: Fn(Submission) -> F + Send + Sync + 'static,
        F: Future<Output = SubmissionOutcome> + Send + 'static,
    {
        Self(Arc::new(move |submission| Box::pin(judge(submission))))
    }

    /// The outcome for one submission.
    pub async fn judge(&self, submission: Submission) -> SubmissionOutcome {
        (self.0)(submission).await
    }
}

impl From<Arc<Gate>> for SubmissionJudge {
    fn from(gate: Arc<Gate>) -> Self {
        Self::new(move |submission| std::future::ready(gate.judge_submission(&submission)))
    }
}

impl fmt::Debug for SubmissionJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubmissionJudge(..)")
    }
}

/// Judges client certificates.
#[derive(Clone)]
pub struct CertificateJudge(Arc<dyn Fn(&CertificateAttempt) -> CertificateDecision + Send + Sync>);

impl CertificateJudge {
    /// A judge that asks `judge`.
    pub fn new(judge: impl Fn(&CertificateAttempt) -> CertificateDecision + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// The decision on one attempt.
    #[must_use]
    pub fn judge(&self, attempt: &CertificateAttempt) -> CertificateDecision {
        (self.0)(attempt)
    }
}

impl From<Arc<Gate>> for CertificateJudge {
    fn from(gate: Arc<Gate>) -> Self {
        Self::new(move |attempt| gate.judge_certificate(attempt))
    }
}

impl fmt::Debug for CertificateJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateJudge(..)")
    }
}
