//! Which policies decide: the one in service, another one that decides for some, and the watch over each.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::Gate;
use super::probation::Probation;
use crate::evidence::directory::IdNat;
use crate::policy::Release;
use crate::policy::wit::login;
use crate::pseudonym::Pseudonyms;

/// What decides on attempts that begin now. Never changed in place: an attempt ends under the service it began with.
#[derive(Clone, Debug)]
pub struct Service {
    /// The policy in service.
    pub release: Arc<Release>,
    /// Another one, which decides for some in its place.
    pub partial: Option<Partial>,
    /// The watch over it. `None`: nobody watches.
    pub probation: Option<Arc<Probation>>,
}

/// A release that decides for some.
#[derive(Clone, Debug)]
pub struct Partial {
    /// The release.
    pub release: Arc<Release>,
    /// For whom.
    pub share: Share,
    /// The watch over it.
    pub probation: Arc<Probation>,
}

/// For whom a release decides. The same person is always in it or always out.
#[derive(Clone, Debug)]
pub struct Share {
    /// Out of a hundred persons, by a hash of release and identity.
    pub percent: u8,
    /// Keyed digests of listed persons.
    pub listed: BTreeSet<String>,
    /// What makes the digests.
    pub pseudonyms: Pseudonyms,
}

impl Share {
    /// Whether a person is in it.
    fn takes(&self, release: &str, identity: &str) -> bool {
        if percentile(release, identity) < self.percent {
            return true;
        }
        !self.listed.is_empty()
            && IdNat::parse(identity).is_ok_and(|identity| self.listed.contains(&self.pseudonyms.digest(&identity)))
    }
}

/// Where a person stands under a release, 0 to 99. Another release has others in its first per cents: they must not
/// always be the same who try what is new.
fn percentile(release: &str, identity: &str) -> u8 {
    let hash = digest(&SHA256, format!("{release}\n{identity}").as_bytes());
    let number = hash.as_ref().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    u8::try_from(number % 100).unwrap_or_default()
}

impl Service {
    /// One policy for all, watched by nobody.
    #[must_use]
    pub const fn of(release: Arc<Release>) -> Self {
        Self { release, partial: None, probation: None }
    }

    /// The watch over one of its releases.
    pub(super) fn watch_over(&self, release: &Release) -> Option<&Probation> {
        match &self.partial {
            Some(partial) if partial.release.digest() == release.digest() => Some(&partial.probation),
            Some(_) | None => self.probation.as_deref().filter(|_| self.release.digest() == release.digest()),
        }
    }

    /// The policy that decides for a person.
    #[must_use]
    pub fn release_for(&self, identity: &str) -> &Arc<Release> {
        match &self.partial {
            Some(partial) if partial.share.takes(partial.release.digest(), identity) => &partial.release,
            Some(_) | None => &self.release,
        }
    }
}

impl Gate {
    /// The policy that decides on an attempt: the one in service, unless another one decides for the person whom the
    /// one in service reads from it. Nothing of that is proven yet; it chooses who decides, and nothing else.
    pub(super) fn chosen(&self, service: &Service, asked: &login::Attempt) -> Arc<Release> {
        if service.partial.is_none() {
            return Arc::clone(&service.release);
        }
        let opened = service.release.instance().and_then(|mut instance| instance.open(asked, self.clock.now()));
        match opened {
            Ok(Ok(inquiry)) => Arc::clone(service.release_for(&inquiry.identity)),
            Ok(Err(_)) | Err(_) => Arc::clone(&service.release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_hundred_persons_is_what_it_says_and_others_for_another_release() {
        let persons: Vec<String> = (0..10_000).map(|n| format!("8{n:011}")).collect();
        let taken = |release: &str, percent: u8| -> BTreeSet<&str> {
            let share = Share { percent, listed: BTreeSet::new(), pseudonyms: Pseudonyms::from_key(b"tests") };
            persons.iter().map(String::as_str).filter(|id| share.takes(release, id)).collect()
        };
        assert_eq!((taken("a", 0).len(), taken("a", 100).len()), (0, persons.len()));
        let ten = taken("a", 10);
        assert!((900..1100).contains(&ten.len()), "{}", ten.len());
        assert!(ten.is_subset(&taken("a", 11)), "whoever is in stays in while it grows");
        let both = ten.intersection(&taken("b", 10)).count();
        assert!((50..150).contains(&both), "{both} of {} are in the first tenth of another release too", ten.len());
    }
}
