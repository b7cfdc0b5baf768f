//! Registries that send for a token, and redirects: where a password goes, and where it does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, ensure};
use octroi::policy::EMBEDDED;
use octroi_tests::pki::Pki;
use octroi_tests::web::{Answer, Asked, StandIn};

use crate::artifact;
use crate::registry::{PASSWORD, USER};
use crate::stage::Stage;

/// `puller:planted-registry-password`.
const BASIC: &str = "Basic cHVsbGVyOnBsYW50ZWQtcmVnaXN0cnktcGFzc3dvcmQ=";

/// Flags for a registry with this authority.
fn access(folder: &tempfile::TempDir, pki: &Pki) -> Result<Vec<String>> {
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("ca.pem"), &pki.authority_pem)?;
    fs::write(at("password"), PASSWORD)?;
    fs::set_permissions(at("password"), Permissions::from_mode(0o600))?;
    let (ca, password) = (at("ca.pem"), at("password"));
    Ok(["--ca-file", &ca, "--user", USER, "--password-file", &password].map(str::to_owned).to_vec())
}

/// A registry that wants a token from `realm`, where `{}` is its own address.
fn registry(pki: &Pki, realm: &'static str) -> Result<StandIn> {
    StandIn::start(Some(pki), move |address, asked, _| {
        let realm = realm.replace("{}", &address.to_string());
        let known = asked.authorization.as_deref() == Some("Bearer good");
        match asked.path.as_str() {
            path if path.starts_with("/token") => Answer::of(r#"{"token":"good","expires_in":300}"#),
            "/storage" => Answer::of(EMBEDDED),
            _ if !known => {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"here\",scope=\"repository:x:pull,push\"");
                Answer::status(401).with("WWW-Authenticate", challenge)
            }
            path if path.ends_with(".sig") => Answer::status(404),
            path if path.contains("/manifests/") => Answer::of(artifact::wasm(EMBEDDED, None).to_string()),
            _ => Answer::status(307).with("Location", format!("https://localhost:{}/storage", address.port())),
        }
    })
}

#[test]
fn a_password_goes_to_the_token_server_and_a_token_to_the_registry_alone() -> Result<()> {
    let (stage, pki, folder) = (Stage::unsigned()?, Pki::new()?, tempfile::tempdir()?);
    let registry = registry(&pki, "https://{}/token")?;
    let reference = format!("oci://{}/sante/policy:1", registry.address);
    stage.done(&["stage", &reference, "--reason", "try"], &access(&folder, &pki)?)?;
    let shown = |path: &str| {
        let asked = registry.asked();
        let shown: Vec<_> =
            asked.into_iter().filter(|asked| asked.path.contains(path)).map(|a| a.authorization).collect();
        shown
    };
    let bearer = || Some("Bearer good".to_owned());
    ensure!(shown("/token?service=here&scope=repository%3Asante%2Fpolicy%3Apull") == [Some(BASIC.to_owned())]);
    ensure!(shown("/manifests/1") == [None, bearer()] && shown("/blobs/") == [bearer()], "{:?}", registry.asked());
    // The storage that the registry redirects to has another name: it is shown nothing.
    ensure!(shown("/storage") == [None], "{:?}", registry.asked());
    Ok(())
}

#[test]
fn a_password_never_goes_where_there_is_no_tls_nor_to_where_a_redirect_leads() -> Result<()> {
    let (stage, pki, folder) = (Stage::unsigned()?, Pki::new()?, tempfile::tempdir()?);
    let access = access(&folder, &pki)?;
    let thief = StandIn::start(None, |_, _: &Asked, _| Answer::of(r#"{"token":"good"}"#))?;
    let to_thief = format!("http://{}/token", thief.address);
    let realm: &'static str = Box::leak(to_thief.clone().into_boxed_str());
    let plain = registry(&pki, realm)?;
    let told = stage.refused(&["stage", &format!("oci://{}/policy:1", plain.address), "--reason", "try"], &access)?;
    ensure!(told.contains("an address without TLS: a password does not go there"), "{told}");

    let away =
        StandIn::start(Some(&pki), move |_, _: &Asked, _| Answer::status(302).with("Location", to_thief.clone()))?;
    let told = stage.refused(&["stage", &format!("oci://{}/policy:1", away.address), "--reason", "try"], &access)?;
    ensure!(told.contains("which is not followed"), "{told}");
    ensure!(thief.asked().is_empty(), "{:?}", thief.asked());
    Ok(())
}

#[test]
fn plain_http_needs_the_operators_word_and_this_machine() -> Result<()> {
    let stage = Stage::unsigned()?;
    let plain = StandIn::start(None, |_, _: &Asked, _| Answer::status(500))?;
    let reference = format!("oci://{}/policy:1", plain.address);
    let told = stage.refused(&["stage", &reference, "--reason", "try"], &[])?;
    ensure!(told.contains(&plain.address.to_string()) && !told.contains("status 500"), "{told}");
    let told = stage.refused(&["stage", &reference, "--reason", "try", "--insecure-http"], &[])?;
    ensure!(told.contains("HTTP status 500"), "{told}");
    let told = stage.refused(&["stage", "oci://192.0.2.1:80/policy:1", "--reason", "try", "--insecure-http"], &[])?;
    ensure!(told.contains("--insecure-http is for a registry on this machine"), "{told}");
    Ok(())
}

#[test]
fn a_password_is_not_asked_for_by_whom_a_download_is_redirected_to() -> Result<()> {
    let (stage, pki, folder) = (Stage::unsigned()?, Pki::new()?, tempfile::tempdir()?);
    let thief = StandIn::start(Some(&pki), |_, _: &Asked, _| Answer::of(r#"{"token":"good"}"#))?;
    let realm = format!("Bearer realm=\"https://{}/token\",service=\"here\"", thief.address);
    let storage =
        StandIn::start(Some(&pki), move |_, _: &Asked, _| Answer::status(401).with("WWW-Authenticate", realm.clone()))?;
    let to_storage = format!("https://localhost:{}/blob", storage.address.port());
    let registry = StandIn::start(Some(&pki), move |_, asked: &Asked, _| {
        let known = asked.authorization.as_deref() == Some(BASIC);
        match asked.path.as_str() {
            _ if !known => Answer::status(401).with("WWW-Authenticate", "Basic realm=\"here\"".to_owned()),
            path if path.contains("/manifests/") => Answer::of(artifact::wasm(EMBEDDED, None).to_string()),
            _ => Answer::status(307).with("Location", to_storage.clone()),
        }
    })?;
    let reference = format!("oci://{}/policy:1", registry.address);
    let told = stage.refused(&["stage", &reference, "--reason", "try"], &access(&folder, &pki)?)?;
    ensure!(told.contains("401"), "{told}");
    ensure!(thief.asked().is_empty(), "{:?}", thief.asked());
    ensure!(storage.asked().iter().all(|asked| asked.authorization.is_none()), "{:?}", storage.asked());
    Ok(())
}
