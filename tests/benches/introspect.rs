//! The introspection door over HTTP, as Dovecot asks it, beside HAProxy and beside an echo.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bench::Bench;
use crate::contest::{self, Asked, Contender};
use crate::credentials::{Credentials, MAILBOX_PATTERN};
use crate::echo::{self, Echo};
use crate::figure::{Figure, Goal};
use crate::haproxy;
use crate::load::Connection as _;
use crate::load::http::Http;
use crate::server::Server;
use crate::sidecar::{self, Options};

const VS_HAPROXY: &str = "introspect-vs-haproxy";
const VS_ECHO: &str = "introspect-vs-echo";
const SEEN_VS_HAPROXY: &str = "introspect-seen-vs-haproxy";

/// The ids of this module. HAProxy verifies every signature every time, so the sidecar does so too; as shipped it does
/// not verify a token seen before again, which stands apart.
pub(crate) const IDS: &[&str] = &[VS_HAPROXY, VS_ECHO, SEEN_VS_HAPROXY];

/// Measures.
///
/// # Errors
/// A server can't be started, or answers what it should not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    let verifying = sidecar::start(bench, &credentials, &Options::VERIFYING).await?;
    let shipped = sidecar::start(bench, &credentials, &Options::SHIPPED).await?;
    let requests: Vec<_> = credentials.tokens().iter().map(|token| request(token)).collect();
    let ours = Contender { server: verifying.http(), asked: Asked::Http(requests.clone(), is_granted) };
    let seen = Contender { server: shipped.http(), asked: Asked::Http(requests.clone(), is_granted) };
    let echo = Echo::Http.start(bench.folder()).await?;
    let echo = Contender { server: echo, asked: Asked::Http(requests, |body| body == echo::HTTP_BODY.as_bytes()) };
    let haproxy = haproxy::start(bench.folder(), &credentials).await?;
    refuses(&ours.server, request(&credentials.forged()?)).await?;
    refuses(&haproxy.server, haproxy::request(&credentials.forged()?)).await?;

    let [ours, seen, haproxy, echo] = contest::alternate(bench.progress(), [&ours, &seen, &haproxy, &echo]).await?;
    let at_least_as_fast = [Some(Goal::RatioAtLeast(1.0)), Some(Goal::RatioAtMost(1.0))];
    let vs_haproxy = contest::pair(VS_HAPROXY, &ours, ("HAProxy jwt_verify", &haproxy), at_least_as_fast)?;
    let vs_echo = contest::pair(VS_ECHO, &ours, ("hyper echo", &echo), [Some(Goal::RatioAtLeast(0.2)), None])?;
    let seen = contest::pair(SEEN_VS_HAPROXY, &seen, ("HAProxy jwt_verify", &haproxy), [None, None])?;
    Ok(vs_haproxy.into_iter().chain(vs_echo).chain(seen).collect())
}

/// What Dovecot sends in post mode.
pub(crate) fn request(token: &str) -> Vec<u8> {
    let basic = STANDARD.encode(format!("introspection:{}", sidecar::INTROSPECTION_SECRET));
    let length = "token=".len() + token.len();
    format!(
        "POST /introspect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\ntoken={token}"
    )
    .into_bytes()
}

/// The one mailbox, and a handle: the rest of the answer is the door's own tests' business.
pub(crate) fn is_granted(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|body| {
        body.starts_with(r#"{"active":true"#) && body.contains(MAILBOX_PATTERN) && body.contains(r#""handle":"h-"#)
    })
}

/// A server that accepts a forged token is no contender.
async fn refuses(server: &Server, forged: Vec<u8>) -> anyhow::Result<()> {
    let mut connections = Http::connect(server, &[forged], |body| body.starts_with(br#"{"active":true"#)).await?;
    let accepted = connections.first_mut().context("a connection")?.exchange(0).await?;
    anyhow::ensure!(!accepted, "{} accepts a forged token", server.name());
    Ok(())
}
