//! A folder to work in, with the programs as an author finds them.
//!
//! Owns the one target folder in which policies are compiled here, so that their dependencies are compiled once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use octroi_tests::sidecar::program;
use tempfile::TempDir;

/// Who builds: each build leaves its module under the same name.
static BUILDING: Mutex<()> = Mutex::new(());

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder.
pub(crate) struct Workshop(TempDir);

impl Workshop {
    pub(crate) fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("bin"))?;
        symlink(root().join("integrations").canonicalize()?, folder.path().join("integrations"))?;
        let workshop = Self(folder);
        workshop.configured(Path::new("/nowhere/octroi.toml"))?;
        Ok(workshop)
    }

    /// From now on `octroi` speaks to the sidecar of this configuration.
    pub(crate) fn configured(&self, configuration: &Path) -> Result<()> {
        let octroi = self.path("bin/octroi");
        let command = program("octroi");
        let text = format!("#!/bin/sh\nexec '{}' --config '{}' \"$@\"\n", command.display(), configuration.display());
        fs::write(&octroi, text)?;
        fs::set_permissions(&octroi, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn run(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program);
        // What the cargo that runs this test says is not for the one that builds a policy.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let outer = text.starts_with("CARGO") && text != "CARGO_HOME" && !text.starts_with("CARGO_REGISTR");
            if outer || text.starts_with("RUSTFLAGS") || text.starts_with("RUSTC") {
                command.env_remove(&name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target().join("tmp/policies"));
        Ok(command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).output()?)
    }

    /// Runs lines of the shell as an author types them, and ends with the first that fails.
    pub(crate) fn shell(&self, lines: &str) -> Result<String> {
        let output = self.run("/bin/sh", &["-eu", "-c", lines])?;
        let (told, complained) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{lines}\n{told}\n{complained}");
        Ok(told)
    }

    /// Holds others from building meanwhile.
    pub(crate) fn building() -> MutexGuard<'static, ()> {
        BUILDING.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The target folder of this workspace.
pub(crate) fn target() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap_or(temporary).to_owned()
}
