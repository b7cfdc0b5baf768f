//! The handle of a real login, shown once more at the auth-policy door.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::doctor_one;
use octroi_tests::dovecot::{Door, Version};
use octroi_tests::logins::opens;

use crate::stage::{Stage, UN};

/// What the door says to one request, head and body.
fn ask(door: &Door, user: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let credentials = STANDARD.encode(format!("{user}:{}", door.secret));
    write!(
        stream,
        "POST /policy?command=allow HTTP/1.1\r\nHost: octroi\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn a_handle_is_good_for_one_login(version: Version) -> Result<()> {
    let stage = Stage::start(version, "off").await?;
    opens(&stage.server, UN, &stage.token(&doctor_one())).await?;
    let line = stage.server.logged(&["handle=<h-", UN]).await?;
    let handle = line.split("handle=<").nth(1).and_then(|rest| rest.split('>').next()).context("no handle")?;
    let request = |handle: &str, mech: &str| {
        format!(
            r#"{{"login":"{UN}","user":"{UN}","mech":"{mech}","protocol":"imap","session_id":"s","handle":"{handle}"}}"#
        )
    };
    let door = stage.sidecar.policy();
    for (handle, mech) in [(handle, "XOAUTH2"), ("h-00000000000000000000000000000000", "XOAUTH2"), ("", "OAUTHBEARER")]
    {
        let answer = ask(&door, "policy", &request(handle, mech))?;
        ensure!(answer.contains(r#""status":-1"#), "{mech} {handle:?}: {answer}");
    }
    let wrong = Door { secret: "wrong".to_owned(), ..door };
    ensure!(ask(&wrong, "policy", &request("", "PLAIN"))?.starts_with("HTTP/1.1 401"), "a wrong secret was let in");
    Ok(())
}

on_both! { a_handle_is_good_for_one_login }
