//! Decisions recorded by the real sidecar, and what another release would have answered to them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi::policy::EMBEDDED;
use octroi::proto::authenticate_request::Credentials;
use octroi::proto::gate_client::GateClient;
use octroi::proto::{AuthenticateRequest, Protocol, SaslMessage};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::sidecar::Settings;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::grpc::{ask, bearer, channel};
use crate::releases::{STRICTER, digest, done, release};
use crate::stage::{Stage, UN};

fn files(stage: &Stage) -> Vec<PathBuf> {
    let folder = stage.sidecar.folder().join("state/recording");
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn recorded(stage: &Stage) -> Result<String> {
    files(stage).iter().map(|path| Ok(fs::read_to_string(path)?)).collect()
}

fn sasl(message: &str) -> AuthenticateRequest {
    let message = SaslMessage { mechanism: "XOAUTH2".to_owned(), response: STANDARD.encode(message).into() };
    AuthenticateRequest {
        credentials: Some(Credentials::Sasl(message)),
        protocol: Protocol::Imap.into(),
        ..AuthenticateRequest::default()
    }
}

/// A good token, bare and by XOAUTH2, an expired one, one with a bad signature, one that is none, and a message in
/// which a token could hide: all that was shown, and how many of it can be recorded.
async fn logins(stage: &Stage) -> Result<(Vec<String>, usize)> {
    let deviant = |deviation| anyhow::Ok(stage.psc.token(&doctor_one()).deviate(deviation).context("none")?.mint());
    let good = stage.psc.token(&doctor_one()).mint();
    let tokens = vec![good.clone(), deviant(Deviation::Expired)?, deviant(Deviation::BadSignature)?];
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    for token in &tokens {
        // What it is told is another test's matter; a bad signature may be an outage.
        let _ = ask(&mut client, bearer(token, UN)).await;
    }
    ask(&mut client, sasl(&format!("user={UN}\x01auth=Bearer {good}\x01\x01"))).await?.map_err(anyhow::Error::msg)?;
    let (head, signature) = good.rsplit_once('.').context("no token")?;
    let _ = ask(&mut client, bearer("no-token", UN)).await;
    let _ = ask(&mut client, sasl(&format!("user={signature}\x01auth=Bearer {head}.x\x01\x01"))).await;
    let _ = ask(&mut client, bearer(&good, &good)).await;
    Ok((tokens, 4))
}

/// What `octroi status` has for a counter, if there is such a counter.
fn counter(stage: &Stage, name: &str) -> Result<Option<usize>> {
    let status = String::from_utf8(stage.sidecar.run(&["status"])?.stdout)?;
    let row = status.lines().find(|line| line.split_whitespace().any(|word| word == name));
    let number = |row: &str| row.split_whitespace().find_map(|word| word.parse().ok());
    row.map(|row| number(row).with_context(|| row.to_owned())).transpose()
}

/// Until the recorder, which gives way to all other threads, has looked at so many decisions of each kind.
async fn has_counted(stage: &Stage, written: usize, unfit: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let expected = [Some(written), Some(unfit)];
    loop {
        let counted = [counter(stage, "recorded_decisions_written")?, counter(stage, "recorded_decisions_unfit")?];
        if counted == expected {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{counted:?}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn recorded_decisions_hold_no_signature_and_tell_what_a_stricter_release_would_have_answered() -> Result<()> {
    let more = "[policy]\nallow_unsigned = true\n[policy.recording]\nmegabytes = 1\n".to_owned();
    let mut stage = Stage::start(&Settings { more, ..Settings::default() })?;
    let (tokens, expected) = logins(&stage).await?;
    has_counted(&stage, expected, 3).await?;
    let text = recorded(&stage)?;
    ensure!(text.lines().count() == expected && text.ends_with('\n'), "{text}");
    for token in &tokens {
        let (_, signature) = token.rsplit_once('.').context("no token")?;
        ensure!(!text.contains(signature) && !text.contains(&STANDARD.encode(signature)), "a signature is on disk");
        // Pieces of it neither, in base64 of the message at whatever offset.
        for line in text.lines() {
            let line: Value = serde_json::from_str(line)?;
            if let Some(response) = line["login"]["response"].as_str() {
                let message = String::from_utf8(STANDARD.decode(response)?)?;
                ensure!(!message.contains(&signature[..16]), "{message}");
            }
        }
    }
    for path in files(&stage) {
        ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "{}", path.display());
    }

    let stricter = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    let told = done(&stage.sidecar, &["replay", "--against", &stricter])?;
    ensure!(told.contains("4 decisions shown") && told.contains("1 answered alike, 3 otherwise"), "{told}");
    let rows: Vec<&str> = told.lines().filter(|line| line.contains("deny assurance-refused")).collect();
    ensure!(rows.len() == 1 && rows[0].contains("allow") && rows[0].contains('3'), "{told}");
    done(&stage.sidecar, &["stage", &stricter, "--reason", "try"])?;
    let digest = digest(EMBEDDED, Some(STRICTER));
    let json = |against: &str| done(&stage.sidecar, &["replay", "--json", "--against", against]);
    let first = json(&digest)?;
    ensure!(first == json(&stricter)? && first == json(&digest)?, "{first}");
    let parsed: Value = serde_json::from_str(&first)?;
    ensure!(parsed["against"] == digest.as_str() && parsed["changes"][0]["times"] == 3, "{parsed}");
    let same = release(&stage.sidecar, "same", EMBEDDED, None)?;
    let told = done(&stage.sidecar, &["replay", "--against", &same])?;
    ensure!(told.contains("4 answered alike, 0 otherwise"), "{told}");

    // Nobody keeps what nobody wants recorded any more.
    stage.sidecar.stop()?;
    stage.sidecar.reconfigure(|text| text.replace("[policy.recording]\nmegabytes = 1\n", ""));
    stage.sidecar.resume()?;
    ensure!(files(&stage).is_empty(), "{:?}", files(&stage));
    Ok(())
}

#[tokio::test]
async fn nothing_is_recorded_unless_it_is_asked_for() -> Result<()> {
    let stage = Stage::start(&Settings::default())?;
    logins(&stage).await?;
    // All seven were decided and told to whoever listens, and no recorder listens.
    let decided = |records: &[Value]| records.iter().filter(|record| record["event"] == "decision").count();
    stage.sidecar.recorded(0, |records| decided(records) == 7).await?;
    ensure!(counter(&stage, "recorded_decisions_written")?.is_none(), "there is a recorder");
    ensure!(!stage.sidecar.folder().join("state/recording").exists());
    let folder = release(&stage.sidecar, "same", EMBEDDED, None)?;
    let output = stage.sidecar.run(&["policy", "replay", "--against", &folder])?;
    let told = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && told.contains("add [policy.recording]"), "{told}");
    Ok(())
}
