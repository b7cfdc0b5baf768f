//! What every benchmark works with: a folder that goes away, the progress bar, and the programs under measurement.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

/// One run of the benchmarks.
pub(crate) struct Bench {
    folder: TempDir,
    programs: PathBuf,
    progress: ProgressBar,
}

impl Bench {
    /// Prepares a run.
    ///
    /// # Errors
    /// No temporary folder can be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        // This program is target/PROFILE/deps/bench-HASH.
        let programs = program.parent().and_then(Path::parent).context("not run by cargo bench")?.to_owned();
        let progress = ProgressBar::new(0);
        progress.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} {prefix} {msg}")?);
        Ok(Self { folder: TempDir::with_prefix("octroi-bench-")?, programs, progress })
    }

    /// A folder for sockets, configurations and logs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The bar. It is drawn between measurements, never during one.
    pub(crate) const fn progress(&self) -> &ProgressBar {
        &self.progress
    }

    /// The build folder, `target`.
    ///
    /// # Errors
    /// The program lies somewhere else.
    pub(crate) fn target(&self) -> anyhow::Result<&Path> {
        self.programs.parent().context("no build folder")
    }

    /// The sidecar's program, built from the sources as they are, in this program's own profile: a figure of
    /// yesterday's program would be worse than none.
    ///
    /// # Errors
    /// It does not build.
    pub(crate) fn octroi(&self) -> anyhow::Result<PathBuf> {
        let profile = self.programs.file_name().and_then(|name| name.to_str()).context("no profile")?;
        let profile = if profile == "debug" { "dev" } else { profile };
        self.progress.set_message("build octroi");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--locked", "--quiet", "--profile", profile, "-p", "octroi", "--bin", "octroi"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()?;
        anyhow::ensure!(built.success(), "octroi does not build");
        Ok(self.programs.join("octroi"))
    }
}
