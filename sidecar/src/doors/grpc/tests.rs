use super::*;
use crate::gate::{Decision, DecisionId};
use crate::proto::gate_client::GateClient;
use crate::rails::Permit;
use crate::reason::DenyReason;

/// A client of a door whose judge answers by the mailbox asked for.
async fn client(folder: &tempfile::TempDir) -> GateClient<tonic::transport::Channel> {
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
    tokio::spawn(GateDoor::new(judge, Pseudonyms::from_key(&[1; 32])).serve(door, std::future::pending()));
    GateClient::connect(format!("unix:{}", path.display())).await.unwrap()
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
async fn health_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let _client = client(&folder).await;
    let socket = format!("unix:{}", folder.path().join("gate.sock").display());
    let channel = tonic::transport::Endpoint::new(socket).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    for service in ["", "octroi.v1.Gate"] {
        let asked = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let status = health.check(asked).await.unwrap().into_inner().status;
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving as i32);
    }
}
