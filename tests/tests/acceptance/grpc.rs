//! `gate.sock` of the real process: decisions, health and reflection for those who are listed, and nothing for others.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use octroi::proto::authenticate_request::Credentials;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi::proto::{AuthenticateRequest, Protocol, SaslMessage};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::sidecar::{Settings, Sidecar};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use crate::stage::{DEUX, SECRETARIAT, Stage, UN, last_authentication, provider};

pub(crate) async fn channel(sidecar: &Sidecar, socket: &str) -> Result<Channel> {
    let path = sidecar.folder().join(socket);
    Ok(Endpoint::new(format!("unix:{}", path.display()))?.connect().await?)
}

pub(crate) fn bearer(token: &str, mailbox: &str) -> AuthenticateRequest {
    AuthenticateRequest {
        credentials: Some(Credentials::Bearer(token.as_bytes().to_vec())),
        mailbox: mailbox.to_owned(),
        protocol: Protocol::Imap.into(),
        client_address: "192.0.2.7".to_owned(),
    }
}

pub(crate) fn sasl(token: &str, mailbox: &str) -> AuthenticateRequest {
    use base64::Engine as _;
    let message = format!("user={mailbox}\x01auth=Bearer {token}\x01\x01");
    let response = base64::engine::general_purpose::STANDARD.encode(message).into_bytes();
    let message = SaslMessage { mechanism: "XOAUTH2".to_owned(), response };
    AuthenticateRequest { credentials: Some(Credentials::Sasl(message)), mailbox: String::new(), ..bearer(token, "") }
}

/// The mailboxes that are granted, or the reason code of a refusal.
pub(crate) async fn ask(
    client: &mut GateClient<Channel>,
    request: AuthenticateRequest,
) -> Result<Result<Vec<String>, String>, Status> {
    let reply = client.authenticate(request).await?.into_inner();
    Ok(match reply.outcome.expect("an outcome") {
        Outcome::Allowed(allowed) => Ok(allowed.mailboxes),
        Outcome::Denied(denied) => Err(denied.reason),
    })
}

fn refused(reason: &str) -> Result<Vec<String>, String> {
    Err(reason.to_owned())
}

