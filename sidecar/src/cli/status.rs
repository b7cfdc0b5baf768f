//! `octroi status`: what the running sidecar is made of, in what state its providers and its revocation lists are, and
//! what it counted.

mod revocation;

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use super::mailbox::moment;
use super::{admin, table};
use crate::proto::status_client::StatusClient;
use crate::proto::{CertificatesStatus, GetStatusRequest, GetStatusResponse, IntrospectionStatus, IssuerStatus};

pub(super) fn run(socket: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let status = admin::ask(socket, |channel| async {
        let reply = StatusClient::new(channel).get(GetStatusRequest {}).await;
        reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
    })?;
    print(&status, output)
}

fn print(status: &GetStatusResponse, output: &mut impl Write) -> anyhow::Result<()> {
    let digest: String = status.policy_digest.chars().take(16).collect();
    let trust_space = status.trust_space.as_ref().map_or_else(
        || "no list imported".to_owned(),
        |list| format!("{} domains, list of {}, imported {}", list.domains, list.generated, moment(list.imported_at)),
    );
    let mut facts = vec![
        ["version", &status.version].map(str::to_owned),
        ["ready".to_owned(), if status.ready { "yes".to_owned() } else { format!("NO: {}", status.not_ready) }],
        [
            "policy".to_owned(),
            format!(
                "{} {} (sha256 {digest}...){}",
                status.policy_name,
                status.policy_version,
                if status.policy_unsigned { ", a release that NOBODY SIGNED" } else { "" }
            ),
        ],
        ["mailboxes".to_owned(), status.mailboxes.to_string()],
        ["trust space".to_owned(), trust_space],
        ["certificates".to_owned(), certificates(&status.certificates.unwrap_or_default())],
    ];
    if status.policy_probation_until != 0 {
        let until = moment(status.policy_probation_until);
        facts.push(["probation".to_owned(), format!("taken back by itself until {until} where it fails")]);
    }
    if status.policy_failures != 0 {
        let failures = status.policy_failures;
        facts.push(["policy failures".to_owned(), format!("FAILED {failures} times since it came into service")]);
    }
    if let Some(memory) = &status.signatures {
        let found = share(memory.hits, memory.hits + memory.misses);
        facts.push(["signatures".to_owned(), format!("{} remembered, {found} of the lookups found", memory.held)]);
    }
    table::print(output, ["sidecar", ""], facts)?;
    for status in &status.issuers {
        writeln!(output)?;
        table::print(output, ["issuer", ""], issuer(status))?;
    }
    if let Some(status) = &status.revocation {
        writeln!(output)?;
        revocation::print(status, output)?;
    }
    writeln!(output)?;
    let mut counters: Vec<[String; 2]> =
        status.counters.iter().map(|(name, count)| [name.clone(), count.to_string()]).collect();
    counters.sort();
    table::print(output, ["counter", "since the start"], counters)?;
    Ok(())
}

fn certificates(status: &CertificatesStatus) -> String {
    let CertificatesStatus { enrolled, expiring, expired, chain_unknown } = *status;
    let mut text = format!("{enrolled} enrolled");
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    };
    add(expiring, "EXPIRE within 60 days");
    add(expired, "HAVE EXPIRED");
    add(chain_unknown, "of NO CONFIGURED CHAIN");
    text
}

fn issuer(issuer: &IssuerStatus) -> Vec<[String; 2]> {
    let row = |name: &str, value: String| [name.to_owned(), value];
    let mut rows = vec![row("name", issuer.issuer.clone()), row("keys", keys(issuer))];
    if !issuer.key_ids.is_empty() {
        rows.push(row("key ids", issuer.key_ids.join("\n")));
    }
    if !issuer.skipped.is_empty() {
        rows.push(row("not used", issuer.skipped.join("\n")));
    }
    let failing = match issuer.keys_failing_seconds {
        0 => String::new(),
        seconds => format!("\nfailing for {}", span(seconds)),
    };
    let error = if issuer.keys_error.is_empty() { "none" } else { &issuer.keys_error };
    rows.push(row("last error", format!("{error}{failing}")));
    rows.push(row("fetches", format!("{}, {} of them failed", issuer.key_fetches, issuer.key_fetch_failures)));
    if !issuer.copy_error.is_empty() {
        rows.push(row("copy on disk", issuer.copy_error.clone()));
    }
    rows.push(row("introspection", issuer.introspection.clone()));
    if let Some(status) = &issuer.introspection_status {
        rows.extend(introspection(status));
    }
    rows
}

fn keys(issuer: &IssuerStatus) -> String {
    let read = match issuer.keys_read_at {
        0 => return "none: its tokens can't be judged".to_owned(),
        at => format!("confirmed {}, {} ago", moment(at), span(issuer.keys_age_seconds)),
    };
    let origin = if issuer.keys_origin == "disk" { ", from the copy on disk" } else { "" };
    let next = span(issuer.keys_next_refresh_seconds);
    let state = match issuer.keys_state.as_str() {
        "unavailable" => "TOO OLD: its tokens can't be judged",
        "stale" => "STALE",
        state => state,
    };
    format!("{state}\n{read}{origin}\nnext read in {next}")
}

