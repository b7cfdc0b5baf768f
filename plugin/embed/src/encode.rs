//! Turns core modules into components, and looks at what a component asks for.
//!
//! Owns the promise that a policy imports nothing. It trusts the encoder, not the compiler: the finished component is
//! decoded again and its imports are counted.

use anyhow::{Context as _, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};

/// Most bytes of the embedded policy: it is compiled at each start of the sidecar.
pub const MAX_POLICY_BYTES: usize = 200_000;

/// Makes a component of a core module that carries its WIT world, as wit-bindgen leaves it there.
pub(crate) fn component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module).context("reading the core module")?;
    encoder.encode().context("encoding the component")
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
