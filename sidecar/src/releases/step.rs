//! What a step in the life of a policy is asked with, and why it is not taken.

use super::examination::ExaminationError;
use super::shelf::ShelfError;
use super::standing::Refusal;
use super::versions::NotNewer;
use crate::policy::{Bundle, LoadError, MAX_COMPONENT, MAX_SETTINGS, TrustError};

/// Longest reason, characters.
pub const MAX_TEXT: usize = 200;
/// Most persons listed for a release that decides for some.
pub const MAX_LISTED: usize = 1000;
/// Longest origin, characters: a registry, a repository, a tag and a digest as long as they may be.
pub const MAX_ORIGIN: usize = 800;

/// For whom a release is to decide. Neither: for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    /// Of a hundred persons.
    pub percent: u32,
    /// National identifiers.
    pub identities: Vec<String>,
}

/// Who takes a step, and why.
#[derive(Clone, Debug)]
pub struct Who {
    /// The uid at the other end of the admin socket; `None`: the sidecar itself.
    pub uid: Option<u32>,
    /// In their own words.
    pub reason: String,
}

/// Why a step was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// What was given does not hold.
    #[error("{0}")]
    Invalid(String),
    /// The component does not load, or refuses its settings.
    #[error("the component can't be a release: {0}")]
    Component(#[from] LoadError),
    /// As things stand.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It had to be newer.
    #[error("{0}")]
    NotNewer(#[from] NotNewer),
    /// It is not signed as it must be.
    #[error("{0}")]
    Trust(#[from] TrustError),
    /// It does not answer as it has to.
    #[error("{0}")]
    Examination(#[from] ExaminationError),
    /// The disk's.
    #[error("it could not be written down or read: {0}")]
    Shelf(#[from] ShelfError),
    /// A thread went away.
    #[error("the step was not finished")]
    Thread,
}

/// Holds what came against its bounds.
pub(super) fn sizes(bundle: &Bundle) -> Result<(), StepError> {
    if bundle.component.len() > MAX_COMPONENT {
        return Err(StepError::Invalid(format!("expected a component of at most {MAX_COMPONENT} bytes")));
    }
    if bundle.settings.as_ref().is_some_and(|settings| settings.len() > MAX_SETTINGS) {
        return Err(StepError::Invalid(format!("expected settings of at most {MAX_SETTINGS} bytes")));
    }
    if !is_line(&bundle.origin, MAX_ORIGIN) {
        return Err(StepError::Invalid(format!("expected an origin of one line, at most {MAX_ORIGIN} characters")));
    }
    Ok(())
}

/// One line that may stand in a record and on a terminal.
pub(super) fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}
