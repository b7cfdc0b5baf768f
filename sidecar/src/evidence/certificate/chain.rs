//! Chains of certificate authorities, as configured, and whether a certificate hangs on one of them.
//!
//! A chain is one root and the authorities below it. A certificate belongs to a chain where each signature up to the
//! root holds; a name alone proves nothing, as anybody can make an authority of any name.

use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use super::{BadCertificate, Certificate, Fingerprint};
use crate::clock::UnixSeconds;

/// For which mailboxes certificates of a chain are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Real structures.
    Production,
    /// Test certificates, which anybody may get: they never open a production mailbox.
    Test,
}

/// Why files make no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChain {
    /// A file that can't be read as certificates.
    #[error("{}: {error}", file.display())]
    File {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it.
        error: BadCertificate,
    },
    /// A certificate that is no authority's.
    #[error("{}: {subject} is no certificate authority (basicConstraints cA, keyUsage keyCertSign): name authorities alone", file.display())]
    NotAnAuthority {
        /// In which file.
        file: PathBuf,
        /// Which certificate.
        subject: String,
    },
    /// A certificate with conditions that are not looked at.
    #[error("{}: {subject} has a critical extension that is not known here", file.display())]
    UnknownCritical {
        /// In which file.
        file: PathBuf,
        /// Which certificate.
        subject: String,
    },
    /// Twice the same name and key.
    #[error("{}: {subject} is there twice: name each authority once", file.display())]
    Duplicate {
        /// In which file.
        file: PathBuf,
        /// Which certificate.
        subject: String,
    },
    /// No root.
    #[error("no root: one of the authorities must be signed by itself; add the root's certificate")]
    NoRoot,
    /// More than one root.
    #[error("more than one root ({0}): a chain has one; make another [[chain]] of the other")]
    SeveralRoots(String),
    /// Not signed by one of the others.
    #[error("{0} is not signed by another authority of the chain: add its issuer, or take it out")]
    Foreign(String),
    /// Longer than an authority above allows.
    #[error("{0} stands lower than an authority above it allows (pathLenConstraint)")]
    TooLong(String),
}

/// Why a certificate does not belong to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOfChain {
    /// An authority's own.
    #[error("this is a certificate authority's certificate, not a client's")]
    Authority,
    /// For another purpose.
    #[error("the certificate is not for clients: its extendedKeyUsage lacks clientAuth (AUTH_CLI is needed)")]
    Purpose,
    /// A condition that is not looked at.
    #[error("the certificate has a critical extension that is not known here")]
    UnknownCritical,
    /// No authority of that name.
    #[error("the certificate's issuer is no authority of the chain")]
    UnknownIssuer,
    /// An authority of that name, which did not sign it.
    #[error("the certificate names an authority of the chain as its issuer, which did not sign it")]
    Signature,
}

/// One authority of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    certificate: Certificate,
    /// Place of its issuer in the chain; the root's own for the root.
    issuer: usize,
}

impl Authority {
    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its name, DER.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.certificate.subject_der
    }

    /// Its SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.certificate.spki
    }

    /// Whether it may sign revocation lists: keyUsage, where there is one, says cRLSign.
    #[must_use]
    pub fn signs_lists(&self) -> bool {
        self.certificate.uses.signs_lists.unwrap_or(true)
    }
}

/// One configured chain. Immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    name: String,
    kind: ChainKind,
    mailbox_domains: Vec<String>,
    listen: Vec<IpAddr>,
    authorities: Vec<Authority>,
}

