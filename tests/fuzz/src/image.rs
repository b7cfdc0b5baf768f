//! A release in a registry: the manifest as it came.

use octroi::policy::{Artifact, MAX_COMPONENT, SETTINGS_ANNOTATION, SIGNATURE_ANNOTATION};
use serde_json::Value;

pub(crate) const SEEDS: &[&[u8]] = &[
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/wasm","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}],"annotations":{"fr.octroi.policy.settings":"{}","fr.octroi.policy.signature.a":"untrusted comment: x"}}"#,
    br#"{"schemaVersion":2,"layers":[{"mediaType":"application/octet-stream","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":8388608}]}"#,
    br#"{"schemaVersion":2,"layers":[{"mediaType":"application/wasm","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":8388609}]}"#,
    br#"{"schemaVersion":2,"layers":[{"mediaType":"application/wasm","digest":"sha256:00","size":1},{"mediaType":"application/wasm","digest":"sha256:00","size":1}]}"#,
    br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
    br#"{"schemaVersion":1}"#,
    b"<html>",
];

/// What is taken names one layer, its digest and a size within bounds, and nothing that is not in the text.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(artifact) = Artifact::read(bytes) else { return };
    let manifest: Value = serde_json::from_slice(bytes).expect("JSON");
    assert_eq!(manifest["schemaVersion"], 2);
    assert!(manifest.get("manifests").is_none_or(Value::is_null));
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["digest"], artifact.component.to_string().as_str());
    assert_eq!(layers[0]["size"], artifact.size);
    assert!(artifact.size <= MAX_COMPONENT);
    let annotations = &manifest["annotations"];
    assert_eq!(artifact.settings.as_deref(), annotations.get(SETTINGS_ANNOTATION).and_then(Value::as_str));
    for signature in &artifact.signatures {
        let mut named = annotations.as_object().expect("annotations").iter();
        assert!(named.any(|(key, text)| key.starts_with(SIGNATURE_ANNOTATION) && text == signature));
    }
}
