//! The live probe: a real login on each server, in two halves that must both hold.
//!
//! The canary is let in: server and sidecar are joined. A non-member with the same token is not: the server holds the
//! name against the answer, and nothing else lets tokens in. One half alone proves nothing.

mod imap;
mod tls;

use std::path::Path;

use self::imap::Login;
use super::report::Report;
use super::sidecar::connect;
use crate::config::{Config, DovecotServer};
use crate::proto::IssueProbeRequest;
use crate::proto::probe_client::ProbeClient;

/// Both mechanisms: a server may treat them differently.
const MECHANISMS: [&str; 2] = ["XOAUTH2", "OAUTHBEARER"];

/// Probes every server.
pub(super) async fn look(config: &Config, socket: &Path, running: bool, report: &mut Report) {
    let servers = &config.check.dovecot;
    if servers.is_empty() {
        report.unchecked("live probe", "no server is named", "add a [[check.dovecot]] to the configuration");
        return;
    }
    if config.check.canary.is_none() {
        let remedy = "reserve two addresses for it: canary and non_member in [check]";
        report.unchecked("live probe", "no canary is configured", remedy);
        return;
    }
    if !running {
        report.unchecked("live probe", "the sidecar does not answer", "start it");
        return;
    }
    for server in servers {
        for mechanism in MECHANISMS {
            probe(server, mechanism, socket, report).await;
        }
    }
}

async fn probe(server: &DovecotServer, mechanism: &str, socket: &Path, report: &mut Report) {
    let place = format!("Dovecot {} at {}", server.version.code(), server.imap);
    let issued = match connect(socket).await {
        Ok(channel) => ProbeClient::new(channel).issue(IssueProbeRequest {}).await,
        Err(error) => Err(tonic::Status::from_error(error.into())),
    };
    let probe = match issued {
        Ok(issued) => issued.into_inner(),
        Err(status) => {
            let what = format!("no probe token: {}", status.message());
            report.mistake(place, what, "restart the sidecar, so that it knows the canary");
            return;
        }
    };
    let canary = imap::login(server, mechanism, &probe.canary, &probe.token).await;
    let non_member = imap::login(server, mechanism, &probe.non_member, &probe.token).await;
    judge(&place, mechanism, canary, non_member, report);
}

/// Weighs the two halves.
fn judge(place: &str, mechanism: &str, canary: Login, non_member: Login, report: &mut Report) {
    match non_member {
        Login::Accepted => {
            report.mistake(
                place,
                format!(
                    "{mechanism}: A NON-MEMBER WAS LET IN: this server opens any mailbox to any token, or asks nobody"
                ),
                "take xoauth2 and oauthbearer out of auth_mechanisms at once, then correct what stands above",
            );
            return;
        }
        Login::Failed(what) => {
            let remedy = "see that the server runs, and that imap, tls, ca_file and server_name are right";
            report.mistake(place, format!("{mechanism}: the non-member's login could not be tried: {what}"), remedy);
            return;
        }
        Login::Refused(_) => {}
    }
    match canary {
        Login::Accepted => report.good(place, format!("{mechanism}: the canary is let in, a non-member is not")),
        Login::Refused(reply) => report.mistake(
            place,
            format!("{mechanism}: the canary was refused: {reply}"),
            "see that the userdb knows the canary, that the secrets are those of the sidecar, and the server's log",
        ),
        Login::Failed(what) => report.mistake(
            place,
            format!("{mechanism}: the canary's login could not be tried: {what}"),
            "see that the userdb knows the canary, and the server's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_must_hold() {
        let refused = || Login::Refused("NO".to_owned());
        let failed = || Login::Failed("no answer".to_owned());
        for (canary, non_member, good) in [
            (Login::Accepted, refused(), true),
            (Login::Accepted, Login::Accepted, false),
            (refused(), refused(), false),
            (refused(), Login::Accepted, false),
            (Login::Accepted, failed(), false),
            (failed(), refused(), false),
        ] {
            let mut report = Report::default();
            judge("here", "XOAUTH2", canary, non_member, &mut report);
            assert_eq!(report.mistakes() == 0, good);
            assert_eq!(report.findings().len(), 1);
        }
    }
}