#[tokio::test]
async fn the_gate_answers_with_allow_deny_and_unavailable() -> Result<()> {
    let mut stage = Stage::start(&Settings { introspection: "required", ..Settings::default() })?;
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    let token = stage.psc.token(&doctor_one()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let one = |mailbox: &str| Ok(vec![mailbox.to_owned()]);
    ensure!(ask(&mut client, bearer(&token, UN)).await? == one(UN));
    ensure!(ask(&mut client, sasl(&token, SECRETARIAT)).await? == one(SECRETARIAT));
    ensure!(ask(&mut client, bearer(&token, "")).await? == Ok(vec![UN.to_owned(), SECRETARIAT.to_owned()]));
    ensure!(ask(&mut client, bearer(&token, DEUX)).await? == refused("mailbox-refused"));
    ensure!(ask(&mut client, sasl(&token, DEUX)).await? == refused("mailbox-refused"));
    ensure!(ask(&mut client, bearer(&expired, UN)).await? == refused("token-expired"));
    ensure!(ask(&mut client, bearer("", UN)).await?.is_err());

    let none = AuthenticateRequest { credentials: None, ..bearer("", UN) };
    let status = ask(&mut client, none).await.err().context("an answer to nothing")?;
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    let large = ask(&mut client, bearer(&"x".repeat(100_000), UN)).await.err().context("an answer to 100 kB")?;
    ensure!(large.code() == Code::OutOfRange || large.code() == Code::ResourceExhausted, "{large:?}");

    provider(stage.psc.stop());
    let fresh = stage.psc.token(&doctor_one()).mint();
    let status = ask(&mut client, bearer(&fresh, UN)).await.err().context("a decision without the issuer")?;
    let info = status.get_details_error_info().context("no ErrorInfo")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    ensure!((info.domain.as_str(), info.reason.as_str()) == ("octroi", "introspection-unavailable"), "{info:?}");
    // A decision is no login: what counts is the mail server's affair.
    ensure!(last_authentication(&stage.sidecar, UN)?.is_none(), "a decision was recorded as a login");
    Ok(())
}

#[tokio::test]
async fn without_keys_the_gates_health_is_bad_and_it_answers_that_it_can_not_tell() -> Result<()> {
    let mut stage = Stage::start(&Settings::default())?;
    stage.sidecar.stop()?;
    provider(stage.psc.stop());
    fs::remove_dir_all(stage.sidecar.folder().join("state/keys"))?;
    stage.sidecar.resume()?;
    let channel = channel(&stage.sidecar, "gate.sock").await?;
    let request = HealthCheckRequest { service: "octroi.v1.Gate".to_owned() };
    let mut news = HealthClient::new(channel.clone()).watch(request).await?.into_inner();
    let status = news.message().await?.context("no news")?.status;
    ensure!(status == tonic_health::ServingStatus::NotServing as i32, "{status}");
    let token = stage.psc.token(&doctor_one()).mint();
    let status =
        ask(&mut GateClient::new(channel), bearer(&token, UN)).await.err().context("a decision without keys")?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    Ok(())
}

/// This test's runtime has one thread, and the stop keeps it busy: its client answers nothing meanwhile.
#[tokio::test]
async fn a_client_that_does_not_let_go_keeps_no_sidecar_from_stopping() -> Result<()> {
    let mut stage = Stage::start(&Settings::default())?;
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    ensure!(ask(&mut client, bearer("", UN)).await?.is_err());
    stage.sidecar.stop()?;
    ensure!(stage.sidecar.log().contains("a client did not let go of its connection"), "{}", stage.sidecar.log());
    stage.sidecar.resume()
}

#[tokio::test]
async fn the_gate_tells_its_health_and_its_contract_and_opens_to_listed_users_alone() -> Result<()> {
    let stage = Stage::start(&Settings::default())?;
    let channel = channel(&stage.sidecar, "gate.sock").await?;
    for service in ["", "octroi.v1.Gate"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let reply = HealthClient::new(channel.clone()).check(request).await?.into_inner();
        ensure!(reply.status == tonic_health::ServingStatus::Serving as i32, "{service}: {reply:?}");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut replies =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::iter([request])).await?.into_inner();
    let reply = replies.message().await?.context("no reply")?;
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else { bail!("{reply:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    ensure!(names.contains(&"octroi.v1.Gate") && names.contains(&"grpc.health.v1.Health"), "{names:?}");

    // The list itself is under test, so the file's mode must not be what keeps them out.
    fs::set_permissions(stage.sidecar.folder(), Permissions::from_mode(0o755))?;
    for socket in ["gate.sock", "admin.sock"] {
        let path = stage.sidecar.folder().join(socket);
        ensure!(knock(&path, NOBODY)? == "no way", "the file's mode does not keep others away");
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        ensure!(knock(&path, NOBODY)? == "closed", "{socket} answers a user who is not listed");
        ensure!(knock(&path, NOBODY)? == "closed", "{socket} answers a user who is not listed");
        ensure!(knock(&path, 0)? == "answered", "{socket} does not answer root");
        let told =
            stage.sidecar.log().lines().filter(|line| line.contains(socket) && line.contains("not listed")).count();
        ensure!(told == 1, "{socket} is told {told} times:\n{}", stage.sidecar.log());
    }
    Ok(())
}

/// A user who is listed nowhere.
const NOBODY: u32 = 65534;

/// What becomes of another user's connection. An HTTP/2 server greets whoever it serves (RFC 9113 section 3.4).
const KNOCK: &str = r#"
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
door = socket.socket(socket.AF_UNIX)
door.settimeout(20)
try:
    door.connect(sys.argv[1])
except PermissionError:
    sys.exit("no way")
try:
    door.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    greeted = door.recv(64)
except (BrokenPipeError, ConnectionResetError):
    greeted = b""
sys.exit("answered" if greeted else "closed")
"#;

fn knock(socket: &Path, uid: u32) -> Result<String> {
    let output = Command::new("python3").args(["-c", KNOCK]).arg(socket).arg(uid.to_string()).output()?;
    Ok(String::from_utf8(output.stderr)?.trim_end().to_owned())
}
