//! Settings that undo the integration or write tokens down, whatever else is right.

use super::{Look, Report};
use crate::config::DovecotVersion;

pub(super) fn examine(look: &Look<'_>, report: &mut Report) {
    logs(look, report);
    rawlog(look, report);
    cache(look, report);
    sessions(look, report);
    if look.conf.setting("ssl") == Some("no") {
        report.mistake(look.place, "ssl = no: tokens go in clear", "set ssl = required and a certificate");
    }
}

/// Debug logs of authentication hold tokens, and URLs with their secrets.
fn logs(look: &Look<'_>, report: &mut Report) {
    let remedy = "turn it off, and shred the logs written meanwhile: they hold tokens";
    for key in ["auth_debug", "auth_debug_passwords"] {
        if look.conf.setting(key) == Some("yes") {
            report.mistake(look.place, format!("{key} = yes writes tokens into the log"), remedy);
        }
    }
    for (_, key, value) in look.conf.everywhere() {
        let writes = match key {
            "auth_verbose_passwords" => value != "no",
            "log_debug" => value.contains("auth") || value.contains('*') || value.contains("event="),
            _ => false,
        };
        if writes {
            report.mistake(look.place, format!("{key} = {value} writes tokens into the log"), remedy);
        }
    }
}

/// Rawlogs hold whole dialogues.
fn rawlog(look: &Look<'_>, report: &mut Report) {
    let remedy = "take it out, and shred what it wrote: it holds tokens";
    for (_, key, value) in look.conf.everywhere() {
        let program = key == "executable" && (value.contains("rawlog") || value.split(' ').any(|word| word == "-R"));
        let folder = key.ends_with("rawlog_dir") && !value.is_empty();
        if program || folder {
            report.mistake(look.place, format!("{key} = {value} writes whole dialogues down"), remedy);
        }
    }
}

/// 2.3 answers from its cache without asking: a token revoked meanwhile was let in. 2.4 does not cache tokens.
fn cache(look: &Look<'_>, report: &mut Report) {
    let size = look.conf.setting("auth_cache_size").unwrap_or("0");
    let on = size.chars().find(|c| !c.is_whitespace()).is_some_and(|first| first != '0');
    if on && look.version == DovecotVersion::V23 {
        let what = format!("auth_cache_size = {size}: a token that was revoked meanwhile is let in from the cache");
        report.mistake(look.place, what, "set auth_cache_size = 0");
    }
}

/// A session is ended by ending its process: that must exist, and be nobody else's.
fn sessions(look: &Look<'_>, report: &mut Report) {
    let timeout = look.conf.setting("imap_hibernate_timeout").unwrap_or("0");
    if !timeout.starts_with('0') {
        let what = format!("imap_hibernate_timeout = {timeout}: a sleeping session has no process that could be ended");
        report.mistake(look.place, what, "set imap_hibernate_timeout = 0");
    }
    let imap = look.conf.named("service").filter(|service| service.argument == "imap");
    for limit in imap.filter_map(|service| service.setting("client_limit")).filter(|limit| *limit != "1") {
        let what = format!("service imap {{ client_limit = {limit} }}: ending one session ends those of others");
        report.mistake(look.place, what, "set client_limit = 1 there");
    }
}
