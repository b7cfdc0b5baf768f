//! Turns core modules into components, and looks at what a component asks for: bytes to bytes, for the build of the
//! embedded policy and for `octroi policy pack` alike.
//!
//! Owns the promise that a policy imports nothing. It trusts the encoder, not the compiler: the finished component is
//! decoded again and its imports are counted.

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wit_component::{ComponentEncoder, DecodedWasm};

/// Most bytes of the embedded policy, without the vectors that it carries: it is compiled at the start of the sidecar.
pub const MAX_POLICY_BYTES: usize = 200_000;

/// Custom section in which a component carries its own test vectors. The sidecar reads it when a release is staged.
pub const VECTORS: &str = "octroi-vectors";

/// Makes a component of a core module that carries its WIT world, as wit-bindgen leaves it there.
///
/// # Errors
/// When it is no such module, or imports what its world does not have.
pub fn component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).context("reading the core module")?;
    encoder.encode().context("encoding the component")
}

/// Adds test vectors to a component.
pub fn carry(component: &mut Vec<u8>, vectors: &[u8]) {
    let section = CustomSection { name: VECTORS.into(), data: vectors.into() };
    section.append_to_component(component);
}

/// Names of what a component imports.
///
/// # Errors
/// When `component` isn't a component.
pub fn imports(component: &[u8]) -> Result<Vec<String>> {
    match wit_component::decode(component)? {
        DecodedWasm::Component(resolve, world) => {
            let world = resolve.worlds.get(world).context("the component has no world")?;
            Ok(world.imports.keys().map(|key| resolve.name_world_key(key)).collect())
        }
        DecodedWasm::WitPackage(..) => bail!("a WIT package, not a component"),
    }
}
