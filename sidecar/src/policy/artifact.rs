//! A release as an OCI registry holds it: an image manifest with one layer, the component. Read alike by who pulls it
//! and by who checks a signature over it.
//!
//! Two layouts are taken: that of the CNCF's guidance for WebAssembly in OCI artifacts (config
//! `application/vnd.wasm.config.v0+json`, one layer `application/wasm`), and a plain artifact with one layer, for
//! registries that refuse the former. Of the annotations two kinds mean something: [`SETTINGS_ANNOTATION`] and
//! [`SIGNATURE_ANNOTATION`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bundle::{Digest, MAX_COMPONENT, MAX_SETTINGS};
use super::signature::{MAX_SIGNATURE, MAX_SIGNATURES};

/// Largest manifest, bytes: room for the largest settings, twice over.
pub const MAX_MANIFEST: usize = 1 << 20;
/// The annotation that holds the settings: their JSON text.
pub const SETTINGS_ANNOTATION: &str = "fr.octroi.policy.settings";
/// How the keys of annotations begin that each hold a signature file of minisign over the release's statement.
pub const SIGNATURE_ANNOTATION: &str = "fr.octroi.policy.signature.";

/// Config of the CNCF's layout.
const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Layer of the CNCF's layout.
const WASM_LAYER: &str = "application/wasm";
/// Layers of a plain artifact.
const PLAIN_LAYERS: [&str; 3] = [WASM_LAYER, "application/vnd.wasm.content.layer.v1+wasm", "application/octet-stream"];
/// Media types of image manifests: OCI's, and Docker's of the same shape.
pub(crate) const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];

/// A manifest as far as it says something here (OCI image specification, "manifest"). What else stands in it is passed
/// over: its digest covers it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<IgnoredAny>,
    annotations: Option<BTreeMap<String, String>>,
}

/// What a manifest names (OCI image specification, "descriptor").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A release in a registry, as its manifest tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Digest of the one layer, which is the component.
    pub component: Digest,
    /// Its size, bytes, at most [`MAX_COMPONENT`].
    pub size: usize,
    /// The settings of the annotation [`SETTINGS_ANNOTATION`].
    pub settings: Option<String>,
    /// What the annotations [`SIGNATURE_ANNOTATION`] hold, in the order of their keys.
    pub signatures: Vec<String>,
}

/// Why a manifest is not that of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// No image manifest.
    #[error("expected an OCI image manifest of at most {MAX_MANIFEST} bytes: {0}")]
    Manifest(String),
    /// A list of manifests.
    #[error("expected an image manifest, found an index of several: name the one that holds the policy, by its digest")]
    Index,
    /// None, or several layers.
    #[error("expected exactly one layer, the component, found {0}: push policy.wasm alone")]
    Layers(usize),
    /// Another type than that of a component.
    #[error("expected a layer of type {expected}, found {found:?}")]
    LayerType {
        /// What is taken.
        expected: String,
        /// What the manifest says.
        found: String,
    },
    /// A digest in another form.
    #[error("expected layers that are named by sha256 digests, found {0:?}")]
    Digest(String),
    /// A layer above its limit.
    #[error("expected a layer of at most {0} bytes, found {1}")]
    Size(usize, u64),
    /// Annotations above their limits.
    #[error(
        "expected {SETTINGS_ANNOTATION} of at most {MAX_SETTINGS} bytes, and at most {MAX_SIGNATURES} annotations {SIGNATURE_ANNOTATION}* of at most \
         {MAX_SIGNATURE}"
    )]
    Annotations,
}

impl Manifest {
    /// Reads an image manifest.
    ///
    /// # Errors
    /// [`ArtifactError::Manifest`], [`ArtifactError::Index`]
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let told = |text: &str| ArtifactError::Manifest(text.to_owned());
        if bytes.len() > MAX_MANIFEST {
            return Err(told("it is larger"));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| ArtifactError::Manifest(error.to_string()))?;
        if manifest.manifests.is_some() {
            return Err(ArtifactError::Index);
        }
        if manifest.schema_version != 2 {
            return Err(told("its schemaVersion is not 2"));
        }
        match manifest.media_type.as_deref() {
            Some(found) if !MANIFESTS.contains(&found) => {
                Err(ArtifactError::Manifest(format!("its type is {found:?}")))
            }
            Some(_) | None => Ok(manifest),
        }
    }

    /// Its layers.
    pub(crate) fn layers(&self) -> &[Descriptor] {
        self.layers.as_deref().unwrap_or_default()
    }
}

impl Descriptor {
    /// Digest and size of what it names.
    ///
    /// # Errors
    /// [`ArtifactError::Digest`], [`ArtifactError::Size`] above `most` bytes.
    pub(crate) fn named(&self, most: usize) -> Result<(Digest, usize), ArtifactError> {
        let digest = self.digest.parse().map_err(|_| ArtifactError::Digest(self.digest.clone()))?;
        match usize::try_from(self.size) {
            Ok(size) if size <= most => Ok((digest, size)),
            Ok(_) | Err(_) => Err(ArtifactError::Size(most, self.size)),
        }
    }
}

