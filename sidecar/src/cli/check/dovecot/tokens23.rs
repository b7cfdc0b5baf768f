//! How a Dovecot 2.3 judges tokens: one passdb for them, none other takes them, and the mailbox lock is in its file.

use std::os::unix::fs::MetadataExt as _;

use super::parse::Block;
use super::{Look, Report, leads_to, takes_tokens, words};

/// Largest settings file that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The mailbox lock: the asked name where it matches the answered set and the set is anchored, else nothing.
pub(super) const LOCK: &str = "user=%{if;%u;~;%{oauth2:username};%{if;%{oauth2:username};*;^(?*)$;%u;};}";

pub(super) fn examine(look: &Look<'_>, report: &mut Report) {
    let offered: Vec<&str> = words(look.conf.setting("auth_mechanisms").unwrap_or("plain")).collect();
    for mechanism in ["xoauth2", "oauthbearer"] {
        if !offered.iter().any(|word| word.eq_ignore_ascii_case(mechanism)) {
            let what = format!("auth_mechanisms does not offer {mechanism}");
            report.mistake(look.place, what, "include the integration's octroi.conf as the last line of dovecot.conf");
        }
    }
    let (ours, others): (Vec<&Block>, Vec<&Block>) =
        look.conf.named("passdb").partition(|passdb| passdb.setting("driver") == Some("oauth2"));
    match ours[..] {
        [passdb] => settings_file(look, passdb, report),
        [] => report.mistake(
            look.place,
            "no passdb with driver = oauth2: tokens are asked about nowhere",
            "include octroi.conf",
        ),
        _ => report.mistake(
            look.place,
            "several passdbs with driver = oauth2: each can let a token in",
            "keep the integration's alone",
        ),
    }
    for passdb in others {
        // Without the setting a passdb serves every mechanism.
        if passdb.setting("mechanisms").is_none_or(takes_tokens) {
            let driver = passdb.setting("driver").unwrap_or("no driver");
            let what = format!("passdb {driver} takes XOAUTH2 and OAUTHBEARER too: its yes counts without the sidecar");
            report.mistake(look.place, what, "add mechanisms = plain login to it");
        }
    }
}

fn settings_file(look: &Look<'_>, passdb: &Block, report: &mut Report) {
    if passdb.setting("mechanisms").is_none_or(|mechanisms| !words(mechanisms).all(takes_tokens)) {
        let what = "the oauth2 passdb takes other mechanisms, too: passwords are sent to the sidecar as tokens";
        report.mistake(look.place, what, "set mechanisms = xoauth2 oauthbearer in it");
    }
    let named = passdb.setting("args").unwrap_or_default();
    let path = look.root.join(named.trim_start_matches('/'));
    let read = std::fs::metadata(&path).and_then(|metadata| {
        let small = metadata.len() <= MAX_FILE;
        let text = if small { std::fs::read_to_string(&path)? } else { String::new() };
        Ok((metadata.mode(), text))
    });
    let path = &path.display().to_string();
    match read {
        Ok((mode, text)) => {
            if mode & 0o007 != 0 {
                report.mistake(
                    look.place,
                    format!("{path} holds a secret and is open to others"),
                    format!("chmod 0640 {path}"),
                );
            }
            token_settings(look, path, &text, report);
        }
        Err(error) => {
            let what =
                format!("{path} can't be read ({error}): whether a token opens its own mailbox alone is unknown");
            report.mistake(look.place, what, "install the file, and run this check as root");
        }
    }
}

/// The file of the oauth2 passdb: `key = value` lines.
fn token_settings(look: &Look<'_>, path: &str, text: &str, report: &mut Report) {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let settings: Vec<(&str, &str)> =
        lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim())).collect();
    let setting = |key: &str| settings.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let mut wrong = |what: String| {
        report.mistake(
            look.place,
            format!("{path}: {what}"),
            "take the integration's file, and put in the secret alone",
        )
    };
    for (key, wanted, danger) in [
        ("introspection_mode", "post", "the token travels in an address, or in place of the secret"),
        ("active_attribute", "active", "an answer without a word on the token lets it in"),
        ("active_value", "true", "an answer that says no lets it in"),
        ("username_attribute", "username", "the mailbox set is not looked at"),
        ("username_format", "any", "no login passes Dovecot's own comparison"),
    ] {
        if setting(key) != Some(wanted) {
            wrong(format!("{key} is not {wanted}: {danger}"));
        }
    }
    if setting("scope") != Some("octroi") {
        wrong("scope is not octroi: the answer of another server would count".to_owned());
    }
    let attributes: Vec<&str> = setting("pass_attrs").unwrap_or_default().split(' ').collect();
    if !attributes.contains(&LOCK) {
        wrong("pass_attrs lacks the user= lock: ANY VALID TOKEN OPENS ANY MAILBOX".to_owned());
    }
    if !attributes.contains(&"handle=%{oauth2:handle}") {
        wrong("pass_attrs lacks handle=%{oauth2:handle}: every login is refused after authentication".to_owned());
    }
    for key in ["tokeninfo_url", "grant_url", "local_validation_key_dict"] {
        if setting(key).is_some_and(|value| !value.is_empty()) {
            wrong(format!("{key} is set: tokens are judged elsewhere, too"));
        }
    }
    if setting("debug") == Some("yes") {
        wrong("debug = yes writes tokens into the log".to_owned());
    }
    if let Err(what) = introspection_url(look, setting("introspection_url").unwrap_or_default()) {
        wrong(format!("introspection_url {what}"));
    }
}

/// Leads to our door, with the secret that opens it.
fn introspection_url(look: &Look<'_>, url: &str) -> Result<(), String> {
    leads_to(url, look.ours.listen, "/introspect").map_err(|what| format!("is wrong: {what}"))?;
    let shown = url::Url::parse(url).ok().and_then(|url| url.password().map(str::to_owned)).unwrap_or_default();
    if look.ours.introspection_secret.matches(shown.as_bytes()) {
        Ok(())
    } else {
        Err("has another secret than [dovecot] introspection_secret_file".to_owned())
    }
}
