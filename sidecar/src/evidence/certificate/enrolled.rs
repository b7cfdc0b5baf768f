//! The certificates that the operator enrolled: which structure each names, and which chain vouches for it.
//!
//! Mail servers pass on a structure alone (Dovecot) or a fingerprint alone (Postfix); what is enrolled joins the two. A
//! login reads one immutable set without a lock, a disk or an await; a change publishes a new one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Certificate, Chains, Fingerprint, StructureId};
use crate::clock::UnixSeconds;
use crate::store::{StoredCertificate, StoredCertificates};

/// Most certificates that are kept, those withdrawn included: at two or three KiB each, some 30 MiB.
pub const MAX_ENROLLED: usize = 10_000;
/// How long before its end a certificate is said to expire soon, seconds: 60 days, in which a new one can be had.
pub const EXPIRES_SOON: u64 = 60 * DAY;
/// Seconds of a day.
pub const DAY: u64 = 24 * 60 * 60;

/// One enrolled certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The certificate.
    pub certificate: Certificate,
    /// The structure that it names.
    pub structure: StructureId,
    /// Name of the configured chain that vouches for it now; `None`: none does.
    pub chain: Option<String>,
    /// The authority of that chain that signed it.
    pub issuer: Option<Fingerprint>,
    /// When it was enrolled.
    pub enrolled_at: UnixSeconds,
    /// When the operator withdrew it.
    pub withdrawn_at: Option<UnixSeconds>,
}

/// What an enrolled certificate is worth at one moment, revocation apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be used.
    Good,
    /// It may be used, but not for long: [`EXPIRES_SOON`].
    ExpiresSoon,
    /// Not yet valid.
    NotYetValid,
    /// Valid no more.
    Expired,
    /// Withdrawn by the operator.
    Withdrawn,
    /// No configured chain vouches for it.
    ChainUnknown,
}

impl Standing {
    /// The words for operators; stable.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::ExpiresSoon => "expires soon",
            Self::NotYetValid => "not yet valid",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::ChainUnknown => "chain unknown",
        }
    }

    /// Whether it may be used.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Good | Self::ExpiresSoon)
    }
}

impl Enrolled {
    /// What it is worth at `now`. Says nothing of whether its authority revoked it.
    #[must_use]
    pub fn standing(&self, now: UnixSeconds) -> Standing {
        let (from, to) = (self.certificate.not_before(), self.certificate.not_after());
        if self.withdrawn_at.is_some() {
            Standing::Withdrawn
        } else if to < now {
            Standing::Expired
        } else if self.chain.is_none() {
            Standing::ChainUnknown
        } else if now < from {
            Standing::NotYetValid
        } else if to.since(now) < EXPIRES_SOON {
            Standing::ExpiresSoon
        } else {
            Standing::Good
        }
    }
}

/// The enrolled certificates at one moment.
#[derive(Debug, Default)]
pub struct Set {
    /// In the order of fingerprints.
    enrolled: Vec<Enrolled>,
    by_structure: HashMap<StructureId, Vec<usize>>,
    /// Those that can't be read, with the moment of their withdrawal.
    damaged: Vec<(Fingerprint, Option<UnixSeconds>)>,
}

/// Reads what the store holds of one. `None`: it can't be used, which is told.
fn usable(der: &[u8], fingerprint: Fingerprint) -> Option<(Certificate, StructureId)> {
    let unusable = |error: &dyn std::fmt::Display| {
        tracing::error!(%fingerprint, %error, "an enrolled certificate can't be read and is not used");
    };
    let certificate = Certificate::from_der(der).map_err(|error| unusable(&error)).ok()?;
    let structure = certificate.structure().map_err(|error| unusable(&error)).ok()?;
    Some((certificate, structure))
}

impl Set {
    /// Indexes certificates. A fingerprint stands for one: a later duplicate is ignored.
    #[must_use]
    pub fn new(mut enrolled: Vec<Enrolled>) -> Self {
        enrolled.sort_by_key(|enrolled| enrolled.certificate.fingerprint());
        enrolled.dedup_by_key(|enrolled| enrolled.certificate.fingerprint());
        let mut by_structure: HashMap<StructureId, Vec<usize>> = HashMap::new();
        for (at, enrolled) in enrolled.iter().enumerate() {
            by_structure.entry(enrolled.structure.clone()).or_default().push(at);
        }
        Self { enrolled, by_structure, damaged: Vec::new() }
    }

