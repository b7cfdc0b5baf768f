//! The handle that joins a judged token to the login made of it: good once, for a mailbox of its set, and for nothing
//! else.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::doctor_one;
use octroi_tests::dovecot::{Door, Dovecot, Setup, Version};
use octroi_tests::logins::{self, FORMS};
use octroi_tests::sidecar::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::door::{introspect, last_word};
use crate::stage::{DEUX, SECRETARIAT, Stage, UN, last_authentication, shared};

const USED: &str = "Session deja utilisee / Handle already used";
const UNKNOWN: &str = "Session non reconnue / Handle unknown";
const STALE: &str = "Session trop ancienne / Handle too old";
const OTHER_MAILBOX: &str = "Boite non autorisee / Mailbox not allowed";

fn question(mechanism: &str, mailbox: &str, handle: &str) -> Value {
    json!({
        "handle": handle, "user": mailbox, "mech": mechanism, "login": mailbox, "auth_user": mailbox, "master_user": "",
        "protocol": "imap", "session_id": "lBVpLxFh6NJ", "remote": "192.0.2.7",
    })
}

/// Whoever reads Dovecot's log, and even knows the door's secret, can't make a second login of a handle found there.
async fn every_handle_in_the_log_is_used_up(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let line = match version {
        Version::V2_3 => " Login: user=<",
        Version::V2_4 => " Logged in: user=<",
    };
    logins::opens_in(server, FORMS[0], UN, &stage.psc.token(&doctor_one()).mint()).await?;
    server.logged(&[line, UN, "handle=<h-"]).await?;
    let log = server.log();
    let element = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=<"))?;
        Some(rest.split_once('>')?.0.to_owned())
    };
    let logins: BTreeSet<_> = log
        .lines()
        .filter(|logged| logged.contains(line))
        .filter_map(|line| Some((element(line, "user")?, element(line, "handle")?)))
        .filter(|(_, handle)| handle.starts_with("h-"))
        .collect();
    ensure!(!logins.is_empty(), "no handle in the log:\n{log}");
    for (mailbox, handle) in logins {
        let heard = last_word(&stage.sidecar.policy(), &question("XOAUTH2", &mailbox, &handle)).await?;
        let used = json!({"status": -1, "msg": USED});
        ensure!(heard.status == 200 && heard.json() == used, "{mailbox} {handle} {heard:?}");
    }
    Ok(())
}

on_both! {
    every_handle_in_the_log_is_used_up
    a_login_slower_than_its_handle_lives_is_refused
}

#[tokio::test]
async fn a_handle_is_good_once_and_for_a_mailbox_of_its_set_alone() -> Result<()> {
    let stage = Stage::shared();
    let (introspection, policy) = (stage.sidecar.introspection(), stage.sidecar.policy());
    let answer = introspect(&introspection, &stage.psc.token(&doctor_one()).mint()).await?.json();
    ensure!(answer["active"] == true && answer["scope"] == "octroi", "{answer}");
    ensure!(answer["username"] == "^(docteur[.]un@bal[.]example[.]test|secretariat@bal[.]example[.]test)$", "{answer}");
    let handle = answer["handle"].as_str().context("no handle")?;
    let refused = |message: &str| json!({"status": -1, "msg": message});
    let upper = handle.to_uppercase();
    for (mechanism, mailbox, shown, expected) in [
        ("XOAUTH2", DEUX, handle, refused(OTHER_MAILBOX)),
        ("XOAUTH2", "", handle, refused(OTHER_MAILBOX)),
        ("XOAUTH2", UN, "", refused("")),
        ("OAUTHBEARER", UN, "", refused("")),
        ("XOAUTH2", UN, "h-00000000000000000000000000000000", refused(UNKNOWN)),
        ("XOAUTH2", UN, upper.as_str(), refused(UNKNOWN)),
        ("XOAUTH2", UN, "forged", refused(UNKNOWN)),
        // What was refused so far has not used it up.
        ("OAUTHBEARER", SECRETARIAT, handle, json!({"status": 0, "msg": ""})),
        ("OAUTHBEARER", SECRETARIAT, handle, refused(USED)),
        ("XOAUTH2", UN, handle, refused(USED)),
        // A mechanism that nobody offers is no way round.
        ("ANONYMOUS", UN, handle, refused("Mecanisme refuse / Mechanism refused")),
    ] {
        let heard = last_word(&policy, &question(mechanism, mailbox, shown)).await?;
        ensure!(heard.status == 200 && heard.json() == expected, "{mechanism} {mailbox} {shown}: {heard:?}");
    }
    let of_handle = |records: &[Value]| -> Vec<Value> {
        records.iter().filter(|record| record["handle"] == handle).cloned().collect()
    };
    let records = of_handle(&stage.sidecar.recorded(0, |records| of_handle(records).len() >= 5).await?);
    let said: Vec<_> = records.iter().map(|record| (record["answer"].as_str(), record["counted"].as_bool())).collect();
    let refused = |code| (Some(code), Some(false));
    let expected = [
        refused("handle-mailbox"),
        refused("handle-mailbox"),
        (Some("allow"), Some(true)),
        refused("handle-used"),
        refused("handle-used"),
    ];
    ensure!(said == expected, "{said:?}");
    Ok(())
}

