//! The rails: what no policy can switch off. Together they make the sentence true that a policy can only remove.
//!
//! 1. A verified signature over exactly the token presented, with a key of the issuer that the payload names
//!    ([`Presented`](crate::evidence::token::Presented) finds and verifies, [`issuer`] compares).
//! 2. `exp` plus the leeway has not passed ([`time`]).
//! 3. The verdict rests on an identity that the proven payload carries ([`identity`]).
//! 4. Granted mailboxes = verdict, cut by the directory and by the issuer's domains ([`mailboxes`]).
//! 5. The total session length has not passed ([`time`]).
//! 6. What a client certificate opens is the directory's to say, the chain's and the revocation lists'
//!    ([`certificate`]).

use std::sync::Arc;

use crate::clock::UnixSeconds;
use crate::evidence::certificate::{Known, RevocationState};
use crate::evidence::directory::{CertificateLimits, IdNat, Mailbox, MailboxAddress, MailboxKind, Snapshot};
use crate::evidence::token::Proven;
use crate::policy::wit::login::Grant;
use crate::reason::DenyReason;

/// The numbers of the rails.
#[derive(Clone, Copy, Debug)]
pub struct Rails {
    /// Seconds by which this machine's clock and the issuer's may differ; at most 30, a Pro Sante Connect token lives
    /// two minutes.
    pub leeway: u64,
    /// Seconds from the provider's authentication to the end of the session, whatever is shown later; at most 4 h.
    pub session_max: u64,
}

/// A login that was allowed: proof, mailboxes and identity. Only [`permit`] makes one.
#[derive(Clone)]
pub struct Permit {
    issuer: Arc<str>,
    identity: IdNat,
    mailboxes: Vec<MailboxAddress>,
    asked: bool,
    expires_at: UnixSeconds,
    degraded: bool,
}

impl Permit {
    /// The one mailbox that the login is for, where the client or the mail server named one.
    #[must_use]
    pub fn mailbox(&self) -> Option<&MailboxAddress> {
        if self.asked { self.mailboxes.first() } else { None }
    }

    /// Mailboxes that may be opened: at least one.
    #[must_use]
    pub fn mailboxes(&self) -> &[MailboxAddress] {
        &self.mailboxes
    }

    /// Whose token it was.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The person, as the proven payload carries them.
    #[must_use]
    pub const fn identity(&self) -> &IdNat {
        &self.identity
    }

    /// `exp` of the token.
    #[must_use]
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// Whether the decision rests on the signature alone although introspection was preferred.
    #[must_use]
    pub const fn degraded(&self) -> bool {
        self.degraded
    }

    /// A permit for tests of what comes after the gate.
    #[cfg(test)]
    pub(crate) fn example(mailboxes: &[&str]) -> Self {
        Self {
            issuer: "https://psc.example.test/realm".into(),
            identity: IdNat::parse("899700000011").unwrap(),
            mailboxes: mailboxes.iter().map(|m| MailboxAddress::parse(m).unwrap()).collect(),
            asked: false,
            expires_at: UnixSeconds(4_000_000_000),
            degraded: false,
        }
    }

    /// The same, for the one mailbox that was asked for.
    #[cfg(test)]
    pub(crate) fn example_for(mailbox: &str) -> Self {
        Self { asked: true, ..Self::example(&[mailbox]) }
    }
}

/// Rail 1, second half: the payload names the issuer whose keys verified it.
///
/// # Errors
/// [`DenyReason::RailIssuer`].
pub fn issuer(proven: &Proven, asked: &str) -> Result<(), DenyReason> {
    if proven.issuer == asked { Ok(()) } else { Err(DenyReason::RailIssuer) }
}

/// Rails 2 and 5.
///
/// # Errors
/// [`DenyReason::RailExpired`]; [`DenyReason::RailSession`], also where the payload has neither `auth_time` nor `iat`
/// or claims to be born in the future.
pub fn time(proven: &Proven, rails: Rails, now: UnixSeconds) -> Result<(), DenyReason> {
    if now >= proven.expires_at.plus(rails.leeway) {
        return Err(DenyReason::RailExpired);
    }
    let Some(born_at) = proven.born_at else { return Err(DenyReason::RailSession) };
    if born_at > now.plus(rails.leeway) || now >= born_at.plus(rails.session_max) {
        return Err(DenyReason::RailSession);
    }
    Ok(())
}

/// Rail 3.
///
/// # Errors
/// [`DenyReason::RailIdentity`].
pub fn identity(proven: &Proven, identity: &str) -> Result<IdNat, DenyReason> {
    if !proven.carries(identity) {
        return Err(DenyReason::RailIdentity);
    }
    IdNat::parse(identity).map_err(|_| DenyReason::RailIdentity)
}