    /// Reads what the store holds, with the chain that vouches for each certificate now. What can't be read, or names
    /// no structure, is told in the log with its fingerprint and left out. Blocks for the signatures.
    #[must_use]
    pub fn load(stored: StoredCertificates, chains: &Chains) -> Self {
        let StoredCertificates { whole, mut damaged } = stored;
        let mut read = Vec::new();
        for StoredCertificate { der, enrolled_at, withdrawn_at } in whole {
            let fingerprint = Fingerprint::of(&der);
            let Some((certificate, structure)) = usable(&der, fingerprint) else {
                damaged.push((fingerprint, withdrawn_at));
                continue;
            };
            let found = chains.find(&certificate);
            let issuer = found.as_ref().and_then(|(_, path)| path.issuer()).map(Certificate::fingerprint);
            let chain = found.map(|(chain, _)| chain.name().to_owned());
            if chain.is_none() && withdrawn_at.is_none() {
                tracing::warn!(%fingerprint, "no configured chain vouches for an enrolled certificate");
            }
            read.push(Enrolled { certificate, structure, chain, issuer, enrolled_at, withdrawn_at });
        }
        Self { damaged, ..Self::new(read) }
    }

    /// The same with these in the place of those with their fingerprints.
    #[must_use]
    pub fn with(&self, changed: &[Enrolled]) -> Self {
        let is_changed = |print: &Fingerprint| changed.iter().any(|new| new.certificate.fingerprint() == *print);
        let others = self.enrolled.iter().filter(|kept| !is_changed(&kept.certificate.fingerprint()));
        let damaged = self.damaged.iter().copied().filter(|(print, _)| !is_changed(print));
        Self { damaged: damaged.collect(), ..Self::new(others.chain(changed).cloned().collect()) }
    }

    /// Whether a certificate was withdrawn that can't be read any more: nobody knows which structure's.
    #[must_use]
    pub fn lost_a_withdrawal(&self) -> bool {
        self.damaged.iter().any(|(_, withdrawn_at)| withdrawn_at.is_some())
    }

    /// Whether a certificate of this key was withdrawn.
    #[must_use]
    pub fn is_key_withdrawn(&self, public_key: Fingerprint) -> bool {
        self.enrolled.iter().any(|known| known.withdrawn_at.is_some() && known.certificate.public_key() == public_key)
    }

    /// Whether this certificate was withdrawn, readable or not.
    #[must_use]
    pub fn is_withdrawn(&self, fingerprint: &Fingerprint) -> bool {
        let known = self.by_fingerprint(fingerprint).is_some_and(|known| known.withdrawn_at.is_some());
        known || self.damaged.iter().any(|(print, withdrawn_at)| print == fingerprint && withdrawn_at.is_some())
    }

    /// The certificate with this fingerprint.
    #[must_use]
    pub fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&Enrolled> {
        let at = self.enrolled.binary_search_by_key(fingerprint, |enrolled| enrolled.certificate.fingerprint());
        at.ok().and_then(|at| self.enrolled.get(at))
    }

    /// The certificates of a structure, in the order of fingerprints.
    pub fn of_structure(&self, structure: &str) -> impl Iterator<Item = &Enrolled> {
        self.by_structure.get(structure).into_iter().flatten().filter_map(|at| self.enrolled.get(*at))
    }

    /// Every structure that has a certificate, in no order.
    pub fn structures(&self) -> impl Iterator<Item = &StructureId> {
        self.by_structure.keys()
    }

    /// Every certificate, in the order of fingerprints.
    #[must_use]
    pub fn all(&self) -> &[Enrolled] {
        &self.enrolled
    }
}

/// The current set, shared by all.
#[derive(Clone, Debug, Default)]
pub struct Enrolment(Arc<ArcSwap<Set>>);

