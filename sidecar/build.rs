//! Builds what the sidecar carries: the default policy component, and the gRPC types of `proto/octroi/v1` (without a
//! `protoc` on the machine).

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    octroi_embed::policy(&PathBuf::from(std::env::var("OUT_DIR")?)).context("the embedded policy")?;
    protocol()
}

/// Compiles the contract: types, clients and servers, and the descriptor set that reflection serves.
fn protocol() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors =
        protox::compile(["octroi/v1/gate.proto", "octroi/v1/admin.proto"], [&root]).context("proto/octroi/v1")?;
    std::fs::write(out.join("octroi.v1.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().compile_fds(descriptors).context("proto/octroi/v1: generating Rust")?;
    Ok(())
}