/// The mailboxes to which the directory lists a person, in the issuer's domains.
pub fn listed<'d>(
    directory: &'d Snapshot,
    identity: &'d str,
    domains: &'d [String],
) -> impl Iterator<Item = &'d Mailbox> {
    directory.of_person(identity).filter(|mailbox| domains.iter().any(|domain| domain == mailbox.address.domain()))
}

/// Whether a token can open this mailbox at all: PER with its one person, ORG, and never APP.
#[must_use]
pub fn opens_by_token(mailbox: &Mailbox) -> bool {
    match mailbox.kind {
        MailboxKind::Per => mailbox.persons.len() == 1,
        MailboxKind::Org => true,
        MailboxKind::App => false,
    }
}

/// Rail 4: what is left of the grant. A mailbox of kind APP is never opened by a token, a PER mailbox never by one of
/// several persons, whatever the policy says.
///
/// # Errors
/// [`DenyReason::RailMailbox`] when nothing is left, or when mailboxes were asked for and are not what is left.
pub fn mailboxes(grant: &Grant, ground: &Ground<'_>) -> Result<Vec<MailboxAddress>, DenyReason> {
    let mut left: Vec<MailboxAddress> = listed(ground.directory, &grant.identity, ground.domains)
        .filter(|mailbox| opens_by_token(mailbox))
        .filter(|mailbox| grant.mailboxes.iter().any(|granted| granted == mailbox.address.as_str()))
        .map(|mailbox| mailbox.address.clone())
        .collect();
    for asked in ground.asked.iter().flatten() {
        left.retain(|mailbox| mailbox.as_str().eq_ignore_ascii_case(asked));
    }
    if left.is_empty() { Err(DenyReason::RailMailbox) } else { Ok(left) }
}

/// What the rails judge a grant by, besides the grant itself.
pub struct Ground<'a> {
    /// The proven payload.
    pub proven: &'a Proven,
    /// The issuer whose keys verified it.
    pub issuer: &'a Arc<str>,
    /// The issuer's mailbox domains.
    pub domains: &'a [String],
    /// The directory.
    pub directory: &'a Snapshot,
    /// The mailbox asked for by the mail server, and the one in the client's message. Each one named must be granted.
    pub asked: [Option<&'a str>; 2],
}

/// Cuts a grant down to what the rails allow and makes the permit. All rails again, at the moment of the decision:
/// time passed while the issuer was asked.
///
/// # Errors
/// The first rail that does not hold.
pub fn permit(grant: &Grant, ground: &Ground<'_>, rails: Rails, now: UnixSeconds) -> Result<Permit, DenyReason> {
    issuer(ground.proven, ground.issuer)?;
    time(ground.proven, rails, now)?;
    let identity = identity(ground.proven, &grant.identity)?;
    let mailboxes = mailboxes(grant, ground)?;
    Ok(Permit {
        issuer: ground.issuer.clone(),
        identity,
        mailboxes,
        asked: ground.asked.iter().any(Option::is_some),
        expires_at: ground.proven.expires_at,
        degraded: grant.degraded,
    })
}

/// Whether the directory, the chain and the revocation lists let a certificate open a mailbox. That revocation is not
/// known is no refusal: the caller has to ask.
///
/// # Errors
/// [`DenyReason::RailCertificate`], [`DenyReason::RailChain`], [`DenyReason::RailStructure`].
pub fn certificate(known: &Known, mailbox: Option<&Mailbox>, now: UnixSeconds) -> Result<(), DenyReason> {
    let valid = known.told.as_ref().is_none_or(|told| (told.not_before..=told.not_after).contains(&now));
    if !valid || known.revocation == RevocationState::Revoked {
        return Err(DenyReason::RailCertificate);
    }
    let mailbox = mailbox.ok_or(DenyReason::RailStructure)?;
    let [unit] = known.units.as_slice() else { return Err(DenyReason::RailStructure) };
    let listed = mailbox.structures.iter().any(|structure| structure.as_str() == unit);
    if !listed || mailbox.kind == MailboxKind::Per || !within(&mailbox.certificates, known) {
        return Err(DenyReason::RailStructure);
    }
    if known.mailbox_domains.iter().any(|domain| domain == mailbox.address.domain()) {
        Ok(())
    } else {
        Err(DenyReason::RailChain)
    }
}

/// Whether a mailbox's own limits let the certificate in: what is not told is within none.
fn within(limits: &CertificateLimits, known: &Known) -> bool {
    let told = known.told.as_ref();
    let common_name = told.and_then(|told| told.common_name.as_ref());
    (limits.common_names.is_empty() || common_name.is_some_and(|name| limits.common_names.contains(name)))
        && (limits.issuers.is_empty() || told.is_some_and(|told| limits.issuers.contains(&told.issuer)))
        && (limits.fingerprints.is_empty() || told.is_some_and(|told| limits.fingerprints.contains(&told.fingerprint)))
}