fn introspection(status: &IntrospectionStatus) -> Vec<[String; 2]> {
    let breaker = match status.breaker_open_seconds {
        0 => status.breaker.clone(),
        seconds => format!("{} for {} more", status.breaker, span(seconds)),
    };
    let degraded = match status.degraded_seconds {
        0 => "no".to_owned(),
        seconds if status.may_degrade => format!("SINCE {}", span(seconds)),
        seconds => format!("SINCE {}: longer than it may", span(seconds)),
    };
    let error = if status.last_error.is_empty() { "none" } else { &status.last_error };
    let held = format!("{} good and {} bad ones held", status.held_active, status.held_inactive);
    let found = share(status.remembered, status.remembered + status.not_remembered);
    let mut rows = [
        ["breaker", breaker.as_str()],
        ["degraded", degraded.as_str()],
        ["last error", error],
        ["questions", &format!("{}, {} of them failed, {} out now", status.asked, status.failed, status.in_flight)],
        ["not sent", &format!("{} while the breaker was open, {} for too many out", status.spared, status.crowded)],
        ["answers", &format!("{found} found in memory, {held}")],
    ]
    .map(|row| row.map(str::to_owned))
    .to_vec();
    if status.not_entitled_seconds > 0 {
        let alarm = format!(
            "NOT ENTITLED? For {} every live token was called inactive\n{}",
            span(status.not_entitled_seconds),
            status.inactive.join("\n")
        );
        rows.push(["alarm".to_owned(), alarm]);
    }
    rows
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn share(part: u64, whole: u64) -> String {
    match (part * 100).checked_div(whole) {
        Some(percent) => format!("{percent} %"),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TrustSpaceStatus;

    fn printed(status: &GetStatusResponse) -> String {
        let mut output = Vec::new();
        print(status, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn the_list_of_the_trust_space_is_shown_with_its_dates() {
        assert!(printed(&GetStatusResponse::default()).contains("no list imported"));
        let list = TrustSpaceStatus { generated: "2026-11-20".to_owned(), imported_at: 0, domains: 8655 };
        let text = printed(&GetStatusResponse { trust_space: Some(list), ..GetStatusResponse::default() });
        assert!(text.contains("8655 domains, list of 2026-11-20, imported 1970-01-01T00:00:00Z"), "{text}");
    }

    #[test]
    fn certificates_that_need_somebody_are_counted_apart() {
        assert!(printed(&GetStatusResponse::default()).contains("0 enrolled "));
        let all = CertificatesStatus { enrolled: 9, expiring: 2, expired: 1, chain_unknown: 3 };
        let text = printed(&GetStatusResponse { certificates: Some(all), ..GetStatusResponse::default() });
        assert!(
            text.contains("9 enrolled, 2 EXPIRE within 60 days, 1 HAVE EXPIRED, 3 of NO CONFIGURED CHAIN"),
            "{text}"
        );
    }

    #[test]
    fn an_issuer_without_keys_is_told_so() {
        let text = printed(&GetStatusResponse {
            version: "0.1.0".to_owned(),
            not_ready: "no issuer has usable keys".to_owned(),
            issuers: vec![IssuerStatus {
                issuer: "https://psc.example.test".to_owned(),
                keys_error: "no answer".to_owned(),
                keys_failing_seconds: 200,
                introspection: "off".to_owned(),
                ..IssuerStatus::default()
            }],
            counters: [("decisions_allowed".to_owned(), 7)].into(),
            ..GetStatusResponse::default()
        });
        let parts = ["NO: no issuer has usable keys", "none: its tokens can't be judged", "decisions_allowed", "7"];
        for part in parts.into_iter().chain(["no answer", "failing for 3 min"]) {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_bad_day_is_told_whole_and_in_lines_of_a_terminals_length() {
        let text = printed(&GetStatusResponse {
            ready: true,
            policy_name: "octroi".to_owned(),
            policy_digest: "0".repeat(64),
            issuers: vec![IssuerStatus {
                issuer: "https://auth.esw.esante.gouv.fr/auth/realms/esante-wallet".to_owned(),
                key_ids: vec!["k".repeat(43); 3],
                keys_read_at: 1_800_000_000,
                keys_state: "stale".to_owned(),
                keys_origin: "disk".to_owned(),
                keys_age_seconds: 7300,
                keys_error: "the keys can't be had: the server's certificate is not trusted for this name".to_owned(),
                keys_failing_seconds: 7300,
                skipped: vec!["small: an RSA key of fewer than 2048 bits".to_owned()],
                introspection: "preferred".to_owned(),
                introspection_status: Some(IntrospectionStatus {
                    breaker: "open".to_owned(),
                    breaker_open_seconds: 12,
                    degraded_seconds: 300,
                    may_degrade: true,
                    remembered: 3,
                    not_remembered: 1,
                    not_entitled_seconds: 60,
                    inactive: vec!["logiciel: 5".to_owned()],
                    ..IntrospectionStatus::default()
                }),
                ..IssuerStatus::default()
            }],
            ..GetStatusResponse::default()
        });
        let parts = ["STALE", "2 h 1 min ago", "from the copy on disk", "open for 12 s more", "SINCE 5 min", "75 %"];
        for part in parts.into_iter().chain(["NOT ENTITLED?", "logiciel: 5", "fewer than 2048 bits"]) {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }
}
