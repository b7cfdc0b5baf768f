//! One certificate (RFC 5280), read once and never changed, and the identifiers that are taken from it.

mod identifiers;
mod read;

pub(super) use identifiers::magnitude;
pub use identifiers::{Fingerprint, Serial, StructureId};
pub use read::BadCertificate;

use super::der::Signed;
use super::name::Name;
use crate::clock::UnixSeconds;

/// Why a certificate names no structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStructure {
    /// No OU in the subject.
    #[error("the subject has no OU: this is a certificate of a person, not of a structure (ORG AUTH_CLI is needed)")]
    NoUnit,
    /// More than one OU.
    #[error("the subject has {0} OUs: which of them is the structure can't be told (exactly one is needed)")]
    Ambiguous(usize),
    /// The OU is not an identifier.
    #[error("the subject's OU is no structure identifier: {0}")]
    NotAnIdentifier(&'static str),
}

/// A certificate. Immutable; owns its DER. Says what is written in it, not whether it may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Box<[u8]>,
    fingerprint: Fingerprint,
    public_key: Fingerprint,
    serial: Serial,
    issuer: Name,
    subject: Name,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    /// DER, to compare names and to verify signatures.
    pub(super) issuer_der: Box<[u8]>,
    pub(super) subject_der: Box<[u8]>,
    pub(super) spki: Box<[u8]>,
    pub(super) uses: Uses,
    /// Addresses of its cRLDistributionPoints (RFC 5280 section 4.2.1.13).
    pub(super) points: Box<[Box<str>]>,
}

/// What the extensions allow (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uses {
    /// basicConstraints cA.
    pub(super) ca: bool,
    /// Most CAs below this one.
    pub(super) path_length: Option<u32>,
    /// `None`: no keyUsage.
    pub(super) signs_certificates: Option<bool>,
    /// `None`: no keyUsage.
    pub(super) signs_lists: Option<bool>,
    /// `None`: no extendedKeyUsage.
    pub(super) client: Option<bool>,
    /// A critical extension that nobody here reads.
    pub(super) unknown_critical: bool,
}

impl Certificate {
    /// Reads one certificate, DER, with nothing behind it.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        read::one(der)
    }

    /// Reads a file: PEM with one or more certificates (at most 64) and nothing else, or one in DER.
    ///
    /// # Errors
    /// [`BadCertificate`]; never holds a byte of the file.
    pub fn read_all(file: &[u8]) -> Result<Vec<Self>, BadCertificate> {
        read::all(file)
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the same for every certificate of one key.
    #[must_use]
    pub const fn public_key(&self) -> Fingerprint {
        self.public_key
    }

    /// Its number, unique with its issuer alone.
    #[must_use]
    pub const fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The issuer, RFC 4514.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer.text
    }

    /// The subject, RFC 4514.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject.text
    }

    /// All OUs of the subject, in order.
    #[must_use]
    pub fn units(&self) -> &[String] {
        &self.subject.units
    }

    /// CN of the subject.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.subject.common_name.as_deref()
    }

    /// O of the subject.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.subject.organization.as_deref()
    }

    /// First second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// Last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// Whether `now` lies within its validity, both ends included (RFC 5280 section 4.1.2.5).
    #[must_use]
    pub fn is_valid_at(&self, now: UnixSeconds) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it is a certificate authority's.
    #[must_use]
    pub const fn is_ca(&self) -> bool {
        self.uses.ca
    }

    /// Whether the key of `issuer` signed it. Says nothing of names, purposes and dates.
    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        Signed::read(&self.der).is_ok_and(|signed| signed.is_signed_by(&issuer.spki))
    }

    /// The structure that it names: its only OU.
    ///
    /// # Errors
    /// [`BadStructure`].
    pub fn structure(&self) -> Result<StructureId, BadStructure> {
        match self.units() {
            [] => Err(BadStructure::NoUnit),
            [unit] => StructureId::parse(unit).map_err(BadStructure::NotAnIdentifier),
            units => Err(BadStructure::Ambiguous(units.len())),
        }
    }
}
