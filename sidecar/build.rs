//! Builds what the sidecar carries: the default policy component and its sources, and the gRPC types of
//! `proto/octroi/v1` (without a `protoc` on the machine).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    octroi_embed::policy(&PathBuf::from(std::env::var("OUT_DIR")?)).context("the embedded policy")?;
    sources().context("the embedded policy's sources")?;
    protocol()
}

/// Where the sources of a policy are, and where `octroi policy new` puts them.
const SOURCES: [(&str, &str); 5] = [
    ("plugin/src", "policy/src"),
    ("plugin/rules/src", "policy/rules/src"),
    ("wit", "wit"),
    ("plugin/vectors.json", "vectors.json"),
    ("rust-toolchain.toml", "rust-toolchain.toml"),
];

/// Writes `policy_sources.rs`: every source file of the default policy, path and text. The component's own build says
/// when they changed.
fn sources() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("..");
    let mut table = String::from("const SOURCES: &[(&str, &str)] = &[\n");
    for (from, to) in SOURCES {
        let mut files = Vec::new();
        walk(&root.join(from), to, &mut files)?;
        files.sort_unstable();
        for (path, name) in files {
            writeln!(table, "    ({name:?}, include_str!({:?})),", path.canonicalize()?)?;
        }
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("policy_sources.rs"), table)?;
    Ok(())
}

fn walk(path: &Path, name: &str, files: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push((path.to_owned(), name.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        walk(&entry.path(), &format!("{name}/{}", entry.file_name().to_string_lossy()), files)?;
    }
    Ok(())
}

/// Compiles the contract: types, clients and servers, and the descriptor set that reflection serves.
fn protocol() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors =
        protox::compile(["octroi/v1/gate.proto", "octroi/v1/admin.proto"], [&root]).context("proto/octroi/v1")?;
    fs::write(out.join("octroi.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors).context("proto/octroi/v1: generating Rust")?;
    Ok(())
}
