//! What is known of a certificate from the little that a mail server tells of it.
//!
//! Postfix tells a fingerprint: the enrolled certificate is meant, and no other. Dovecot tells the structure alone, and
//! the address at which it asked: any certificate of the structure may have been shown that Dovecot itself let pass.

use std::net::IpAddr;
use std::sync::Arc;

use super::enrolled::{Enrolled, Enrolment};
use super::{Chain, ChainKind, Chains, Fingerprint, Path, Revocation, Revocations};
use crate::clock::UnixSeconds;
use crate::reason::DenyReason;

/// What a mail server tells of the certificate that its client showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The certificate, by its SHA-256 (Postfix).
    Fingerprint(Fingerprint),
    /// The first OU of a certificate that the mail server verified, and the address that the client came to (Dovecot).
    Structure {
        /// The OU.
        unit: String,
        /// The mail server's address, which tells the chain.
        listen: IpAddr,
    },
}

/// What is known about revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationState {
    /// Not revoked.
    Good,
    /// Not revoked by a list that is let be enough for a limited time.
    Degraded,
    /// Revoked, or withdrawn by the operator.
    Revoked,
    /// Not known.
    Unknown,
}

/// A certificate as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Every OU of the subject, or the only one that the mail server tells.
    pub units: Vec<String>,
    /// What belongs to this certificate alone. `None`: the mail server does not tell which one it is.
    pub told: Option<Told>,
    /// Name of the chain.
    pub chain: String,
    /// Whether the chain is of test structures.
    pub test_chain: bool,
    /// Domains in which the chain opens mailboxes.
    pub mailbox_domains: Vec<String>,
    /// What is known about revocation.
    pub revocation: RevocationState,
}

/// What belongs to one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// First CN.
    pub common_name: Option<String>,
    /// SHA-256.
    pub fingerprint: Fingerprint,
    /// Issuer (RFC 4514).
    pub issuer: String,
    /// First moment of its validity.
    pub not_before: UnixSeconds,
    /// Last moment of its validity.
    pub not_after: UnixSeconds,
}

/// All that is known of certificates: chains, those enrolled, those revoked. Clones share it.
#[derive(Clone, Default)]
pub struct Certificates {
    /// The chains of the configuration.
    pub chains: Arc<Chains>,
    /// The certificates that the operator enrolled.
    pub enrolment: Enrolment,
    /// The lists of revoked ones. `None`: no chain is configured.
    pub revocations: Option<Revocations>,
}

impl Certificates {
    /// What is known of a certificate that a mail server let pass.
    ///
    /// # Errors
    /// `certificate-unknown`: it, or every certificate of the structure, is not enrolled, or no chain vouches for it.
    /// `certificate-undetermined`: a withdrawn certificate of the structure could be the one that was shown.
    pub fn known(&self, shown: &Shown, now: UnixSeconds) -> Result<Known, DenyReason> {
        match shown {
            Shown::Fingerprint(fingerprint) => self.by_fingerprint(fingerprint, now),
            Shown::Structure { unit, listen } => self.by_structure(unit, *listen, now),
        }
    }

