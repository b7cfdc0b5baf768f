//! `octroi check` on broken configurations, sidecars and providers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use octroi_psc::{Psc, doctor_one};
use octroi_tests::sidecar::Sidecar;

use crate::check::{CANARY, check, configuration, entry, mistake, server, settings, stage, token_file, without_probe};
use crate::stage::{Stage, UN, provider};
use octroi_tests::dovecot::Version;
use octroi_tests::imap::Security;

/// Numbers of the lines that begin so, from 1.
fn line(text: &str, begins: &str) -> usize {
    1 + text.lines().position(|line| line.starts_with(begins)).unwrap()
}

#[test]
fn broken_syntax_is_told_with_its_line() -> Result<()> {
    let stage = stage();
    let text = without_probe(&configuration(&stage.sidecar)?) + "\n[rails\nleeway_seconds = 5\n";
    let checked = check(stage, &text, &[])?;
    let place = format!("{}:{}", checked.file, line(&text, "[rails"));
    let found = checked.mistakes();
    ensure!(checked.code == Some(1), "{checked:?}");
    ensure!(!found.is_empty() && found.iter().all(|finding| finding.what.starts_with("not TOML: ")), "{found:#?}");
    ensure!(found[0].place == place, "{found:#?}");
    ensure!(found[0].remedy == "correct the syntax; the rest is checked after", "{found:#?}");
    let rest = checked.findings.last().unwrap();
    ensure!(rest.weight == "not checked" && rest.remedy == "correct the configuration first", "{rest:?}");
    Ok(())
}

#[test]
fn all_wrong_keys_are_told_at_once_each_with_file_line_and_key() -> Result<()> {
    let stage = stage();
    let open = stage.sidecar.folder().join("open.secret");
    fs::write(&open, "planted-open-secret")?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    let text = configuration(&stage.sidecar)?
        .replace("introspection_secret_file = \"introspection.secret\"", "introspection_secret_file = \"open.secret\"")
        + "[rails]\nleeway_seconds = 99\n[audit]\nfiel = \"a\"\n[[check.dovecot]]\nversion = \"2.5\"\n";
    let checked = check(stage, &text, &[])?;
    let at = |begins| format!("{}:{}", checked.file, line(&text, begins));
    let open = open.display();
    checked.holds_exactly(&[
        mistake(
            &at("introspection_secret_file"),
            &format!("dovecot.introspection_secret_file: expected a file closed to others, {open} has mode 0644"),
            &format!("chmod o= {open}, and put a new secret in: this one may be known"),
        ),
        mistake(
            &at("leeway_seconds"),
            "rails.leeway_seconds: expected a whole number from 0 to 30, found 99",
            "choose one within, or leave the key out for 5",
        ),
        mistake(&at("fiel"), "audit.fiel: unknown key", "did you mean \"file\"? Otherwise take it out"),
        mistake(
            &at("version"),
            "check.dovecot[1].version: expected one of \"2.3\", \"2.4\", found \"2.5\"",
            "write one of \"2.3\", \"2.4\"",
        ),
    ])
}

#[test]
fn a_token_larger_than_a_server_takes_is_a_mistake() -> Result<()> {
    let stage = stage();
    let token = stage.psc.token(&doctor_one()).sized(6_101).mint();
    let file = token_file(stage, "large.token", &token)?;
    let text = without_probe(&configuration(&stage.sidecar)?)
        + &entry(server(Version::V2_3), Security::Implicit, "etc/dovecot.conf")?;
    check(stage, &text, &["--token", &file])?.holds_exactly(&[mistake(
        "token size",
        "6101 bytes, and Dovecot takes 6100 at most",
        "ask the provider for fewer claims in the access token: Dovecot's limit is fixed",
    )])
}

#[test]
fn a_wrong_client_secret_is_told_as_that() -> Result<()> {
    let stage = stage();
    let other = stage.sidecar.folder().join("other.secret");
    fs::write(&other, "planted-other-client-secret")?;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600))?;
    let text = without_probe(&configuration(&stage.sidecar)?).replace("\"client.secret\"", "\"other.secret\"");
    check(stage, &text, &[])?.holds_exactly(&[mistake(
        stage.psc.issuer(),
        "introspection: the issuer refuses the caller: check the client id and its credential",
        "see that client_id, client_secret_file and client_auth are those that it gave",
    )])
}

/// Each bad day on a stage of its own, which is worse after each step.
#[test]
fn a_canary_with_a_mailbox_an_absent_provider_and_an_absent_sidecar_are_told() -> Result<()> {
    let psc = provider(Psc::start())?;
    let mut stage = Stage { sidecar: Sidecar::start(&psc, &settings())?, psc };
    let text = configuration(&stage.sidecar)?;
    let (issuer, socket) = (stage.psc.issuer().to_owned(), stage.sidecar.folder().join("admin.sock"));
    check(&stage, &text, &[])?.holds_exactly(&[])?;

    // The running sidecar imports no canary: an operator has reserved a mailbox of somebody since.
    let text = text.replace(CANARY, UN);
    let reserved = mistake(
        "directory",
        &format!("{UN} is reserved for the live probe, and a mailbox"),
        "take it out of the directory, or reserve another address in [check]",
    );
    check(&stage, &text, &[])?.holds_exactly(std::slice::from_ref(&reserved))?;

    provider(stage.psc.stop());
    let keys = mistake(
        &issuer,
        "its keys can't be read: the discovery document can't be had: no connection",
        "see that this machine reaches it (DNS, firewall, ca_file), and that issuer is exactly its name",
    );
    let introspection = mistake(
        &issuer,
        "introspection: the discovery document could not be had a moment ago",
        "see that this machine reaches its description, or set introspection_url",
    );
    check(&stage, &text, &[])?.holds_exactly(&[reserved, keys.clone(), introspection.clone()])?;

    stage.sidecar.stop()?;
    let stopped = mistake(
        "sidecar",
        &format!("no answer at {}", socket.display()),
        "start it (octroi serve), and run this check as a user listed in [server] admin_uids",
    );
    check(&stage, &text, &[])?.holds_exactly(&[stopped, keys, introspection])
}
