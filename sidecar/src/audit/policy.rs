//! What is recorded of a policy's life: each step, who took it, why, and what came of it.

use serde::Serialize;

use super::line::{Moment, bounded};
use crate::clock::UnixSeconds;

/// A step in the life of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyStep {
    /// Checked and kept.
    Stage,
    /// Put into service.
    Activate,
    /// Put into the shadow of the one in service, or out of it.
    Shadow,
    /// The last step was taken back.
    Rollback,
    /// Taken back because it failed.
    Quarantine,
    /// Forgotten.
    Retire,
}

impl PolicyStep {
    /// Name in records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Activate => "activate",
            Self::Shadow => "shadow",
            Self::Rollback => "rollback",
            Self::Quarantine => "quarantine",
            Self::Retire => "retire",
        }
    }
}

/// One step, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct PolicyEvent<'a> {
    /// Which step.
    pub step: PolicyStep,
    /// When.
    pub now: UnixSeconds,
    /// Digest of the release; `None`: the configuration's own policy, or a release that is not known.
    pub release: Option<&'a str>,
    /// Who took it; `None`: the sidecar itself.
    pub uid: Option<u32>,
    /// Why, in their own words.
    pub reason: &'a str,
    /// Why it failed; `None`: it did not.
    pub error: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct PolicyLine<'a> {
    time: Moment,
    event: &'static str,
    step: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> PolicyLine<'a> {
    pub(super) fn new(event: &PolicyEvent<'a>) -> Self {
        Self {
            time: Moment(event.now),
            event: "policy",
            step: event.step.code(),
            outcome: if event.error.is_none() { "done" } else { "failed" },
            release: event.release.map(bounded),
            uid: event.uid,
            reason: bounded(event.reason),
            error: event.error.map(bounded),
        }
    }
}
