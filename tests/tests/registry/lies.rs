//! Registries that lie, break off, or change their mind while they are asked.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use octroi::policy::{Digest, EMBEDDED, MAX_MANIFEST};
use octroi_tests::web::{Answer, Asked, StandIn};
use serde_json::Value;

use crate::artifact::{self, STRICTER};
use crate::stage::{Stage, release};

/// A registry with one manifest under every name.
fn one(manifest: Value, blob: impl Fn() -> Answer + Send + 'static) -> Result<StandIn> {
    StandIn::start(None, move |_, asked: &Asked, _| match asked.path.as_str() {
        path if path.ends_with(".sig") => Answer::status(404),
        path if path.contains("/manifests/") => Answer::of(manifest.to_string()),
        _ => blob(),
    })
}

fn stage_from(stage: &Stage, address: SocketAddr) -> Result<Result<String, String>> {
    let reference = format!("oci://{address}/policy:1");
    stage.policy(&["stage", &reference, "--reason", "try", "--insecure-http"], &[])
}

#[test]
fn other_bytes_than_the_manifest_names_are_not_taken() -> Result<()> {
    let stage = Stage::unsigned()?;
    let mut other = EMBEDDED.to_vec();
    *other.last_mut().unwrap() ^= 1;
    let found = Digest::of(&other);
    let named = Digest::of(EMBEDDED);
    let liar = one(artifact::wasm(EMBEDDED, None), move || Answer::of(other.clone()))?;
    let told = stage_from(&stage, liar.address)?.unwrap_err();
    ensure!(told.contains(&format!("expected {named}, what came is {found}: nothing was taken")), "{told}");
    // The manifest too is held against the digest by which it is asked for.
    let reference = format!("oci://{}/policy@{named}", liar.address);
    let told = stage.refused(&["stage", &reference, "--reason", "try", "--insecure-http"], &[])?;
    ensure!(told.contains(&format!("expected {named}, what came is")), "{told}");
    ensure!(stage.standing()?.is_null(), "something was kept");
    Ok(())
}

#[test]
fn a_pull_that_is_cut_or_never_ends_is_not_taken() -> Result<()> {
    let stage = Stage::unsigned()?;
    let half = || Answer { body: EMBEDDED[..EMBEDDED.len() / 2].to_vec(), ..Answer::of(EMBEDDED) };
    let cut = one(artifact::wasm(EMBEDDED, None), half)?;
    let told = stage_from(&stage, cut.address)?.unwrap_err();
    ensure!(told.contains("the answer broke off; nothing was taken: try again"), "{told}");

    let short = one(artifact::wasm(EMBEDDED, None), || Answer::of(&EMBEDDED[1..]))?;
    let told = stage_from(&stage, short.address)?.unwrap_err();
    ensure!(told.contains("what came is"), "{told}");

    let long = || Answer { length: None, ..Answer::of([EMBEDDED, b"more"].concat()) };
    let long = one(artifact::wasm(EMBEDDED, None), long)?;
    let told = stage_from(&stage, long.address)?.unwrap_err();
    ensure!(told.contains("larger than the limit"), "{told}");

    let endless = |_, _: &Asked, _| Answer { length: None, ..Answer::of(vec![b' '; MAX_MANIFEST + 1]) };
    let endless = StandIn::start(None, endless)?;
    let told = stage_from(&stage, endless.address)?.unwrap_err();
    ensure!(told.contains("larger than the limit; nothing was taken"), "{told}");
    ensure!(stage.standing()?.is_null(), "something was kept");
    Ok(())
}

#[test]
fn a_tag_that_moves_during_the_pull_brings_what_it_was_resolved_to() -> Result<()> {
    let stage = Stage::unsigned()?;
    let (first, second) = (artifact::wasm(EMBEDDED, Some(STRICTER)), artifact::wasm(&artifact::version("0.9.9"), None));
    let digest = Digest::of(first.to_string().as_bytes());
    let moving = StandIn::start(None, move |_, asked, before| match (asked.path.as_str(), before) {
        (path, _) if path.ends_with(".sig") => Answer::status(404),
        ("/v2/policy/manifests/1", 0) => Answer::of(first.to_string()),
        ("/v2/policy/manifests/1", _) => Answer::of(second.to_string()),
        (path, _) if path.ends_with(&Digest::of(EMBEDDED).to_string()) => Answer::of(EMBEDDED),
        _ => Answer::of(artifact::version("0.9.9")),
    })?;
    stage_from(&stage, moving.address)?.unwrap();
    let strict = release(EMBEDDED, Some(STRICTER));
    ensure!(stage.origin(&strict)? == format!("oci://{}/policy:1@{digest}", moving.address), "{:#}", stage.standing()?);
    let paths: Vec<String> = moving.asked().into_iter().map(|asked| asked.path).collect();
    let signatures = format!("/v2/policy/manifests/{}.sig", digest.to_string().replace(':', "-"));
    let blob = format!("/v2/policy/blobs/{}", Digest::of(EMBEDDED));
    ensure!(paths == ["/v2/policy/manifests/1", &blob, &signatures], "{paths:?}");
    Ok(())
}
