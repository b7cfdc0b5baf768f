//! The life of a policy with the real programs: staged, put into service, taken back, after a restart, and refused
//! where it must be.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use octroi::policy::{Digest, EMBEDDED, Statement};
use octroi::proto::gate_client::GateClient;
use octroi_psc::doctor_one;
use octroi_tests::minisign;
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;

use crate::grpc::{ask, bearer, channel};
use crate::stage::{Stage, UN};

pub(crate) const STRICTER: &str = r#"{"acr": ["eidas3"]}"#;

pub(crate) fn stage(allow_unsigned: bool) -> Result<Stage> {
    Stage::start(&Settings { more: format!("[policy]\nallow_unsigned = {allow_unsigned}\n"), ..Settings::default() })
}

/// A folder with a release.
pub(crate) fn release(sidecar: &Sidecar, name: &str, component: &[u8], settings: Option<&str>) -> Result<String> {
    let folder = sidecar.folder().join(name);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("policy.wasm"), component)?;
    if let Some(settings) = settings {
        fs::write(folder.join("settings.json"), settings)?;
    }
    Ok(folder.display().to_string())
}

pub(crate) fn digest(component: &[u8], settings: Option<&str>) -> String {
    let settings = settings.map(|settings| Digest::of(settings.as_bytes()));
    Statement { component: Digest::of(component), settings }.release().to_string()
}

/// What `octroi policy` says, or how it refuses.
fn policy(sidecar: &Sidecar, arguments: &[&str]) -> Result<Result<String, String>> {
    let output = sidecar.run(&[&["policy"], arguments].concat())?;
    let (told, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(if output.status.success() { Ok(told) } else { Err(complained) })
}

pub(crate) fn done(sidecar: &Sidecar, arguments: &[&str]) -> Result<String> {
    policy(sidecar, arguments)?.map_err(|complained| anyhow::anyhow!("{arguments:?}: {complained}"))
}

pub(crate) fn refused(sidecar: &Sidecar, arguments: &[&str]) -> Result<String> {
    policy(sidecar, arguments)?.err().with_context(|| format!("{arguments:?} was taken"))
}

/// What a good token is worth now, and the policy that its decision is recorded under.
pub(crate) async fn login(stage: &Stage) -> Result<(Result<Vec<String>, String>, String)> {
    let before = stage.sidecar.records()?.len();
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    let answer = ask(&mut client, bearer(&stage.psc.token(&doctor_one()).mint(), UN)).await?;
    let decided = |record: &&Value| record["event"] == "decision";
    let records = stage.sidecar.recorded(before, |records| records.iter().any(|r| decided(&r))).await?;
    let decision = records.iter().find(decided).context("no record")?;
    Ok((answer, decision["policy"].as_str().context("no policy")?.to_owned()))
}

pub(crate) async fn granted_under(stage: &Stage, policy: &str) -> Result<()> {
    let (answer, under) = login(stage).await?;
    ensure!(answer == Ok(vec![UN.to_owned()]) && under == policy, "{answer:?} under {under}");
    Ok(())
}

async fn refused_under(stage: &Stage, policy: &str) -> Result<()> {
    let (answer, under) = login(stage).await?;
    ensure!(answer == Err("assurance-refused".to_owned()) && under == policy, "{answer:?} under {under}");
    Ok(())
}

#[tokio::test]
async fn a_stricter_policy_is_staged_serves_survives_a_restart_and_is_taken_back() -> Result<()> {
    let mut stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    granted_under(&stage, &own).await?;
    let folder = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    let told = done(&stage.sidecar, &["stage", &folder, "--reason", "ask for eidas3"])?;
    let digest = digest(EMBEDDED, Some(STRICTER));
    let digits = digest.trim_start_matches("sha256:").to_owned();
    ensure!(told.starts_with("pro-sante-connect ") && told.contains(&format!("is staged as {digest}\n")), "{told}");
    granted_under(&stage, &own).await?;

    let told = done(&stage.sidecar, &["activate", &digits[..12], "--reason", "as agreed"])?;
    ensure!(told.contains("decides now"), "{told}");
    refused_under(&stage, &digits).await?;
    let status = String::from_utf8(stage.sidecar.run(&["status"])?.stdout)?;
    ensure!(status.contains("a release that NOBODY SIGNED") && status.contains(&digits[..16]), "{status}");
    let list = done(&stage.sidecar, &["list"])?;
    let row = list.lines().find(|line| line.contains(&digits[..12])).context("not listed")?;
    ensure!(row.contains("IN SERVICE") && row.contains("by uid 0") && row.contains("ask for eidas3"), "{list}");
    ensure!(refused(&stage.sidecar, &["retire", &digits, "--reason", "x"])?.contains("it is in service"));

    stage.sidecar.kill()?;
    stage.sidecar.resume()?;
    refused_under(&stage, &digits).await?;
    let told = done(&stage.sidecar, &["rollback", "--reason", "doctors are locked out"])?;
    ensure!(told == "the configuration's own policy decides now\n", "{told}");
    granted_under(&stage, &own).await?;
    let told = refused(&stage.sidecar, &["rollback", "--reason", "again"])?;
    ensure!(told.contains("there is nothing to go back to"), "{told}");
    granted_under(&stage, &own).await?;
    done(&stage.sidecar, &["retire", &digits, "--reason", "not needed"])?;
    ensure!(!Path::new(&stage.sidecar.folder().join("state/policies").join(&digits)).exists(), "still on disk");

    let steps = stage.sidecar.recorded(0, |records| steps(records).len() >= 6).await?;
    let told: Vec<_> = steps.iter().filter(|record| record["event"] == "policy").map(step).collect();
    let expected = [
        ("stage", "done", "ask for eidas3"),
        ("activate", "done", "as agreed"),
        ("retire", "failed", "x"),
        ("rollback", "done", "doctors are locked out"),
        ("rollback", "failed", "again"),
        ("retire", "done", "not needed"),
    ];
    ensure!(told == expected, "{told:?}");
    Ok(())
}

fn steps(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record["event"] == "policy" && record["uid"] == 0).collect()
}

