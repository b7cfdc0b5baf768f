//! Which releases there are, which one is in service and which one was before: the rules of each step, without IO.

use serde::{Deserialize, Serialize};

use super::versions;
use crate::policy::Digest;

/// Most releases kept. Each is a component of some hundred kilobytes and its compiled code in memory.
pub const KEPT: usize = 8;

/// Who took a step, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Seconds since the epoch.
    pub at: u64,
    /// The uid at the other end of the admin socket.
    pub uid: u32,
    /// In their own words.
    pub reason: String,
}

/// A release that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// What it is known by.
    pub release: Digest,
    /// As its card says.
    pub name: String,
    /// As its card says.
    pub version: String,
    /// Where it came from.
    pub origin: String,
    /// Whose signatures held when it was staged; nobody's: it was let in unsigned.
    pub signed_by: Vec<String>,
    /// Who staged it.
    pub staged: Mark,
}

/// A policy that can be in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The configuration's own: `[policy] component`, or the one built in.
    Configuration,
    /// A release that is kept.
    Release(Digest),
}

/// The whole of it, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// In the order in which they were staged.
    pub held: Vec<Held>,
    /// In service.
    pub active: Which,
    /// What a rollback goes back to.
    pub previous: Option<Which>,
    /// Who put `active` into service; `None`: nobody ever changed it.
    pub changed: Option<Mark>,
    /// The highest version that an activation ever put into service, whether or not its release is still kept.
    #[serde(default)]
    pub highest: Option<String>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { held: Vec::new(), active: Which::Configuration, previous: None, changed: None, highest: None }
    }
}

/// Why a step can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Staged before.
    #[error("this release is staged already")]
    Staged,
    /// [`KEPT`].
    #[error("{KEPT} releases are kept already: retire one first (octroi policy list, octroi policy retire)")]
    Full,
    /// Not kept.
    #[error("no such release is staged (octroi policy list)")]
    Unknown,
    /// Several begin with these digits.
    #[error("several releases begin with these digits: write more of them")]
    Ambiguous,
    /// In service already.
    #[error("it is in service already")]
    Active,
    /// Nothing to go back to.
    #[error("there is nothing to go back to: activate a release by its name (octroi policy list)")]
    NothingBefore,
    /// In service, or the one before.
    #[error("it is in service, or what a rollback goes back to: activate another one first")]
    InUse,
}

impl Standing {
    /// The release with this digest, or the only one that begins with these hexadecimal digits, 8 or more.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Ambiguous`]
    pub fn find(&self, name: &str) -> Result<&Held, Refusal> {
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        if digits.len() < 8 {
            return Err(Refusal::Unknown);
        }
        let wanted = format!("sha256:{digits}");
        let mut found = self.held.iter().filter(|held| held.release.to_string().starts_with(&wanted));
        match (found.next(), found.next()) {
            (Some(held), None) => Ok(held),
            (Some(_), Some(_)) => Err(Refusal::Ambiguous),
            (None, _) => Err(Refusal::Unknown),
        }
    }

    /// With one more release.
    ///
    /// # Errors
    /// [`Refusal::Staged`], [`Refusal::Full`]
    pub fn with(mut self, held: Held) -> Result<Self, Refusal> {
        if self.held.iter().any(|known| known.release == held.release) {
            return Err(Refusal::Staged);
        }
        if self.held.len() >= KEPT {
            return Err(Refusal::Full);
        }
        self.held.push(held);
        Ok(self)
    }

    /// With another policy in service.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Active`]
    pub fn activated(mut self, which: Which, mark: Mark) -> Result<Self, Refusal> {
        if let Which::Release(release) = which
            && !self.held.iter().any(|held| held.release == release)
        {
            return Err(Refusal::Unknown);
        }
        if self.active == which {
            return Err(Refusal::Active);
        }
        self.served(self.active);
        self.served(which);
        self.previous = Some(std::mem::replace(&mut self.active, which));
        self.changed = Some(mark);
        Ok(self)
    }

    /// Back to what was in service before. A second time there is nothing to go back to: who types it twice must not get
    /// the bad release again.
    ///
    /// # Errors
    /// [`Refusal::NothingBefore`]
    pub fn rolled_back(mut self, mark: Mark) -> Result<Self, Refusal> {
        self.served(self.active);
        self.active = self.previous.take().ok_or(Refusal::NothingBefore)?;
        self.changed = Some(mark);
        Ok(self)
    }

    /// Remembers the version of what is or was in service.
    fn served(&mut self, which: Which) {
        if let Some(held) = self.held.iter().find(|held| Which::Release(held.release) == which) {
            self.highest = versions::higher(self.highest.take(), &held.version);
        }
    }

