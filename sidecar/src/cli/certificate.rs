//! `octroi certificate`: the certificates of structures, in a running sidecar.

mod crl;
mod shown;

use std::io::Write;
use std::path::{Path, PathBuf};

use tonic::Code;

use super::{admin, import, policy};
use crate::evidence::certificate::enrolling::MAX_IMPORT;
use crate::proto::certificates_client::CertificatesClient;
use crate::proto::{
    CertificateEntry, CertificateFile, CertificateProblem, ImportCertificatesRequest, ListCertificatesRequest,
    RevokeCertificateRequest,
};

/// Problems printed; files with more are best mended a part at a time.
const SHOWN: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Enrols the certificates of these files, all or none, and tells every problem with its remedy.
    ///
    /// PEM with one or more certificates, or DER. Only certificates of structures (IGC-Sante ORG AUTH_CLI) whose
    /// authorities a [[chain]] of the configuration names. Keep private keys out of the files: they are refused.
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Checks, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Lists the enrolled certificates, those withdrawn and expired too.
    List {
        /// Those of this structure alone.
        #[arg(long, value_name = "STRUCTURE", default_value = "")]
        structure: String,
        /// Everything about each, with the mailboxes that it opens.
        #[arg(long)]
        long: bool,
    },
    /// Lists the certificates that expire soon or have expired, the first to expire first.
    Expiring {
        /// Within so many days.
        #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=3650))]
        days: u32,
    },
    /// The revocation lists of the authorities, and the suspension of their check. Without more: their state.
    Crl {
        #[command(subcommand)]
        command: Option<crl::Command>,
    },
    /// Withdraws a certificate for good: it opens nothing any more. Its authority is not told.
    Revoke {
        /// Its fingerprint, or the first 8 or more digits of it.
        fingerprint: String,
        #[command(flatten)]
        why: policy::Why,
    },
}

pub(super) fn run(socket: &Path, command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::Import { files, dry_run } => enrol(socket, &files, dry_run, output),
        Command::List { structure, long } => {
            let certificates = listed(socket, &structure, None)?;
            if certificates.is_empty() {
                let whose = if structure.is_empty() { String::new() } else { format!(" of structure {structure}") };
                writeln!(output, "no certificate{whose} is enrolled; octroi certificate import FILE enrols some")?;
                return Ok(());
            }
            if long { shown::whole(&certificates, output) } else { shown::table(&certificates, output) }
        }
        Command::Expiring { days } => {
            let mut certificates = listed(socket, "", Some(days))?;
            if certificates.is_empty() {
                writeln!(output, "none: no enrolled certificate expires within {days} days")?;
                return Ok(());
            }
            certificates.sort_by_key(|certificate| certificate.not_after);
            shown::table(&certificates, output)
        }
        Command::Crl { command } => crl::run(socket, command.unwrap_or(crl::Command::Status), output),
        Command::Revoke { fingerprint, why } => revoke(socket, fingerprint, why.reason, output),
    }
}

fn enrol(socket: &Path, files: &[PathBuf], dry_run: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let read = files.iter().map(|file| {
        let content = import::read(file, MAX_IMPORT + 1)?;
        Ok(CertificateFile { name: file.display().to_string(), content })
    });
    let files = read.collect::<anyhow::Result<Vec<_>>>()?;
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    anyhow::ensure!(bytes <= MAX_IMPORT, "the files have more than {MAX_IMPORT} bytes: import them in several parts");
    let request = ImportCertificatesRequest { files, dry_run };
    let reply = admin::ask(socket, |channel| async {
        let mut client = CertificatesClient::new(channel);
        match client.import(request.clone()).await {
            Ok(reply) => Ok(reply.into_inner()),
            // The error has room for the first problems only.
            Err(status) if status.code() == Code::InvalidArgument => {
                let request = ImportCertificatesRequest { dry_run: true, ..request };
                client.import(request).await.map(tonic::Response::into_inner).map_err(|s| admin::refusal(&s))
            }
            Err(status) => Err(admin::refusal(&status)),
        }
    })?;
    refuse(&reply.problems, output)?;
    for certificate in &reply.enrolled {
        shown::enrolled(certificate, dry_run, output)?;
    }
    for remark in &reply.remarks {
        writeln!(output, "remark: {remark}")?;
    }
    Ok(())
}

/// Prints the problems; where there are any, that is the error.
fn refuse(problems: &[CertificateProblem], output: &mut impl Write) -> anyhow::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    for CertificateProblem { file, position, subject, problem, remedy } in problems.iter().take(SHOWN) {
        let place = match (file.as_str(), position) {
            ("", _) => String::new(),
            (file, 0) => format!("{file}: "),
            (file, position) => format!("{file}, certificate {position} ({subject}): "),
        };
        writeln!(output, "{place}{problem}")?;
        if !remedy.is_empty() {
            writeln!(output, "  {remedy}")?;
        }
    }
    let hidden = problems.len().saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(output, "and {hidden} more")?;
    }
    anyhow::bail!("nothing enrolled: {} problems", problems.len())
}

/// Every certificate that is asked for, by structure, and within one the first to expire first.
fn listed(socket: &Path, structure: &str, expiring_days: Option<u32>) -> anyhow::Result<Vec<CertificateEntry>> {
    let mut all = admin::ask(socket, |channel| async move {
        let mut client = CertificatesClient::new(channel);
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let structure = structure.to_owned();
            let page = client.list(ListCertificatesRequest { after, limit: 500, structure, expiring_days }).await;
            let page = page.map_err(|status| admin::refusal(&status))?.into_inner();
            all.extend(page.certificates);
            after = page.next;
            if after.is_empty() {
                return Ok(all);
            }
        }
    })?;
    all.sort_by(|a, b| (&a.structure, a.not_after).cmp(&(&b.structure, b.not_after)));
    Ok(all)
}

fn revoke(socket: &Path, certificate: String, reason: String, output: &mut impl Write) -> anyhow::Result<()> {
    let reply = admin::ask(socket, |channel| async {
        let request = RevokeCertificateRequest { certificate, reason };
        let reply = CertificatesClient::new(channel).revoke(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
    })?;
    if let Some(CertificateEntry { fingerprint, common_name, structure, .. }) = reply.certificate {
        writeln!(
            output,
            "{common_name} of structure {structure} is withdrawn and opens nothing any more: {fingerprint}"
        )?;
    }
    for remark in &reply.remarks {
        writeln!(output, "remark: {remark}")?;
    }
    Ok(())
}
