//! `octroi mailbox`: imports and lists the directory of a running sidecar.

use std::io::Write;
use std::path::{Path, PathBuf};

use tonic::Code;

use super::{admin, import, table};
use crate::doors::admin::MAX_REQUEST;
use crate::proto::mailboxes_client::MailboxesClient;
use crate::proto::{ImportRequest, ImportResponse, ListMailboxesRequest, MailboxEntry};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Replaces the whole directory by a CSV file, or changes nothing and tells every bad line.
    ///
    /// Header: address,kind,persons,aliases. Kinds: PER (exactly one person), ORG (at least one), APP (none). Persons
    /// and aliases are separated by |, identifiers of one person are joined by =.
    ///
    /// Two more columns say which certificates open a mailbox (ORG and APP alone): structures, as in 318751275100020;
    /// and certificates, which limits them to some: cn=NAME, issuer=NAME, sha256=FINGERPRINT, each as certificate list
    /// --long prints it. Both are lists separated by |.
    Import {
        /// The file; - reads the input.
        file: PathBuf,
        /// Checks and compares, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lists mailboxes in the order of their addresses, with their last authentication.
    List {
        /// Starts behind this address.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        after: String,
        /// At most this many. Default: all.
        #[arg(long, value_name = "NUMBER")]
        limit: Option<usize>,
    },
}

pub(super) fn run(socket: &Path, command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::Import { file, dry_run } => replace(socket, &file, dry_run, output),
        Command::List { after, limit } => list(socket, after, limit, output),
    }
}

fn replace(socket: &Path, file: &Path, dry_run: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let csv = import::read(file, MAX_REQUEST)?;
    let reply = admin::ask(socket, |channel| async {
        let mut client = MailboxesClient::new(channel).max_decoding_message_size(MAX_REQUEST);
        match client.import(ImportRequest { csv: csv.clone(), dry_run }).await {
            Ok(reply) => Ok(reply.into_inner()),
            // The error has room for the first lines only.
            Err(status) if status.code() == Code::InvalidArgument => {
                let request = ImportRequest { csv, dry_run: true };
                client.import(request).await.map(tonic::Response::into_inner).map_err(|s| admin::refusal(&s))
            }
            Err(status) => Err(admin::refusal(&status)),
        }
    })?;
    import::refuse(&reply.problems, reply.problem_count, file, output)?;
    for remark in &reply.remarks {
        writeln!(output, "remark: {remark}")?;
    }
    let ImportResponse { total, added, changed, removed, .. } = reply;
    let done = if dry_run { "would have" } else { "has" };
    writeln!(output, "the directory {done} {total} mailboxes: {added} added, {changed} changed, {removed} removed")?;
    Ok(())
}

fn list(socket: &Path, mut after: String, limit: Option<usize>, output: &mut impl Write) -> anyhow::Result<()> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mailboxes = admin::ask(socket, |channel| async move {
        let mut client = MailboxesClient::new(channel);
        let mut all: Vec<MailboxEntry> = Vec::new();
        while left > 0 {
            let limit = u32::try_from(left.min(1000)).unwrap_or(1000);
            let page = client.list(ListMailboxesRequest { after, limit }).await;
            let page = page.map_err(|status| admin::refusal(&status))?.into_inner();
            left = left.saturating_sub(page.mailboxes.len());
            all.extend(page.mailboxes);
            after = page.next;
            if after.is_empty() {
                break;
            }
        }
        Ok(all)
    })?;
    if mailboxes.is_empty() {
        writeln!(output, "no mailboxes; octroi mailbox import FILE fills the directory")?;
        return Ok(());
    }
    let rows = mailboxes.into_iter().map(|mailbox| {
        let last = match mailbox.last_authentication {
            0 => "none recorded".to_owned(),
            at => moment(at),
        };
        let structures = structures(&mailbox);
        [mailbox.address, mailbox.kind, mailbox.persons.to_string(), structures, last]
    });
    table::print(output, ["address", "kind", "persons", "structures", "last authentication"], rows)?;
    Ok(())
}

/// Whose certificates open a mailbox; a star where not all of them do.
fn structures(mailbox: &MailboxEntry) -> String {
    let limited = if mailbox.certificates_limited { " *" } else { "" };
    match &mailbox.structures[..] {
        [] => String::new(),
        [one] => format!("{one}{limited}"),
        [one, rest @ ..] => format!("{one} and {} more{limited}", rest.len()),
    }
}

/// A moment for people: RFC 3339 in UTC.
pub(super) fn moment(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    time.map_or_else(|| at.to_string(), |time| time.to_string())
}
