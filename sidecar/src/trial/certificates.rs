//! Test vectors of client certificates: what a mail server tells of one, the mailbox asked for, and the answer.

use serde::{Deserialize, Serialize};

use super::vectors::Kind;
use crate::clock::UnixSeconds;
use crate::policy::wit::{certificate, login};
use crate::reason::{DenyReason, UnavailableReason};

/// A certificate, the mailbox that it is to open, and what the policy has to answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// What it shows, as a sentence.
    pub name: String,
    /// The moment, seconds since the epoch.
    pub now: u64,
    /// What is known of the certificate.
    pub certificate: Facts,
    /// The mailbox. Absent: the directory has none of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Wanted>,
    /// The answer.
    pub expect: Opening,
}

/// What is known of a certificate: `facts` of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Values of the subject's OU.
    #[serde(default)]
    pub units: Vec<String>,
    /// CN of the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Issuer (RFC 4514).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// SHA-256, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// First moment of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// Last moment of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// The chain that vouches for it.
    #[serde(default)]
    pub chain: Chain,
    /// Domains in which the chain opens mailboxes.
    #[serde(default)]
    pub mailbox_domains: Vec<String>,
    /// What is known about revocation.
    #[serde(default)]
    pub revocation: Revocation,
}

/// Kind of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Of real structures.
    #[default]
    Production,
    /// Of test structures.
    Test,
}

/// What is known about revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Revocation {
    /// Not revoked.
    #[default]
    Good,
    /// Not revoked by an outdated list that is let be enough.
    Degraded,
    /// Revoked.
    Revoked,
    /// Not known.
    Unknown,
}

/// The mailbox asked for: `wanted` of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Address, lower-case ASCII.
    pub address: String,
    /// Its kind.
    pub kind: Kind,
    /// Its structures.
    #[serde(default)]
    pub structures: Vec<String>,
    /// CNs of the only certificates that open it.
    #[serde(default)]
    pub common_names: Vec<String>,
    /// Issuers of the only certificates that open it.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Fingerprints of the only certificates that open it.
    #[serde(default)]
    pub fingerprints: Vec<String>,
}

/// What a policy answers to a certificate, before any rail.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Opening {
    /// It opens the mailbox.
    Allow,
    /// Refused.
    Deny(DenyReason),
    /// No decision.
    Unavailable(UnavailableReason),
}

impl Certificate {
    /// The moment.
    #[must_use]
    pub const fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now)
    }

    /// What the policy is asked.
    #[must_use]
    pub fn request(&self) -> certificate::Request {
        let facts = self.certificate.clone();
        let wanted = |wanted: Wanted| certificate::Wanted {
            address: wanted.address,
            kind: match wanted.kind {
                Kind::Per => login::MailboxKind::Per,
                Kind::Org => login::MailboxKind::Org,
                Kind::App => login::MailboxKind::App,
            },
            structures: wanted.structures,
            common_names: wanted.common_names,
            issuers: wanted.issuers,
            fingerprints: wanted.fingerprints,
        };
        certificate::Request {
            certificate: certificate::Facts {
                units: facts.units,
                common_name: facts.common_name,
                issuer: facts.issuer,
                fingerprint: facts.fingerprint,
                not_before: facts.not_before,
                not_after: facts.not_after,
                chain: match facts.chain {
                    Chain::Production => certificate::ChainKind::Production,
                    Chain::Test => certificate::ChainKind::Test,
                },
                mailbox_domains: facts.mailbox_domains,
                revocation: match facts.revocation {
                    Revocation::Good => certificate::Revocation::Good,
                    Revocation::Degraded => certificate::Revocation::Degraded,
                    Revocation::Revoked => certificate::Revocation::Revoked,
                    Revocation::Unknown => certificate::Revocation::Unknown,
                },
            },
            mailbox: self.mailbox.clone().map(wanted),
        }
    }
}
