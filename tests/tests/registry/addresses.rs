//! A component at an https address: here, a blob of a registry that lets everybody in.

use std::fs;

use anyhow::{Result, ensure};
use octroi::policy::{Digest, EMBEDDED};
use octroi_tests::pki::Pki;
use octroi_tests::web::{Answer, Asked, StandIn};

use crate::artifact::STRICTER;
use crate::registry::Registry;
use crate::stage::{Stage, release};

#[test]
fn a_component_comes_from_an_address_only_as_the_one_that_was_meant() -> Result<()> {
    let (registry, stage) = (Registry::start(true)?, Stage::unsigned()?);
    registry.blob("policy", EMBEDDED)?;
    let digest = Digest::of(EMBEDDED).to_string();
    let url = format!("https://{}/v2/policy/blobs/{digest}", registry.address);
    let (ca, settings) = (registry.file("ca.pem"), registry.file("settings.json"));
    fs::write(&settings, STRICTER)?;
    let words = ["stage", &url, "--reason", "try"];
    let more = |more: &[&str]| more.iter().map(ToString::to_string).collect::<Vec<_>>();
    let other = Digest::of(b"other").to_string();
    for (flags, part) in [
        (more(&["--ca-file", &ca]), "--digest sha256:... is missing".to_owned()),
        (more(&["--ca-file", &ca, "--digest", &other]), format!("expected {other}, what came is {digest}")),
        (more(&["--digest", &digest]), "is not trusted for this name".to_owned()),
    ] {
        let told = stage.refused(&words, &flags)?;
        ensure!(told.contains(&part), "{told}");
    }
    let told = stage
        .refused(&["stage", &format!("{url}0"), "--reason", "try"], &more(&["--ca-file", &ca, "--digest", &digest]))?;
    ensure!(told.contains("HTTP status 4"), "{told}");
    ensure!(stage.standing()?.is_null(), "something was kept");
    let told = stage.done(&words, &more(&["--ca-file", &ca, "--digest", &digest, "--settings", &settings]))?;
    let strict = release(EMBEDDED, Some(STRICTER));
    ensure!(told.contains(&strict) && stage.origin(&strict)? == url, "{told}");
    Ok(())
}

#[test]
fn an_address_redirects_within_its_host_alone_and_brings_no_more_than_a_component() -> Result<()> {
    let (stage, pki, folder) = (Stage::unsigned()?, Pki::new()?, tempfile::tempdir()?);
    let ca = folder.path().join("ca.pem").display().to_string();
    fs::write(&ca, &pki.authority_pem)?;
    let server = StandIn::start(Some(&pki), |address, asked: &Asked, _| match asked.path.as_str() {
        path if path.starts_with("/here?") => Answer::status(302).with("Location", "/policy.wasm"),
        "/policy.wasm" => Answer::of(EMBEDDED),
        "/away" => Answer::status(302).with("Location", format!("https://localhost:{}/policy.wasm", address.port())),
        "/plain" => Answer::status(302).with("Location", format!("http://{address}/policy.wasm")),
        "/round" => Answer::status(302).with("Location", "/round"),
        _ => Answer { length: None, ..Answer::of(vec![0; (8 << 20) + 1]) },
    })?;
    let digest = Digest::of(EMBEDDED).to_string();
    let flags = ["--reason", "try", "--ca-file", &ca, "--digest", &digest].map(str::to_owned);
    for (path, part) in [
        ("away", "which is not followed: name that address"),
        ("plain", "the way must be https to its end"),
        ("round", "redirected too often"),
        ("large", "larger than the limit"),
    ] {
        let told = stage.refused(&["stage", &format!("https://{}/{path}", server.address)], &flags)?;
        ensure!(told.contains(part), "{path}: {told}");
    }
    stage.done(&["stage", &format!("https://{}/here?token=planted", server.address)], &flags)?;
    let origin = stage.origin(&release(EMBEDDED, None))?;
    ensure!(origin == format!("https://{}/here", server.address), "{origin}");
    Ok(())
}
