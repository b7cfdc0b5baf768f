//! Keys and signatures of cosign, made on the spot.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::policy::{CosignImage, NotACosignKey, SETTINGS_ANNOTATION};

fn key(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

fn der(key: &EcdsaKeyPair) -> Vec<u8> {
    AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap().as_ref().to_vec()
}

fn pem(key: &EcdsaKeyPair) -> String {
    let der = STANDARD.encode(der(key));
    format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
}

fn signed(key: &EcdsaKeyPair, message: &[u8]) -> String {
    STANDARD.encode(key.sign(&SystemRandom::new(), message).unwrap())
}

fn officer(key: &EcdsaKeyPair) -> Trust {
    let signers = vec![Signer::cosign("officer", &pem(key)).unwrap(), Signer::minisign("one", ONE).unwrap()];
    Trust { signers, all_of: Vec::new(), any_of: 1, allow_unsigned: false }
}

fn told(trust: &Trust, signature: Signature) -> Result<String, String> {
    let checked = trust.check(&statement(Some("{}")), &[signature]);
    checked.map(|by| by.join(" ")).map_err(|error| error.to_string())
}

const STRANGE: &str = "signed by nobody who counts; needed: 1 of officer, one (a signature of cosign is not over this release, or not of a \
     signer's key)";

#[test]
fn a_blob_signature_counts_over_the_statement_and_over_nothing_else() {
    let (known, other) = (key(&ECDSA_P256_SHA256_ASN1_SIGNING), key(&ECDSA_P256_SHA256_ASN1_SIGNING));
    let trust = officer(&known);
    let text = statement(Some("{}")).to_string();
    let good = signed(&known, text.as_bytes());
    for text in [good.clone(), format!("{good}\n")] {
        assert_eq!(told(&trust, Signature::CosignBlob(text)), Ok("officer".to_owned()));
    }
    for strange in [
        signed(&other, text.as_bytes()),
        signed(&known, b"wasm"),
        signed(&known, statement(None).to_string().as_bytes()),
        STANDARD.encode([0x30, 6, 2, 1, 0, 2, 1, 0]),
        STANDARD.encode([STANDARD.decode(&good).unwrap(), vec![0]].concat()),
    ] {
        assert_eq!(told(&trust, Signature::CosignBlob(strange)), Err(STRANGE.to_owned()));
    }
    for unreadable in [String::new(), "{}".to_owned(), format!("{good}!"), "A".repeat(MAX_SIGNATURE + 4)] {
        assert!(told(&trust, Signature::CosignBlob(unreadable)).unwrap_err().starts_with("expected at most 8"));
    }
}

fn manifest(component: &[u8], settings: Option<&str>, layers: usize) -> Vec<u8> {
    let layer = json!({
        "mediaType": "application/wasm", "digest": Digest::of(component).to_string(), "size": component.len(),
    });
    let mut manifest = json!({"schemaVersion": 2, "layers": vec![layer; layers], "annotations": {}});
    if let Some(settings) = settings {
        manifest["annotations"][SETTINGS_ANNOTATION] = json!(settings);
    }
    manifest.to_string().into_bytes()
}

fn payload(manifest: &[u8], kind: &str) -> Value {
    let image = json!({"docker-manifest-digest": Digest::of(manifest).to_string()});
    json!({"critical": {"identity": {"docker-reference": "x"}, "image": image, "type": kind}, "optional": null})
}

const KIND: &str = "cosign container image signature";

#[test]
fn an_image_signature_counts_over_the_image_that_holds_the_release_and_over_no_other() {
    let (known, other) = (key(&ECDSA_P256_SHA256_ASN1_SIGNING), key(&ECDSA_P256_SHA256_ASN1_SIGNING));
    let trust = officer(&known);
    let right = manifest(b"wasm", Some("{}"), 1);
    let image = |key: &EcdsaKeyPair, manifest: &[u8], payload: &Value| {
        let payload = payload.to_string().into_bytes();
        let signature = signed(key, &payload);
        Signature::CosignImage(CosignImage { manifest: manifest.to_vec(), payload, signature })
    };
    let good = image(&known, &right, &payload(&right, KIND));
    assert_eq!(told(&trust, good.clone()), Ok("officer".to_owned()));
    assert_eq!(told(&trust, image(&other, &right, &payload(&right, KIND))), Err(STRANGE.to_owned()));
    let Signature::CosignImage(mut altered) = good else { unreachable!() };
    altered.payload.push(b' ');
    assert_eq!(told(&trust, Signature::CosignImage(altered)), Err(STRANGE.to_owned()));
    for manifest in [
        manifest(b"other", Some("{}"), 1),
        manifest(b"wasm", Some("{ }"), 1),
        manifest(b"wasm", None, 1),
        manifest(b"wasm", Some("{}"), 2),
        b"{}".to_vec(),
    ] {
        let told = told(&trust, image(&known, &manifest, &payload(&manifest, KIND))).unwrap_err();
        assert!(told.starts_with("the signature of officer is not over this release"), "{told}");
    }
    for payload in [payload(b"other", KIND), payload(&right, "atomic container signature"), json!({}), json!("x")] {
        let told = told(&trust, image(&known, &right, &payload)).unwrap_err();
        assert!(told.starts_with("the signature of officer is not over this release"), "{told}");
    }
}

#[test]
fn a_key_is_ecdsa_on_p256_in_one_form_alone() {
    let known = key(&ECDSA_P256_SHA256_ASN1_SIGNING);
    let text = pem(&known);
    assert!(Signer::cosign("a", &text).unwrap().is(&Signer::cosign("b", &text.replace('\n', "\r\n")).unwrap()));
    assert!(!Signer::cosign("a", &text).unwrap().is(&Signer::minisign("a", ONE).unwrap()));
    let mut off = der(&known);
    *off.last_mut().unwrap() ^= 1;
    let off = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(off));
    let other = pem(&key(&ECDSA_P384_SHA384_ASN1_SIGNING));
    let private = text.replace("PUBLIC", "PRIVATE");
    for wrong in ["", "x", ONE, &other, &off, &private, &format!("{text}{text}"), &text.replace("MFkw", "MFkx")] {
        assert_eq!(Signer::cosign("a", wrong).err(), Some(NotACosignKey), "{wrong}");
    }
}
