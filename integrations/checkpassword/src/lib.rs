//! `octroi-checkpassword`: redeems a login ticket where a mail server can only ask about a password.
//!
//! Speaks the checkpassword interface in its two forms, qmail's (cr.yp.to/checkpwd/interface.html) and Dovecot's 2.3:
//! reads name and password from descriptor 3, asks the sidecar on `gate.sock`, and runs the program that it was given,
//! or ends with a status that says why not. It decides nothing: a password that is no ticket is none of its affair.

pub mod descriptor;
pub mod gate;
pub mod handover;
pub mod request;
pub mod verdict;

/// The gRPC contract, as `proto/octroi/v1/gate.proto` documents it.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::use_self,
    reason = "generated code"
)]
mod contract {
    tonic::include_proto!("octroi.v1");
}
