//! HAProxy as a validator of tokens: what an administrator can have today from Debian's package.

use std::path::Path;

use anyhow::Context as _;

use crate::contest::{Asked, Contender};
use crate::credentials::{AUDIENCE, Credentials, ISSUER};
use crate::server::{Address, Server};

/// What it answers to a good token.
const BODY: &str = r#"{"active":true}"#;

/// Starts HAProxy with one thread. Algorithm, issuer, audience and expiry are checked by hand, as its manual has it,
/// then the signature. It reads the token where it can: in the header.
///
/// # Errors
/// It is not installed, or does not start, or accepts a forged token.
pub(crate) async fn start(folder: &Path, credentials: &Credentials) -> anyhow::Result<Contender> {
    let port = Address::free_port().await?;
    let (file, key) = (folder.join("haproxy.cfg"), folder.join("public.pem"));
    std::fs::write(&key, credentials.public_pem()?)?;
    std::fs::write(&file, configuration(port, &key))?;
    let file = file.to_str().context("a folder in ASCII")?;
    let log = folder.join("haproxy.log");
    let program = Path::new("/usr/sbin/haproxy");
    let server = Server::start("HAProxy", program, &["-db", "-f", file], &[], Address::Tcp(port), &log).await?;
    let requests = credentials.tokens().iter().map(|token| request(token)).collect();
    Ok(Contender { server, asked: Asked::Http(requests, |body| body == BODY.as_bytes()) })
}

fn configuration(port: u16, key: &Path) -> String {
    let key = key.display();
    let body = BODY.replace('"', "\\\"");
    format!(
        r#"global
    nbthread 1
defaults
    mode http
    timeout client 30s
    timeout connect 5s
    timeout server 30s
frontend tokeninfo
    bind 127.0.0.1:{port}
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
    http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request return status 401 unless {{ var(txn.alg) -m str RS256 }}
    http-request return status 401 unless {{ var(txn.iss) -m str {ISSUER} }}
    http-request return status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
    http-request return status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request return status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,"{key}") 1 }}
    http-request return status 200 content-type application/json string "{body}"
"#
    )
}

pub(crate) fn request(token: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}
