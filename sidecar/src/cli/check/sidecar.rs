//! The running sidecar and its directory, by what it says of itself.

use std::path::Path;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::report::Report;
use crate::config::Config;
use crate::evidence::directory::MailboxAddress;
use crate::proto::mailboxes_client::MailboxesClient;
use crate::proto::status_client::StatusClient;
use crate::proto::{GetStatusRequest, ListMailboxesRequest, TrustSpaceStatus};

const PLACE: &str = "sidecar";
const DEADLINE: Duration = Duration::from_secs(10);

/// Connects to the admin socket.
pub(super) async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    Endpoint::new(format!("unix:{}", socket.display()))?.timeout(DEADLINE).connect().await
}

/// Looks at the sidecar; `false` where none answers.
pub(super) async fn look(socket: &Path, config: &Config, report: &mut Report) -> bool {
    let status = match connect(socket).await {
        Ok(channel) => {
            StatusClient::new(channel.clone()).get(GetStatusRequest {}).await.map(|status| (status, channel))
        }
        Err(error) => Err(tonic::Status::from_error(error.into())),
    };
    let (status, channel) = match status {
        Ok((status, channel)) => (status.into_inner(), channel),
        Err(_) => {
            let what = format!("no answer at {}", socket.display());
            let remedy = "start it (octroi serve), and run this check as a user listed in [server] admin_uids";
            report.mistake(PLACE, what, remedy);
            return false;
        }
    };
    report.good(
        PLACE,
        format!("version {} answers, policy {} {}", status.version, status.policy_name, status.policy_version),
    );
    for issuer in status.issuers.iter().filter(|issuer| issuer.key_ids.is_empty()) {
        let what = format!("no key of {}: {}", issuer.issuer, issuer.keys_error);
        report.mistake(PLACE, what, "until it has one every login with its tokens is answered with an outage");
    }
    if status.mailboxes == 0 {
        let remedy = "octroi mailbox import FILE; without one no token opens anything";
        report.mistake("directory", "no mailbox", remedy);
    } else {
        report.good("directory", format!("{} mailboxes", status.mailboxes));
    }
    trust_space(config, status.trust_space.as_ref(), report);
    reserved(channel, config, report).await;
    true
}

/// A policy that asks for the trust space needs its list.
fn trust_space(config: &Config, list: Option<&TrustSpaceStatus>, report: &mut Report) {
    let asked = config.policy.settings.get("submission").and_then(|submission| submission.get("recipient_domains"));
    match (asked.and_then(serde_json::Value::as_str), list) {
        (Some("trust-space"), None) => report.mistake(
            "trust space",
            "no list of it, and [policy.settings] asks for one: every message with a recipient is put off",
            "octroi trust-space import FILE, and once a day from then on",
        ),
        (Some("trust-space"), Some(list)) => {
            report.good("trust space", format!("{} domains, list of {}", list.domains, list.generated));
        }
        (Some(_) | None, Some(_) | None) => {}
    }
}

/// The addresses of the live probe must be nobody's mailbox.
async fn reserved(channel: Channel, config: &Config, report: &mut Report) {
    let mut client = MailboxesClient::new(channel);
    for address in [&config.check.canary, &config.check.non_member].into_iter().flatten() {
        match listed(&mut client, address).await {
            Ok(false) => {}
            Ok(true) => {
                let remedy = "take it out of the directory, or reserve another address in [check]";
                report.mistake("directory", format!("{address} is reserved for the live probe, and a mailbox"), remedy);
            }
            Err(status) => {
                let what = format!("{address} can't be looked up: {}", status.message());
                report.unchecked("directory", what, "look at the sidecar's log");
            }
        }
    }
}

/// Whether an address is in the directory: the first one after its predecessor in the order of addresses.
async fn listed(client: &mut MailboxesClient<Channel>, address: &MailboxAddress) -> Result<bool, tonic::Status> {
    let wanted = address.as_str();
    let mut before = wanted.to_owned();
    // Addresses are ASCII; what comes just before this one begins with all of it but its last character.
    before.pop();
    loop {
        let page = client.list(ListMailboxesRequest { after: before, limit: 1000 }).await?.into_inner();
        if page.mailboxes.iter().any(|mailbox| mailbox.address == wanted) {
            return Ok(true);
        }
        if page.next.is_empty() || page.next.as_str() > wanted {
            return Ok(false);
        }
        before = page.next;
    }
}