    fn by_fingerprint(&self, fingerprint: &Fingerprint, now: UnixSeconds) -> Result<Known, DenyReason> {
        let set = self.enrolment.snapshot();
        let enrolled = set.by_fingerprint(fingerprint).ok_or(DenyReason::CertificateUnknown)?;
        let path = self.path(enrolled).ok_or(DenyReason::CertificateUnknown)?;
        let certificate = &enrolled.certificate;
        let told = Told {
            common_name: certificate.common_name().map(str::to_owned),
            fingerprint: certificate.fingerprint(),
            issuer: certificate.issuer().to_owned(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        };
        let revocation = match enrolled.withdrawn_at {
            Some(_) => RevocationState::Revoked,
            // An authority that is outdated vouches for nobody; the certificate's own dates are the policy's to judge.
            None if !path.authorities().iter().all(|authority| authority.certificate().is_valid_at(now)) => {
                return Err(DenyReason::CertificateUnknown);
            }
            None => self.listed(&path, now),
        };
        Ok(Known { told: Some(told), ..known(certificate.units().to_vec(), path.chain(), revocation) })
    }

    /// Any of the structure's certificates that the mail server let pass. It looks at the lists that it was told of,
    /// and at those alone: what it was not told of, or was told to do without, it may have let pass whatever the lists
    /// say now.
    fn by_structure(&self, unit: &str, listen: IpAddr, now: UnixSeconds) -> Result<Known, DenyReason> {
        let chain = self.chains.by_listen(listen).ok_or(DenyReason::CertificateUnknown)?;
        let looks = self.mail_server_looks(chain.name(), now);
        let set = self.enrolment.snapshot();
        let mut states = Vec::new();
        for enrolled in set.of_structure(unit).filter(|enrolled| enrolled.chain.as_deref() == Some(chain.name())) {
            let Some(path) = self.path(enrolled).filter(|path| path.valid_at(now)) else { continue };
            let state = self.listed(&path, now);
            if enrolled.withdrawn_at.is_some() && state != RevocationState::Revoked {
                return Err(DenyReason::CertificateUndetermined);
            }
            states.push(looks.at(state));
        }
        if set.lost_a_withdrawal() {
            states.push(RevocationState::Unknown);
        }
        let revocation = together(&states).ok_or(DenyReason::CertificateUnknown)?;
        Ok(known(vec![unit.to_owned()], chain, revocation))
    }

    fn mail_server_looks(&self, chain: &str, now: UnixSeconds) -> Looks {
        match &self.revocations {
            Some(lists) if lists.enforced_by_dovecot(chain, now) => Looks::AtCurrentLists,
            Some(lists) if lists.suspended(now).is_some() => Looks::Suspended,
            Some(_) | None => Looks::Unknown,
        }
    }

    /// The way to the root that was verified when the certificate was enrolled, or read from the store.
    fn path<'a>(&'a self, enrolled: &'a Enrolled) -> Option<Path<'a>> {
        let chain = self.chains.by_name(enrolled.chain.as_deref()?)?;
        chain.path_by(&enrolled.certificate, enrolled.issuer?)
    }

    /// What the lists say, whatever the operator did.
    fn listed(&self, path: &Path<'_>, now: UnixSeconds) -> RevocationState {
        match self.revocations.as_ref().map(|lists| lists.verdict(path, now)) {
            Some(Revocation::Good { degraded: false }) => RevocationState::Good,
            Some(Revocation::Good { degraded: true }) => RevocationState::Degraded,
            Some(Revocation::Revoked) => RevocationState::Revoked,
            Some(Revocation::Unavailable) | None => RevocationState::Unknown,
        }
    }
}

/// At what the mail server looked when it let a certificate pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// At the lists in use, none of them outdated: a revoked certificate is refused there.
    AtCurrentLists,
    /// At none perhaps: an operator lets that be enough for a limited time.
    Suspended,
    /// Not known.
    Unknown,
}

impl Looks {
    /// What is known of a certificate that may be the one that was shown, and of which the lists say this.
    const fn at(self, listed: RevocationState) -> RevocationState {
        match (self, listed) {
            (Self::AtCurrentLists, listed) => listed,
            (Self::Suspended, RevocationState::Good | RevocationState::Degraded) => RevocationState::Degraded,
            // A revoked one may be the one that was shown: nobody knows.
            (Self::Suspended, RevocationState::Revoked | RevocationState::Unknown) | (Self::Unknown, _) => {
                RevocationState::Unknown
            }
        }
    }
}

/// What the chain says of a certificate that the mail server does not tell from others.
fn known(units: Vec<String>, chain: &Chain, revocation: RevocationState) -> Known {
    Known {
        units,
        told: None,
        chain: chain.name().to_owned(),
        test_chain: chain.kind() == ChainKind::Test,
        mailbox_domains: chain.mailbox_domains().to_vec(),
        revocation,
    }
}

/// What is known of the one that was shown, where it is any of these. `None`: there is none.
fn together(states: &[RevocationState]) -> Option<RevocationState> {
    let any = |state| states.contains(&state);
    match () {
        () if any(RevocationState::Unknown) => Some(RevocationState::Unknown),
        () if any(RevocationState::Degraded) => Some(RevocationState::Degraded),
        () if any(RevocationState::Good) => Some(RevocationState::Good),
        () if any(RevocationState::Revoked) => Some(RevocationState::Revoked),
        () => None,
    }
}