impl Enrolment {
    /// The set as it stands; later changes do not touch it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Set> {
        self.0.load_full()
    }

    /// Puts a new set in place.
    pub fn publish(&self, set: Set) {
        self.0.store(Arc::new(set));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use octroi_igc::{Igc, Names};

    use super::*;

    /// Enrolled yesterday, of chain `test`.
    pub(crate) fn enrolled(der: &[u8]) -> Enrolled {
        let certificate = Certificate::from_der(der).unwrap();
        let structure = certificate.structure().unwrap();
        let (chain, enrolled_at) = (Some("test".to_owned()), UnixSeconds(1));
        Enrolled { certificate, structure, chain, issuer: None, enrolled_at, withdrawn_at: None }
    }

    #[test]
    fn a_certificate_is_found_by_its_fingerprint_and_by_its_structure() {
        let igc = Igc::new(Names::Test).unwrap();
        let leaf = |ou: &str| igc.organisation(&[ou], "O", "C").unwrap();
        let leaves = [leaf("3187"), leaf("3187"), leaf("4997")];
        let set = Set::new(leaves.iter().map(|leaf| enrolled(&leaf.der)).collect());
        for leaf in &leaves {
            let fingerprint = Fingerprint::parse(&leaf.fingerprint).unwrap();
            assert_eq!(set.by_fingerprint(&fingerprint).unwrap().certificate.der(), leaf.der);
        }
        assert_eq!(set.by_fingerprint(&Fingerprint::of(b"another")), None);
        assert_eq!((set.of_structure("3187").count(), set.of_structure("4997").count()), (2, 1));
        assert_eq!((set.of_structure("318").count(), set.all().len()), (0, 3));
    }

    #[test]
    fn what_the_store_holds_and_nobody_can_read_is_left_out() {
        let igc = Igc::new(Names::Test).unwrap();
        let good = igc.organisation(&["3187"], "O", "C").unwrap().der;
        let stored =
            |der: &[u8]| StoredCertificate { der: der.to_vec(), enrolled_at: UnixSeconds(1), withdrawn_at: None };
        let person = igc.professional().unwrap().der;
        let whole = vec![stored(b"no certificate"), stored(&person), stored(&good)];
        let set = Set::load(StoredCertificates { whole, damaged: vec![] }, &Chains::default());
        assert_eq!(set.all().iter().map(|one| one.certificate.der()).collect::<Vec<_>>(), [good]);
        assert_eq!(set.all()[0].chain, None);
    }

    #[test]
    fn a_withdrawal_is_not_lost_with_the_certificate() {
        let print = Fingerprint::of(b"no certificate");
        let damaged = |withdrawn_at| StoredCertificates { whole: vec![], damaged: vec![(print, withdrawn_at)] };
        let kept = Set::load(damaged(None), &Chains::default());
        assert!(!kept.lost_a_withdrawal() && !kept.is_withdrawn(&print));
        let lost = Set::load(damaged(Some(UnixSeconds(1))), &Chains::default());
        assert!(lost.lost_a_withdrawal() && lost.is_withdrawn(&print));
        // Readable once and not any more: the same.
        let stored = |withdrawn_at| StoredCertificate { der: b"x".to_vec(), enrolled_at: UnixSeconds(1), withdrawn_at };
        let whole = vec![stored(Some(UnixSeconds(1)))];
        assert!(Set::load(StoredCertificates { whole, damaged: vec![] }, &Chains::default()).lost_a_withdrawal());
        let igc = Igc::new(Names::Test).unwrap();
        let other = enrolled(&igc.organisation(&["3187"], "O", "C").unwrap().der);
        let changed = lost.with(std::slice::from_ref(&other));
        assert!(changed.lost_a_withdrawal() && changed.all() == [other]);
    }

    #[test]
    fn what_a_certificate_is_worth_depends_on_the_moment_the_operator_and_the_chain() {
        let igc = Igc::at(Names::Test, 1_800_000_000).unwrap();
        let (from, to) = (1_800_000_000, 1_800_000_000 + 100 * DAY);
        let mut one = enrolled(&igc.valid(&["3187"], "O", "C", from, to).unwrap().der);
        let at = |one: &Enrolled, now| one.standing(UnixSeconds(now));
        for (now, standing) in [
            (from - 1, Standing::NotYetValid),
            (from, Standing::Good),
            (to - EXPIRES_SOON, Standing::Good),
            (to - EXPIRES_SOON + 1, Standing::ExpiresSoon),
            (to, Standing::ExpiresSoon),
            (to + 1, Standing::Expired),
        ] {
            assert_eq!(at(&one, now), standing, "{now}");
            assert_eq!(standing.is_usable(), from <= now && now <= to);
        }
        one.chain = None;
        assert_eq!(at(&one, from), Standing::ChainUnknown);
        one.withdrawn_at = Some(UnixSeconds(from));
        assert_eq!((at(&one, from), at(&one, to + 1)), (Standing::Withdrawn, Standing::Withdrawn));
        assert!(!Standing::ChainUnknown.is_usable() && !Standing::Withdrawn.is_usable());
    }
}
