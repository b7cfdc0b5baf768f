//! The sidecar's word on a ticket, within a deadline.

use std::path::Path;
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use crate::contract::RedeemTicketRequest;
use crate::contract::gate_client::GateClient;
use crate::contract::redeem_ticket_response::Outcome;
use crate::verdict::Refusal;

/// Where the sidecar listens unless told otherwise: `[server] gate_socket` of octroi.toml.
pub const SOCKET: &str = "/run/octroi/gate.sock";

/// Longest wait for the sidecar. A redemption asks nobody and takes it a millisecond; Dovecot's login processes wait
/// for two minutes and a half, and qmail's callers for longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Redeems a password for a mailbox, which is then given as the directory writes it.
///
/// # Errors
/// [`Refusal::Denied`] where the sidecar says so; any trouble is [`Refusal::Unavailable`].
pub fn redeem(socket: &Path, password: &[u8], mailbox: &str, client_address: &str) -> Result<String, Refusal> {
    // An address that is none would be the caller's mistake, and no reason to keep a doctor out.
    let client_address = client_address.parse::<std::net::IpAddr>().map(|ip| ip.to_string()).unwrap_or_default();
    let asked = RedeemTicketRequest { ticket: password.to_vec(), mailbox: mailbox.to_owned(), client_address };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Refusal::Unavailable(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, ask(socket, asked)).await.unwrap_or_else(|_| {
            Err(Refusal::Unavailable(format!("{}: no answer within {} s", socket.display(), DEADLINE.as_secs())))
        })
    })
}

async fn ask(socket: &Path, request: RedeemTicketRequest) -> Result<String, Refusal> {
    let unreachable = |error: &(dyn std::error::Error + 'static)| {
        let user = nix::unistd::geteuid();
        Refusal::Unavailable(format!(
            "{}: {}; does the sidecar run, is user {user} in its gate_uids, and may it open the socket (gate_group)?",
            socket.display(),
            causes(error),
        ))
    };
    let endpoint = Endpoint::new(format!("unix:{}", socket.display())).map_err(|error| unreachable(&error))?;
    let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;
    let reply = match GateClient::new(channel).redeem_ticket(request).await {
        Ok(reply) => reply.into_inner(),
        // A reason of the sidecar's, or a connection that it closes on whoever is not listed.
        Err(status) => {
            return Err(match status.get_details_error_info() {
                Some(info) => Refusal::Unavailable(format!("{}: {}", info.reason, status.message())),
                None => unreachable(&status),
            });
        }
    };
    verdict(reply.outcome)
}

/// What an answer says.
fn verdict(outcome: Option<Outcome>) -> Result<String, Refusal> {
    match outcome {
        Some(Outcome::Allowed(allowed)) => match <[String; 1]>::try_from(allowed.mailboxes) {
            Ok([mailbox]) => Ok(mailbox),
            Err(_) => Err(Refusal::Unavailable("the sidecar's answer is not about one mailbox".to_owned())),
        },
        Some(Outcome::Denied(denied)) => {
            Err(Refusal::Denied(Some(format!("the ticket is refused: {}: {}", denied.reason, denied.message))))
        }
        None => Err(Refusal::Unavailable("the sidecar's answer is none that this version knows".to_owned())),
    }
}

/// An error with what caused it, on one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Allowed, Denied};

    #[test]
    fn an_answer_lets_in_by_one_mailbox_and_a_strange_one_is_no_wrong_password() {
        let allowed = |mailboxes: &[&str]| {
            let mailboxes = mailboxes.iter().map(ToString::to_string).collect();
            verdict(Some(Outcome::Allowed(Allowed { mailboxes, ..Allowed::default() })))
        };
        assert_eq!(allowed(&["a@x.test"]), Ok("a@x.test".to_owned()));
        for strange in [allowed(&[]), allowed(&["a@x.test", "b@x.test"]), verdict(None)] {
            assert!(matches!(strange, Err(Refusal::Unavailable(_))), "{strange:?}");
        }
        let denied = Denied { reason: "ticket-used".to_owned(), message: "m".to_owned() };
        let told = "the ticket is refused: ticket-used: m".to_owned();
        assert_eq!(verdict(Some(Outcome::Denied(denied))), Err(Refusal::Denied(Some(told))));
    }
}