impl Chain {
    /// Reads the authorities from `files` (path and content, PEM or DER).
    ///
    /// # Errors
    /// [`BadChain`]: they must be authorities, one of them a root, and each of the others signed by one of them.
    pub fn new(
        name: impl Into<String>,
        kind: ChainKind,
        mailbox_domains: Vec<String>,
        listen: Vec<IpAddr>,
        files: &[(PathBuf, Vec<u8>)],
    ) -> Result<Self, BadChain> {
        let mut certificates: Vec<Certificate> = Vec::new();
        for (file, content) in files {
            let read = Certificate::read_all(content);
            for certificate in read.map_err(|error| BadChain::File { file: file.clone(), error })? {
                fits(file, &certificate, &certificates)?;
                certificates.push(certificate);
            }
        }
        let authorities = linked(certificates)?;
        Ok(Self { name: name.into(), kind, mailbox_domains, listen, authorities })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For which mailboxes it is.
    #[must_use]
    pub const fn kind(&self) -> ChainKind {
        self.kind
    }

    /// The only domains whose mailboxes its certificates can open, lower case.
    #[must_use]
    pub fn mailbox_domains(&self) -> &[String] {
        &self.mailbox_domains
    }

    /// Addresses at which the IMAP server asks for certificates of this chain.
    #[must_use]
    pub fn listen(&self) -> &[IpAddr] {
        &self.listen
    }

    /// All authorities, the root among them.
    #[must_use]
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// The way from a client's certificate up to the root, every signature on it verified. Says nothing of dates and
    /// of revocation.
    ///
    /// # Errors
    /// [`NotOfChain`].
    pub fn path<'a>(&'a self, leaf: &'a Certificate) -> Result<Path<'a>, NotOfChain> {
        if leaf.is_ca() || leaf.uses.signs_certificates == Some(true) {
            return Err(NotOfChain::Authority);
        }
        if leaf.uses.client == Some(false) {
            return Err(NotOfChain::Purpose);
        }
        if leaf.uses.unknown_critical {
            return Err(NotOfChain::UnknownCritical);
        }
        let mut named = self.authorities.iter().enumerate().filter(|(_, a)| *a.subject_der() == *leaf.issuer_der);
        let known = named.clone().next().is_some();
        let signer = named.find(|(_, authority)| leaf.is_signed_by(&authority.certificate));
        let Some((place, _)) = signer else {
            return Err(if known { NotOfChain::Signature } else { NotOfChain::UnknownIssuer });
        };
        // The signatures between authorities were verified when the chain was made.
        Ok(Path { chain: self, leaf, authorities: upwards(&self.authorities, place).collect() })
    }
}

impl Chain {
    /// The way of a certificate whose signature by `issuer` was verified before ([`Self::path`]): no signature is
    /// looked at.
    #[must_use]
    pub fn path_by<'a>(&'a self, leaf: &'a Certificate, issuer: Fingerprint) -> Option<Path<'a>> {
        let place = self.authorities.iter().position(|authority| authority.certificate.fingerprint() == issuer)?;
        Some(Path { chain: self, leaf, authorities: upwards(&self.authorities, place).collect() })
    }
}

/// The authority at `place` and those above it, the root last.
fn upwards(authorities: &[Authority], place: usize) -> impl Iterator<Item = &Authority> {
    let above = move |(at, _): &(usize, &Authority)| {
        let issuer = authorities.get(*at)?.issuer;
        if issuer == *at { None } else { Some((issuer, authorities.get(issuer)?)) }
    };
    // No longer than the chain: were there a circle, it ends.
    let first = authorities.get(place).map(|authority| (place, authority));
    std::iter::successors(first, above).take(authorities.len()).map(|(_, authority)| authority)
}

fn fits(file: &FilePath, certificate: &Certificate, before: &[Certificate]) -> Result<(), BadChain> {
    let (file, subject) = (file.to_owned(), certificate.subject().to_owned());
    if !certificate.is_ca() || certificate.uses.signs_certificates != Some(true) {
        return Err(BadChain::NotAnAuthority { file, subject });
    }
    if certificate.uses.unknown_critical {
        return Err(BadChain::UnknownCritical { file, subject });
    }
    let same = |other: &Certificate| other.subject_der == certificate.subject_der && other.spki == certificate.spki;
    if before.iter().any(same) { Err(BadChain::Duplicate { file, subject }) } else { Ok(()) }
}

/// Finds each one's issuer.
fn linked(certificates: Vec<Certificate>) -> Result<Vec<Authority>, BadChain> {
    let issuer_of = |certificate: &Certificate| {
        certificates
            .iter()
            .position(|other| other.subject_der == certificate.issuer_der && certificate.is_signed_by(other))
    };
    let issuers: Vec<Option<usize>> = certificates.iter().map(issuer_of).collect();
    let is_root = |(at, issuer): &(usize, &Option<usize>)| **issuer == Some(*at);
    match issuers.iter().enumerate().filter(is_root).count() {
        0 => return Err(BadChain::NoRoot),
        1 => {}
        _ => {
            let roots = issuers.iter().zip(&certificates).enumerate().filter(|(at, (issuer, _))| **issuer == Some(*at));
            let names: Vec<&str> = roots.map(|(_, (_, root))| root.subject()).collect();
            return Err(BadChain::SeveralRoots(names.join("; ")));
        }
    }
    let mut authorities = Vec::new();
    for (certificate, issuer) in certificates.iter().zip(&issuers) {
        let issuer = issuer.ok_or_else(|| BadChain::Foreign(certificate.subject().to_owned()))?;
        authorities.push(Authority { certificate: certificate.clone(), issuer });
    }
    for (place, authority) in authorities.iter().enumerate() {
        let subject = || authority.certificate.subject().to_owned();
        let way: Vec<&Authority> = upwards(&authorities, place).collect();
        let ends = way.last().is_some_and(|last| last.certificate.issuer_der == last.certificate.subject_der);
        if !ends {
            return Err(BadChain::Foreign(subject()));
        }
        // pathLenConstraint counts the authorities between: none for the nearest above (RFC 5280 section 4.2.1.9).
        let allows = |(between, above): (usize, &&Authority)| {
            above.certificate.uses.path_length.is_none_or(|most| usize::try_from(most).is_ok_and(|most| between < most))
        };
        if !way.iter().skip(1).enumerate().all(allows) {
            return Err(BadChain::TooLong(subject()));
        }
    }
    Ok(authorities)
}

/// The way from a certificate to the root.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    chain: &'a Chain,
    leaf: &'a Certificate,
    authorities: Vec<&'a Authority>,
}

