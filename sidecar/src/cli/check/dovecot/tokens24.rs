//! How a Dovecot 2.4 judges tokens: in its `oauth2` block; a passdb block only ever takes the handle away.

use super::{Look, Report, leads_to, takes_tokens, words};

/// The mailbox lock: the answered set where the asked name matches it, the asked name where that set is anchored.
pub(super) const LOCK: &str = "%{event:user | if('~', user, user, '') | if('*', '^(?*)$', event:user, '')}";

pub(super) fn examine(look: &Look<'_>, report: &mut Report) {
    mechanisms(look, report);
    for passdb in look.conf.named("passdb") {
        let driver = passdb.setting("driver").unwrap_or(&passdb.argument);
        let name = &passdb.argument;
        if driver == "oauth2" {
            let what = format!("passdb {name} is an oauth2 one: the handle gets lost, and every login is refused");
            report.mistake(look.place, what, "take it out: the oauth2 block is enough");
        } else if passdb.setting("mechanisms_filter").is_none_or(takes_tokens) {
            let what =
                format!("passdb {name} has no mechanisms_filter that keeps it from XOAUTH2: the handle gets lost");
            report.mistake(look.place, what, "add mechanisms_filter = plain login to it");
        }
    }
    settings(look, report);
}

fn mechanisms(look: &Look<'_>, report: &mut Report) {
    let offered: Vec<&str> = words(look.conf.setting("auth_mechanisms").unwrap_or("plain")).collect();
    let listed: Vec<&str> = look
        .conf
        .named("auth_mechanisms")
        .flat_map(|block| ["xoauth2", "oauthbearer"].into_iter().filter(|name| block.setting(name) == Some("yes")))
        .collect();
    for mechanism in ["xoauth2", "oauthbearer"] {
        if !offered.iter().chain(&listed).any(|word| word.eq_ignore_ascii_case(mechanism)) {
            let what = format!("auth_mechanisms does not offer {mechanism}");
            report.mistake(look.place, what, "include the integration's octroi.conf as the last line of dovecot.conf");
        }
    }
}

fn settings(look: &Look<'_>, report: &mut Report) {
    let setting = |key: &str| look.conf.grouped("oauth2", key);
    let remedy = "take the oauth2 block from octroi.conf as it stands";
    let mut wrong = |what: String| report.mistake(look.place, what, remedy);
    for (key, wanted, danger) in [
        ("introspection_mode", "post", "the token travels in an address, or in place of the secret"),
        ("active_attribute", "active", "an answer without a word on the token lets it in"),
        ("active_value", "true", "an answer that says no lets it in"),
        ("username_attribute", "username", "the mailbox set is not looked at"),
        ("username_validation_format", LOCK, "the asked mailbox is not held against the set of the answer"),
    ] {
        if setting(key) != Some(wanted) {
            wrong(format!("oauth2_{key} is not {wanted}: {danger}"));
        }
    }
    let scopes =
        setting("scope").into_iter().chain(look.conf.named("oauth2").filter_map(|block| {
            block.named("scope").next().and_then(|scopes| scopes.setting("octroi")).map(|_| "octroi")
        }));
    if !scopes.into_iter().any(|scope| scope == "octroi") {
        wrong("oauth2_scope is not octroi: the answer of another server would count".to_owned());
    }
    let fields: Vec<_> = look.conf.named("oauth2").flat_map(|block| block.named("fields")).collect();
    if !fields.iter().any(|fields| fields.setting("handle") == Some("%{oauth2:handle}")) {
        wrong("oauth2_fields lacks handle = %{oauth2:handle}: every login is refused after authentication".to_owned());
    }
    if setting("tokeninfo_url").is_some_and(|url| !url.is_empty()) {
        wrong("oauth2_tokeninfo_url is set: tokens are judged elsewhere, too".to_owned());
    }
    let url = setting("introspection_url").unwrap_or_default();
    if let Err(what) = leads_to(url, look.ours.listen, "/introspect") {
        let what = format!("oauth2_introspection_url: {what}");
        report.mistake(look.place, what, "correct introspection_url in octroi-site.conf");
    }
}
