//! `octroi certificate crl`: the revocation lists of a running sidecar.

use std::io::Write;
use std::path::Path;

use super::super::mailbox::moment;
use super::super::{admin, policy, table};
use crate::proto::certificates_client::CertificatesClient;
use crate::proto::{
    CrlEntry, CrlSource, CrlStatusRequest, CrlStatusResponse, FetchCrlsRequest, ResumeRevocationRequest,
    SuspendRevocationRequest,
};

#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Shows each authority's list, where the lists come from, and whether the check is suspended.
    Status,
    /// Fetches every list now, and shows them.
    Fetch,
    /// Lets certificates in for some hours although no usable list speaks of them: where lists can't be had. What a
    /// list revokes stays revoked. Ends by itself.
    Suspend {
        /// For so many hours, a week at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=168))]
        hours: u32,
        #[command(flatten)]
        why: policy::Why,
    },
    /// Ends the suspension now.
    Resume,
}

pub(super) fn run(socket: &Path, command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::Status => {
            let status = admin::ask(socket, |channel| async {
                let reply = CertificatesClient::new(channel).crl_status(CrlStatusRequest {}).await;
                reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
            })?;
            print(&status, output)
        }
        Command::Fetch => {
            let status = admin::ask(socket, |channel| async {
                let reply = CertificatesClient::new(channel).fetch_crls(FetchCrlsRequest {}).await;
                reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
            })?;
            print(&status, output)
        }
        Command::Suspend { hours, why } => {
            let request = SuspendRevocationRequest { hours, reason: why.reason };
            let until = admin::ask(socket, |channel| async {
                let reply = CertificatesClient::new(channel).suspend_revocation(request).await;
                reply.map(|reply| reply.into_inner().until).map_err(|status| admin::refusal(&status))
            })?;
            let until = moment(until);
            writeln!(output, "until {until} certificates are let in where no usable list speaks of them")?;
            Ok(())
        }
        Command::Resume => {
            admin::ask(socket, |channel| async {
                let reply = CertificatesClient::new(channel).resume_revocation(ResumeRevocationRequest {}).await;
                reply.map(|_| ()).map_err(|status| admin::refusal(&status))
            })?;
            writeln!(output, "certificates are let in with usable lists alone")?;
            Ok(())
        }
    }
}

fn print(status: &CrlStatusResponse, output: &mut impl Write) -> anyhow::Result<()> {
    for list in &status.lists {
        table::print(output, ["revocation list", ""], facts(list))?;
        writeln!(output)?;
    }
    let failing = |source: &&CrlSource| !source.error.is_empty();
    for CrlSource { chain, url, error, .. } in status.sources.iter().filter(failing) {
        writeln!(output, "chain {chain}: {url}: {error}")?;
    }
    match &status.suspended {
        None => writeln!(output, "the check is not suspended")?,
        Some(suspension) => {
            let until = moment(suspension.until);
            writeln!(output, "THE CHECK IS SUSPENDED until {until} by {}: {}", suspension.by, suspension.reason)?;
        }
    }
    match &status.enforced_by_dovecot[..] {
        [] => writeln!(output, "Dovecot itself enforces no chain's lists")?,
        chains => writeln!(output, "Dovecot itself enforces the lists of {}", chains.join(", "))?,
    }
    if !status.dovecot_error.is_empty() {
        writeln!(output, "Dovecot could not be told: {}", status.dovecot_error)?;
    }
    Ok(())
}

fn facts(list: &CrlEntry) -> Vec<[String; 2]> {
    let row = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
    let state = if list.state == "current" { list.state.clone() } else { list.state.to_uppercase() };
    let mut rows = vec![row("chain", &list.chain), row("authority", &list.authority), row("state", &state)];
    if list.next_update != 0 {
        rows.push(row("number", &list.number));
        rows.push(row("made", &moment(list.this_update)));
        rows.push(row("holds until", &moment(list.next_update)));
        rows.push(row("revokes", &list.entries.to_string()));
        rows.push(row("fetched", &moment(list.fetched_at)));
    }
    if !list.error.is_empty() {
        rows.push(row("last error", &list.error));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::CrlSuspension;

    #[test]
    fn a_missing_list_and_a_suspension_are_seen_at_once() {
        let missing = CrlEntry { chain: "igc".to_owned(), state: "missing".to_owned(), ..CrlEntry::default() };
        let suspended = CrlSuspension { by: "uid 0".to_owned(), reason: "no network".to_owned(), ..Default::default() };
        let status =
            CrlStatusResponse { lists: vec![missing], suspended: Some(suspended), ..CrlStatusResponse::default() };
        let mut output = Vec::new();
        print(&status, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        for part in ["MISSING", "THE CHECK IS SUSPENDED until", "by uid 0: no network", "no chain's lists"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
