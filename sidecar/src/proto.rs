//! The gRPC contract of `proto/octroi/v1`, generated at build time. Documented where it is written: in the `.proto`.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("octroi.v1");
}

pub use generated::*;

/// The encoded `FileDescriptorSet` of the contract, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/octroi.v1.bin"));