impl<'a> Path<'a> {
    /// Of which chain.
    #[must_use]
    pub const fn chain(&self) -> &'a Chain {
        self.chain
    }

    /// The certificate itself.
    #[must_use]
    pub const fn leaf(&self) -> &'a Certificate {
        self.leaf
    }

    /// Its issuer first, the root last.
    #[must_use]
    pub fn authorities(&self) -> &[&'a Authority] {
        &self.authorities
    }

    /// The authority that signed the certificate.
    #[must_use]
    pub fn issuer(&self) -> Option<&'a Certificate> {
        self.authorities.first().map(|authority| &authority.certificate)
    }

    /// Whether the certificate and every authority above it are within their validity.
    #[must_use]
    pub fn valid_at(&self, now: UnixSeconds) -> bool {
        self.leaf.is_valid_at(now) && self.authorities.iter().all(|authority| authority.certificate.is_valid_at(now))
    }

    /// What can be revoked, each with the authority whose list says so: the certificate, and every authority but the
    /// root.
    pub fn revocable(&self) -> impl Iterator<Item = (&'a Certificate, &'a Authority)> {
        let below = self.authorities.iter().map(|authority| authority.certificate());
        std::iter::once(self.leaf).chain(below).zip(self.authorities.iter().copied())
    }
}

/// All configured chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains(pub Vec<Chain>);

impl Chains {
    /// The first chain to which a certificate belongs.
    #[must_use]
    pub fn find<'a>(&'a self, certificate: &'a Certificate) -> Option<(&'a Chain, Path<'a>)> {
        self.0.iter().find_map(|chain| Some((chain, chain.path(certificate).ok()?)))
    }

    /// By its name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Chain> {
        self.0.iter().find(|chain| chain.name == name)
    }

    /// By an address at which the IMAP server asks for its certificates.
    #[must_use]
    pub fn by_listen(&self, address: IpAddr) -> Option<&Chain> {
        self.0.iter().find(|chain| chain.listen.contains(&address))
    }
}