impl Artifact {
    /// Reads the manifest of a release.
    ///
    /// # Errors
    /// [`ArtifactError`]
    pub fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let manifest = Manifest::read(bytes)?;
        let [layer] = manifest.layers() else { return Err(ArtifactError::Layers(manifest.layers().len())) };
        let is_wasm = manifest.config.as_ref().is_some_and(|config| config.media_type == WASM_CONFIG);
        let accepted = if is_wasm { &[WASM_LAYER][..] } else { &PLAIN_LAYERS };
        if !accepted.contains(&layer.media_type.as_str()) {
            return Err(ArtifactError::LayerType { expected: accepted.join(" or "), found: layer.media_type.clone() });
        }
        let (component, size) = layer.named(MAX_COMPONENT)?;
        let mut annotations = manifest.annotations.unwrap_or_default();
        let settings = annotations.remove(SETTINGS_ANNOTATION);
        let signatures = annotations.into_iter().filter(|(key, _)| key.starts_with(SIGNATURE_ANNOTATION));
        let signatures: Vec<_> = signatures.map(|(_, signature)| signature).collect();
        if settings.as_ref().is_some_and(|settings| settings.len() > MAX_SETTINGS)
            || signatures.len() > MAX_SIGNATURES
            || signatures.iter().any(|signature| signature.len() > MAX_SIGNATURE)
        {
            return Err(ArtifactError::Annotations);
        }
        Ok(Self { component, size, settings, signatures })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn layer(kind: &str) -> Value {
        json!({"mediaType": kind, "digest": Digest::of(b"wasm").to_string(), "size": 4})
    }

    fn manifest(config: &str, layers: &[Value]) -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": config, "digest": Digest::of(b"{}").to_string(), "size": 2},
            "layers": layers,
        })
    }

    fn read(manifest: &Value) -> Result<Artifact, String> {
        Artifact::read(manifest.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn both_layouts_with_one_layer_are_taken() {
        let bare = Artifact { component: Digest::of(b"wasm"), size: 4, settings: None, signatures: Vec::new() };
        assert_eq!(read(&manifest(WASM_CONFIG, &[layer(WASM_LAYER)])), Ok(bare.clone()));
        for config in ["application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json", "x/y"] {
            for kind in PLAIN_LAYERS {
                assert_eq!(read(&manifest(config, &[layer(kind)])), Ok(bare.clone()), "{config} {kind}");
            }
        }
        let mut untyped = manifest("x/y", &[layer(WASM_LAYER)]);
        untyped.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(read(&untyped), Ok(bare));
    }

    #[test]
    fn annotations_bring_settings_and_signatures_and_others_are_passed_over() {
        let mut manifest = manifest("x/y", &[layer(WASM_LAYER)]);
        manifest["annotations"] = json!({
            SETTINGS_ANNOTATION: "{}", "org.opencontainers.image.created": "today",
            "fr.octroi.policy.signature.b": "two", "fr.octroi.policy.signature.a": "one",
        });
        let artifact = read(&manifest).unwrap();
        assert_eq!(artifact.settings.as_deref(), Some("{}"));
        assert_eq!(artifact.signatures, ["one", "two"]);
        manifest["annotations"][SETTINGS_ANNOTATION] = json!("x".repeat(MAX_SETTINGS + 1));
        assert!(read(&manifest).unwrap_err().contains("at most 262144 bytes"));
        manifest["annotations"] =
            (0..=MAX_SIGNATURES).map(|n| (format!("{SIGNATURE_ANNOTATION}{n}"), json!("x"))).collect();
        assert!(read(&manifest).unwrap_err().contains("at most 8 annotations"));
    }

    #[test]
    fn what_is_not_one_component_is_told_apart() {
        let wasm = || layer(WASM_LAYER);
        let with = |key: &str, value: Value| {
            let mut manifest = manifest(WASM_CONFIG, &[wasm()]);
            manifest[key] = value;
            manifest
        };
        let descriptor = |key: &str, value: Value| {
            let mut layer = wasm();
            layer[key] = value;
            with("layers", json!([layer]))
        };
        for (manifest, part) in [
            (manifest(WASM_CONFIG, &[wasm(), wasm()]), "exactly one layer, the component, found 2"),
            (manifest(WASM_CONFIG, &[]), "found 0"),
            (with("layers", Value::Null), "found 0"),
            (with("manifests", json!([])), "an index of several"),
            (with("schemaVersion", json!(1)), "schemaVersion is not 2"),
            (with("mediaType", json!("text/html")), "its type is \"text/html\""),
            (manifest(WASM_CONFIG, &[layer("application/octet-stream")]), "of type application/wasm, found"),
            (manifest("x/y", &[layer("application/vnd.oci.image.layer.v1.tar+gzip")]), "found \"application/vnd.oci"),
            (descriptor("digest", json!("sha512:00")), "sha256 digests, found \"sha512:00\""),
            (descriptor("size", json!(MAX_COMPONENT + 1)), "at most 8388608 bytes, found 8388609"),
            (descriptor("size", json!(-1)), "invalid value"),
            (json!([]), "expected an OCI image manifest"),
        ] {
            let told = read(&manifest).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
        let twice = br#"{"schemaVersion":2,"layers":[],"layers":[]}"#;
        assert!(Artifact::read(twice).unwrap_err().to_string().contains("duplicate field"));
        assert!(Artifact::read(&vec![b' '; MAX_MANIFEST + 1]).unwrap_err().to_string().contains("it is larger"));
    }
}
