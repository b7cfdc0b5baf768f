//! What a timer runs: forth, and never back.

use anyhow::{Result, ensure};
use octroi::policy::EMBEDDED;
use octroi_tests::sidecar::Sidecar;

use crate::artifact::{self, STRICTER, push};
use crate::registry::Registry;
use crate::stage::{Stage, release};

/// Publishes a version as the newest.
fn publish(registry: &Registry, version: &str, settings: Option<&str>) -> Result<String> {
    let component = artifact::version(version);
    push(registry, ("policy", "stable"), &component, &artifact::wasm(&component, settings))?;
    Ok(release(&component, settings))
}

/// What `octroi status` says of the policy in service.
fn serves(sidecar: &Sidecar, version: &str) -> Result<()> {
    let status = String::from_utf8(sidecar.run(&["status"])?.stdout)?;
    ensure!(status.contains(&format!("pro-sante-connect {version}")), "{status}");
    Ok(())
}

#[test]
fn an_update_goes_to_higher_versions_alone_and_going_back_is_a_step_by_hand() -> Result<()> {
    let (registry, mut stage) = (Registry::start(false)?, Stage::unsigned()?);
    let reference = format!("oci://{}/policy:stable", registry.address);
    let words = ["update", &reference, "--reason", "timer"];
    let second = publish(&registry, "0.2.0", None)?;
    let told = stage.done(&words, &registry.access())?;
    ensure!(told.starts_with("pro-sante-connect 0.2.0 (") && told.contains("decides now"), "{told}");
    let told = stage.done(&words, &registry.access())?;
    ensure!(told == format!("{second} is in service already: nothing to do\n"), "{told}");

    for (version, settings) in [("0.1.9", None), ("0.2.0", Some(STRICTER))] {
        publish(&registry, version, settings)?;
        let told = stage.refused(&words, &registry.access())?;
        ensure!(told.contains(&format!("version {version} is not above 0.2.0, which is in service")), "{told}");
    }
    ensure!(stage.standing()?["held"].as_array().map(Vec::len) == Some(1), "{:#}", stage.standing()?);

    // Taken back by hand, the bad release does not come again by itself, even where it is no longer kept; a better one
    // does.
    publish(&registry, "0.2.0", None)?;
    stage.done(&["rollback", "--reason", "doctors are locked out"], &[])?;
    serves(&stage.sidecar, "0.1.0")?;
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("version 0.2.0 is not above 0.2.0, which was in service before"), "{told}");
    stage.done(&["retire", &second, "--reason", "bad"], &[])?;
    stage.sidecar.stop()?;
    stage.sidecar.resume()?;
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("which was in service before"), "{told}");
    publish(&registry, "0.2.1", None)?;
    stage.done(&words, &registry.access())?;
    serves(&stage.sidecar, "0.2.1")?;

    // By hand, any version may serve.
    publish(&registry, "0.1.9", None)?;
    stage.done(&["stage", &reference, "--reason", "by hand"], &registry.access())?;
    stage.done(&["activate", &release(&artifact::version("0.1.9"), None), "--reason", "by hand"], &[])?;
    serves(&stage.sidecar, "0.1.9")?;
    ensure!(stage.standing()?["highest"] == "0.2.1", "{:#}", stage.standing()?);
    Ok(())
}

#[test]
fn updates_never_run_out_of_room() -> Result<()> {
    let (registry, stage) = (Registry::start(false)?, Stage::unsigned()?);
    let reference = format!("oci://{}/policy:stable", registry.address);
    for patch in 0..10 {
        publish(&registry, &format!("0.3.{patch}"), None)?;
        stage.done(&["update", &reference, "--reason", "timer"], &registry.access())?;
    }
    serves(&stage.sidecar, "0.3.9")?;
    let told = stage.done(&["rollback", "--reason", "try"], &[])?;
    ensure!(told.contains("0.3.8"), "{told}");
    Ok(())
}

#[test]
fn a_release_staged_by_hand_is_put_into_service_by_an_update_if_it_is_newer() -> Result<()> {
    let (registry, stage) = (Registry::start(false)?, Stage::unsigned()?);
    let reference = format!("oci://{}/policy:stable", registry.address);
    publish(&registry, "0.4.0", Some(STRICTER))?;
    stage.done(&["stage", &reference, "--reason", "look at it first"], &registry.access())?;
    stage.done(&["update", &reference, "--reason", "timer"], &registry.access())?;
    serves(&stage.sidecar, "0.4.0")?;
    ensure!(stage.standing()?["active"]["release"] != release(EMBEDDED, None), "{:#}", stage.standing()?);
    Ok(())
}
