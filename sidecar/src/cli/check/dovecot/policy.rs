//! The after-auth question: asked of us, with the handle, once, and a no counts.

use super::{Look, Report, leads_to};
use crate::config::DovecotVersion;

pub(super) fn examine(look: &Look<'_>, report: &mut Report) {
    match setting(look, "server_url") {
        None | Some("") => report.mistake(
            look.place,
            "auth_policy_server_url is not set: nobody is asked after authentication, and nothing is recorded",
            "include the integration's octroi.conf and octroi-site.conf",
        ),
        Some(url) => {
            if let Err(what) = leads_to(url, look.ours.listen, "/policy") {
                let remedy = "correct auth_policy_server_url in octroi-site.conf";
                report.mistake(look.place, format!("auth_policy_server_url: {what}"), remedy);
            }
        }
    }
    switches(look, report);
    attributes(look, report);
}

/// Switches whose defaults are the same in both versions; `doveconf -n` of 2.3 does not print defaults.
fn switches(look: &Look<'_>, report: &mut Report) {
    for (key, default, wanted, danger) in [
        ("reject_on_fail", "no", "yes", "an outage of the sidecar lets everybody in"),
        ("check_after_auth", "yes", "yes", "no login is ever confirmed or recorded"),
        ("check_before_auth", "yes", "no", "every login is asked about before it has a handle, and refused"),
        ("log_only", "no", "no", "a refusal has no effect"),
    ] {
        let found = setting(look, key).unwrap_or(default);
        if found != wanted {
            let what = format!("auth_policy_{key} = {found}: {danger}");
            report.mistake(look.place, what, format!("set auth_policy_{key} = {wanted}, as octroi.conf does"));
        }
    }
}

fn attributes(look: &Look<'_>, report: &mut Report) {
    for (attribute, variable) in [("handle", "%{passdb:handle"), ("user", "%{user}"), ("mech", "%{mech")] {
        if !sends(look, attribute, variable) {
            let what =
                format!("auth_policy_request_attributes sends no {attribute}: no login can be joined to its token");
            report.mistake(look.place, what, "take auth_policy_request_attributes from octroi.conf as it stands");
        }
    }
}

/// Whether the question carries an attribute whose value begins so.
pub(super) fn sends(look: &Look<'_>, attribute: &str, variable: &str) -> bool {
    let sent = match look.version {
        DovecotVersion::V23 => {
            let attributes = look.conf.setting("auth_policy_request_attributes").unwrap_or_default();
            attributes.split(' ').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == attribute)
        }
        DovecotVersion::V24 => {
            let policies = look.conf.named("auth_policy");
            let inner = policies.flat_map(|policy| policy.named("request_attributes"));
            let all = inner.chain(look.conf.named("auth_policy_request_attributes"));
            all.filter_map(|block| block.setting(attribute)).last().map(|value| (attribute, value))
        }
    };
    sent.is_some_and(|(_, value)| value.starts_with(variable))
}

fn setting<'a>(look: &Look<'a>, key: &str) -> Option<&'a str> {
    match look.version {
        DovecotVersion::V23 => look.conf.setting(&format!("auth_policy_{key}")),
        DovecotVersion::V24 => look.conf.grouped("auth_policy", key),
    }
}
