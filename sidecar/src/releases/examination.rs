//! What a release has to answer before it is kept: its own test vectors, and the operator's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::{LoadError, Release};
use crate::trial::vectors::{MAX_DOCUMENT, VectorError, Vectors};
use crate::trial::{self, Report};

/// Time for all vectors together: ten thousand take the default policy half a second.
const TIME: Duration = Duration::from_secs(60);
/// Most files of vectors in the operator's folder.
const MAX_FILES: usize = 64;

/// Why a release does not pass.
#[derive(Debug, thiserror::Error)]
pub enum ExaminationError {
    /// The operator's folder can't be read.
    #[error("[policy] vectors, {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// Too many files, or one that is too large.
    #[error("[policy] vectors, {0}: expected at most {MAX_FILES} files of at most {MAX_DOCUMENT} bytes")]
    TooMuch(PathBuf),
    /// A document holds no vectors.
    #[error("{0}: {1}")]
    Vectors(String, VectorError),
    /// The policy refuses the settings of a document.
    #[error("{0}: its settings: {1}")]
    Settings(String, LoadError),
    /// It takes too long.
    #[error("{0}: the policy did not answer all vectors within {time} s", time = TIME.as_secs())]
    Slow(String),
    /// The policy answers otherwise.
    #[error("{name}: it answers otherwise than the vectors say:{}", lines(.report))]
    Answers {
        /// The document.
        name: String,
        /// What it answered.
        report: Report,
    },
}

fn lines(report: &Report) -> String {
    report.differences.iter().map(|difference| format!("\n  {difference}")).collect()
}

/// The operator's vectors, by file name, in the order of the names. Blocks.
///
/// # Errors
/// [`ExaminationError::Unreadable`], [`ExaminationError::TooMuch`], [`ExaminationError::Vectors`]
pub fn read(folder: &Path) -> Result<Vec<(String, Vectors)>, ExaminationError> {
    let unreadable = |error| ExaminationError::Unreadable(folder.to_owned(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(ExaminationError::TooMuch(folder.to_owned()));
        }
    }
    files.sort_unstable();
    files.iter().map(|path| document(path)).collect()
}

fn document(path: &Path) -> Result<(String, Vectors), ExaminationError> {
    let unreadable = |error| ExaminationError::Unreadable(path.to_owned(), error);
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_DOCUMENT as u64 {
        return Err(ExaminationError::TooMuch(path.to_owned()));
    }
    let name = path.display().to_string();
    let read = Vectors::read(&fs::read(path).map_err(unreadable)?);
    read.map(|vectors| (name.clone(), vectors)).map_err(|error| ExaminationError::Vectors(name, error))
}

/// Examines a release: the vectors that its component carries, then `vectors`. Says how many it answered.
///
/// # Errors
/// The first document to which it answers otherwise, with what it said.
pub fn pass(release: &Release, component: &[u8], vectors: &[(String, Vectors)]) -> Result<usize, ExaminationError> {
    const OWN: &str = "the vectors that the component carries";
    let carried = trial::carried(component).map_err(|error| ExaminationError::Vectors(OWN.to_owned(), error))?;
    let own = carried.as_ref().map(|vectors| (OWN, vectors));
    let until = Instant::now() + TIME;
    let mut answered = 0;
    for (name, vectors) in own.into_iter().chain(vectors.iter().map(|(name, vectors)| (name.as_str(), vectors))) {
        let report = trial::run_until(release, vectors, Some(until));
        let report = report.map_err(|error| ExaminationError::Settings(name.to_owned(), error))?;
        if !report.differences.is_empty() {
            return Err(ExaminationError::Answers { name: name.to_owned(), report });
        }
        if report.cut {
            return Err(ExaminationError::Slow(name.to_owned()));
        }
        answered += report.tried;
    }
    Ok(answered)
}
