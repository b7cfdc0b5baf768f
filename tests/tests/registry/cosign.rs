//! Signatures of cosign's keys, over a release in a folder and over an image, up to the sidecar's next start.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi::policy::{Digest, EMBEDDED};
use serde_json::json;
use tempfile::TempDir;

use crate::artifact::{self, STRICTER, descriptor, push};
use crate::registry::Registry;
use crate::stage::{Stage, release};

const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A key pair as `cosign generate-key-pair` makes it, but for the private half's envelope.
struct Key(TempDir);

impl Key {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = Self(folder);
        key.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "cosign.key"])?;
        key.openssl(&["ec", "-in", "cosign.key", "-pubout", "-out", "cosign.pub"])?;
        Ok(key)
    }

    fn openssl(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = Command::new("openssl").args(arguments).current_dir(self.0.path()).output().context("openssl")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    }

    /// A signer of the configuration.
    fn signer(&self, name: &str) -> Result<String> {
        let pem = fs::read_to_string(self.0.path().join("cosign.pub"))?;
        Ok(format!("[[policy.signer]]\nname = \"{name}\"\ncosign = \"\"\"\n{pem}\"\"\"\n\n"))
    }

    /// ECDSA with SHA-256, DER, in base64.
    fn sign(&self, message: &[u8]) -> Result<String> {
        fs::write(self.0.path().join("message"), message)?;
        Ok(STANDARD.encode(self.openssl(&["dgst", "-sha256", "-sign", "cosign.key", "message"])?))
    }
}

