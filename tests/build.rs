//! Builds the hostile guests, so that the tests of the gate can load them.

use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    octroi_embed::guests(&PathBuf::from(std::env::var("OUT_DIR")?))?;
    Ok(())
}
