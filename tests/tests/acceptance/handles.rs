//! The handle that joins a judged token to the login made of it: good once, for a mailbox of its set, and for nothing else.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::doctor_one;
use octroi_tests::dovecot::Version;
use octroi_tests::logins::{self, FORMS};
use serde_json::{Value, json};

use crate::door::{introspect, last_word};
use crate::stage::{DEUX, SECRETARIAT, Stage, UN, shared, trail};

const USED: &str = "Session deja utilisee / Handle already used";
const UNKNOWN: &str = "Session non reconnue / Handle unknown";
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
    let records = of_handle(&trail(&stage.sidecar, 0, |records| of_handle(records).len() >= 5).await?);
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
