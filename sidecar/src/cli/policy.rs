//! `octroi policy`: the releases of the policy in the running sidecar, from the first check to the way back.

mod update;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;

use super::mailbox::moment;
use super::{admin, author, replay, table};
use crate::policy::{Bundle, CosignImage, Signature};
use crate::proto::cosign_signature::Over;
use crate::proto::policies_client::PoliciesClient;
use crate::proto::{
    ActivatePolicyRequest, CosignSignature, ListPoliciesRequest, ListPoliciesResponse, PolicyDifferencesRequest,
    PolicyDifferencesResponse, PolicyRelease, PolicySample, PolicyShare, RetirePolicyRequest, RollbackPolicyRequest,
    ShadowPolicyRequest, StagePolicyRequest,
};
use crate::sources::Source;

/// Hexadecimal digits of a digest that are shown, and that name a release well enough.
const SHOWN: usize = 12;

/// What stands in the record beside who took the step.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Why, for the record: one line.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) reason: String,
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
    /// An image has one layer, the component: with the config of the CNCF's layout for WebAssembly, or any other. Its
    /// manifest may hold the release's settings in the annotation fr.octroi.policy.settings, and minisign's signatures
    /// in annotations whose keys begin with fr.octroi.policy.signature. (as in fr.octroi.policy.signature.officer).
    /// Signatures that cosign sign --key attached to the image are taken along.
    Stage {
        #[command(flatten)]
        from: Source,
        #[command(flatten)]
        why: Why,
    },
    /// Fetches a release and puts it into service, if its version is higher than every one that was in service: for
    /// timers.
    ///
    /// The one in service already: nothing is done, and that is no error. Going back is a step by hand: activate,
    /// rollback.
    Update {
        #[command(flatten)]
        from: Source,
        #[command(flatten)]
        why: Why,
    },
    /// Lets a staged release answer beside the one in service, on live logins, and change nothing.
    Shadow {
        /// The digest or its first digits, as listed; `off` to end it.
        release: String,
        #[command(flatten)]
        why: Why,
    },
    /// Shows what the release in the shadow would have decided otherwise.
    Differences,
    /// Puts a staged release into service.
    Activate {
        /// The digest or its first digits, as listed; `configuration` for the configuration's own policy.
        release: String,
        /// For so many persons of a hundred only: always the same ones, by a hash of their identity.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
        percent: Option<u32>,
        /// For the persons with these national identifiers only, one a line; with --percent, for them as well.
        #[arg(long, value_name = "FILE")]
        identities: Option<PathBuf>,
        #[command(flatten)]
        why: Why,
    },
    /// Takes the last activation back: one that is for some persons, else the one for all.
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
    /// Shows recorded decisions to another release: what it would have answered otherwise. Needs no running sidecar.
    Replay(replay::Options),
    /// Lists the releases that are kept.
    List,
    #[command(flatten)]
    Author(author::Command),
}

