use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::audit::Audit;
use crate::clock::{Clock, UnixSeconds};
use crate::gate::{Decision, DecisionId};
use crate::proto::gate_client::GateClient;
use crate::proto::issue_ticket_response::Outcome as Issued;
use crate::proto::redeem_ticket_response::Outcome as Redeemed;
use crate::rails::Permit;
use crate::tickets::{Standing, StandingJudge, TicketLimits};

/// A client of a door whose judge answers by the mailbox asked for.
async fn client(folder: &tempfile::TempDir) -> GateClient<tonic::transport::Channel> {
    client_of(folder, || true).await
}

async fn client_of(
    folder: &tempfile::TempDir,
    is_ready: impl Fn() -> bool + Send + Sync + 'static,
) -> GateClient<tonic::transport::Channel> {
    let path = folder.path().join("gate.sock");
    let door = UnixDoor::bind(&path, &[rustix::process::getuid().as_raw()]).unwrap();
    let judge = Judge::new(|attempt: Attempt| async move {
        assert_eq!((attempt.door, attempt.protocol), (Door::Grpc, Protocol::Imap));
        let outcome = match attempt.mailbox.as_deref() {
            Some("out@x.test") => UnavailableReason::KeysUnavailable.into(),
            Some("a@x.test") => Outcome::Allow(Permit::example(&["a@x.test"])),
            Some(_) => DenyReason::MailboxRefused.into(),
            None => Outcome::Allow(Permit::example(&["a@x.test", "b@x.test"])),
        };
        Decision { id: DecisionId::example(), outcome }
    });
    let pseudonyms = Pseudonyms::from_key(&[1; 32]);
    let tickets = Arc::new(tickets(pseudonyms.clone()));
    tokio::spawn(GateDoor::new(judge, tickets, pseudonyms, is_ready).serve(door, std::future::pending()));
    GateClient::connect(format!("unix:{}", path.display())).await.unwrap()
}

/// Tickets for `a@x.test`, whose logins turn into an outage once `outage@x.test` has asked for one.
fn tickets(pseudonyms: Pseudonyms) -> Tickets {
    let outage = Arc::new(AtomicBool::new(false));
    let judge = StandingJudge::new(move |attempt: Attempt| {
        assert_eq!((attempt.door, attempt.protocol), (Door::Ticket, Protocol::Imap));
        let asked = attempt.mailbox.unwrap_or_default();
        let outcome = match asked.as_str() {
            "a@x.test" => Outcome::Allow(Permit::example_for(&asked)),
            "" => Outcome::Allow(Permit::example(&["a@x.test", "b@x.test"])),
            "outage@x.test" => {
                outage.store(true, Ordering::SeqCst);
                UnavailableReason::KeysUnavailable.into()
            }
            _ => DenyReason::MailboxRefused.into(),
        };
        let outage = Arc::clone(&outage);
        let standing = Standing::new(move |mailbox| match outage.load(Ordering::SeqCst) {
            true => UnavailableReason::PolicyTrapped.into(),
            false => Outcome::Allow(Permit::example_for(mailbox.as_str())),
        });
        std::future::ready((Decision { id: DecisionId::example(), outcome }, Some(standing)))
    });
    let audit = Audit::to(std::io::sink(), pseudonyms).unwrap();
    Tickets::new(judge, TicketLimits::with_life(60), audit, Clock::manual(UnixSeconds(1_000_000)))
}

fn request(mailbox: &str) -> proto::AuthenticateRequest {
    proto::AuthenticateRequest {
        credentials: Some(Shown::Bearer(b"planted-token".to_vec())),
        mailbox: mailbox.to_owned(),
        protocol: proto::Protocol::Imap.into(),
        client_address: "192.0.2.1".to_owned(),
    }
}

#[tokio::test]
async fn allow_and_deny_are_replies() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(&folder).await;
    let reply = client.authenticate(request("a@x.test")).await.unwrap().into_inner();
    assert_eq!(reply.decision_id, DecisionId::example().to_string());
    let Some(Answer::Allowed(allowed)) = reply.outcome else { panic!("{reply:?}") };
    assert_eq!(allowed.mailboxes, ["a@x.test"]);
    assert_eq!(allowed.identity_digest.len(), 16);
    assert!(!format!("{allowed:?}").contains("899700000011"));
    let reply = client.authenticate(request("z@x.test")).await.unwrap().into_inner();
    let Some(Answer::Denied(denied)) = reply.outcome else { panic!("{reply:?}") };
    assert_eq!(denied.reason, "mailbox-refused");
    let reply = client.authenticate(request("")).await.unwrap().into_inner();
    let Some(Answer::Allowed(allowed)) = reply.outcome else { panic!("{reply:?}") };
    assert_eq!(allowed.mailboxes, ["a@x.test", "b@x.test"]);
}

#[tokio::test]
async fn an_outage_is_unavailable_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let status = client(&folder).await.authenticate(request("out@x.test")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("keys-unavailable", "octroi"));
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_by_field_and_the_connection_lives() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(&folder).await;
    let none = proto::AuthenticateRequest { credentials: None, ..request("a@x.test") };
    let elsewhere = proto::AuthenticateRequest { client_address: "here".to_owned(), ..request("a@x.test") };
    for (request, field) in [(none, "credentials"), (elsewhere, "client_address")] {
        let status = client.authenticate(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(status.get_error_details().bad_request().unwrap().field_violations[0].field, field);
    }
    let huge = proto::AuthenticateRequest { credentials: Some(Shown::Bearer(vec![b'a'; MAX_REQUEST])), ..request("") };
    assert_eq!(client.authenticate(huge).await.unwrap_err().code(), tonic::Code::OutOfRange);
    assert!(client.authenticate(request("a@x.test")).await.is_ok());
}

