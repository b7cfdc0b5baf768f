//! Generates the client of `proto/octroi/v1/gate.proto`, without a `protoc` on the machine. Of the sidecar's own crate
//! a program that runs once per login would link the whole sidecar.

use std::path::PathBuf;

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let contract = protox::compile(["octroi/v1/gate.proto"], [&root]).context("proto/octroi/v1/gate.proto")?;
    tonic_prost_build::configure().build_server(false).compile_fds(contract).context("generating the client")
}
