//! Bytes that no Dovecot sends, at the doors of the real process: the protocol's own error, nobody let in, nothing
//! recorded, and the next one is served.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::dovecot::Door;
use octroi_tests::sidecar::{INTROSPECTION_SECRET, POLICY_SECRET, Settings};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::door::{authorization, heard, introspect, last_word, post, say};
use crate::stage::{AUTOMATE, DEUX, SECRETARIAT, Stage, UN, last_authentication};

/// Bytes, the status they get, and whether the answer must be Dovecot's own "not active".
struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
    inactive: bool,
}

/// No answer at all.
const CLOSED: u16 = 0;

fn case(what: &'static str, bytes: impl Into<Vec<u8>>, status: u16) -> Case {
    Case { what, bytes: bytes.into(), status, inactive: false }
}

fn request(method: &str, target: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn heads(token: &str) -> Vec<Case> {
    let (introspection, policy) =
        (authorization("introspection", INTROSPECTION_SECRET), authorization("policy", POLICY_SECRET));
    let body = format!("token={token}");
    let to_introspect = |lines: &str| request("POST", "/introspect", lines, &body);
    let to_policy = |lines: &str| {
        let question = json!({"user": AUTOMATE, "mech": "PLAIN"});
        request("POST", "/policy?command=allow", lines, &question.to_string())
    };
    vec![
        case("random bytes", [0x16, 0x03, 0x01, 0xff, 0x00, 0x80, b'\r', b'\n', b'\r', b'\n'], 400),
        case("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CLOSED),
        case("IMAP", "a1 AUTHENTICATE XOAUTH2\r\n\r\n", 400),
        case("a control byte in a header", to_introspect("X: a\x00b\r\n"), 400),
        case("a header without a name", to_introspect(": x\r\n"), 400),
        case("a header without an end", to_introspect(&format!("X: {}\r\n", "x".repeat(64 * 1024))), 431),
        case("many headers", to_introspect(&"X: x\r\n".repeat(200)), 431),
        case("two lengths", to_introspect(&format!("{introspection}Content-Length: 3\r\n")), 400),
        case("no such path", request("POST", "/", &introspection, &body), 404),
        case("a path beside it", request("POST", "/introspect/", &introspection, &body), 404),
        case("GET", request("GET", "/introspect", &introspection, ""), 405),
        case(
            "GET with the token in the address",
            request("GET", &format!("/introspect?{body}"), &introspection, ""),
            405,
        ),
        case("GET at the policy door", request("GET", "/policy?command=allow", &policy, ""), 405),
        case("no secret", to_introspect(""), 401),
        case("no secret at the policy door", to_policy(""), 401),
        case("a wrong secret", to_introspect(&authorization("introspection", "wrong")), 401),
        case(
            "a secret with a byte more",
            to_introspect(&authorization("introspection", "planted-introspection-secretx")),
            401,
        ),
        case("an empty secret", to_introspect(&authorization("introspection", "")), 401),
        case("the other door's secret", to_introspect(&policy), 401),
        case("the other door's secret at the policy door", to_policy(&introspection), 401),
        case(
            "the secret as a bearer token",
            to_introspect(&format!("Authorization: Bearer {INTROSPECTION_SECRET}\r\n")),
            401,
        ),
        case("the secret twice", to_introspect(&introspection.repeat(2)), 401),
        case("no command", request("POST", "/policy", &policy, "{}"), 400),
        case("two commands", request("POST", "/policy?command=allow&command=allow", &policy, "{}"), 400),
        case("another command", request("POST", "/policy?command=reset", &policy, "{}"), 400),
    ]
}

fn bodies(token: &str) -> Vec<Case> {
    let (introspection, policy) =
        (authorization("introspection", INTROSPECTION_SECRET), authorization("policy", POLICY_SECRET));
    let chunked = |chunk: &str| {
        format!(
            "POST /introspect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{introspection}Transfer-Encoding: chunked\r\n\r\n{chunk}"
        )
    };
    let mut cases = vec![
        Case { inactive: true, ..case("a chunk without a length", chunked("zz\r\n"), 400) },
        Case {
            inactive: true,
            ..case(
                "endless chunks",
                chunked(&"400\r\n".to_owned().replace("400", &format!("400\r\n{}", "x".repeat(0x400))).repeat(40)),
                413,
            )
        },
        Case {
            inactive: true,
            ..case(
                "a body too large",
                request("POST", "/introspect", &introspection, &format!("token={}", "x".repeat(20_000))),
                413,
            )
        },
        case(
            "a body too large at the policy door",
            request("POST", "/policy?command=allow", &policy, &"x".repeat(20_000)),
            413,
        ),
    ];
    for body in
        ["", "Token=x", "tokens=x", &format!("token={token}&token={token}"), &format!("{{\"token\":\"{token}\"}}")]
    {
        cases.push(Case {
            inactive: true,
            ..case("a form without one token", request("POST", "/introspect", &introspection, body), 400)
        });
    }
    for body in [
        "token",
        "token=",
        "token=%00",
        "token=%ff%fe",
        "token=%",
        "token=a.b.c",
        "token=..",
        &format!("token=%20{token}"),
    ] {
        cases.push(Case {
            inactive: true,
            ..case("no token", request("POST", "/introspect", &introspection, body), 200)
        });
    }
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let long = format!("{{\"user\":\"{AUTOMATE}\",\"mech\":\"PLAIN\"}} trailing");
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "{",
        "\u{0}",
        "status=0",
        &deep,
        &long,
        r#"{"user":1,"mech":"PLAIN"}"#,
        r#"{"user":"a","user":"b","mech":"PLAIN"}"#,
    ] {
        cases.push(case("no question", request("POST", "/policy?command=allow", &policy, body), 400));
    }
    cases
}

async fn stays_out(door: &Door, case: &Case) -> Result<()> {
    let answer = say(door.port, &case.bytes).await?;
    if case.status == CLOSED {
        ensure!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        return Ok(());
    }
    let heard = heard(&answer)?;
    ensure!(heard.status == case.status, "{heard:?}");
    ensure!(case.inactive == (heard.body == r#"{"active":false}"#), "{heard:?}");
    ensure!(!heard.body.contains("true") && !heard.body.contains("status"), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn malformed_bytes_let_nobody_in_and_harm_nobody() -> Result<()> {
    let stage = Stage::start(&Settings::default())?;
    let (introspection, policy) = (stage.sidecar.introspection(), stage.sidecar.policy());
    let pid = stage.sidecar.pid();
    let token = stage.psc.token(&doctor_one()).mint();
    let mut half_open = JoinSet::new();
    let secret = authorization("introspection", INTROSPECTION_SECRET);
    for bytes in [
        String::new(),
        "POST /introspect HT".to_owned(),
        format!("POST /introspect HTTP/1.1\r\nHost: x\r\n{secret}"),
        format!("POST /introspect HTTP/1.1\r\nHost: x\r\n{secret}Content-Length: 3000\r\n\r\ntoken={token}"),
        format!("POST /introspect HTTP/1.1\r\nHost: x\r\n{secret}Transfer-Encoding: chunked\r\n\r\n5\r\ntoken"),
    ] {
        let port = introspection.port;
        half_open.spawn(async move { say(port, bytes.as_bytes()).await });
    }
    for case in heads(&token).iter().chain(&bodies(&token)) {
        stays_out(&introspection, case).await.context(case.what)?;
    }
    // They wait for their time to run out, and hold up nobody meanwhile. The first to be admitted reads why.
    while let Some(answer) = half_open.join_next().await {
        let answer = String::from_utf8(answer??)?;
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 ") && answer.ends_with(r#"{"active":false}"#),
            "{answer}"
        );
    }
    ensure!(stage.sidecar.pid() == pid, "another process");
    for mailbox in [UN, DEUX, SECRETARIAT, AUTOMATE] {
        ensure!(last_authentication(&stage.sidecar, mailbox)?.is_none(), "{mailbox} was recorded");
    }
    ensure!(!stage.sidecar.log().contains("panicked"), "{}", stage.sidecar.log());
    // The controls: the same requests in good order are answered, and recorded.
    let answer = introspect(&introspection, &token).await?.json();
    ensure!(answer["active"] == true, "{answer}");
    let question = json!({"user": UN, "mech": "XOAUTH2", "handle": answer["handle"]});
    ensure!(last_word(&policy, &question).await?.json()["status"] == 0, "the last word is no");
    ensure!(last_authentication(&stage.sidecar, UN)?.is_some(), "not recorded");
    // Records keep their order: with the controls' own, all that came before them is written.
    let answered = |record: &&Value| record["answer"] == "allow";
    let records = stage.sidecar.recorded(0, |records| records.iter().any(|r| answered(&r))).await?;
    let allowed = records.iter().filter(|r| r["outcome"] == "allow" || answered(r)).count();
    ensure!(allowed == 2, "{records:#?}");
    Ok(())
}

#[tokio::test]
async fn a_report_says_what_it_likes_and_changes_nothing() -> Result<()> {
    let stage = Stage::start(&Settings::default())?;
    let door = stage.sidecar.policy();
    let secret = authorization("policy", &door.secret);
    let report = json!({"user": UN, "mech": "XOAUTH2", "handle": "", "success": true, "policy_reject": false});
    let heard = post(door.port, "/policy?command=report", &secret, &report.to_string()).await?;
    ensure!(heard.status == 200, "{heard:?}");
    ensure!(last_authentication(&stage.sidecar, UN)?.is_none(), "a report was recorded");
    // And a refused token leaves one record, so that the trail is known to be written at all.
    introspect(&stage.sidecar.introspection(), &stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint())
        .await?;
    let records = stage.sidecar.recorded(0, |records| !records.is_empty()).await?;
    ensure!(records.len() == 1 && records[0]["reason"] == "token-expired", "{records:?}");
    Ok(())
}
