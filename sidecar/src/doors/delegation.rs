//! Postfix's policy delegation, on the submission ports only: may this login send this message?
//!
//! The door joins each question to the SASL login of the same smtpd process and hands the facts to a judge; it has no
//! rule of its own but one: without a login that this sidecar allowed, nothing is sent. A question that can't be read
//! gets no answer and ends the connection, as the protocol asks; Postfix then answers 451.

mod request;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use self::request::{Certificate, Malformed, Question, State};
use super::answer::delegation;
use super::framing::{FrameError, FrameLimits, Frames};
use super::join::{Joined, Joins};
use super::ports::{CertificateJudge, SubmissionJudge, Unjoined, UnjoinedWitness};
use super::sasl::EXTERNAL;
use super::streams::{Conversing, Draining};
use crate::clock::Clock;
use crate::evidence::certificate::Shown;
use crate::evidence::directory::MailboxAddress;
use crate::gate::{
    CertificateAttempt, CertificateOutcome, Door, Holder, Login, Protocol, Stage, Submission, SubmissionOutcome,
};
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};
use crate::store::{Authentication, Means, Store};

/// Sizes and times. 64 KiB holds a question whose sender, recipient and HELO are each as long as the longest SMTP line
/// that the shipped Postfix settings let in (12 288).
const QUESTIONS: FrameLimits =
    FrameLimits { end: b"\n\n", bytes: 64 * 1024, idle: Duration::from_secs(10), frame: Duration::from_secs(10) };
/// Rest between two questions. Postfix closes first (`smtpd_policy_service_max_idle` 300 s); the daemon never does.
const REST: Duration = Duration::from_secs(3600);
/// Time for Postfix to take an answer.
const WRITE: Duration = Duration::from_secs(10);

/// What the delegation door works with.
#[derive(Clone, Debug)]
pub struct DelegationParts {
    /// Who judges messages under a login.
    pub judge: SubmissionJudge,
    /// The logins of the smtpd processes.
    pub joins: Arc<Joins>,
    /// Who judges client certificates.
    pub certificates: CertificateJudge,
    /// Where their logins are recorded.
    pub store: Arc<dyn Store>,
    /// Who keeps the record of questions without a login.
    pub witness: UnjoinedWitness,
    /// The clock.
    pub clock: Clock,
}

/// The delegation door.
#[derive(Debug)]
pub struct DelegationDoor(DelegationParts);

/// Which smtpd is at the other end: one process keeps one connection for all its clients.
#[derive(Debug)]
enum Peer {
    /// The kernel says so (SO_PEERCRED).
    Known(u32),
    /// Over TCP: the process that the last `instance` named.
    Told(Option<u32>),
}

impl Peer {
    fn pid(&mut self, question: &Question) -> Option<u32> {
        match self {
            Self::Known(pid) => Some(*pid),
            Self::Told(pid) => {
                *pid = question.instance_pid.or(*pid);
                *pid
            }
        }
    }
}

/// Why a conversation ended before Postfix ended it.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("an answer was not taken in time")]
    Write,
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
}

impl Conversing for DelegationDoor {
    async fn converse<S>(&self, stream: S, peer: Option<u32>, draining: Draining)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match self.talk(stream, peer, draining).await {
            Ok(()) | Err(End::Frame(FrameError::Idle | FrameError::Io(_)) | End::Io(_)) => {}
            Err(end) => tracing::warn!(%end, peer, "a policy delegation connection was closed"),
        }
    }
}

impl DelegationDoor {
    /// A door made of its parts.
    #[must_use]
    pub const fn new(parts: DelegationParts) -> Self {
        Self(parts)
    }

