//! What is wrong with a configuration, told so that it can be mended: where, what was expected, what to do.
//!
//! No problem shows the content of a secret file.

use std::fmt;
use std::path::{Path, PathBuf};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the configuration file, from 1; 0 where it has none (the file can't be read).
    pub line: usize,
    /// Path of the key, for instance `issuer[1].mailbox_domains`; empty for the file itself.
    pub key: String,
    /// What was expected, and what was found.
    pub expected: String,
    /// What to do about it.
    pub remedy: String,
}

/// Every problem of one configuration. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The configuration file.
    pub file: PathBuf,
    /// The problems, in the order of the file.
    pub all: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &Path, mut all: Vec<Problem>) -> Self {
        all.sort_by_key(|problem| problem.line);
        Self { file: file.to_owned(), all }
    }

    pub(super) fn one(file: &Path, problem: Problem) -> Self {
        Self::new(file, vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.all.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if problem.line > 0 {
                write!(f, ":{}", problem.line)?;
            }
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}\n    {}", problem.expected, problem.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
