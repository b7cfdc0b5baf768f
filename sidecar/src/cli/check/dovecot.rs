//! A Dovecot's settings against what the integration needs, and against what would undo it.
//!
//! Reads what `doveconf -n` prints and, for 2.3, the file that holds the token settings. Each rule names the danger;
//! the files of `integrations/` pass all of them.

mod certificates;
mod dangers;
mod parse;
mod policy;
mod tokens23;
mod tokens24;

use std::net::SocketAddr;
use std::path::Path;

use self::parse::Block;
use super::command;
use super::report::Report;
use crate::clock::UnixSeconds;
use crate::config::{ChainSettings, Dovecot, DovecotServer, DovecotVersion};

/// What a rule needs to know beside the settings.
struct Look<'a> {
    place: &'a str,
    version: DovecotVersion,
    root: &'a Path,
    ours: &'a Dovecot,
    conf: &'a Block,
}

/// Looks at one server.
pub(super) async fn look(
    server: &DovecotServer,
    ours: Option<&Dovecot>,
    chains: &[ChainSettings],
    now: UnixSeconds,
    report: &mut Report,
) {
    let place = format!("Dovecot {} at {}", server.version.code(), server.imap);
    let Some(ours) = ours else {
        report.mistake(place, "the doors for Dovecot are closed", "add a [dovecot] section to the configuration");
        return;
    };
    let command = server.doveconf.join(" ");
    match command::printed(&server.doveconf).await {
        Ok(text) => examine(&place, server, &text, ours, (chains, now), report),
        Err(error) => {
            let remedy = "correct doveconf in [[check.dovecot]], and run this check as root";
            report.mistake(place, format!("`{command}` can't be run: {error}"), remedy);
        }
    }
}

/// Holds printed settings against every rule.
fn examine(
    place: &str,
    server: &DovecotServer,
    text: &str,
    ours: &Dovecot,
    (chains, now): (&[ChainSettings], UnixSeconds),
    report: &mut Report,
) {
    let Ok((found, conf)) = parse::parse(text) else {
        report.mistake(
            place,
            "the command printed something else than `doveconf -n` does",
            "correct doveconf in [[check.dovecot]]",
        );
        return;
    };
    let version = server.version;
    if !found.starts_with(version.code()) {
        let remedy = "correct version in [[check.dovecot]], and install that version's integration files";
        report.mistake(place, format!("it is {found}, not {}", version.code()), remedy);
        return;
    }
    let before = report.mistakes();
    let look = Look { place, version, root: &server.root, ours, conf: &conf };
    match version {
        DovecotVersion::V23 => tokens23::examine(&look, report),
        DovecotVersion::V24 => tokens24::examine(&look, report),
    }
    policy::examine(&look, report);
    dangers::examine(&look, report);
    certificates::examine(&look, chains, now, report);
    if report.mistakes() == before {
        report.good(place, format!("{found}: its settings are those of the integration"));
    }
}

/// Whether a URL of Dovecot leads to one of our doors with a secret in it. `doveconf` hides the secret itself.
fn leads_to(url: &str, listen: SocketAddr, path: &str) -> Result<(), String> {
    let wanted = format!("http://...@{listen}{path}");
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("expected {wanted}"))?;
    let (secret, target) =
        rest.rsplit_once('@').ok_or_else(|| format!("no user and secret in it; expected {wanted}"))?;
    if secret.is_empty() {
        return Err(format!("no user and secret in it; expected {wanted}"));
    }
    match target.strip_prefix(&listen.to_string()) {
        Some(found) if found == path => Ok(()),
        Some(_) | None => Err(format!("it leads to {target}; expected {wanted}")),
    }
}

/// Words of a list, whatever separates them.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split([' ', ',']).filter(|word| !word.is_empty())
}

/// Whether a list of mechanisms has one that carries a token.
fn takes_tokens(mechanisms: &str) -> bool {
    words(mechanisms).any(|word| word.eq_ignore_ascii_case("xoauth2") || word.eq_ignore_ascii_case("oauthbearer"))
}

#[cfg(test)]
mod tests;
