//! Imports a directory: checks the whole file, stores it, and only then publishes it to the logins.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::store_status;
use crate::evidence::directory::{Directory, Mailbox, Snapshot};
use crate::evidence::import::{self, BadFile, BadLine, Import, Surroundings};
use crate::proto;
use crate::store::Store;

/// Violations sent with an error, and their bytes: details travel in an HTTP/2 header, of which clients take 8 KiB.
const MAX_VIOLATIONS: usize = 20;
/// Longest description of a violation, bytes.
const MAX_DESCRIPTION: usize = 120;

/// Imports directories, one after the other.
pub struct Importer {
    store: Arc<dyn Store>,
    directory: Directory,
    surroundings: Arc<Surroundings>,
    /// Held over compare, store and publish: two imports at once must not publish one and store the other.
    turn: Mutex<()>,
}

impl Importer {
    /// An importer that holds files against `surroundings`, writes to `store` and publishes in `directory`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, directory: Directory, surroundings: Surroundings) -> Self {
        Self { store, directory, surroundings: Arc::new(surroundings), turn: Mutex::new(()) }
    }

    /// Imports a file, or tells what an import would do.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the file does not hold (a dry run tells it in the reply). UNAVAILABLE: the store. Nothing was
    /// changed.
    pub(super) async fn import(&self, file: Vec<u8>, dry_run: bool) -> Result<proto::ImportResponse, Status> {
        let surroundings = Arc::clone(&self.surroundings);
        // Some hundred thousand lines take longer than a login may wait.
        let parsed = tokio::task::spawn_blocking(move || import::parse(&file, &surroundings)).await;
        let import = match parsed.map_err(|error| Status::internal(error.to_string()))? {
            Ok(import) => import,
            Err(bad) if dry_run => return Ok(refused(bad)),
            Err(bad) => return Err(invalid("csv", &bad)),
        };
        let _turn = self.turn.lock().await;
        let response = compare(self.directory.snapshot().mailboxes(), &import);
        if !dry_run {
            self.store.replace_directory(import.mailboxes.clone()).await.map_err(store_status)?;
            self.directory.publish(Snapshot::new(import.mailboxes));
            tracing::info!(
                total = response.total,
                added = response.added,
                changed = response.changed,
                removed = response.removed,
                "directory imported"
            );
        }
        Ok(response)
    }
}

/// What the import makes of the directory.
fn compare(present: &[Mailbox], import: &Import) -> proto::ImportResponse {
    let mut present: HashMap<&str, &Mailbox> =
        present.iter().map(|mailbox| (mailbox.address.as_str(), mailbox)).collect();
    let (mut added, mut changed) = (0, 0);
    for mailbox in &import.mailboxes {
        match present.remove(mailbox.address.as_str()) {
            Some(same) if same == mailbox => {}
            Some(_) => changed += 1,
            None => added += 1,
        }
    }
    proto::ImportResponse {
        total: import.mailboxes.len() as u64,
        added,
        changed,
        removed: present.len() as u64,
        remarks: import.remarks.clone(),
        problems: Vec::new(),
        problem_count: 0,
    }
}

/// A dry run's reply to a file that does not hold.
fn refused(bad: BadFile) -> proto::ImportResponse {
    let (problem_count, problems) = told(bad);
    proto::ImportResponse { problem_count, problems, ..proto::ImportResponse::default() }
}

/// The problems of a file, as a dry run's reply tells them: how many, and the first of them.
pub(super) fn told(bad: BadFile) -> (u64, Vec<proto::BadLine>) {
    let line = |bad: BadLine| proto::BadLine { line: bad.line, column: bad.column, expected: bad.expected };
    (bad.total as u64, bad.problems.into_iter().map(line).collect())
}

/// The refusal of a file that came in `field` of a request.
pub(super) fn invalid(field: &'static str, bad: &BadFile) -> Status {
    let violations = bad.problems.iter().take(MAX_VIOLATIONS).map(|problem| {
        let mut description = problem.to_string();
        // Character by character: a cut within one would be no text.
        while description.len() > MAX_DESCRIPTION {
            description.pop();
        }
        FieldViolation::new(field, description)
    });
    let details = ErrorDetails::with_bad_request(violations.collect::<Vec<_>>());
    let message = format!("nothing imported: {} problems; a dry run lists them", bad.total);
    Status::with_error_details(tonic::Code::InvalidArgument, message, details)
}
