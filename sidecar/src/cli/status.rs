//! `octroi status`: what the running sidecar is made of, and what it counted.

use std::io::Write;
use std::path::Path;

use super::mailbox::moment;
use super::{admin, table};
use crate::proto::status_client::StatusClient;
use crate::proto::{GetStatusRequest, GetStatusResponse, IssuerStatus};

pub(super) fn run(socket: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let status = admin::ask(socket, |channel| async {
        let reply = StatusClient::new(channel).get(GetStatusRequest {}).await;
        reply.map(tonic::Response::into_inner).map_err(|status| admin::refusal(&status))
    })?;
    print(&status, output)
}

fn print(status: &GetStatusResponse, output: &mut impl Write) -> anyhow::Result<()> {
    let digest: String = status.policy_digest.chars().take(16).collect();
    let policy = format!("{} {} (sha256 {digest}...)", status.policy_name, status.policy_version);
    let trust_space = status.trust_space.as_ref().map_or_else(
        || "no list imported".to_owned(),
        |list| format!("{} domains, list of {}, imported {}", list.domains, list.generated, moment(list.imported_at)),
    );
    let facts = [
        ["version", status.version.as_str()],
        ["policy", policy.as_str()],
        ["mailboxes", &status.mailboxes.to_string()],
        ["trust space", &trust_space],
    ];
    table::print(output, ["sidecar", ""], facts)?;
    writeln!(output)?;
    table::print(
        output,
        ["issuer", "keys", "read at", "introspection", "last error"],
        status.issuers.iter().map(issuer),
    )?;
    writeln!(output)?;
    let mut counters: Vec<[String; 2]> =
        status.counters.iter().map(|(name, count)| [name.clone(), count.to_string()]).collect();
    counters.sort();
    table::print(output, ["counter", "since the start"], counters)?;
    Ok(())
}

fn issuer(issuer: &IssuerStatus) -> [String; 5] {
    let keys = match issuer.key_ids.len() {
        0 => "none: its tokens can't be judged".to_owned(),
        _ => issuer.key_ids.join(", "),
    };
    let read = match issuer.keys_read_at {
        0 => "never".to_owned(),
        at => moment(at),
    };
    let error = if issuer.keys_error.is_empty() { "none" } else { &issuer.keys_error };
    [issuer.issuer.clone(), keys, read, issuer.introspection.clone(), error.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TrustSpaceStatus;

    #[test]
    fn the_list_of_the_trust_space_is_shown_with_its_dates() {
        let shown = |status: &GetStatusResponse| {
            let mut output = Vec::new();
            print(status, &mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        assert!(shown(&GetStatusResponse::default()).contains("no list imported"));
        let list = TrustSpaceStatus { generated: "2026-11-20".to_owned(), imported_at: 0, domains: 8655 };
        let text = shown(&GetStatusResponse { trust_space: Some(list), ..GetStatusResponse::default() });
        assert!(text.contains("8655 domains, list of 2026-11-20, imported 1970-01-01T00:00:00Z"), "{text}");
    }

    #[test]
    fn an_issuer_without_keys_is_told_so() {
        let status = GetStatusResponse {
            version: "0.1.0".to_owned(),
            issuers: vec![IssuerStatus {
                issuer: "https://psc.example.test".to_owned(),
                keys_error: "no answer".to_owned(),
                introspection: "off".to_owned(),
                ..IssuerStatus::default()
            }],
            counters: [("decisions_allowed".to_owned(), 7)].into(),
            ..GetStatusResponse::default()
        };
        let mut output = Vec::new();
        print(&status, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        for part in ["none: its tokens can't be judged", "never", "no answer", "decisions_allowed", "7"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
