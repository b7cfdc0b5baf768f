//! What comes to the gate and what leaves it.

use std::fmt;
use std::net::IpAddr;

use crate::policy::Fault;
use crate::rails::Permit;
use crate::reason::{DenyReason, UnavailableReason};
use crate::secret::Token;

/// Which way an attempt came in. For the audit record and the counters; the gate treats all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Dovecot's OAuth2 introspection request.
    DovecotIntrospection,
    /// gRPC on `gate.sock`.
    Grpc,
    /// A ticket asked for on `gate.sock`.
    Ticket,
    /// Dovecot's auth protocol, spoken by Postfix or Exim.
    Sasl,
    /// Dovecot's after-auth question: a login by client certificate.
    DovecotPolicy,
    /// Postfix's policy delegation: a login by client certificate.
    Delegation,
}

impl Door {
    /// Name in records and counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DovecotIntrospection => "dovecot-introspection",
            Self::Grpc => "grpc",
            Self::Ticket => "ticket",
            Self::Sasl => "sasl",
            Self::DovecotPolicy => "dovecot-policy",
            Self::Delegation => "delegation",
        }
    }
}

/// Protocol that the client speaks to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// SMTP submission.
    Smtp,
    /// Anything else, or unknown.
    Other,
}

/// What the client showed.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A SASL message.
    Sasl {
        /// Mechanism as the client named it.
        mechanism: String,
        /// The response, base64 as on the wire.
        response: Token,
    },
    /// A bare access token.
    Bearer(Token),
}

/// One attempt to log in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What the client showed.
    pub credentials: Credentials,
    /// Mailbox that the mail server asks for, where it knows it apart from the credentials.
    pub mailbox: Option<String>,
    /// Protocol of the client.
    pub protocol: Protocol,
    /// Way in.
    pub door: Door,
    /// Address of the client, where the mail server tells it.
    pub client: Option<IpAddr>,
}

/// Name of a decision: 128 random bits, without meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId(u128);

impl DecisionId {
    /// A name for a new decision, in service or in a test of what comes after the gate.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        // A generator that fails leaves the zero name: it joins records, it protects nothing.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        Self(u128::from_be_bytes(bytes))
    }

    /// A name for tests of what comes after the gate.
    #[cfg(test)]
    pub(crate) const fn example() -> Self {
        Self(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The answer to an attempt.
#[derive(Clone)]
pub struct Decision {
    /// Joins the answer, the audit record and what comes later of the same login.
    pub id: DecisionId,
    /// What was decided.
    pub outcome: Outcome,
}

/// Three outcomes, everywhere.
#[derive(Clone)]
pub enum Outcome {
    /// The login may go on, for the permit's mailboxes.
    Allow(Permit),
    /// The credential is bad.
    Deny(DenyReason),
    /// No decision could be made. Never a bad credential, never an accept.
    Unavailable(UnavailableReason),
}

impl From<DenyReason> for Outcome {
    fn from(reason: DenyReason) -> Self {
        Self::Deny(reason)
    }
}

impl From<UnavailableReason> for Outcome {
    fn from(reason: UnavailableReason) -> Self {
        Self::Unavailable(reason)
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::Unavailable(fault.into())
    }
}
