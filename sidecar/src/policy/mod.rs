//! Hosts the policy component: loads it, arms its limits, calls it. Proves nothing and decides nothing.

mod artifact;
mod bundle;
mod compiled;
mod cosign;
mod engine;
mod reasons;
mod release;
mod signature;
mod trust;

pub use artifact::{Artifact, ArtifactError, MAX_MANIFEST, SETTINGS_ANNOTATION, SIGNATURE_ANNOTATION};
pub(crate) use artifact::{MANIFESTS, Manifest};
pub use bundle::{Bundle, Digest, FolderError, MAX_COMPONENT, MAX_SETTINGS, NotADigest, Statement};
pub(crate) use bundle::{file, signature};
pub use cosign::NotACosignKey;
pub use engine::{Engine, Limits};
pub use release::{Fault, Instance, LoadError, Problem, Release};
pub use signature::{CosignImage, MAX_PAYLOAD, MAX_SIGNATURE, MAX_SIGNATURES, NotASignature, Signature};
pub use trust::{NotAKey, Signer, Trust, TrustError};

/// The component that is built with the sidecar: the default policy.
pub const EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/policy.wasm"));

/// Types of the WIT world, as wasmtime's `bindgen!` writes them. Their documentation is in `wit/policy.wit`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]
pub mod wit {
    mod bindings {
        wasmtime::component::bindgen!({ path: "../wit", world: "policy" });
    }
    pub(super) use bindings::PolicyPre;
    pub use bindings::exports::octroi::policy::{certificate, login, manifest, submission};
}
