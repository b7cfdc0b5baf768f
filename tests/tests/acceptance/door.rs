//! The sidecar's HTTP doors without a Dovecot before them: bytes in, bytes out.
//!
//! Must never go through a library that would mend what a test wants to be broken.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_tests::dovecot::Door;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than the sidecar waits for anybody.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// The `Authorization` line that opens a door.
pub(crate) fn authorization(user: &str, secret: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{secret}")))
}

/// Asks about a token as Dovecot does.
pub(crate) async fn introspect(door: &Door, token: &str) -> Result<Heard> {
    let lines = authorization("introspection", &door.secret);
    post(door.port, "/introspect", &lines, &format!("token={token}")).await
}

/// Asks for the last word on a login as Dovecot does.
pub(crate) async fn last_word(door: &Door, question: &Value) -> Result<Heard> {
    post(door.port, "/policy?command=allow", &authorization("policy", &door.secret), &question.to_string()).await
}

/// One POST with these header lines.
pub(crate) async fn post(port: u16, target: &str, lines: &str, body: &str) -> Result<Heard> {
    let length = body.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    );
    heard(&say(port, request.as_bytes()).await?)
}

/// Reads one answer.
pub(crate) fn heard(bytes: &[u8]) -> Result<Heard> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("not an answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Heard { status: status.with_context(|| head.to_owned())?, body: body.to_owned() })
}

/// Sends bytes and gives whatever comes until the sidecar closes. The sending side stays open.
pub(crate) async fn say(port: u16, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // Whoever sends too much is not listened to till the end.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    // A reset is an end like any other; what came before it stays.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("not closed in time")?;
    Ok(answer)
}
