//! A sidecar that tests stage releases at, and what they read of it from outside.

use std::fs;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use octroi::policy::{Digest, Statement};
use octroi_psc::Psc;
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::registry::PASSWORD;

/// A provider and a sidecar that believes it.
pub(crate) struct Stage {
    pub(crate) sidecar: Sidecar,
    _psc: Psc,
}

impl Stage {
    /// One that lets in what nobody signed.
    pub(crate) fn unsigned() -> Result<Self> {
        Self::with("[policy]\nallow_unsigned = true\n")
    }

    /// One with these lines at the end of its configuration.
    pub(crate) fn with(more: &str) -> Result<Self> {
        static RUNTIME: LazyLock<Runtime> =
            LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
        let psc = RUNTIME.block_on(Psc::start())?;
        let settings = Settings { more: more.to_owned(), ..Settings::default() };
        Ok(Self { sidecar: Sidecar::start(&psc, &settings)?, _psc: psc })
    }

    /// What `octroi policy` says, or how it refuses. The registry's password is never among it.
    pub(crate) fn policy(&self, words: &[&str], more: &[String]) -> Result<Result<String, String>> {
        let more = more.iter().map(String::as_str);
        let words: Vec<&str> = ["policy"].into_iter().chain(words.iter().copied()).chain(more).collect();
        let output = self.sidecar.run(&words)?;
        let (told, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(!told.contains(PASSWORD) && !complained.contains(PASSWORD), "{words:?}: {told}{complained}");
        Ok(if output.status.success() { Ok(told) } else { Err(complained) })
    }

    pub(crate) fn done(&self, words: &[&str], more: &[String]) -> Result<String> {
        self.policy(words, more)?.map_err(|complained| anyhow::anyhow!("{words:?}: {complained}"))
    }

    pub(crate) fn refused(&self, words: &[&str], more: &[String]) -> Result<String> {
        self.policy(words, more)?.err().with_context(|| format!("{words:?} was taken"))
    }

    /// How things stand, as it is written down; nothing: no step was taken.
    pub(crate) fn standing(&self) -> Result<Value> {
        match fs::read_to_string(self.sidecar.folder().join("state/policies/standing.json")) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the release with this digest came from.
    pub(crate) fn origin(&self, release: &str) -> Result<String> {
        let standing = self.standing()?;
        let held = standing["held"].as_array().context("nothing is kept")?;
        let held = held.iter().find(|held| held["release"] == release).with_context(|| format!("{standing:#}"))?;
        Ok(held["origin"].as_str().context("no origin")?.to_owned())
    }
}

/// What a release is known by.
pub(crate) fn release(component: &[u8], settings: Option<&str>) -> String {
    let settings = settings.map(|settings| Digest::of(settings.as_bytes()));
    Statement { component: Digest::of(component), settings }.release().to_string()
}