pub(super) fn run(
    config: &Path,
    find: impl FnOnce() -> anyhow::Result<PathBuf>,
    command: Command,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if let Command::Statement { from } = &command {
        // Whoever signs needs no sidecar.
        write!(output, "{}", fetch(from)?.statement())?;
        return Ok(());
    }
    if let Command::Replay(options) = &command {
        return replay::run(config, options, output);
    }
    let socket = &find()?;
    match command {
        // Nor does whoever writes a policy: `author::run` has taken that.
        Command::Statement { .. } | Command::Replay(_) | Command::Author(_) => Ok(()),
        Command::Stage { from, why } => stage(socket, fetch(&from)?, why.reason, output),
        Command::Update { from, why } => update::update(socket, fetch(&from)?, &why.reason, output),
        Command::Shadow { release, why } => shadow(socket, release, why.reason, output),
        Command::Differences => {
            let report = admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).differences(PolicyDifferencesRequest {}).await;
                reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
            })?;
            differences(&report, output)
        }
        Command::Activate { release, percent, identities, why } => {
            let identities = identities.as_deref().map(listed).transpose()?.unwrap_or_default();
            let percent = percent.unwrap_or_default();
            let request = ActivatePolicyRequest { release, reason: why.reason, percent, identities, only_newer: false };
            let reply = admin::ask(socket, |channel| async {
                let reply = PoliciesClient::new(channel).activate(request).await;
                reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
            })?;
            serves(reply.release.as_ref(), output)?;
            if let Some(share) = &reply.share {
                writeln!(output, "{} decides for {}", share.digest, portion(share))?;
            }
            Ok(())
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

/// Identifiers of a file, one a line.
fn listed(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn portion(share: &PolicyShare) -> String {
    match (share.percent, share.listed) {
        (0, listed) => format!("{listed} persons listed"),
        (percent, 0) => format!("{percent} of 100 persons"),
        (percent, listed) => format!("{percent} of 100 persons and {listed} listed"),
    }
}

fn shadow(socket: &Path, release: String, reason: String, output: &mut impl Write) -> anyhow::Result<()> {
    let release = if release == "off" { String::new() } else { release };
    let ended = release.is_empty();
    let request = ShadowPolicyRequest { release, reason };
    admin::ask(socket, |channel| async {
        let reply = PoliciesClient::new(channel).shadow(request).await;
        reply.map(|_| ()).map_err(|status| admin::refusal(&status))
    })?;
    if ended {
        writeln!(output, "nothing is in the shadow any more")?;
    } else {
        writeln!(output, "it answers beside the policy in service and decides nothing: octroi policy differences")?;
    }
    Ok(())
}

fn differences(report: &PolicyDifferencesResponse, output: &mut impl Write) -> anyhow::Result<()> {
    if report.digest.is_empty() {
        writeln!(output, "nothing is in the shadow: octroi policy shadow RELEASE --reason ...")?;
        return Ok(());
    }
    let PolicyDifferencesResponse { same, unknown, dropped, waiting, .. } = report;
    let digest = short(&report.digest);
    writeln!(output, "{digest} in the shadow: {same} logins decided alike, {unknown} that it could not judge,")?;
    writeln!(output, "{dropped} not looked at, {waiting} waiting")?;
    let rows = report.differences.iter().map(|d| [d.decided.clone(), d.shadow.clone(), d.times.to_string()]);
    table::print(output, ["decided", "in the shadow", "logins"], rows)?;
    if !report.samples.is_empty() {
        let rows = report.samples.iter().rev().take(20).map(|sample| {
            let PolicySample { at, decision_id, door, decided, shadow } = sample;
            [moment(*at), decision_id.clone(), door.clone(), format!("{decided}\n{shadow}")]
        });
        table::print(output, ["when", "decision", "door", "decided, in the shadow"], rows)?;
    }
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
    let own = if list.active.is_empty() { "IN SERVICE".to_owned() } else { state(list, "configuration") };
    let own = if own == "staged" { String::new() } else { own };
    let mut rows = vec![["configuration".to_owned(), own, String::new(), String::new(), String::new()]];
    rows.extend(list.releases.iter().map(|release| {
        let signed = match release.signed_by.as_slice() {
            [] => "UNSIGNED".to_owned(),
            names => format!("signed by {}", names.join(", ")),
        };
        [
            short(&release.digest),
            format!("{}{}\n{signed}", state(list, &release.digest), quarantine(release)),
            format!("{} {}", release.name, release.version),
            format!("{} by uid {}", moment(release.staged_at), release.staged_by),
            format!("{}\n{}", release.reason, release.origin),
        ]
    }));
    table::print(output, ["release", "", "policy", "staged", "why, and where from"], rows)?;
    Ok(())
}

/// What a policy does now.
fn state(list: &ListPoliciesResponse, name: &str) -> String {
    let share = list.share.as_ref().filter(|share| share.digest == name);
    match (list.active == name, share, list.shadow == name, list.previous == name) {
        (true, ..) => "IN SERVICE".to_owned(),
        (_, Some(share), ..) => format!("FOR {}", portion(share)),
        (_, _, true, _) => "in the shadow".to_owned(),
        (.., true) => "before".to_owned(),
        _ => "staged".to_owned(),
    }
}

fn quarantine(release: &PolicyRelease) -> String {
    if release.quarantine.is_empty() { String::new() } else { format!("\nQUARANTINE: {}", release.quarantine) }
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
            let releases = vec![release("a"), release("b")];
            let list = ListPoliciesResponse { releases, active, previous, ..ListPoliciesResponse::default() };
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
