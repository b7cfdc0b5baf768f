//! `octroi check` on the settings of a real Dovecot, as that version's own `doveconf` prints them.
//!
//! Each row is what a careless site did to files that were right; nothing else may be told but its mistake.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use octroi_tests::dovecot::{Dovecot, Version, edit};
use octroi_tests::imap::Security;

use crate::check::{check, configuration, entry, mistake, place, server, stage, without_probe};

/// What was done to the files.
enum Done {
    /// These lines come after Octroi's.
    After(&'static str),
    /// One text was replaced by another one.
    Edited(&'static str, &'static str),
    /// A file was removed.
    Removed(&'static str),
    /// A file got this mode.
    Mode(&'static str, u32),
}
use Done::{After, Edited, Mode, Removed};

/// What was done, what is told (`@EXT@`: the file of the oauth2 passdb; `@PORT@`: the sidecar's), and the remedy.
type Row = (Done, &'static str, &'static str);

const TOKENS_IN_LOG: &str = "turn it off, and shred the logs written meanwhile: they hold tokens";
const EXT_FILE: &str = "take the integration's file, and put in the secret alone";
const INCLUDE: &str = "include the integration's octroi.conf as the last line of dovecot.conf";
const OAUTH2_BLOCK: &str = "take the oauth2 block from octroi.conf as it stands";

/// The same on both.
const BOTH: &[Row] = &[
    (
        After("imap_hibernate_timeout = 5 secs"),
        "imap_hibernate_timeout = 5 secs: a sleeping session has no process that could be ended",
        "set imap_hibernate_timeout = 0",
    ),
    (
        After("service imap {\n  client_limit = 5\n}"),
        "service imap { client_limit = 5 }: ending one session ends those of others",
        "set client_limit = 1 there",
    ),
    (After("log_debug = category=auth"), "log_debug = category=auth writes tokens into the log", TOKENS_IN_LOG),
    (
        After("auth_verbose_passwords = plain"),
        "auth_verbose_passwords = plain writes tokens into the log",
        TOKENS_IN_LOG,
    ),
    (
        After("auth_policy_check_after_auth = no"),
        "auth_policy_check_after_auth = no: no login is ever confirmed or recorded",
        "set auth_policy_check_after_auth = yes, as octroi.conf does",
    ),
    (
        After("auth_policy_reject_on_fail = no"),
        "auth_policy_reject_on_fail = no: an outage of the sidecar lets everybody in",
        "set auth_policy_reject_on_fail = yes, as octroi.conf does",
    ),
    (
        After("auth_policy_log_only = yes"),
        "auth_policy_log_only = yes: a refusal has no effect",
        "set auth_policy_log_only = no, as octroi.conf does",
    ),
    (
        After("auth_policy_server_url = http://policy:planted-policy-secret@127.0.0.1:1/policy"),
        "auth_policy_server_url: it leads to 127.0.0.1:1/policy; expected http://...@127.0.0.1:@PORT@/policy",
        "correct auth_policy_server_url in octroi-site.conf",
    ),
];

const V2_3: &[Row] = &[
    (
        After("auth_cache_size = 10 M"),
        "auth_cache_size = 10 M: a token that was revoked meanwhile is let in from the cache",
        "set auth_cache_size = 0",
    ),
    (After("auth_debug = yes"), "auth_debug = yes writes tokens into the log", TOKENS_IN_LOG),
    (
        Edited("  mechanisms = plain login\n", ""),
        "passdb static takes XOAUTH2 and OAUTHBEARER too: its yes counts without the sidecar",
        "add mechanisms = plain login to it",
    ),
    (
        Edited("auth_mechanisms = $auth_mechanisms xoauth2 oauthbearer", "auth_mechanisms = plain oauthbearer"),
        "auth_mechanisms does not offer xoauth2",
        INCLUDE,
    ),
    (
        Edited("user=%{if;%u;~;%{oauth2:username};%{if;%{oauth2:username};*;^(?*)$;%u;};} ", ""),
        "@EXT@: pass_attrs lacks the user= lock: ANY VALID TOKEN OPENS ANY MAILBOX",
        EXT_FILE,
    ),
    (
        Edited("introspection:planted-introspection-secret@", "introspection:planted-former-secret@"),
        "@EXT@: introspection_url has another secret than [dovecot] introspection_secret_file",
        EXT_FILE,
    ),
    (
        Edited("active_value = true\n", ""),
        "@EXT@: active_value is not true: an answer that says no lets it in",
        EXT_FILE,
    ),
    (Mode("octroi-oauth2.conf.ext", 0o644), "@EXT@ holds a secret and is open to others", "chmod 0640 @EXT@"),
    (
        Removed("octroi-site.conf"),
        "auth_policy_server_url: no user and secret in it; expected http://...@127.0.0.1:@PORT@/policy",
        "correct auth_policy_server_url in octroi-site.conf",
    ),
];

const V2_4: &[Row] = &[
    (
        After("passdb oauth2 {\n  mechanisms_filter = xoauth2 oauthbearer\n}"),
        "passdb oauth2 is an oauth2 one: the handle gets lost, and every login is refused",
        "take it out: the oauth2 block is enough",
    ),
    (
        Edited("  mechanisms_filter = plain login\n", ""),
        "passdb site has no mechanisms_filter that keeps it from XOAUTH2: the handle gets lost",
        "add mechanisms_filter = plain login to it",
    ),
    (Edited("  xoauth2 = yes\n", ""), "auth_mechanisms does not offer xoauth2", INCLUDE),
    (
        Edited(
            "username_validation_format = %{event:user | if('~', user, user, '') | if('*', '^(?*)$', event:user, '')}",
            "username_validation_format = %{event:user}",
        ),
        "oauth2_username_validation_format is not %{event:user | if('~', user, user, '') | if('*', '^(?*)$', event:user, '')}: the asked mailbox is not held against the set of the answer",
        OAUTH2_BLOCK,
    ),
    (
        Edited("introspection:planted-introspection-secret@", ""),
        "oauth2_introspection_url: no user and secret in it; expected http://...@127.0.0.1:@PORT@/introspect",
        "correct introspection_url in octroi-site.conf",
    ),
    (
        Edited("  active_value = true\n", ""),
        "oauth2_active_value is not true: an answer that says no lets it in",
        OAUTH2_BLOCK,
    ),
    (
        Edited("  scope = octroi\n", ""),
        "oauth2_scope is not octroi: the answer of another server would count",
        OAUTH2_BLOCK,
    ),
];

/// Copies the server's configuration to a folder beside it and does that to it.
fn spoil(server: &Dovecot, folder: &str, done: &Done) -> Result<()> {
    let (good, bad) = (server.folder().join("etc"), server.folder().join(folder));
    fs::create_dir_all(&bad)?;
    for file in fs::read_dir(&good)? {
        let file = file?.path();
        fs::copy(&file, bad.join(file.file_name().context("a name")?))?;
    }
    let name = server.folder().file_name().context("a name")?.display().to_string();
    edit(&bad, &format!("{name}/etc/"), &format!("{name}/{folder}/"))?;
    match *done {
        After(lines) => append(&bad.join("dovecot.conf"), lines),
        Edited(from, to) => edit(&bad, from, to),
        Removed(file) => Ok(fs::remove_file(bad.join(file))?),
        Mode(file, mode) => {
            let file = bad.join(file);
            anyhow::ensure!(fs::metadata(&file)?.mode() & 0o7777 != mode, "it has that mode already");
            Ok(fs::set_permissions(file, fs::Permissions::from_mode(mode))?)
        }
    }
}

fn append(file: &Path, lines: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    Ok(fs::write(file, format!("{text}\n{lines}\n"))?)
}

async fn every_careless_setting_is_told_with_its_remedy_and_nothing_else_is(version: Version) -> Result<()> {
    let (stage, server) = (stage(), server(version));
    let base = without_probe(&configuration(&stage.sidecar)?);
    let own = match version {
        Version::V2_3 => V2_3,
        Version::V2_4 => V2_4,
    };
    let mut wrong = Vec::new();
    for (number, (done, what, remedy)) in BOTH.iter().chain(own).enumerate() {
        let folder = format!("etc-{number}");
        spoil(server, &folder, done)?;
        let text = base.clone() + &entry(server, Security::Implicit, &format!("{folder}/dovecot.conf"))?;
        let checked = check(stage, &text, &[])?;
        let ext = server.folder().join(&folder).join("octroi-oauth2.conf.ext").display().to_string();
        let port = stage.sidecar.introspection().port.to_string();
        let said = |text: &str| text.replace("@EXT@", &ext).replace("@PORT@", &port);
        let expected = mistake(&place(server, Security::Implicit), &said(what), &said(remedy));
        if let Err(error) = checked.holds_exactly(&[expected]) {
            wrong.push(format!("{error:#}"));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

on_both! {
    every_careless_setting_is_told_with_its_remedy_and_nothing_else_is
}