#[tokio::test]
async fn health_follows_readiness_in_both_directions_while_the_gate_answers() {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let folder = tempfile::tempdir().unwrap();
    let ready = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ready);
    let mut client = client_of(&folder, move || asked.load(Ordering::SeqCst)).await;
    let socket = format!("unix:{}", folder.path().join("gate.sock").display());
    let channel = tonic::transport::Endpoint::new(socket).unwrap().connect().await.unwrap();
    let health = tonic_health::pb::health_client::HealthClient::new(channel);
    let mut watched = Vec::new();
    for service in ["", "octroi.v1.Gate"] {
        let asked = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        watched.push(health.clone().watch(asked).await.unwrap().into_inner());
    }
    for (is_ready, expected) in [(false, NotServing), (true, Serving), (false, NotServing)] {
        ready.store(is_ready, Ordering::SeqCst);
        for news in &mut watched {
            assert_eq!(news.message().await.unwrap().unwrap().status, expected as i32);
        }
        assert!(client.authenticate(request("a@x.test")).await.is_ok());
    }
}

fn redeem(ticket: &str, mailbox: &str) -> proto::RedeemTicketRequest {
    let (ticket, mailbox) = (ticket.as_bytes().to_vec(), mailbox.to_owned());
    proto::RedeemTicketRequest { ticket, mailbox, client_address: "192.0.2.1".to_owned() }
}

/// The one mailbox, or the reason code.
fn redeemed(reply: proto::RedeemTicketResponse) -> String {
    match reply.outcome.unwrap() {
        Redeemed::Allowed(allowed) => allowed.mailboxes.join(" "),
        Redeemed::Denied(denied) => denied.reason,
    }
}

#[tokio::test]
async fn a_ticket_is_issued_for_an_allowed_login_and_redeemed_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(&folder).await;
    let asked = |mailbox: &str| proto::IssueTicketRequest { login: Some(request(mailbox)) };
    let reply = client.issue_ticket(asked("a@x.test")).await.unwrap().into_inner();
    let Some(Issued::Issued(issued)) = reply.outcome else { panic!("no ticket") };
    assert_eq!((issued.mailbox.as_str(), issued.expires_at), ("a@x.test", 1_000_060));
    let mut of = async |ticket: &str, mailbox: &str| client.redeem_ticket(redeem(ticket, mailbox)).await;
    assert_eq!(redeemed(of(&issued.ticket, "b@x.test").await.unwrap().into_inner()), "ticket-mailbox");
    let reply = of(&issued.ticket, "A@x.test").await.unwrap().into_inner();
    assert_eq!(reply.decision_id, DecisionId::example().to_string());
    assert_eq!(redeemed(reply), "a@x.test");
    assert_eq!(redeemed(of(&issued.ticket, "a@x.test").await.unwrap().into_inner()), "ticket-used");
    assert_eq!(redeemed(of("planted-token", "a@x.test").await.unwrap().into_inner()), "ticket-unknown");
    assert_eq!(redeemed(of("planted-token", "*").await.unwrap().into_inner()), "mailbox-malformed");

    let reply = client.issue_ticket(asked("z@x.test")).await.unwrap().into_inner();
    let Some(Issued::Denied(denied)) = reply.outcome else { panic!("a ticket for a refused login") };
    assert_eq!(denied.reason, "mailbox-refused");
}

#[tokio::test]
async fn a_ticket_is_for_one_named_mailbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(&folder).await;
    let nothing = client.issue_ticket(proto::IssueTicketRequest { login: None }).await.unwrap_err();
    assert_eq!(nothing.get_error_details().bad_request().unwrap().field_violations[0].field, "login");
    let unnamed = client.issue_ticket(proto::IssueTicketRequest { login: Some(request("")) }).await.unwrap_err();
    assert_eq!(unnamed.get_error_details().bad_request().unwrap().field_violations[0].field, "login.mailbox");
    // A message names one, or does not: nobody knows before it is judged.
    let message = proto::SaslMessage { mechanism: "OAUTHBEARER".to_owned(), response: b"bg==".to_vec() };
    let login = proto::AuthenticateRequest { credentials: Some(Shown::Sasl(message)), ..request("") };
    let reply = client.issue_ticket(proto::IssueTicketRequest { login: Some(login) }).await.unwrap().into_inner();
    let Some(Issued::Denied(denied)) = reply.outcome else { panic!("a ticket for whichever comes first") };
    assert_eq!(denied.reason, "mailbox-malformed");
}

#[tokio::test]
async fn an_outage_gives_no_ticket_and_takes_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(&folder).await;
    let asked = |mailbox: &str| proto::IssueTicketRequest { login: Some(request(mailbox)) };
    let reply = client.issue_ticket(asked("a@x.test")).await.unwrap().into_inner();
    let Some(Issued::Issued(issued)) = reply.outcome else { panic!("no ticket") };
    let code = |status: Status| status.get_error_details().error_info().unwrap().reason.clone();
    assert_eq!(code(client.issue_ticket(asked("outage@x.test")).await.unwrap_err()), "keys-unavailable");
    for _ in 0..2 {
        let status = client.redeem_ticket(redeem(&issued.ticket, "a@x.test")).await.unwrap_err();
        assert_eq!((status.code(), code(status).as_str()), (tonic::Code::Unavailable, "policy-trapped"));
    }
}