fn step(record: &Value) -> (&str, &str, &str) {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    (text("step"), text("outcome"), text("reason"))
}

#[tokio::test]
async fn what_can_not_be_a_release_is_told_with_its_reason_and_changes_nothing() -> Result<()> {
    let stage = stage(true)?;
    let (_, own) = login(&stage).await?;
    let at = |name: &str, component: &[u8], settings| release(&stage.sidecar, name, component, settings);
    let wrong = r#"{"acr": "eidas3", "leeway_seconds": "five", "unheard_of": 1}"#;
    for (folder, parts) in [
        (at("broken", b"no component", None)?, &["not a valid WebAssembly component"][..]),
        (
            at("settings", EMBEDDED, Some(wrong))?,
            &["refuses its settings:", "\n  /acr: ", "\n  /leeway_seconds: ", "\n  /unheard_of: "],
        ),
        (at("array", EMBEDDED, Some("[]"))?, &["settings.json: expected a JSON object"]),
        (at("large", &vec![0; (8 << 20) + 1], None)?, &["policy.wasm: expected a file of at most 8388608 bytes"]),
        ("/nowhere".to_owned(), &["/nowhere/policy.wasm: No such file"]),
    ] {
        let told = refused(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
        ensure!(parts.iter().all(|part| told.contains(part)), "{folder}: {told}");
    }
    let good = at("good", EMBEDDED, None)?;
    ensure!(refused(&stage.sidecar, &["stage", &good, "--reason", " "])?.contains("expected a reason, one line"));
    done(&stage.sidecar, &["stage", &good, "--reason", "try"])?;
    ensure!(refused(&stage.sidecar, &["stage", &good, "--reason", "try"])?.contains("staged already"));
    for name in ["0123456789ab", "configuration", "x", "sha256:"] {
        let told = refused(&stage.sidecar, &["activate", name, "--reason", "try"])?;
        ensure!(told.contains("no such release is staged") || told.contains("in service already"), "{name}: {told}");
    }
    granted_under(&stage, &own).await
}

#[tokio::test]
async fn nobodys_release_is_let_in_without_the_operators_word() -> Result<()> {
    let stage = stage(false)?;
    let folder = release(&stage.sidecar, "unsigned", EMBEDDED, Some(STRICTER))?;
    let told = refused(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
    ensure!(told.contains("no signer is configured, and [policy] allow_unsigned is not set"), "{told}");
    ensure!(!stage.sidecar.folder().join("state/policies").exists(), "something was kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_altered_on_disk_does_not_serve_and_nothing_else_takes_its_place() -> Result<()> {
    let mut stage = stage(true)?;
    let folder = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    done(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
    let digits = digest(EMBEDDED, Some(STRICTER)).trim_start_matches("sha256:").to_owned();
    done(&stage.sidecar, &["activate", &digits, "--reason", "try"])?;
    stage.sidecar.stop()?;
    let shelf = stage.sidecar.folder().join("state/policies");
    let settings = shelf.join(&digits).join("settings.json");
    fs::write(&settings, "{}")?;
    let told = format!("{:#}", stage.sidecar.resume().err().context("it serves an altered release")?);
    ensure!(told.contains("is not the release that was staged there"), "{told}");
    ensure!(told.contains(&format!("move {} away", shelf.display())), "{told}");
    stage.sidecar.kill()?;
    fs::write(&settings, STRICTER)?;
    stage.sidecar.resume()?;
    refused_under(&stage, &digits).await
}

/// Signs what `octroi policy statement` prints.
pub(crate) fn sign(keys: &Path, sidecar: &Sidecar, name: &str, folder: &str) -> Result<()> {
    let statement = sidecar.run(&["policy", "statement", folder])?;
    ensure!(statement.status.success(), "{}", String::from_utf8_lossy(&statement.stderr));
    let text = keys.join("statement.txt");
    fs::write(&text, statement.stdout)?;
    minisign::sign(keys, name, &text, &Path::new(folder).join(format!("{name}.minisig")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_serves_once_all_have_signed_it_and_never_another_under_their_signatures() -> Result<()> {
    let keys = tempfile::tempdir()?;
    let names = ["officer", "author"];
    let signers = names.map(|name| {
        let key = minisign::key_pair(keys.path(), name)?;
        anyhow::Ok(format!("[[policy.signer]]\nname = \"{name}\"\nminisign = \"{key}\"\n\n"))
    });
    let more = signers.into_iter().collect::<Result<String>>()?;
    let mut stage = Stage::start(&Settings { more, ..Settings::default() })?;
    let folder = release(&stage.sidecar, "stricter", EMBEDDED, Some(STRICTER))?;
    let attempt = |stage: &Stage| refused(&stage.sidecar, &["stage", &folder, "--reason", "try"]);
    ensure!(attempt(&stage)?.contains("signed by nobody who counts; needed: officer and author"));
    sign(keys.path(), &stage.sidecar, "author", &folder)?;
    ensure!(attempt(&stage)?.contains("signed by author; needed: officer and author"));
    sign(keys.path(), &stage.sidecar, "officer", &folder)?;
    fs::write(format!("{folder}/settings.json"), "{}")?;
    let told = attempt(&stage)?;
    ensure!(told.contains("is not over this release"), "{told}");
    fs::write(format!("{folder}/settings.json"), STRICTER)?;
    done(&stage.sidecar, &["stage", &folder, "--reason", "try"])?;
    let digits = digest(EMBEDDED, Some(STRICTER)).trim_start_matches("sha256:").to_owned();
    done(&stage.sidecar, &["activate", &digits, "--reason", "try"])?;
    let list = done(&stage.sidecar, &["list"])?;
    ensure!(list.contains("signed by") && list.contains("author") && !list.contains("UNSIGNED"), "{list}");
    let status = String::from_utf8(stage.sidecar.run(&["status"])?.stdout)?;
    ensure!(!status.contains("NOBODY SIGNED"), "{status}");
    stage.sidecar.stop()?;
    stage.sidecar.resume()?;
    refused_under(&stage, &digits).await?;
    // Its signatures lie beside it, and count at every start.
    stage.sidecar.stop()?;
    let kept = stage.sidecar.folder().join("state/policies").join(&digits);
    fs::remove_file(kept.join("0.minisig"))?;
    let told = format!("{:#}", stage.sidecar.resume().err().context("it serves without a signature")?);
    ensure!(told.contains("needed: officer and author"), "{told}");
    stage.sidecar.kill()
}
