//! The SASL server for Postfix and Exim: Dovecot's auth protocol, version 1, with XOAUTH2 and OAUTHBEARER alone; or, on
//! a socket of its own for a port that asks for client certificates, with EXTERNAL alone.
//!
//! Mailbox and token arrive together in one message, which goes to the gate as it is. A good login is recorded durably
//! and remembered under the mail server's process id before it is told. An outage closes the socket: the mail client
//! reads 454, and nothing is counted against its token.

mod conversation;
mod line;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

pub(super) use self::conversation::EXTERNAL;
pub use self::conversation::Offer;
use self::conversation::{Conversation, Origin, Question, Step};
use super::answer::{SaslAnswer, sasl};
use super::framing::{FrameError, FrameLimits, Frames};
use super::join::{Joined, Joins};
use super::ports::Judge;
use super::streams::{Conversing, Draining};
use crate::clock::Clock;
use crate::evidence::directory::MailboxAddress;
use crate::gate::{Attempt, Credentials, Door, Holder, Login, Outcome, Protocol};
use crate::reason::UnavailableReason;
use crate::store::{Authentication, Means, Store};

/// Sizes and times of the protocol. 16 KiB holds Postfix's largest response (`smtpd_sasl_response_limit` 12 288).
const LINES: FrameLimits =
    FrameLimits { end: b"\n", bytes: 16 * 1024, idle: Duration::from_secs(10), frame: Duration::from_secs(10) };
/// Rest between two logins, once the handshake is done. A smtpd keeps its connection for all its clients, and over TCP
/// would take our closing it for an outage: this only clears what was forgotten.
const REST: Duration = Duration::from_secs(3600);
/// Time for a client to take an answer.
const WRITE: Duration = Duration::from_secs(10);

/// What the SASL door works with.
#[derive(Clone, Debug)]
pub struct SaslParts {
    /// Who judges.
    pub judge: Judge,
    /// Where authentications are recorded.
    pub store: Arc<dyn Store>,
    /// What it offers.
    pub offer: Offer,
    /// Where good logins are remembered for the delegation door.
    pub joins: Arc<Joins>,
    /// The clock.
    pub clock: Clock,
}

/// The SASL door.
#[derive(Debug)]
pub struct SaslDoor {
    parts: SaslParts,
    connections: AtomicU32,
}

/// Why a conversation ended before its client ended it.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Line(#[from] line::LineError),
    #[error(transparent)]
    Violation(#[from] conversation::Violation),
    #[error("an answer was not taken in time")]
    Write,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl Conversing for SaslDoor {
    /// Over TCP the process that the client names itself (`CPID`) stands in for the peer.
    async fn converse<S>(&self, stream: S, peer: Option<u32>, draining: Draining)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match self.talk(stream, peer, draining).await {
            Ok(()) | Err(End::Frame(FrameError::Idle | FrameError::Io(_)) | End::Io(_)) => {}
            // The cause and not the bytes: they may hold a token.
            Err(end) => tracing::info!(%end, peer, "a SASL connection was closed"),
        }
    }
}

impl SaslDoor {
    /// A door made of its parts.
    #[must_use]
    pub const fn new(parts: SaslParts) -> Self {
        Self { parts, connections: AtomicU32::new(0) }
    }

    async fn talk<S>(&self, stream: S, peer: Option<u32>, mut draining: Draining) -> Result<(), End>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut frames = Frames::new(stream, LINES);
        let mut conversation = Conversation::new(self.parts.offer);
        let greeting = conversation.greeting(std::process::id(), self.name(), cookie());
        say(frames.stream(), &greeting).await?;
        loop {
            let line = tokio::select! {
                biased;
                line = frames.next() => line?,
                () = draining.begun() => return Ok(()),
            };
            let Some(line) = line else { return Ok(()) };
            let mut step = conversation.hear(line::parse(line)?)?;
            if let Step::Claim(id, mailbox) = step {
                step = self.claim(id, mailbox, peer.or_else(|| conversation.cpid()));
            }
            if let Step::Judge(question) = step {
                let pid = peer.or_else(|| conversation.cpid());
                let (id, mechanism) = (question.id, question.mechanism);
                let answer = self.judge(question, pid).await;
                step = conversation.answered(id, mechanism, &answer);
            }
            match step {
                Step::Say(answer) => say(frames.stream(), &answer).await?,
                Step::Nothing => {}
                Step::Judge(_) | Step::Claim(..) | Step::Close => return Ok(()),
            }
            if conversation.cpid().is_some() {
                frames.set_idle(REST);
            }
        }
    }

    /// Says yes to a mailbox named with EXTERNAL, and remembers that nothing is proven: the mail server tells of the
    /// certificate when it asks about a message.
    fn claim(&self, id: u32, mailbox: MailboxAddress, pid: Option<u32>) -> Step {
        // Without a process there is nothing that a message could be joined to.
        let Some(pid) = pid else { return Step::Close };
        let answer = format!("OK\t{id}\tuser={mailbox}\n");
        self.parts.joins.record(pid, Joined::Claim { mailbox, at: self.parts.clock.now() });
        Step::Say(answer)
    }

    /// Judges one message; a good login is recorded and remembered first.
    async fn judge(&self, question: Question, pid: Option<u32>) -> SaslAnswer {
        let Origin { service, client } = question.origin;
        let decision = self
            .parts
            .judge
            .judge(Attempt {
                credentials: Credentials::Sasl {
                    mechanism: question.mechanism.name().to_owned(),
                    response: question.response,
                },
                mailbox: None,
                protocol: protocol(service.as_deref()),
                door: Door::Sasl,
                client,
            })
            .await;
        let answer = sasl(&decision.outcome);
        let (SaslAnswer::Accept(mailbox), Outcome::Allow(permit)) = (&answer, &decision.outcome) else { return answer };
        let at = self.parts.clock.now();
        let authentication = Authentication { mailbox: mailbox.clone(), at, means: Means::Psc };
        if let Err(error) = self.parts.store.record_authentication(authentication).await {
            tracing::error!(%error, "a login is refused because its authentication can't be recorded");
            return SaslAnswer::Close(UnavailableReason::StoreUnavailable);
        }
        if let Some(pid) = pid {
            let login = Login {
                mailbox: mailbox.clone(),
                decision: decision.id,
                holder: Holder::Person { issuer: permit.issuer().to_owned(), identity: permit.identity().clone() },
                at,
            };
            self.parts.joins.record(pid, login);
        }
        answer
    }

    /// `CUID`: the connection's number, for a trace.
    fn name(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// `COOKIE`: what an auth master would ask for. Nobody asks here; the field belongs to the handshake.
fn cookie() -> u128 {
    let mut bytes = [0; 16];
    // A generator that fails leaves zeros: the cookie protects nothing.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// `service=` of the AUTH line.
fn protocol(service: Option<&str>) -> Protocol {
    match service {
        Some("smtp" | "submission") => Protocol::Smtp,
        Some("imap") => Protocol::Imap,
        Some(_) | None => Protocol::Other,
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) -> Result<(), End> {
    match timeout(WRITE, stream.write_all(text.as_bytes())).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(End::Write),
    }
}

#[cfg(test)]
mod tests;
