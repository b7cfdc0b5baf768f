//! New policies on trial with the real programs: on vectors, in the shadow, for some persons, on probation.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use octroi::policy::EMBEDDED;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi_psc::{doctor_one, doctor_two, secretary};
use octroi_tests::minisign;
use octroi_tests::sidecar::Settings;
use serde_json::{Value, json};

use crate::grpc::{ask, bearer, channel};
use crate::releases::{STRICTER, digest, done, granted_under, login, refused, release, sign, stage};
use crate::stage::{Stage, UN};

/// A policy that traps at every login.
const TRAP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trap.wasm"));
const DEUX: &str = "docteur.deux@bal.example.test";

fn hex(component: &[u8], settings: Option<&str>) -> String {
    digest(component, settings).trim_start_matches("sha256:").to_owned()
}

/// Stages and says under which digits.
fn staged(stage: &Stage, name: &str, component: &[u8], settings: Option<&str>) -> Result<String> {
    let folder = release(&stage.sidecar, name, component, settings)?;
    done(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
    Ok(hex(component, settings))
}

#[tokio::test]
async fn a_release_that_fails_doctors_is_taken_back_by_itself_and_does_not_come_again() -> Result<()> {
    let mut stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    let trap = staged(&stage, "trap", TRAP, None)?;
    done(&stage.sidecar, &["activate", &trap, "--reason", "try"])?;
    let status = String::from_utf8(stage.sidecar.run(&["status"])?.stdout)?;
    ensure!(status.contains("taken back by itself until"), "{status}");
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    for person in [doctor_one(), doctor_one(), doctor_two(), secretary()] {
        // What anybody can send counts for nothing, and one person once.
        for _ in 0..5 {
            ensure!(ask(&mut client, bearer("a.b.c", UN)).await.is_err(), "an answer");
        }
        let good = bearer(&stage.psc.token(&person).mint(), UN);
        ensure!(ask(&mut client, good).await.is_err(), "an answer");
    }
    let quarantined = |record: &Value| record["event"] == "policy" && record["step"] == "quarantine";
    let records = stage.sidecar.recorded(0, |records| records.iter().any(quarantined)).await?;
    let record = records.iter().find(|record| quarantined(record)).context("no record")?;
    ensure!(record["outcome"] == "done" && record["release"] == format!("sha256:{trap}"), "{record}");
    let reason = record["reason"].as_str().unwrap_or_default();
    ensure!(reason == "failed 3 persons on proven attempts, at last with policy-trapped", "{reason}");
    ensure!(record.get("uid").is_none(), "{record}");
    granted_under(&stage, &own).await?;
    let list = done(&stage.sidecar, &["list"])?;
    ensure!(list.contains("QUARANTINE: policy-trapped, 3 persons"), "{list}");
    for _ in 0..2 {
        let told = refused(&stage.sidecar, &["activate", &trap, "--reason", "again"])?;
        ensure!(told.contains("it is in quarantine"), "{told}");
        stage.sidecar.kill()?;
        stage.sidecar.resume()?;
    }
    granted_under(&stage, &own).await
}

#[tokio::test]
async fn a_release_in_the_shadow_is_compared_and_one_for_some_persons_decides_for_them() -> Result<()> {
    let mut stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    let stricter = staged(&stage, "stricter", EMBEDDED, Some(STRICTER))?;
    let told = done(&stage.sidecar, &["differences"])?;
    ensure!(told.contains("nothing is in the shadow"), "{told}");
    done(&stage.sidecar, &["shadow", &stricter, "--reason", "who would be refused?"])?;
    ensure!(refused(&stage.sidecar, &["retire", &stricter, "--reason", "x"])?.contains("in the shadow"));
    granted_under(&stage, &own).await?;
    let mut told = String::new();
    for _ in 0..500 {
        told = done(&stage.sidecar, &["differences"])?;
        if told.contains(" 0 waiting") {
            break;
        }
    }
    let row = told.lines().find(|line| line.contains("deny assurance-refused")).context("no difference")?;
    ensure!(row.contains("allow") && row.contains('1'), "{told}");
    ensure!(!told.contains(UN) && !told.contains("899700000011"), "{told}");
    ensure!(done(&stage.sidecar, &["list"])?.contains("in the shadow"));
    stage.sidecar.kill()?;
    stage.sidecar.resume()?;
    ensure!(done(&stage.sidecar, &["differences"])?.starts_with(&stricter[..12]), "gone after a restart");
    done(&stage.sidecar, &["shadow", "off", "--reason", "seen enough"])?;

    let persons = stage.sidecar.folder().join("persons.txt");
    fs::write(&persons, "899700000022\n")?;
    let persons = persons.display().to_string();
    let told =
        done(&stage.sidecar, &["activate", &stricter, "--identities", &persons, "--reason", "doctor two agreed"])?;
    ensure!(told.contains("the configuration's own policy decides now") && told.contains("1 persons listed"), "{told}");
    for _ in 0..2 {
        granted_under(&stage, &own).await?;
        let before = stage.sidecar.records()?.len();
        let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
        let two = bearer(&stage.psc.token(&doctor_two()).mint(), DEUX);
        ensure!(ask(&mut client, two).await? == Err("assurance-refused".to_owned()), "doctor two");
        let records = stage.sidecar.recorded(before, |records| !records.is_empty()).await?;
        ensure!(records.iter().any(|record| record["policy"] == stricter.as_str()), "{records:?}");
        stage.sidecar.kill()?;
        stage.sidecar.resume()?;
    }
    let standing = fs::read_to_string(stage.sidecar.folder().join("state/policies/standing.json"))?;
    ensure!(!standing.contains("899700000022"), "{standing}");
    let told = done(&stage.sidecar, &["rollback", "--reason", "not now"])?;
    ensure!(told == "the configuration's own policy decides now\n", "{told}");
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    let two = bearer(&stage.psc.token(&doctor_two()).mint(), DEUX);
    ensure!(ask(&mut client, two).await? == Ok(vec![DEUX.to_owned()]));
    let told = refused(&stage.sidecar, &["activate", &stricter, "--percent", "100", "--reason", "x"])?;
    ensure!(told.contains("1..=99"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_release_that_answers_otherwise_than_the_operators_vectors_is_not_staged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        more: format!("[policy]\nallow_unsigned = true\nvectors = \"{}\"\n", folder.path().display()),
        ..Settings::default()
    };
    let stage = Stage::start(&settings)?;
    let vector = |acr: &str| {
        json!({
            "name": "a doctor with eidas1 logs in", "now": 1_800_000_000, "header": { "alg": "RS256", "kid": "k" },
            "payload": {
                "iss": stage.psc.issuer(), "exp": 1_800_000_100, "iat": 1_800_000_000, "auth_time": 1_800_000_000,
                "acr": acr, "SubjectNameID": "899700000011",
            },
            "mailboxes": [{ "address": UN, "kind": "per" }], "expect": { "allow": [UN] },
        })
    };
    fs::write(folder.path().join("ours.json"), json!({ "logins": [vector("eidas1")] }).to_string())?;
    let stricter = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    let told = refused(&stage.sidecar, &["stage", &stricter, "--reason", "try"])?;
    let expected =
        "a doctor with eidas1 logs in: expected allow docteur.un@bal.example.test, found deny assurance-refused";
    ensure!(told.contains("ours.json: it answers otherwise") && told.contains(expected), "{told}");
    ensure!(!stage.sidecar.folder().join("state/policies").exists(), "something was kept");
    fs::write(folder.path().join("ours.json"), json!({ "logins": [vector("eidas3")] }).to_string())?;
    done(&stage.sidecar, &["stage", &stricter, "--reason", "try"])?;
    fs::write(folder.path().join("ours.json"), "{\"logins\": 1}")?;
    let plain = release(&stage.sidecar, "plain", EMBEDDED, None)?;
    let told = refused(&stage.sidecar, &["stage", &plain, "--reason", "try"])?;
    ensure!(told.contains("ours.json: expected vectors as a JSON object"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_start_uses_compiled_policies_and_a_damaged_one_is_compiled_again() -> Result<()> {
    let mut stage = stage(true)?;
    let stricter = staged(&stage, "stricter", EMBEDDED, Some(STRICTER))?;
    done(&stage.sidecar, &["activate", &stricter, "--reason", "try"])?;
    let folder = stage.sidecar.folder().join("state/compiled");
    let files = || -> Result<BTreeSet<_>> {
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<BTreeSet<_>>>()
    };
    let before = files()?;
    ensure!(before.len() == 1, "one component, {before:?}");
    stage.sidecar.kill()?;
    stage.sidecar.resume()?;
    ensure!(!stage.sidecar.log().contains("compiled code"), "{}", stage.sidecar.log());
    stage.sidecar.kill()?;
    for file in &before {
        let mut bytes = fs::read(file)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes)?;
    }
    stage.sidecar.resume()?;
    ensure!(stage.sidecar.log().contains("it is damaged"), "{}", stage.sidecar.log());
    let (answer, under) = login(&stage).await?;
    ensure!(answer == Err("assurance-refused".to_owned()) && under == stricter, "{answer:?} under {under}");
    ensure!(files()? == before);
    Ok(())
}

#[tokio::test]
async fn a_signer_who_was_taken_out_signs_for_nothing_that_comes_into_service_later() -> Result<()> {
    let keys = tempfile::tempdir()?;
    let key = minisign::key_pair(keys.path(), "author")?;
    let more = format!("[[policy.signer]]\nname = \"author\"\nminisign = \"{key}\"\n");
    let mut stage = Stage::start(&Settings { more: more.clone(), ..Settings::default() })?;
    let folder = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    sign(keys.path(), &stage.sidecar, "author", &folder)?;
    done(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
    stage.sidecar.stop()?;
    stage.sidecar.reconfigure(move |text| text.replace(&more, ""));
    stage.sidecar.resume()?;
    let stricter = hex(EMBEDDED, Some(STRICTER));
    for step in ["activate", "shadow"] {
        let told = refused(&stage.sidecar, &[step, &stricter, "--reason", "try"])?;
        ensure!(told.contains("no signer is configured"), "{step}: {told}");
    }
    let (answer, _) = login(&stage).await?;
    ensure!(answer == Ok(vec![UN.to_owned()]), "{answer:?}");
    Ok(())
}

/// Logs in until `end`; each decision and whether it was granted. An answer that is none is an error.
async fn log_in(stage: Arc<Stage>, end: Arc<AtomicBool>) -> Result<Vec<(String, bool)>> {
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    let mut answers = Vec::new();
    while !end.load(Ordering::Relaxed) {
        let token = stage.psc.token(&doctor_one()).mint();
        let answer = client.authenticate(bearer(&token, UN)).await?.into_inner();
        let granted = match answer.outcome.context("no outcome")? {
            Outcome::Allowed(_) => true,
            Outcome::Denied(denied) if denied.reason == "assurance-refused" => false,
            Outcome::Denied(denied) => anyhow::bail!("{}", denied.reason),
        };
        answers.push((answer.decision_id, granted));
    }
    Ok(answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_policies_are_swapped_no_login_fails_and_each_is_judged_by_the_one_it_is_recorded_under() -> Result<()> {
    let stage = Arc::new(stage(true)?);
    let stricter = staged(&stage, "stricter", EMBEDDED, Some(STRICTER))?;
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(log_in(Arc::clone(&stage), Arc::clone(&end)))).collect();
    let swapping = {
        let (stage, stricter) = (Arc::clone(&stage), stricter.clone());
        tokio::task::spawn_blocking(move || {
            (0..30).try_for_each(|swap| {
                let release = if swap % 2 == 0 { &stricter } else { "configuration" };
                done(&stage.sidecar, &["activate", release, "--reason", "swap"]).map(drop)
            })
        })
    };
    let swapped = swapping.await?;
    end.store(true, Ordering::Relaxed);
    swapped?;
    let mut answers = HashMap::new();
    for client in clients {
        answers.extend(client.await??);
    }
    ensure!(answers.values().any(|granted| *granted) && answers.values().any(|granted| !granted), "no swap was seen");
    let decided = |record: &&Value| record["event"] == "decision";
    let all = |records: &[Value]| records.iter().filter(decided).count() >= answers.len();
    for record in stage.sidecar.recorded(0, all).await?.iter().filter(decided) {
        let granted = answers.get(record["decision"].as_str().context("no decision")?).context("nobody's answer")?;
        ensure!((record["policy"] != stricter.as_str()) == *granted, "{record}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_whatever_moment_of_an_activation_the_old_or_the_new_policy_serves() -> Result<()> {
    let mut stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    let stricter = staged(&stage, "stricter", EMBEDDED, Some(STRICTER))?;
    for round in 0..12_u32 {
        let next = if round % 2 == 0 { stricter.as_str() } else { "configuration" };
        let configuration = stage.sidecar.configuration_file();
        let activating = std::process::Command::new(octroi_tests::sidecar::program("octroi"))
            .arg("--config")
            .arg(configuration)
            .args(["policy", "activate", next, "--reason", "try"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        // Some milliseconds, each round at another moment of the step.
        tokio::time::sleep(std::time::Duration::from_millis(u64::from(round) * 2)).await;
        stage.sidecar.kill()?;
        let done = activating.wait_with_output()?.status.success();
        stage.sidecar.resume()?;
        let (answer, under) = login(&stage).await?;
        let expected = if under == own { Ok(vec![UN.to_owned()]) } else { Err("assurance-refused".to_owned()) };
        ensure!(answer == expected && (under == own || under == stricter), "{answer:?} under {under}");
        // What was acknowledged is done.
        let new = if next == "configuration" { &own } else { &stricter };
        ensure!(!done || under == *new, "acknowledged and lost in round {round}");
    }
    Ok(())
}

#[tokio::test]
async fn a_release_in_the_shadow_or_on_trial_that_does_not_load_stands_in_nobodys_way() -> Result<()> {
    let mut stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    let stricter = staged(&stage, "stricter", EMBEDDED, Some(STRICTER))?;
    let other = staged(&stage, "other", EMBEDDED, Some("{}"))?;
    done(&stage.sidecar, &["activate", &stricter, "--reason", "try"])?;
    done(&stage.sidecar, &["activate", &other, "--percent", "50", "--reason", "try"])?;
    done(&stage.sidecar, &["shadow", &other, "--reason", "try"])?;
    stage.sidecar.kill()?;
    let settings = stage.sidecar.folder().join("state/policies").join(&other).join("settings.json");
    fs::write(settings, "{ }")?;
    stage.sidecar.resume()?;
    ensure!(stage.sidecar.log().contains("does not load"), "{}", stage.sidecar.log());
    let (answer, under) = login(&stage).await?;
    ensure!(answer == Err("assurance-refused".to_owned()) && under == stricter, "{answer:?} under {under}");
    done(&stage.sidecar, &["rollback", "--reason", "back"])?;
    granted_under(&stage, &own).await
}