/// What cosign signs for an image.
fn payload(manifest: Digest) -> String {
    json!({
        "critical": {
            "identity": {"docker-reference": "registry.example.test/policy"},
            "image": {"docker-manifest-digest": manifest.to_string()},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

/// Attaches signatures to an image, as cosign does.
fn attach(registry: &Registry, repository: &str, image: Digest, signed: &[(String, String)]) -> Result<()> {
    registry.blob(repository, b"{}")?;
    let mut manifest = artifact::manifest("application/vnd.oci.image.config.v1+json", &[]);
    let mut layers = Vec::new();
    for (payload, signature) in signed {
        registry.blob(repository, payload.as_bytes())?;
        let mut layer = descriptor(PAYLOAD, payload.as_bytes());
        layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        layers.push(layer);
    }
    manifest["layers"] = json!(layers);
    registry.manifest(repository, &format!("{}.sig", image.to_string().replace(':', "-")), &manifest)?;
    Ok(())
}

fn folder(at: &Path, settings: &str) -> Result<String> {
    fs::create_dir_all(at)?;
    fs::write(at.join("policy.wasm"), EMBEDDED)?;
    fs::write(at.join("settings.json"), settings)?;
    Ok(at.display().to_string())
}

#[test]
fn a_blob_signature_beside_the_component_counts_for_this_release_alone() -> Result<()> {
    let (officer, stranger) = (Key::new()?, Key::new()?);
    let mut stage = Stage::with(&officer.signer("officer")?)?;
    let path = stage.sidecar.folder().join("stricter");
    let release_folder = folder(&path, STRICTER)?;
    let words = ["stage", &release_folder, "--reason", "try"];
    let statement = stage.done(&["statement", &release_folder], &[])?;
    fs::write(path.join("policy.sig"), stranger.sign(statement.as_bytes())?)?;
    let told = stage.refused(&words, &[])?;
    ensure!(told.contains("signed by nobody who counts; needed: officer (a signature of cosign is not over"), "{told}");
    fs::write(path.join("policy.sig"), officer.sign(EMBEDDED)?)?;
    ensure!(stage.refused(&words, &[])?.contains("needed: officer"));
    fs::write(path.join("policy.sig"), "not base64!")?;
    ensure!(stage.refused(&words, &[])?.contains("of cosign (base64, not the bundle"));
    fs::write(path.join("policy.sig"), format!("{}\n", officer.sign(statement.as_bytes())?))?;
    folder(&path, "{}")?;
    ensure!(stage.refused(&words, &[])?.contains("needed: officer"));
    folder(&path, STRICTER)?;
    stage.done(&words, &[])?;
    ensure!(stage.standing()?["held"][0]["signed_by"] == json!(["officer"]), "{:#}", stage.standing()?);
    restarts_only_signed(&mut stage, "sig")
}

/// Activates the one release, and starts the sidecar again with its signature and without.
fn restarts_only_signed(stage: &mut Stage, extension: &str) -> Result<()> {
    let strict = release(EMBEDDED, Some(STRICTER));
    stage.done(&["activate", &strict, "--reason", "try"], &[])?;
    stage.sidecar.stop()?;
    stage.sidecar.resume()?;
    stage.sidecar.stop()?;
    let kept = stage.sidecar.folder().join("state/policies").join(strict.trim_start_matches("sha256:"));
    fs::remove_file(kept.join(format!("0.{extension}")))?;
    let told = format!("{:#}", stage.sidecar.resume().err().context("it serves without a signature")?);
    ensure!(told.contains("needed: officer"), "{told}");
    stage.sidecar.kill()
}

#[test]
fn an_image_signature_counts_for_the_image_that_it_names_alone() -> Result<()> {
    let (registry, officer, stranger) = (Registry::start(false)?, Key::new()?, Key::new()?);
    let mut stage = Stage::with(&officer.signer("officer")?)?;
    let reference = format!("oci://{}/policy:1", registry.address);
    let words = ["stage", &reference, "--reason", "try"];
    let image = push(&registry, ("policy", "1"), EMBEDDED, &artifact::wasm(EMBEDDED, Some(STRICTER)))?;
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("signed by nobody who counts; needed: officer"), "{told}");

    let by = |key: &Key, digest| {
        let payload = payload(digest);
        key.sign(payload.as_bytes()).map(|signature| (payload, signature))
    };
    attach(&registry, "policy", image, &[by(&stranger, image)?])?;
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("needed: officer (a signature of cosign is not over this release"), "{told}");
    let other = Digest::of(b"another image");
    attach(&registry, "policy", image, &[by(&officer, other)?])?;
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("the signature of officer is not over this release"), "{told}");
    // The payload was altered after it was signed.
    attach(&registry, "policy", image, &[(payload(image), by(&officer, other)?.1)])?;
    ensure!(stage.refused(&words, &registry.access())?.contains("needed: officer"));
    ensure!(stage.standing()?.is_null(), "something was kept");

    attach(&registry, "policy", image, &[by(&officer, image)?, by(&stranger, image)?])?;
    stage.done(&words, &registry.access())?;
    ensure!(stage.standing()?["held"][0]["signed_by"] == json!(["officer"]), "{:#}", stage.standing()?);
    restarts_only_signed(&mut stage, "cosign")
}

#[test]
fn minisign_signatures_in_annotations_count_and_with_cosigns_make_up_all_that_are_needed() -> Result<()> {
    let (registry, officer, keys) = (Registry::start(false)?, Key::new()?, tempfile::tempdir()?);
    let minisign = |arguments: &[&str]| {
        let made = Command::new("minisign").args(arguments).current_dir(keys.path()).output().context("minisign")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    };
    minisign(&["-G", "-W", "-p", "pub", "-s", "key"])?;
    let public = fs::read_to_string(keys.path().join("pub"))?;
    let public = public.lines().last().context("an empty key")?;
    let author = format!("[[policy.signer]]\nname = \"author\"\nminisign = \"{public}\"\n\n");
    let stage = Stage::with(&format!("{}{author}", officer.signer("officer")?))?;

    let mut manifest = artifact::wasm(EMBEDDED, Some(STRICTER));
    push(&registry, ("policy", "1"), EMBEDDED, &manifest)?;
    let reference = format!("oci://{}/policy:1", registry.address);
    fs::write(keys.path().join("release"), stage.done(&["statement", &reference], &registry.access())?)?;
    minisign(&["-S", "-W", "-s", "key", "-m", "release"])?;
    let signature = fs::read_to_string(keys.path().join("release.minisig"))?;
    manifest["annotations"]["fr.octroi.policy.signature.author"] = json!(signature);
    let image = push(&registry, ("policy", "1"), EMBEDDED, &manifest)?;
    let words = ["stage", &reference, "--reason", "try"];
    let told = stage.refused(&words, &registry.access())?;
    ensure!(told.contains("signed by author; needed: officer and author"), "{told}");
    let payload = payload(image);
    let signature = officer.sign(payload.as_bytes())?;
    attach(&registry, "policy", image, &[(payload, signature)])?;
    stage.done(&words, &registry.access())?;
    Ok(())
}