    async fn talk<S>(&self, stream: S, peer: Option<u32>, mut draining: Draining) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut frames = Frames::new(stream, QUESTIONS);
        let mut peer = peer.map_or(Peer::Told(None), Peer::Known);
        loop {
            let question = tokio::select! {
                biased;
                question = frames.next() => question?,
                () = draining.begun() => return Ok(()),
            };
            let Some(question) = question else { return Ok(()) };
            let answer = delegation(self.answer(request::parse(question)?, &mut peer).await);
            match timeout(WRITE, frames.stream().write_all(answer.as_bytes())).await {
                Ok(written) => written?,
                Err(_) => return Err(End::Write),
            }
            frames.set_idle(REST);
        }
    }

    async fn answer(&self, question: Question, peer: &mut Peer) -> SubmissionOutcome {
        let pid = peer.pid(&question);
        match question.state {
            State::Connect => {
                if let Some(pid) = pid {
                    self.0.joins.reset(pid);
                }
                SubmissionOutcome::Allow
            }
            State::Aside => SubmissionOutcome::Allow,
            State::Transaction(stage) => self.transaction(question, stage, pid).await,
        }
    }

    async fn transaction(&self, question: Question, stage: Stage, pid: Option<u32>) -> SubmissionOutcome {
        let login = match self.login(&question, pid).await {
            Ok(login) => login,
            Err(outcome) => {
                self.0.witness.unjoined(&Unjoined {
                    at: self.0.clock.now(),
                    stage,
                    sasl_username: &question.sasl_username,
                    sender: &question.sender,
                    recipient: question.recipient.as_deref(),
                    client: question.client,
                    outcome,
                });
                return outcome;
            }
        };
        self.0
            .judge
            .judge(Submission {
                login,
                stage,
                sender: question.sender,
                recipient: question.recipient,
                recipients: question.recipients,
                bytes: question.bytes,
                encryption: question.encryption,
                client: question.client,
            })
            .await
    }

    /// The login under which this is sent, or the answer where there is none.
    async fn login(&self, question: &Question, pid: Option<u32>) -> Result<Login, SubmissionOutcome> {
        if question.sasl_username.is_empty() {
            return Err(SubmissionOutcome::Deny(SubmissionReason::NotAuthenticated));
        }
        let joined = pid.and_then(|pid| {
            self.0.joins.find(pid, &question.sasl_username, self.0.clock.now()).map(|joined| (pid, joined))
        });
        // Postfix says that there is a login, and we know of none: we have forgotten it, or it is not ours. Either way
        // the client is not told that its message is bad.
        let (pid, joined) = joined.ok_or(SubmissionOutcome::Unavailable(UnavailableReason::LoginUnknown))?;
        match joined {
            Joined::Claim { mailbox, .. } => self.prove(question, mailbox, pid).await,
            Joined::Login(login) => match &login.holder {
                Holder::Structure { certificate, .. }
                    if question.certificate != Certificate::Verified(*certificate) =>
                {
                    Err(SubmissionOutcome::ShutOut(DenyReason::CertificateMissing))
                }
                Holder::Structure { .. } | Holder::Person { .. } => Ok(login),
            },
        }
    }

    /// The login that a claim becomes with the certificate that Postfix tells of: judged, recorded durably, remembered.
    async fn prove(&self, question: &Question, mailbox: MailboxAddress, pid: u32) -> Result<Login, SubmissionOutcome> {
        let fingerprint = match question.certificate {
            _ if !question.sasl_method.eq_ignore_ascii_case(EXTERNAL) => {
                return Err(SubmissionOutcome::ShutOut(DenyReason::MechanismRefused));
            }
            Certificate::Missing => return Err(SubmissionOutcome::ShutOut(DenyReason::CertificateMissing)),
            Certificate::Unreadable => return Err(SubmissionOutcome::ShutOut(DenyReason::CertificateUnknown)),
            Certificate::Verified(fingerprint) => fingerprint,
        };
        let decision = self.0.certificates.judge(&CertificateAttempt {
            shown: Shown::Fingerprint(fingerprint),
            mailbox: mailbox.as_str().to_owned(),
            protocol: Protocol::Smtp,
            door: Door::Delegation,
            client: question.client,
        });
        let opened = match decision.outcome {
            CertificateOutcome::Allow(opened) => opened,
            CertificateOutcome::Deny(reason) => return Err(SubmissionOutcome::ShutOut(reason)),
            CertificateOutcome::Unavailable(reason) => return Err(reason.into()),
        };
        let at = self.0.clock.now();
        let authentication = Authentication { mailbox: opened.mailbox().clone(), at, means: Means::Certificate };
        if let Err(error) = self.0.store.record_authentication(authentication).await {
            tracing::error!(%error, "a login is refused because its authentication can't be recorded");
            return Err(UnavailableReason::StoreUnavailable.into());
        }
        let holder = Holder::Structure { structure: opened.structure().to_owned(), certificate: fingerprint };
        let login = Login { mailbox: opened.mailbox().clone(), decision: decision.id, holder, at };
        self.0.joins.record(pid, login.clone());
        Ok(login)
    }
}

#[cfg(test)]
mod tests;
