//! Test vectors: attempts and messages written down with the answer that a policy has to give. JSON, for people and for
//! other hosts of the component.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::certificates::Certificate;
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};

/// Largest document, bytes.
pub const MAX_DOCUMENT: usize = 4 << 20;
/// Most vectors of one document.
pub const MAX_VECTORS: usize = 10_000;

/// One file of vectors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Settings that the policy is tried with. Absent: those of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Map<String, Value>>,
    /// Logins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<Login>,
    /// Messages on their way in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submissions: Vec<Submission>,
    /// Client certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
}

/// A login, what is known of the person, and what the policy has to answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// What it shows, as a sentence.
    pub name: String,
    /// The moment, seconds since the epoch.
    pub now: u64,
    /// SASL mechanism. Absent: the bare token is shown, as Dovecot does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// The SASL message before base64; `{token}` stands for the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The SASL message in base64, in the place of `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The token, in the place of `header` and `payload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The token's header. The signature is filler: a policy does not see keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Value>,
    /// The token's claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The mailbox that the mail server asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
    /// What the client speaks to the mail server.
    #[serde(default)]
    pub protocol: Protocol,
    /// What the issuer answers where the policy asks for it. A policy that does not ask is told so.
    #[serde(default)]
    pub introspection: Introspection,
    /// What the directory has for the person whom the policy names.
    #[serde(default)]
    pub mailboxes: Vec<Mailbox>,
    /// The answer.
    pub expect: Answer,
}

/// Protocol of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP.
    #[default]
    Imap,
    /// SMTP submission.
    Smtp,
    /// Anything else.
    Other,
}

/// What the issuer answers about a token (RFC 7662 section 2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Introspection {
    /// Nothing usable, in time.
    #[default]
    Unavailable,
    /// `active` is false.
    Inactive,
    /// `active` is true.
    Active(Introspected),
}

/// What an issuer says of an active token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Introspected {
    /// `sub`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `sid`, else `session_state`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// `azp`, else `client_id`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_party: Option<String>,
    /// `exp`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// A mailbox of the directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Address, lower-case ASCII.
    pub address: String,
    /// Its kind.
    pub kind: Kind,
    /// How many persons are listed for it.
    #[serde(default = "one")]
    pub persons: u32,
}

const fn one() -> u32 {
    1
}

/// Kind of a mailbox (MSSanté).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One professional's.
    Per,
    /// A service's or a team's.
    Org,
    /// Software's.
    App,
}

/// What a policy answers to a login, before any rail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// These mailboxes, in the order of their names.
    Allow(Vec<String>),
    /// Refused.
    Deny(DenyReason),
    /// No decision.
    Unavailable(UnavailableReason),
}

impl Default for Answer {
    fn default() -> Self {
        Self::Unavailable(UnavailableReason::PolicyTrapped)
    }
}

/// A message, and what the policy has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// What it shows, as a sentence.
    pub name: String,
    /// How far the transaction has come.
    pub stage: Stage,
    /// The mailbox that the client logged in to.
    pub login: String,
    /// Mailboxes of the person and other addresses to send from.
    #[serde(default)]
    pub mailboxes: Vec<SendingMailbox>,
    /// `MAIL FROM`; empty: the null sender.
    #[serde(default)]
    pub sender: String,
    /// `RCPT TO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Whether the recipient is in the trust space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_in_trust_space: Option<bool>,
    /// Recipients accepted so far.
    #[serde(default)]
    pub recipients: u32,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// What encrypts the connection.
    #[serde(default)]
    pub encryption: Encryption,
    /// The answer.
    pub expect: Judgement,
}

/// Stage of an SMTP transaction (RFC 5321 section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// `MAIL FROM`
    Mail,
    /// `RCPT TO`
    Rcpt,
    /// `DATA`
    Data,
    /// The message has come.
    EndOfMessage,
}

/// What encrypts a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Nothing.
    None,
    /// SSL, or unknown.
    Unknown,
    /// TLS 1.0
    Tls10,
    /// TLS 1.1
    Tls11,
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    #[default]
    Tls13,
}

/// A mailbox to send from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SendingMailbox {
    /// Address.
    pub address: String,
    /// Other addresses.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What a policy answers to a message, before any rail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It may go on.
    Allow,
    /// Refused.
    Deny(SubmissionReason),
    /// No decision.
    Unavailable(UnavailableReason),
}

/// A document that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Not the JSON that is expected.
    #[error("expected vectors as a JSON object with settings, logins, submissions and certificates: {0}")]
    Json(String),
    /// [`MAX_DOCUMENT`], [`MAX_VECTORS`]
    #[error("expected at most {MAX_DOCUMENT} bytes and {MAX_VECTORS} vectors in one document")]
    TooLarge,
    /// A login that shows nothing, or two things.
    #[error("the login {0:?}: {1}")]
    Login(String, &'static str),
}

impl Vectors {
    /// Reads a document and checks each of its logins.
    ///
    /// # Errors
    /// [`VectorError`]
    pub fn read(text: &[u8]) -> Result<Self, VectorError> {
        if text.len() > MAX_DOCUMENT {
            return Err(VectorError::TooLarge);
        }
        // serde would read an array as an object without names.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(VectorError::Json("found something else".to_owned()));
        }
        let read: Self = serde_json::from_slice(text).map_err(|error| VectorError::Json(error.to_string()))?;
        if read.count() > MAX_VECTORS {
            return Err(VectorError::TooLarge);
        }
        for login in &read.logins {
            login.attempt()?;
        }
        Ok(read)
    }

    /// How many vectors there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.logins.len().saturating_add(self.submissions.len()).saturating_add(self.certificates.len())
    }
}
