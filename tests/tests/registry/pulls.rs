//! Pulls from a real registry: what is taken, and what is refused with its reason.

use anyhow::{Result, ensure};
use octroi::policy::{Digest, EMBEDDED};
use serde_json::json;

use crate::artifact::{self, STRICTER, WASM, WASM_CONFIG, push};
use crate::registry::{Registry, USER};
use crate::stage::{Stage, release};

const STAGE: [&str; 3] = ["stage", "--reason", "try"];

fn stage(reference: &str) -> Vec<&str> {
    [&STAGE[..], &[reference]].concat()
}

#[test]
fn a_release_comes_by_tag_and_by_digest_with_its_settings_and_its_origin_says_which() -> Result<()> {
    let (registry, stage_) = (Registry::start(false)?, Stage::unsigned()?);
    let base = format!("oci://{}/sante/policy", registry.address);
    let stricter = artifact::wasm(EMBEDDED, Some(STRICTER));
    let digest = push(&registry, ("sante/policy", "1.0"), EMBEDDED, &stricter)?;
    let told = stage_.done(&stage(&format!("{base}:1.0")), &registry.access())?;
    let strict = release(EMBEDDED, Some(STRICTER));
    ensure!(told.contains(&format!("is staged as {strict}\n")), "{told}");
    ensure!(stage_.origin(&strict)? == format!("{base}:1.0@{digest}"), "{:#}", stage_.standing()?);

    // The tag is moved; the digest still names what it named.
    let bare = push(&registry, ("sante/policy", "1.0"), EMBEDDED, &artifact::wasm(EMBEDDED, None))?;
    let again = stage_.refused(&stage(&format!("{base}@{digest}")), &registry.access())?;
    ensure!(again.contains("staged already"), "{again}");
    let told = stage_.done(&stage(&format!("{base}@{bare}")), &registry.access())?;
    ensure!(told.contains(&release(EMBEDDED, None)), "{told}");
    ensure!(stage_.origin(&release(EMBEDDED, None))? == format!("{base}@{bare}"), "{:#}", stage_.standing()?);
    let statement = stage_.done(&["statement", &format!("{base}@{digest}")], &registry.access())?;
    ensure!(statement.contains(&Digest::of(STRICTER.as_bytes()).to_string()), "{statement}");
    Ok(())
}

#[test]
fn a_plain_artifact_with_one_layer_is_taken_as_registries_have_it_that_know_no_wasm() -> Result<()> {
    let (registry, stage_) = (Registry::start(false)?, Stage::unsigned()?);
    let kinds = [
        ("application/octet-stream", "0.1.1"),
        ("application/vnd.wasm.content.layer.v1+wasm", "0.1.2"),
        ("application/wasm", "0.1.3"),
    ];
    for (number, (kind, version)) in kinds.into_iter().enumerate() {
        let component = artifact::version(version);
        let manifest = artifact::manifest("application/vnd.oci.image.config.v1+json", &[(kind, &component)]);
        let name = format!("group/project/policy-{number}");
        push(&registry, (&name, "v1"), &component, &manifest)?;
        let told = stage_.done(&stage(&format!("oci://{}/{name}:v1", registry.address)), &registry.access())?;
        ensure!(told.starts_with(&format!("pro-sante-connect {version} is staged")), "{told}");
    }
    Ok(())
}

#[test]
fn who_may_not_ask_and_a_registry_that_is_not_known_are_told_apart() -> Result<()> {
    let (registry, stage_) = (Registry::start(false)?, Stage::unsigned()?);
    push(&registry, ("policy", "1"), EMBEDDED, &artifact::wasm(EMBEDDED, None))?;
    let reference = format!("oci://{}/policy:1", registry.address);
    let (ca, right, wrong) = (registry.file("ca.pem"), registry.file("password"), registry.file("wrong-password"));
    let open = registry.file("ca.pem");
    for (more, part) in [
        (
            vec!["--ca-file", &ca, "--user", USER, "--password-file", &wrong],
            "does not let this user in: look at --user",
        ),
        (vec!["--ca-file", &ca, "--user", "nobody", "--password-file", &right], "does not let this user in"),
        (vec!["--ca-file", &ca], "wants to know who asks: give --user NAME and --password-file FILE"),
        (
            vec!["--user", USER, "--password-file", &right],
            "is not trusted for this name; where it has a certificate of your own",
        ),
        (vec!["--ca-file", &ca, "--user", USER, "--password-file", &open], "expected mode 0600"),
    ] {
        let more: Vec<String> = more.into_iter().map(str::to_owned).collect();
        let told = stage_.refused(&stage(&reference), &more)?;
        ensure!(told.contains(part) && !told.contains("planted"), "{part}: {told}");
    }
    let told = stage_.refused(&stage(&format!("oci://{}/policy:2", registry.address)), &registry.access())?;
    ensure!(told.contains("HTTP status 404; look whether it is published"), "{told}");
    ensure!(stage_.standing()?.is_null(), "something was kept");
    Ok(())
}

#[test]
fn what_is_not_one_component_within_its_size_is_refused() -> Result<()> {
    let (registry, stage_) = (Registry::start(false)?, Stage::unsigned()?);
    let large = vec![0; (8 << 20) + 1];
    for bytes in [b"{}", EMBEDDED, b"other", &large] {
        registry.blob("policy", bytes)?;
    }
    let one = artifact::wasm(EMBEDDED, None);
    let digest = registry.manifest("policy", "one", &one)?;
    let mut member = artifact::descriptor("application/vnd.oci.image.manifest.v1+json", one.to_string().as_bytes());
    member["platform"] = json!({"architecture": "wasm", "os": "wasip2"});
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [member]});
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    for (tag, manifest, part) in [
        (
            "two",
            artifact::manifest(WASM_CONFIG, &[(WASM, EMBEDDED), (WASM, b"other")]),
            "exactly one layer, the component, found 2",
        ),
        ("index", index, "found an index of several: name the one that holds the policy"),
        ("tar", artifact::manifest("application/vnd.oci.image.config.v1+json", &[(tar, b"other")]), tar),
        ("large", artifact::wasm(&large, None), "a layer of at most 8388608 bytes, found 8388609"),
        ("other", artifact::wasm(b"other", None), "not a valid WebAssembly component"),
    ] {
        registry.manifest("policy", tag, &manifest)?;
        let told = stage_.refused(&stage(&format!("oci://{}/policy:{tag}", registry.address)), &registry.access())?;
        ensure!(told.contains(part), "{tag}: {told}");
    }
    ensure!(stage_.standing()?.is_null(), "something was kept");
    stage_.done(&stage(&format!("oci://{}/policy@{digest}", registry.address)), &registry.access())?;
    Ok(())
}
