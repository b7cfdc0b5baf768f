//! Which releases there are, which one is in service and which one was before: the rules of each step, without IO.

use std::collections::BTreeSet;

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
    /// It was taken back because it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// Why a release was taken back by itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    /// Seconds since the epoch.
    pub at: u64,
    /// How it failed: the code of a reason.
    pub code: String,
    /// How many persons, on attempts whose signature holds.
    pub persons: usize,
}

/// A release that decides for some.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The release.
    pub release: Digest,
    /// For how many persons of a hundred.
    pub percent: u8,
    /// Keyed digests of the persons listed.
    pub listed: BTreeSet<String>,
    /// Who wanted it.
    pub mark: Mark,
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
    /// What decides for some in the place of `active`.
    #[serde(default)]
    pub partial: Option<Trial>,
    /// What answers in the shadow of `active`.
    #[serde(default)]
    pub shadow: Option<Digest>,
    /// Who put `active` into service; `None`: nobody ever changed it.
    pub changed: Option<Mark>,
    /// The highest version that an activation ever put into service, whether or not its release is still kept.
    #[serde(default)]
    pub highest: Option<String>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            active: Which::Configuration,
            previous: None,
            partial: None,
            shadow: None,
            changed: None,
            highest: None,
        }
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
    /// In service, in the shadow, or the one before.
    #[error("it is in service or in the shadow, or what a rollback goes back to: put another one there first")]
    InUse,
    /// Taken back because it failed.
    #[error("it is in quarantine, since it failed in service: mend it and stage what comes of that")]
    Quarantined,
    /// The share of persons for whom a release decides.
    #[error("expected 1 to 99 per cent, or identities of persons; without both it decides for all")]
    Share,
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

    /// With another policy in service, for all.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Quarantined`], [`Refusal::Active`]
    pub fn activated(mut self, which: Which, mark: Mark) -> Result<Self, Refusal> {
        if let Which::Release(release) = which {
            self.fit(release)?;
        }
        if self.active == which {
            return Err(Refusal::Active);
        }
        self.served(self.active);
        self.served(which);
        self.previous = Some(std::mem::replace(&mut self.active, which));
        self.partial = None;
        self.changed = Some(mark);
        self.shadow = self.shadow.filter(|shadow| which != Which::Release(*shadow));
        Ok(self)
    }

    /// With a release that decides for some.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Quarantined`], [`Refusal::Active`], [`Refusal::Share`]
    pub fn tried(mut self, trial: Trial) -> Result<Self, Refusal> {
        self.fit(trial.release)?;
        if self.active == Which::Release(trial.release) {
            return Err(Refusal::Active);
        }
        self.served(Which::Release(trial.release));
        if trial.percent > 99 || (trial.percent == 0 && trial.listed.is_empty()) {
            return Err(Refusal::Share);
        }
        self.partial = Some(trial);
        Ok(self)
    }

    /// With a release in the shadow of the one in service, or none.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Active`]
    pub fn shadowed(mut self, shadow: Option<Digest>) -> Result<Self, Refusal> {
        if let Some(release) = shadow {
            self.held(release).ok_or(Refusal::Unknown)?;
            if self.active == Which::Release(release) {
                return Err(Refusal::Active);
            }
        }
        self.shadow = shadow;
        Ok(self)
    }

    /// Back by one step: to one policy for all where another one decides for some, else to what was in service before.
    /// A second time there is nothing to go back to: who types it twice must not get the bad release again.
    ///
    /// # Errors
    /// [`Refusal::NothingBefore`]
    pub fn rolled_back(mut self, mark: Mark) -> Result<Self, Refusal> {
        if self.partial.take().is_none() {
            self.served(self.active);
            self.active = self.previous.take().ok_or(Refusal::NothingBefore)?;
            self.changed = Some(mark);
            self.shadow = self.shadow.filter(|shadow| self.active != Which::Release(*shadow));
        }
        Ok(self)
    }

    /// With a release taken back that failed: what was in service before decides in its place.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]: it decides for nobody (any more).
    pub fn quarantined(mut self, release: Digest, quarantine: Quarantine) -> Result<Self, Refusal> {
        if self.partial.as_ref().is_some_and(|trial| trial.release == release) {
            self.partial = None;
        } else if self.active == Which::Release(release) {
            self.active = self.previous.take().unwrap_or(Which::Configuration);
        } else {
            return Err(Refusal::Unknown);
        }
        // It is nothing to go back to either.
        self.previous = self.previous.filter(|previous| *previous != Which::Release(release));
        if let Some(held) = self.held.iter_mut().find(|held| held.release == release) {
            held.quarantine = Some(quarantine);
        }
        Ok(self)
    }

    /// A release that is kept.
    #[must_use]
    pub fn held(&self, release: Digest) -> Option<&Held> {
        self.held.iter().find(|held| held.release == release)
    }

    /// Remembers the version of the policy in service, also where it is the configuration's own.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.highest = versions::higher(self.highest.take(), version);
        self
    }

    /// Remembers the version of what is or was in service.
    fn served(&mut self, which: Which) {
        if let Some(held) = self.held.iter().find(|held| Which::Release(held.release) == which) {
            self.highest = versions::higher(self.highest.take(), &held.version);
        }
    }

    /// Whether a release may decide.
    fn fit(&self, release: Digest) -> Result<(), Refusal> {
        match self.held(release) {
            None => Err(Refusal::Unknown),
            Some(held) if held.quarantine.is_some() => Err(Refusal::Quarantined),
            Some(_) => Ok(()),
        }
    }

    /// Without a release.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::InUse`]
    pub fn without(mut self, release: Digest) -> Result<Self, Refusal> {
        let which = Which::Release(release);
        let tried = self.partial.as_ref().is_some_and(|trial| trial.release == release);
        if self.active == which || self.previous == Some(which) || tried || self.shadow == Some(release) {
            return Err(Refusal::InUse);
        }
        let before = self.held.len();
        self.held.retain(|held| held.release != release);
        if self.held.len() == before { Err(Refusal::Unknown) } else { Ok(self) }
    }
}

#[cfg(test)]
mod tests;
