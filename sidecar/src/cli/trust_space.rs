//! `octroi trust-space`: imports the trust space's list into a running sidecar.

use std::io::Write;
use std::path::{Path, PathBuf};

use tonic::Code;

use super::{admin, import};
use crate::evidence::trust_space::document::MAX_BYTES;
use crate::proto::trust_space_client::TrustSpaceClient;
use crate::proto::{ImportTrustSpaceRequest, ImportTrustSpaceResponse};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Replaces the list of the trust space by the national white list (XML), or changes nothing and tells every
    /// problem.
    ///
    /// The list is published at <https://espacedeconfiance.mssante.fr/listeblanchemssante.xml>, whose certificate comes
    /// from IGC-Sante: that connection is what vouches for it. Once a day:
    /// curl -sSf --cacert igc-sante.pem URL | octroi trust-space import -
    Import {
        /// The document; - reads the input.
        file: PathBuf,
        /// Checks and compares, and changes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Leaves out entries whose name is no domain, instead of refusing the whole document. Mail to them is refused.
        #[arg(long)]
        leave_out_invalid: bool,
    },
}

pub(super) fn run(socket: &Path, command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    let Command::Import { file, dry_run, leave_out_invalid } = command;
    let request = ImportTrustSpaceRequest { xml: import::read(&file, MAX_BYTES)?, dry_run, leave_out_invalid };
    let reply = admin::ask(socket, |channel| async {
        let mut client = TrustSpaceClient::new(channel).max_decoding_message_size(MAX_BYTES);
        match client.import(request.clone()).await {
            Ok(reply) => Ok(reply.into_inner()),
            // The error has room for the first lines only.
            Err(status) if status.code() == Code::InvalidArgument => {
                let request = ImportTrustSpaceRequest { dry_run: true, ..request };
                client.import(request).await.map(tonic::Response::into_inner).map_err(|s| admin::refusal(&s))
            }
            Err(status) => Err(admin::refusal(&status)),
        }
    })?;
    import::refuse(&reply.problems, reply.problem_count, &file, output)?;
    print(&reply, dry_run, output)
}

fn print(reply: &ImportTrustSpaceResponse, dry_run: bool, output: &mut impl Write) -> anyhow::Result<()> {
    for remark in &reply.remarks {
        writeln!(output, "remark: {remark}")?;
    }
    let ImportTrustSpaceResponse { generated, total, added, removed, left_out, .. } = reply;
    let done = if dry_run { "would have" } else { "has" };
    write!(output, "the list of {generated} {done} {total} domains: {added} added, {removed} removed")?;
    match left_out {
        0 => writeln!(output)?,
        left_out => writeln!(output, ", {left_out} entries left out")?,
    }
    Ok(())
}
