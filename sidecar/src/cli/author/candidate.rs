//! A policy that is looked at, and the vectors that it is looked at with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

use crate::policy::{Bundle, EMBEDDED, Engine, Limits, MAX_SETTINGS, Release, Statement, file};
use crate::trial::carried;
use crate::trial::vectors::{MAX_DOCUMENT, Vectors};

/// Names the policy that this program brings.
pub(super) const BUILT_IN: &str = "built-in";
/// The first bytes of a component and of a core module (WebAssembly specification, binary format; component model,
/// "Binary Format").
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
pub(super) const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component with the settings that came with it.
#[derive(Debug)]
pub(super) struct Candidate {
    /// As it was named on the command line.
    pub(super) name: String,
    pub(super) bundle: Bundle,
    /// What of the settings came with it, read.
    pub(super) settings: Option<Map<String, Value>>,
}

/// One document of vectors.
#[derive(Debug)]
pub(super) struct Document {
    /// Its file, or whose component carries it.
    pub(super) name: String,
    pub(super) vectors: Vectors,
}

impl Candidate {
    /// Reads a file, a folder or what is built in. `settings`: a file in the place of the folder's.
    pub(super) fn read(path: &Path, settings: Option<&Path>) -> anyhow::Result<Self> {
        let mut bundle = if path == Path::new(BUILT_IN) {
            let component = EMBEDDED.to_vec();
            Bundle { component, settings: None, signatures: Vec::new(), origin: BUILT_IN.to_owned() }
        } else if path.is_dir() {
            Bundle::from_folder(path)?
        } else {
            Bundle::from_component(path)?
        };
        let name = path.display().to_string();
        if bundle.component.starts_with(MODULE) {
            bail!("{name} is a core module: octroi policy pack makes a component of it");
        }
        ensure!(bundle.component.starts_with(COMPONENT), "{name}: expected a WebAssembly component");
        if let Some(settings) = settings {
            let read = String::from_utf8(file(settings, MAX_SETTINGS)?);
            bundle.settings = Some(read.with_context(|| format!("{}: expected UTF-8", settings.display()))?);
        }
        let from = settings.map_or_else(|| path.join("settings.json"), Path::to_owned);
        let settings = bundle.settings.as_deref().map(serde_json::from_str).transpose();
        let settings = settings.with_context(|| format!("{}: expected a JSON object", from.display()))?;
        Ok(Self { name, bundle, settings })
    }

    pub(super) fn statement(&self) -> Statement {
        self.bundle.statement()
    }

    /// The vectors that it carries.
    pub(super) fn carried(&self) -> anyhow::Result<Option<Document>> {
        let own = carried(&self.bundle.component).with_context(|| format!("the vectors that {} carries", self.name))?;
        Ok(own.map(|vectors| Document { name: format!("carried by {}", self.name), vectors }))
    }

    /// The vectors that it carries, then those of the files; there is at least one.
    pub(super) fn documents(&self, files: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
        let mut documents = Vec::new();
        documents.extend(self.carried()?);
        for path in files {
            documents.push(Document::read(path)?);
        }
        ensure!(
            documents.iter().any(|document| document.vectors.count() > 0),
            "there are no vectors: {} carries none; name a file with --vectors",
            self.name
        );
        Ok(documents)
    }

    /// Loads it under its own settings, made whole.
    pub(super) fn load(&self, documents: &[Document]) -> anyhow::Result<Release> {
        let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("the engine: {error:#}"))?;
        let settings = Value::from(whole(self.settings.clone().unwrap_or_default(), documents)).to_string();
        Release::load(&engine, &self.bundle.component, &settings).with_context(|| self.name.clone())
    }
}

impl Document {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let vectors = Vectors::read(&file(path, MAX_DOCUMENT)?).with_context(|| name.clone())?;
        Ok(Self { name, vectors })
    }
}

/// Settings with what a sidecar would add to them from its configuration. There is no configuration here: the issuers
/// are those of the first document that names some, else one that does not exist; the rest is the configuration's
/// defaults.
pub(super) fn whole(mut settings: Map<String, Value>, documents: &[Document]) -> Map<String, Value> {
    let mut named = documents.iter().filter_map(|document| document.vectors.settings.as_ref()?.get("issuers"));
    let issuers = || json!([{ "issuer": "https://issuer.invalid", "introspection": "off" }]);
    settings.entry("issuers").or_insert_with(|| named.next().cloned().unwrap_or_else(issuers));
    settings.entry("leeway_seconds").or_insert(5.into());
    settings.entry("session_max_seconds").or_insert(14_400.into());
    settings
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refused(path: &Path) -> String {
        format!("{:#}", Candidate::read(path, None).unwrap_err())
    }

    #[test]
    fn a_policy_is_a_file_a_folder_or_what_is_built_in() {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("policy.wasm");
        fs::write(&component, EMBEDDED).unwrap();
        fs::write(folder.path().join("settings.json"), r#"{"acr": ["eidas3"]}"#).unwrap();
        let read = |path: &Path| Candidate::read(path, None).unwrap();
        let (built_in, alone, whole) = (read(Path::new(BUILT_IN)), read(&component), read(folder.path()));
        assert_eq!(built_in.statement(), alone.statement());
        assert_ne!(alone.statement().release(), whole.statement().release());
        assert_eq!(whole.settings.unwrap()["acr"], json!(["eidas3"]));
        let other = folder.path().join("other.json");
        fs::write(&other, "{}").unwrap();
        let settled = Candidate::read(folder.path(), Some(&other)).unwrap();
        assert_eq!(settled.settings, Some(Map::new()));
        fs::write(&other, "[]").unwrap();
        let told = format!("{:#}", Candidate::read(&component, Some(&other)).unwrap_err());
        assert!(told.contains("other.json: expected a JSON object"), "{told}");
    }

    #[test]
    fn what_is_no_component_is_told_with_the_way_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.wasm");
        assert!(refused(&path).contains("No such file"));
        fs::write(&path, MODULE).unwrap();
        assert!(refused(&path).contains("is a core module: octroi policy pack makes a component of it"));
        fs::write(&path, "(module)").unwrap();
        assert!(refused(&path).contains("expected a WebAssembly component"));
        fs::write(&path, COMPONENT).unwrap();
        let told = format!("{:#}", Candidate::read(&path, None).unwrap().documents(&[]).unwrap_err());
        assert!(told.contains("carries none; name a file with --vectors"), "{told}");
    }

    #[test]
    fn settings_are_completed_and_never_replaced() {
        let document = Document {
            name: String::new(),
            vectors: Vectors {
                settings: Some(Map::from_iter([("issuers".to_owned(), json!([1]))])),
                ..Vectors::default()
            },
        };
        let given = Map::from_iter([("leeway_seconds".to_owned(), json!(7))]);
        let whole = whole(given, &[document]);
        assert_eq!(Value::from(whole), json!({"issuers": [1], "leeway_seconds": 7, "session_max_seconds": 14_400}));
    }
}
