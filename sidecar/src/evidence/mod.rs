//! What the sidecar proves: keys, signature, introspection, directory, trust space. No policy, no protocol of a door.

pub mod certificate;
pub mod directory;
pub mod import;
pub mod introspection;
pub mod keys;
pub mod signatures;
pub mod token;
pub mod trust_space;

#[cfg(test)]
mod tests;
