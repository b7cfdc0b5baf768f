//! The values that pass in and out of the rules: the Rust face of the WIT interface `login`.
//!
//! Owns no behaviour. Field meanings, units and what absent means are those of `wit/policy.wit`, which stays the
//! authority. Nothing here prints credentials, tokens or claim values: `Debug` names the type and no more.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::reason::{DenyReason, UnavailableReason};

/// Gives types that hold secrets or personal data a `Debug` without content.
macro_rules! opaque {
    ($($name:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })+
    };
}

opaque!(Claims, Inquiry, Introspected, Mailbox, Grant);

/// What the client showed.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A SASL exchange's only message (RFC 4422).
    Sasl {
        /// Mechanism name as the client named it; compared without case.
        mechanism: &'a str,
        /// The client's response in base64 (RFC 4648 section 4), unchecked.
        response: &'a [u8],
    },
    /// A bare access token (RFC 6750).
    Bearer(&'a [u8]),
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Protocol that the client speaks to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// SMTP submission.
    Smtp,
    /// Anything else.
    Other,
}

/// One attempt to log in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// What the client showed.
    pub credentials: Credentials<'a>,
    /// Mailbox that the mail server asks for, where it knows it apart from the credentials.
    pub mailbox: Option<&'a str>,
    /// Protocol between client and mail server.
    pub protocol: Protocol,
}

/// A range of bytes: of the bearer token itself, or of the SASL response after base64 decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte, from 0.
    pub start: u32,
    /// Number of bytes.
    pub length: u32,
}

/// Asymmetric signature algorithms of RFC 7518 section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 section 3.1")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

impl Algorithm {
    /// Every algorithm, in the order of the contract.
    pub const ALL: [Self; 8] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384];

    /// Name as in the `alg` header parameter (case-sensitive, RFC 7515 section 4.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    /// The algorithm of that exact name; `None` for every other, `none` and HS* among them.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Whether the issuer is to be asked about the token (RFC 7662).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Introspect {
    /// No call.
    Never,
    /// Call; without an answer the signature stands alone and the decision is marked degraded.
    Prefer,
    /// Call; without an answer there is no login.
    Must,
}

/// Claims as read from the token, not proven when [`crate::open`] returns them. Times in seconds since the epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub` (RFC 7519 section 4.1.2).
    pub subject: Option<String>,
    /// `sid`, else `session_state`.
    pub session: Option<String>,
    /// `azp`.
    pub authorized_party: Option<String>,
    /// `exp`.
    pub expires_at: u64,
    /// `nbf`.
    pub not_before: Option<u64>,
    /// `iat`.
    pub issued_at: Option<u64>,
    /// `auth_time`.
    pub authenticated_at: Option<u64>,
}

/// What the policy wants proven.
#[derive(Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The token within the attempt.
    pub token: Span,
    /// The signed part: the token up to, not including, its last dot (RFC 7515 section 5.2).
    pub signed: Span,
    /// `iss`, exactly as in the token.
    pub issuer: String,
    /// `kid` of the header.
    pub key_id: Option<String>,
    /// `alg` of the header.
    pub algorithm: Algorithm,
    /// National identifier (idNat) on which the verdict will rest, exactly as the token carries it.
    pub identity: String,
    /// Two of the token's identifiers disagree.
    pub identities_differ: bool,
    /// The mailbox asked for, lower-cased. `None`: the whole set.
    pub mailbox: Option<String>,
    /// Whether the issuer is to be asked.
    pub introspect: Introspect,
    /// The claims that [`crate::decide`] looks at again.
    pub claims: Claims,
}

/// What an issuer said of an active token (RFC 7662 section 2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Introspected {
    /// `sub`.
    pub subject: Option<String>,
    /// `sid`, else `session_state`.
    pub session: Option<String>,
    /// `azp`, else `client_id`.
    pub authorized_party: Option<String>,
    /// `exp`, seconds since the epoch.
    pub expires_at: Option<u64>,
}

/// Outcome of the introspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// The inquiry said never.
    NotAsked,
    /// Asked, and no usable answer came in time.
    Unavailable,
    /// `active` is false.
    Inactive,
    /// `active` is true.
    Active(Introspected),
}

/// Kinds of MSSanté mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxKind {
    /// "Personnelle": one professional.
    Per,
    /// "Organisationnelle": a service or a team.
    Org,
    /// "Applicative": software, without a person.
    App,
}

/// A mailbox to which the directory lists the proven identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Address, lower-case ASCII.
    pub address: String,
    /// Kind.
    pub kind: MailboxKind,
    /// How many persons are listed for it, from 1.
    pub persons: u32,
}

/// What was proven about an inquiry, beside its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Outcome of the introspection.
    pub introspection: Introspection,
    /// Every mailbox to which the directory lists the inquiry's identity.
    pub mailboxes: Vec<Mailbox>,
}

/// What the policy grants.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The inquiry's identity.
    pub identity: String,
    /// Mailboxes that may be opened.
    pub mailboxes: Vec<String>,
    /// The preferred introspection could not be had: the decision rests on the signature alone.
    pub degraded: bool,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The login is granted.
    Allow(Grant),
    /// The login is refused.
    Deny(DenyReason),
    /// No decision could be made.
    Unavailable(UnavailableReason),
}