/// Provider and sidecar whose handles live a second.
fn hasty() -> &'static Stage {
    static HASTY: LazyLock<Stage> =
        LazyLock::new(|| Stage::start(&Settings { doors: "handle_seconds = 1\n", ..Settings::default() }).unwrap());
    &HASTY
}

/// Waits until this handle is too old: shown for a mailbox that is not its own, it is told so and stays as it is.
async fn until_stale(policy: &Door, handle: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let heard = last_word(policy, &question("XOAUTH2", DEUX, handle)).await?.json();
        if heard["msg"] == STALE {
            return Ok(());
        }
        ensure!(heard["msg"] == OTHER_MAILBOX && Instant::now() < deadline, "{heard}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_handle_that_waited_too_long_is_stale_for_its_own_mailbox_too_and_stays_so() -> Result<()> {
    let stage = hasty();
    let (introspection, policy) = (stage.sidecar.introspection(), stage.sidecar.policy());
    let answer = introspect(&introspection, &stage.psc.token(&doctor_one()).mint()).await?.json();
    let handle = answer["handle"].as_str().context("no handle")?;
    until_stale(&policy, handle).await?;
    for mechanism in ["XOAUTH2", "OAUTHBEARER", "XOAUTH2"] {
        let heard = last_word(&policy, &question(mechanism, UN, handle)).await?;
        ensure!(heard.status == 200 && heard.json() == json!({"status": -1, "msg": STALE}), "{heard:?}");
    }
    Ok(())
}

/// One HTTP message of a connection that is kept open; nothing at its end.
async fn message(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if bytes.len() >= head.len() + 4 + length.context("no length")? {
            return Ok(Some(bytes));
        }
    }
}

/// Stands before the policy door, and passes on each question about a login once its handle is too old.
async fn late(mut dovecot: TcpStream, door: Door) -> Result<()> {
    let mut sidecar = TcpStream::connect(("127.0.0.1", door.port)).await?;
    while let Some(request) = message(&mut dovecot).await? {
        let text = String::from_utf8_lossy(&request);
        if text.lines().next().is_some_and(|line| line.contains("command=allow")) {
            let (_, body) = text.split_once("\r\n\r\n").context("no body")?;
            let asked: Value = serde_json::from_str(body)?;
            until_stale(&door, asked["handle"].as_str().context("no handle")?).await?;
        }
        sidecar.write_all(&request).await?;
        dovecot.write_all(&message(&mut sidecar).await?.context("no answer")?).await?;
    }
    Ok(())
}

/// A real login that takes longer than its handle lives: introspection was quick, the last word comes too late.
async fn a_login_slower_than_its_handle_lives_is_refused(version: Version) -> Result<()> {
    let stage = hasty();
    let (begun, door) = (stage.sidecar.records()?.len(), stage.sidecar.policy());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let slow = Door { port: listener.local_addr()?.port(), ..door.clone() };
    tokio::spawn(async move {
        while let Ok((dovecot, _)) = listener.accept().await {
            let door = door.clone();
            // A proxy that fails closes: the login is refused in other words, which the test does not take.
            tokio::spawn(async move { late(dovecot, door).await });
        }
    });
    let mut setup = Setup::new(version, stage.sidecar.introspection(), slow, &[UN]);
    // As shipped Dovecot waits for two seconds: on a busy machine less than the handle and the question take.
    let patience = match version {
        Version::V2_3 => ["auth_policy_server_timeout_msecs = 2000", "auth_policy_server_timeout_msecs = 20000"],
        Version::V2_4 => ["http_client_request_absolute_timeout = 2s", "http_client_request_absolute_timeout = 20s"],
    };
    setup.edited.push(patience.map(str::to_owned).into());
    let server = Dovecot::start(&setup)?;
    for form in FORMS {
        let (imap, reply) = logins::attempt(&server, form, UN, &stage.psc.token(&doctor_one()).mint()).await?;
        let said = (reply.challenge.as_str(), reply.line());
        ensure!(said == ("", format!("NO [ALERT] {STALE}")), "{form:?}\n{}\n{}", imap.transcript(), server.log());
    }
    let refused = |records: &[Value]| {
        let own = records.iter().filter(|record| record["answer"] == "handle-stale" && record["mailbox"] == UN);
        own.count()
    };
    let records = stage.sidecar.recorded(begun, |records| refused(records) >= FORMS.len()).await?;
    ensure!(records.iter().all(|record| record["counted"] != true), "{records:#?}");
    ensure!(last_authentication(&stage.sidecar, UN)?.is_none(), "a refused login was recorded");
    Ok(())
}
