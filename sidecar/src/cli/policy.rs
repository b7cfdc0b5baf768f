//! `octroi policy`: the releases of the policy in the running sidecar, from the first check to the way back.

mod update;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;

use super::mailbox::moment;
use super::{admin, table};
use crate::policy::{Bundle, CosignImage, Signature};
use crate::proto::cosign_signature::Over;
use crate::proto::policies_client::PoliciesClient;
use crate::proto::{
    ActivatePolicyRequest, CosignSignature, ListPoliciesRequest, ListPoliciesResponse, PolicyRelease,
    RetirePolicyRequest, RollbackPolicyRequest, StagePolicyRequest,
};
use crate::sources::Source;

/// Hexadecimal digits of a digest that are shown, and that name a release well enough.
const SHOWN: usize = 12;

/// What stands in the record beside who took the step.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Why, for the record: one line.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Prints what is to be signed of a release: its statement, which names component and settings by their digests.
    ///
    /// `octroi policy statement FOLDER >release.txt; minisign -Sm release.txt -x FOLDER/NAME.minisig`
    Statement {
        #[command(flatten)]
        from: Source,
    },
    /// Fetches a release, checks it and keeps it.
    ///
    /// An image has one layer, the component: with the config of the CNCF's layout for WebAssembly, or any other. Its manifest
    /// may hold the release's settings in the annotation fr.octroi.policy.settings, and minisign's signatures in
    /// annotations whose keys begin with fr.octroi.policy.signature. (as in fr.octroi.policy.signature.officer). Signatures
    /// that cosign sign --key attached to the image are taken along.
    Stage {
        #[command(flatten)]
        from: Source,
        #[command(flatten)]
        why: Why,
    },
    /// Fetches a release and puts it into service, if its version is higher than every one that was in service: for timers.
    ///
    /// The one in service already: nothing is done, and that is no error. Going back is a step by hand: activate, rollback.
    Update {
        #[command(flatten)]
        from: Source,
        #[command(flatten)]
        why: Why,
    },
    /// Puts a staged release into service.
    Activate {
        /// The digest or its first digits, as listed; `configuration` for the configuration's own policy.
        release: String,
        #[command(flatten)]
        why: Why,
    },
    /// Puts the policy that was in service before back.
    Rollback {
        #[command(flatten)]
        why: Why,
    },
    /// Forgets a release that is neither in service nor the one before.
    Retire {
        /// The digest or its first digits, as listed.
        release: String,
        #[command(flatten)]
        why: Why,
    },
    /// Lists the releases that are kept.
    List,
}

pub(super) fn run(
    find: impl FnOnce() -> anyhow::Result<PathBuf>,
    command: Command,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if let Command::Statement { from } = &command {
        // Whoever signs needs no sidecar.
        write!(output, "{}", fetch(from)?.statement())?;
        return Ok(());
    }
    let socket = &find()?;
    match command {
        Command::Statement { .. } => Ok(()),
        Command::Stage { from, why } => stage(socket, fetch(&from)?, why.reason, output),
        Command::Update { from, why } => update::update(socket, fetch(&from)?, &why.reason, output),
        Command::Activate { release, why } => {
            let request = ActivatePolicyRequest { release, reason: why.reason, only_newer: false };
            let active = admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).activate(request).await;
                reply.map(|reply| reply.into_inner().release).map_err(|status| admin::refusal(&status))
            })?;
            serves(active.as_ref(), output)
        }
        Command::Rollback { why } => {
            let request = RollbackPolicyRequest { reason: why.reason };
            let active = admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).rollback(request).await;
                reply.map(|reply| reply.into_inner().release).map_err(|status| admin::refusal(&status))
            })?;
            serves(active.as_ref(), output)
        }
        Command::Retire { release, why } => {
            let request = RetirePolicyRequest { release: release.clone(), reason: why.reason };
            admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).retire(request).await;
                reply.map(|_| ()).map_err(|status| admin::refusal(&status))
            })?;
            writeln!(output, "{release} is retired")?;
            Ok(())
        }
        Command::List => {
            let list = admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).list(ListPoliciesRequest {}).await;
                reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
            })?;
            print(&list, output)
        }
    }
}

/// Brings a release here.
fn fetch(from: &Source) -> anyhow::Result<Bundle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(from.bundle())?)
}

