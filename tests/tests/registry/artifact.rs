//! What is pushed: manifests in the layouts of the field.

use anyhow::Result;
use octroi::policy::{Digest, EMBEDDED, SETTINGS_ANNOTATION};
use serde_json::{Value, json};

use crate::registry::Registry;

/// Settings that refuse what the configuration's own would let in.
pub(crate) const STRICTER: &str = r#"{"acr": ["eidas3"]}"#;
/// Config type of the CNCF's layout.
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Layer type of the CNCF's layout.
pub(crate) const WASM: &str = "application/wasm";

/// What names a blob.
pub(crate) fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

/// An image manifest.
pub(crate) fn manifest(config: &str, layers: &[(&str, &[u8])]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|(kind, bytes)| descriptor(kind, bytes)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(config, b"{}"),
        "layers": layers,
    })
}

/// The manifest of a component in the CNCF's layout, with settings.
pub(crate) fn wasm(component: &[u8], settings: Option<&str>) -> Value {
    let mut manifest = manifest(WASM_CONFIG, &[(WASM, component)]);
    if let Some(settings) = settings {
        manifest["annotations"] = json!({SETTINGS_ANNOTATION: settings});
    }
    manifest
}

/// Pushes a component; the manifest's digest.
pub(crate) fn push(registry: &Registry, name: (&str, &str), component: &[u8], manifest: &Value) -> Result<Digest> {
    let (repository, tag) = name;
    registry.blob(repository, b"{}")?;
    registry.blob(repository, component)?;
    registry.manifest(repository, tag, manifest)
}

/// The default policy under another version, of as many characters.
pub(crate) fn version(version: &str) -> Vec<u8> {
    let (old, new) = (b"pro-sante-connect0.1.0", format!("pro-sante-connect{version}"));
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..EMBEDDED.len()).filter(|at| EMBEDDED[*at..].starts_with(old)).collect();
    let [at] = places[..] else { panic!("name and version stand at {places:?}") };
    let mut component = EMBEDDED.to_vec();
    component[at..at + new.len()].copy_from_slice(new.as_bytes());
    component
}
