//! Builds policy components: from a crate of this workspace to the bytes of a component that imports nothing.
//!
//! Owns the one way in which guests are compiled, so that the embedded policy and the hostile guests of the tests
//! differ in their code alone. A library for build scripts and tests; nothing of it runs in production.

mod cargo;
mod script;

pub use cargo::{Artifact, Workspace};
pub use octroi_encode::{MAX_POLICY_BYTES, imports};
pub use script::{GUESTS, guests, policy};
