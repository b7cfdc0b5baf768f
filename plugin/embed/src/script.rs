//! What build scripts and tests call: the embedded policy, and the table of hostile guests.
//!
//! Owns which guests there are and where build scripts put them. It never hands out a policy that imports anything.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use octroi_encode::{MAX_POLICY_BYTES, carry, component, imports};

use crate::cargo::{Artifact, Workspace};

/// The hostile guests: examples of `octroi-guests`, each the honest policy with one thing broken.
pub const GUESTS: &[&str] = &[
    "allow_everything",
    "another_identity",
    "another_identity_granted",
    "another_issuer",
    "another_mailbox",
    "bad_card",
    "broken_text",
    "expired_token",
    "grow",
    "huge_answer",
    "huge_inquiry",
    "old_session",
    "open_everything",
    "other_bytes",
    "other_types",
    "other_world",
    "recurse",
    "refuse",
    "spin_certificate",
    "spin_configure",
    "spin_decide",
    "spin_judge",
    "spin_open",
    "trap",
    "trap_certificate",
    "trap_configure",
    "trap_decide",
    "trap_describe",
    "trap_judge",
    "wants_import",
    "wants_wasi",
    "wild_spans",
];

/// The guests that import something, to be refused at load.
const IMPORTING: [&str; 2] = ["wants_import", "wants_wasi"];

/// What a component is compiled from besides its own package.
const SOURCES: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "wit",
    "plugin/Cargo.toml",
    "plugin/src",
    "plugin/rules",
    "plugin/vectors.json",
    "rust-toolchain.toml",
];

impl Workspace {
    /// Builds the honest policy: a component without imports, of at most [`MAX_POLICY_BYTES`], that carries its
    /// vectors.
    ///
    /// # Errors
    /// When it can't be built, imports anything or is larger.
    pub fn policy(&self) -> Result<Vec<u8>> {
        let modules = self.compile("octroi-policy", Artifact::Library)?;
        let mut policy = encode(modules.first().context("cargo built no module")?)?;
        ensure_pure("the policy", &policy)?;
        let size = policy.len();
        ensure!(size <= MAX_POLICY_BYTES, "the policy has {size} bytes, the limit is {MAX_POLICY_BYTES}");
        let vectors = self.root().join("plugin/vectors.json");
        let read = fs::read(&vectors).with_context(|| format!("reading {}", vectors.display()))?;
        carry(&mut policy, &read);
        Ok(policy)
    }

    /// Builds the hostile guests, named as in [`GUESTS`] and in that order.
    ///
    /// # Errors
    /// When one can't be built, or imports anything without being the guest that is meant to.
    pub fn guests(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let modules = self.compile("octroi-guests", Artifact::Examples(GUESTS))?;
        let mut guests = Vec::new();
        for (&name, module) in GUESTS.iter().zip(&modules) {
            let guest = encode(module)?;
            if IMPORTING.contains(&name) {
                ensure!(!imports(&guest)?.is_empty(), "the guest {name} imports nothing");
            } else {
                ensure_pure(name, &guest)?;
            }
            guests.push((name, guest));
        }
        Ok(guests)
    }
}

/// For a build script: builds the honest policy and leaves it as `policy.wasm` in `out_dir` (cargo's `OUT_DIR`), whose
/// path is returned. Tells cargo when to run the script again.
///
/// # Errors
/// As [`Workspace::policy`], or when the file can't be written.
pub fn policy(out_dir: &Path) -> Result<PathBuf> {
    let workspace = Workspace::of_build_script(out_dir)?;
    rerun_if_changed(&workspace, &[]);
    let path = out_dir.join("policy.wasm");
    write(&path, &workspace.policy()?)?;
    Ok(path)
}

/// For a build script: builds the hostile guests into `out_dir` and writes `guests.rs` beside them, to be included. It
/// defines `pub const GUESTS: &[(&str, &[u8])]`, pairs of name and component. Tells cargo when to run the script again.
///
/// # Errors
/// As [`Workspace::guests`], or when a file can't be written.
pub fn guests(out_dir: &Path) -> Result<PathBuf> {
    let workspace = Workspace::of_build_script(out_dir)?;
    rerun_if_changed(&workspace, &["tests/guests"]);
    let mut table = String::from("/// Hostile guests: name and component.\npub const GUESTS: &[(&str, &[u8])] = &[\n");
    for (name, guest) in workspace.guests()? {
        write(&out_dir.join(name).with_extension("wasm"), &guest)?;
        writeln!(table, "    (\"{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\"))),")?;
    }
    table.push_str("];\n");
    let path = out_dir.join("guests.rs");
    write(&path, table.as_bytes())?;
    Ok(path)
}

fn encode(module: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(module).with_context(|| format!("reading {}", module.display()))?;
    component(&bytes).with_context(|| format!("making a component of {}", module.display()))
}

fn ensure_pure(name: &str, component: &[u8]) -> Result<()> {
    let imports = imports(component)?;
    ensure!(imports.is_empty(), "a policy imports nothing, but {name} wants {}", imports.join(", "));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[expect(clippy::print_stdout, reason = "a build script speaks to cargo on its standard output")]
fn rerun_if_changed(workspace: &Workspace, more: &[&str]) {
    for source in SOURCES.iter().chain(more) {
        println!("cargo::rerun-if-changed={}", workspace.root().join(source).display());
    }
}
