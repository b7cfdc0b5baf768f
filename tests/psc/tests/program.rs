//! The program, as the demo and a person at a terminal use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Result;
use octroi_psc::state_dir::Card;
use serde_json::Value;

struct Running {
    child: Child,
    card: Card,
}

impl Running {
    fn start(state: &Path, extra: &[&str]) -> Self {
        let mut child = program(state).args(extra).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let card = serde_json::from_str(&line).expect("one line of JSON");
        Self { child, card }
    }

    fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill \"$1\"", "sh", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "it ends well when told to");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way must not leave it behind; one that ended it has nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi-psc"));
    command.arg("--state-dir").arg(state);
    command
}

fn token(state: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octroi-psc"));
    let output = command.arg("token").arg("--state-dir").arg(state).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

async fn introspect(card: &Card, token: &str) -> Value {
    let ca = std::fs::read(card.ca.as_deref().expect("TLS")).unwrap();
    let authority = reqwest::Certificate::from_pem(&ca).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let answer = client
        .post(format!("{}/protocol/openid-connect/token/introspect", card.issuer))
        .basic_auth(&card.client_id, Some(&card.client_secret))
        .body(format!("token={token}"))
        .send()
        .await
        .unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_minted_beside_it_is_active_and_a_bad_one_is_not() -> Result<()> {
    let state = tempfile::tempdir()?;
    let running = Running::start(state.path(), &["--tls"]);
    let (made, good) = token(state.path(), &["--identity", "2", "--bytes", "2000"]);
    assert!(made);
    assert_eq!(good.len(), 2000);
    let answer = introspect(&running.card, &good).await;
    assert_eq!((&answer["active"], &answer["SubjectNameID"]), (&true.into(), &"899700000022".into()));

    let (_, slash) = token(state.path(), &["--identity", "500000000000017/CPAT00001"]);
    assert_eq!(introspect(&running.card, &slash).await["username"], "500000000000017/CPAT00001");
    let (_, bad) = token(state.path(), &["--deviate", "bad-signature"]);
    assert_eq!(introspect(&running.card, &bad).await["active"], false);
    running.end();
    Ok(())
}

#[test]
fn keys_secrets_and_authority_outlive_it_and_only_the_owner_reads_them() -> Result<()> {
    let state = tempfile::tempdir()?;
    let first = Running::start(state.path(), &["--tls"]);
    let (card, ca) = (first.card.clone(), std::fs::read(state.path().join("ca.pem"))?);
    first.end();
    let second = Running::start(state.path(), &["--tls"]);
    assert_eq!(second.card.client_secret, card.client_secret);
    assert_eq!(std::fs::read(state.path().join("ca.pem"))?, ca);
    for name in ["signing-key.der", "client-secret", "tls-key.pem", "psc.json"] {
        assert_eq!(state.path().join(name).metadata()?.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::read_to_string(&card.directory)?, octroi_psc::directory_csv());
    second.end();
    Ok(())
}

#[test]
fn without_a_state_folder_that_was_used_there_is_no_token() -> Result<()> {
    let state = tempfile::tempdir()?;
    let (made, text) = token(state.path(), &[]);
    assert!(!made && text.is_empty());
    Ok(())
}

#[test]
fn it_listens_on_nothing_but_loopback() -> Result<()> {
    let state = tempfile::tempdir()?;
    let output = program(state.path()).args(["--listen", "0.0.0.0:0"]).output()?;
    assert!(!output.status.success() && output.stdout.is_empty());
    Ok(())
}
