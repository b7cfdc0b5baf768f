//! Client certificates (AUTH_CLI): whether a structure's certificate opens a mailbox.
//!
//! Owns the rules of structure, validity, revocation, chain and mailbox: the Rust face of the WIT interface
//! `certificate`. The mail server proved that the client holds the certificate's key; what is known of it comes in as
//! facts. What is absent is never taken for what a rule wants.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::contract::MailboxKind;
use crate::reason::{CertificateOutage, CertificateReason};
use crate::settings::Settings;

/// Chains of certification authorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Of real structures.
    Production,
    /// Of test structures.
    Test,
}

/// What is known about revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Not revoked.
    Good,
    /// Not revoked by what is held, which an operator lets be enough for a limited time.
    Degraded,
    /// Revoked or withdrawn.
    Revoked,
    /// Not known.
    Unknown,
}

/// The certificate that the client showed. Fields as in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are those of `facts` in wit/policy.wit")]
pub struct CertificateFacts {
    pub units: Vec<String>,
    pub common_name: Option<String>,
    pub issuer: Option<String>,
    pub fingerprint: Option<String>,
    pub not_before: Option<u64>,
    pub not_after: Option<u64>,
    pub chain: ChainKind,
    pub mailbox_domains: Vec<String>,
    pub revocation: Revocation,
}

/// The mailbox asked for. Fields as in the contract.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are those of `wanted` in wit/policy.wit")]
pub struct WantedMailbox {
    pub address: String,
    pub kind: MailboxKind,
    pub structures: Vec<String>,
    pub common_names: Vec<String>,
    pub issuers: Vec<String>,
    pub fingerprints: Vec<String>,
}

/// Addresses are personal data: `Debug` names the type and no more.
impl fmt::Debug for WantedMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WantedMailbox(..)")
    }
}

/// What is to be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The certificate.
    pub certificate: CertificateFacts,
    /// The mailbox. `None`: there is no such mailbox.
    pub mailbox: Option<WantedMailbox>,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateVerdict {
    /// The certificate opens the mailbox.
    Allow,
    /// It does not.
    Deny(CertificateReason),
    /// It can't be judged now.
    Unavailable(CertificateOutage),
}

/// The settings of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Structures {
    /// Which types of structure may log in: bit n for the digit n.
    pub(crate) types: u16,
}

impl Structures {
    /// Whether the type of this digit may.
    const fn takes(self, digit: u8) -> bool {
        digit.is_ascii_digit() && self.types & (1 << (digit - b'0')) != 0
    }
}

/// Judges whether a certificate opens a mailbox.
///
/// The rules run in this order, and the first that fails names the reason: one structure, named as IGC-Santé does (type
/// digit and identifier in the subject's OU; a certificate of a person has none); validity (RFC 5280 section 4.1.2.5);
/// revocation (RFC 5280 section 5); a mailbox of that structure, ORG or APP (a certificate stands for no person); a
/// chain that may open its domain; the mailbox's own list of certificates. That revocation is not known comes last:
/// what is refused is refused whatever the lists say.
#[must_use]
pub fn judge_certificate(settings: &Settings<'_>, request: &CertificateRequest, now: u64) -> CertificateVerdict {
    match check(settings.structures, request, now) {
        Err(reason) => CertificateVerdict::Deny(reason),
        Ok(()) if request.certificate.revocation == Revocation::Unknown => {
            CertificateVerdict::Unavailable(CertificateOutage::RevocationUnavailable)
        }
        Ok(()) => CertificateVerdict::Allow,
    }
}

fn check(structures: Structures, request: &CertificateRequest, now: u64) -> Result<(), CertificateReason> {
    let certificate = &request.certificate;
    let structure = structure(structures, &certificate.units)?;
    if certificate.not_before.is_some_and(|from| now < from) {
        return Err(CertificateReason::CertificateNotYetValid);
    }
    if certificate.not_after.is_some_and(|to| now > to) {
        return Err(CertificateReason::CertificateExpired);
    }
    if certificate.revocation == Revocation::Revoked {
        return Err(CertificateReason::CertificateRevoked);
    }
    let mailbox = request.mailbox.as_ref().ok_or(CertificateReason::StructureRefused)?;
    if mailbox.kind == MailboxKind::Per {
        return Err(CertificateReason::MailboxPersonal);
    }
    if !mailbox.structures.iter().any(|listed| listed == structure) {
        return Err(CertificateReason::StructureRefused);
    }
    let domain = mailbox.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !certificate.mailbox_domains.iter().any(|opened| opened == domain) {
        return Err(CertificateReason::ChainRefused);
    }
    for (list, fact) in [
        (&mailbox.common_names, &certificate.common_name),
        (&mailbox.issuers, &certificate.issuer),
        (&mailbox.fingerprints, &certificate.fingerprint),
    ] {
        is_listed(list, fact.as_deref())?;
    }
    Ok(())
}

/// The one structure that the certificate names.
fn structure(accepted: Structures, units: &[String]) -> Result<&str, CertificateReason> {
    let unit = match units {
        [] => return Err(CertificateReason::StructureMissing),
        [unit] => unit.as_str(),
        _ => return Err(CertificateReason::StructureAmbiguous),
    };
    let well_formed = match unit.as_bytes() {
        [digit, identifier @ ..] if accepted.takes(*digit) => is_identifier(*digit, identifier),
        _ => false,
    };
    if well_formed { Ok(unit) } else { Err(CertificateReason::StructureMalformed) }
}

/// Whether an identifier has the form of its type: FINESS (1, nine characters, Corsica's departments have a letter),
/// SIREN (2, nine digits), SIRET (3, fourteen digits); the numbers of cabinets (0 by ADELI, 4 by RPPS) have no
/// published length.
fn is_identifier(digit: u8, identifier: &[u8]) -> bool {
    let digits = || identifier.iter().all(u8::is_ascii_digit);
    match digit {
        b'1' => {
            identifier.len() == 9 && identifier.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        }
        b'2' => identifier.len() == 9 && digits(),
        b'3' => identifier.len() == 14 && digits(),
        b'0' | b'4' => (1..=20).contains(&identifier.len()) && digits(),
        _ => false,
    }
}

/// A list that is not empty holds the fact. A fact that is not told is on no list.
fn is_listed(list: &[String], fact: Option<&str>) -> Result<(), CertificateReason> {
    match fact {
        _ if list.is_empty() => Ok(()),
        None => Err(CertificateReason::CertificateUnidentified),
        Some(fact) if list.iter().any(|listed| listed == fact) => Ok(()),
        Some(_) => Err(CertificateReason::CertificateRefused),
    }
}

#[cfg(test)]
mod tests;
