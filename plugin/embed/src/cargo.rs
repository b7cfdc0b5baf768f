//! Runs the nested cargo that compiles guests to core modules.
//!
//! Owns the target, the flags and the environment of that build. It never takes them over from the outer build: flags
//! meant for the host would change what is embedded.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// What guests are compiled for: no operating system, hence nothing to import.
const TARGET: &str = "wasm32-unknown-unknown";
/// The profile of the workspace that guests are compiled with. It has a folder and a lock of its own below the target
/// folder, so that the nested build can't wait for the outer one.
const PROFILE: &str = "component";
/// Bytes of stack. It lies below the data, so that overflowing it leaves the memory and traps.
const STACK: u32 = 32 << 10;
/// Bytes of memory at start: stack, data and enough heap that a login needs no more.
const MEMORY: u32 = 128 << 10;

/// Environment variables that configure the user's cargo and not a single build: kept for the nested one. Everything
/// else that begins with `CARGO` is the outer build's.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_CACHE_",
];

/// Set by cargo or clippy for the outer build: compiler, wrappers and what they are told.
const DROPPED: [&str; 8] = [
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "TARGET",
];

/// What of a package to build.
#[derive(Clone, Copy, Debug)]
pub enum Artifact<'a> {
    /// Its library, as one module named after the package.
    Library,
    /// These examples, each a module.
    Examples(&'a [&'a str]),
}

/// Where sources are and compiled files go.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// This workspace, with compiled files in `target`, the target folder of the build that asks.
    #[must_use]
    pub fn new(target: &Path) -> Self {
        // This crate stands at plugin/embed.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/"));
        Self { root: root.to_owned(), target: target.to_owned() }
    }

    /// The same for a build script, whose `out_dir` lies in `<target>/…/build/…`. A target folder set by the user, by
    /// whatever means, is found this way too.
    ///
    /// # Errors
    /// When `out_dir` is not inside a folder `build`.
    pub fn of_build_script(out_dir: &Path) -> Result<Self> {
        let build = out_dir.ancestors().find(|folder| folder.ends_with("build"));
        let target = build.and_then(|folder| folder.ancestors().nth(2));
        Ok(Self::new(target.with_context(|| format!("{} is not an OUT_DIR of cargo", out_dir.display()))?))
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Compiles to core modules and says where they are, in the order asked for.
    ///
    /// # Errors
    /// When the target isn't installed, or cargo fails.
    pub fn compile(&self, package: &str, artifact: Artifact<'_>) -> Result<Vec<PathBuf>> {
        ensure_target()?;
        let mut cargo = self.cargo();
        match artifact {
            // The crate type given here replaces the one of the manifest: a library that is an rlib as well gets no
            // LTO.
            Artifact::Library => cargo.args(["rustc", "--lib", "--crate-type", "cdylib"]),
            Artifact::Examples(names) => cargo.arg("build").args(names.iter().flat_map(|name| ["--example", name])),
        };
        cargo.args(["--locked", "--target", TARGET, "--profile", PROFILE, "--package", package]);
        cargo.arg("--target-dir").arg(&self.target);
        let output = cargo.output().with_context(|| format!("starting {:?}", cargo.get_program()))?;
        ensure!(
            output.status.success(),
            "building {package} for {TARGET}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let folder = self.target.join(TARGET).join(PROFILE);
        Ok(match artifact {
            Artifact::Library => vec![folder.join(package.replace('-', "_")).with_extension("wasm")],
            Artifact::Examples(names) => {
                names.iter().map(|name| folder.join("examples").join(name).with_extension("wasm")).collect()
            }
        })
    }

    /// Cargo in the workspace's folder, without the outer build's environment.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let outer = text.starts_with("CARGO") && !KEPT.iter().any(|kept| text.starts_with(kept));
            if outer || DROPPED.contains(&text.as_ref()) {
                cargo.env_remove(&name);
            }
        }
        cargo.current_dir(&self.root).env("CARGO_ENCODED_RUSTFLAGS", self.rustflags());
        cargo
    }

    /// Flags of the guests, separated as `CARGO_ENCODED_RUSTFLAGS` wants them. Paths of this machine are cut out of
    /// panic messages: the component is the same wherever it is built, and tells nothing of where that was.
    fn rustflags(&self) -> OsString {
        let mut flags: Vec<OsString> = vec![
            "-Ctarget-feature=+simd128".into(),
            format!("-Clink-arg=-zstack-size={STACK}").into(),
            format!("-Clink-arg=--initial-memory={MEMORY}").into(),
            remap(&self.root, "octroi"),
        ];
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
        flags.extend(home.map(|home| remap(&home, "cargo")));
        flags.join("\u{1f}".as_ref())
    }
}

fn remap(path: &Path, name: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(path);
    flag.push("=");
    flag.push(name);
    flag
}

/// Cargo's own complaint about a target that isn't there is a page long and names no remedy for a build script.
fn ensure_target() -> Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("starting rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !folder.is_dir() {
        bail!("the policy is compiled for {TARGET}, which this toolchain lacks; run: rustup target add {TARGET}");
    }
    Ok(())
}