    /// Without a release.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::InUse`]
    pub fn without(mut self, release: Digest) -> Result<Self, Refusal> {
        let which = Which::Release(release);
        if self.active == which || self.previous == Some(which) {
            return Err(Refusal::InUse);
        }
        let before = self.held.len();
        self.held.retain(|held| held.release != release);
        if self.held.len() == before { Err(Refusal::Unknown) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark { at: 1, uid: 0, reason: "test".to_owned() }
    }

    fn held(text: &str) -> Held {
        let release = Digest::of(text.as_bytes());
        Held {
            release,
            name: text.to_owned(),
            version: "1.0.0".to_owned(),
            origin: String::new(),
            signed_by: Vec::new(),
            staged: mark(),
        }
    }

    fn which(text: &str) -> Which {
        Which::Release(Digest::of(text.as_bytes()))
    }

    fn two() -> Standing {
        Standing::default().with(held("a")).unwrap().with(held("b")).unwrap()
    }

    #[test]
    fn a_rollback_goes_back_once_and_never_forth() {
        let standing = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
        assert_eq!((standing.active, standing.previous), (which("b"), Some(which("a"))));
        let back = standing.rolled_back(mark()).unwrap();
        assert_eq!((back.active, back.previous), (which("a"), None));
        assert_eq!(back.clone().rolled_back(mark()), Err(Refusal::NothingBefore));
        let own = back.activated(Which::Configuration, mark()).unwrap();
        assert_eq!(own.previous, Some(which("a")));
        assert_eq!(Standing::default().rolled_back(mark()), Err(Refusal::NothingBefore));
    }

    #[test]
    fn what_is_in_service_or_was_before_is_not_retired() {
        let standing = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
        for text in ["a", "b"] {
            assert_eq!(standing.clone().without(Digest::of(text.as_bytes())), Err(Refusal::InUse));
        }
        let standing = standing.with(held("c")).unwrap();
        assert_eq!(standing.clone().without(Digest::of(b"c")).unwrap().held.len(), 2);
        assert_eq!(standing.without(Digest::of(b"d")), Err(Refusal::Unknown));
    }

    #[test]
    fn nothing_is_activated_that_is_not_kept_or_that_is_in_service() {
        assert_eq!(two().activated(which("c"), mark()), Err(Refusal::Unknown));
        assert_eq!(two().activated(Which::Configuration, mark()), Err(Refusal::Active));
        assert_eq!(two().with(held("a")), Err(Refusal::Staged));
        let full = (0..KEPT).try_fold(Standing::default(), |all, n| all.with(held(&n.to_string()))).unwrap();
        assert_eq!(full.with(held("one more")), Err(Refusal::Full));
    }

    #[test]
    fn a_release_is_found_by_eight_digits_of_its_digest_or_more() {
        let standing = two();
        let digest = Digest::of(b"a").to_string();
        let digits = digest.strip_prefix("sha256:").unwrap();
        for name in [digest.as_str(), digits, digits.get(..8).unwrap(), digest.get(..15).unwrap()] {
            assert_eq!(standing.find(name).map(|held| held.name.as_str()), Ok("a"), "{name}");
        }
        for name in ["", "sha256:", digits.get(..7).unwrap(), "configuration", &format!("{digits}0")] {
            assert_eq!(standing.find(name), Err(Refusal::Unknown), "{name}");
        }
    }

    #[test]
    fn the_highest_version_in_service_outlives_its_release() {
        let versioned = |text: &str, version: &str| Held { version: version.to_owned(), ..held(text) };
        let standing = Standing::default().with(versioned("a", "1.0.0")).unwrap();
        let standing = standing.with(versioned("b", "1.2.0")).unwrap().with(versioned("c", "2.0.0")).unwrap();
        let standing = standing.activated(which("b"), mark()).unwrap().activated(which("a"), mark()).unwrap();
        assert_eq!(standing.highest.as_deref(), Some("1.2.0"));
        let standing = standing.activated(Which::Configuration, mark()).unwrap().without(Digest::of(b"b")).unwrap();
        assert_eq!(standing.highest.as_deref(), Some("1.2.0"));
        // Written before the version was remembered.
        let older = two().activated(which("a"), mark()).unwrap();
        let older = Standing { highest: None, ..older }.rolled_back(mark()).unwrap();
        assert_eq!(older.highest.as_deref(), Some("1.0.0"));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let standing = two().activated(which("a"), mark()).unwrap();
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
        let older = text.replace(",\"highest\":\"1.0.0\"", "");
        assert_eq!(serde_json::from_str::<Standing>(&older).unwrap(), Standing { highest: None, ..standing });
    }
}