fn staging(bundle: Bundle, reason: String, only_newer: bool) -> StagePolicyRequest {
    let Bundle { component, settings, signatures: all, origin } = bundle;
    let (mut signatures, mut cosign_signatures) = (Vec::new(), Vec::new());
    for signature in all {
        let over = match signature {
            Signature::Minisign(text) => {
                signatures.push(text);
                continue;
            }
            Signature::CosignBlob(text) => Over::Statement(text),
            Signature::CosignImage(CosignImage { manifest, payload, signature }) => {
                Over::Image(crate::proto::CosignImage { manifest, payload, signature })
            }
        };
        cosign_signatures.push(CosignSignature { over: Some(over) });
    }
    StagePolicyRequest { component, settings, origin, reason, signatures, cosign_signatures, only_newer }
}

fn stage(socket: &Path, bundle: Bundle, reason: String, output: &mut impl Write) -> anyhow::Result<()> {
    let request = staging(bundle, reason, false);
    let staged = admin::ask(socket, |channel| async {
        let reply = PoliciesClient::new(channel).stage(request).await;
        reply.map(|reply| reply.into_inner().release.unwrap_or_default()).map_err(|status| admin::refusal(&status))
    })?;
    writeln!(output, "{} {} is staged as {}", staged.name, staged.version, staged.digest)?;
    writeln!(output, "it decides nothing yet: octroi policy activate {} --reason ...", short(&staged.digest))?;
    Ok(())
}

fn serves(active: Option<&PolicyRelease>, output: &mut impl Write) -> anyhow::Result<()> {
    match active {
        Some(release) => writeln!(output, "{} {} ({}) decides now", release.name, release.version, release.digest)?,
        None => writeln!(output, "the configuration's own policy decides now")?,
    }
    Ok(())
}

fn print(list: &ListPoliciesResponse, output: &mut impl Write) -> anyhow::Result<()> {
    let state = |name: &str| match (list.active == name, list.previous == name) {
        (true, _) => "IN SERVICE",
        (false, true) => "before",
        (false, false) => "staged",
    };
    let own = if list.active.is_empty() { "IN SERVICE" } else { state("configuration") };
    let own = if own == "staged" { "" } else { own };
    let mut rows = vec![["configuration", own, "", "", ""].map(str::to_owned)];
    rows.extend(list.releases.iter().map(|release| {
        let signed = match release.signed_by.as_slice() {
            [] => "UNSIGNED".to_owned(),
            names => format!("signed by {}", names.join(", ")),
        };
        [
            short(&release.digest),
            format!("{}\n{signed}", state(&release.digest)),
            format!("{} {}", release.name, release.version),
            format!("{} by uid {}", moment(release.staged_at), release.staged_by),
            format!("{}\n{}", release.reason, release.origin),
        ]
    }));
    table::print(output, ["release", "", "policy", "staged", "why, and where from"], rows)?;
    Ok(())
}

fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_serves_and_what_a_rollback_goes_back_to() {
        let release = |digit: &str| PolicyRelease {
            digest: format!("sha256:{}", digit.repeat(64)),
            name: "pro-sante-connect".to_owned(),
            version: "0.1.0".to_owned(),
            origin: "/srv/policies/stricter".to_owned(),
            reason: "acr eidas2 from now on".to_owned(),
            signed_by: Vec::new(),
            ..PolicyRelease::default()
        };
        let printed = |active: &str, previous: &str| {
            let (active, previous) = (active.to_owned(), previous.to_owned());
            let list = ListPoliciesResponse { releases: vec![release("a"), release("b")], active, previous };
            let mut output = Vec::new();
            print(&list, &mut output).unwrap();
            let text = String::from_utf8(output).unwrap();
            let row = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
            [row("configuration"), row("aaaaaaaaaaaa "), row("bbbbbbbbbbbb ")]
        };
        let says = |row: &str| ["IN SERVICE", "before", "staged"].into_iter().find(|word| row.contains(word));
        let rows = printed("", "");
        assert_eq!(rows.each_ref().map(|row| says(row)), [Some("IN SERVICE"), Some("staged"), Some("staged")]);
        let rows = printed(&release("b").digest, "configuration");
        assert_eq!(rows.each_ref().map(|row| says(row)), [Some("before"), Some("staged"), Some("IN SERVICE")]);
        let rows = printed(&release("b").digest, &release("a").digest);
        assert_eq!(rows.each_ref().map(|row| says(row)), [None, Some("before"), Some("IN SERVICE")]);
    }
}
