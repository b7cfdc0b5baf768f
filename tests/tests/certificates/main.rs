//! The suite of client certificates (AUTH_CLI): real Dovecot 2.3 and 2.4 and a real Postfix with the shipped files,
//! before the real sidecar, with certificates and revocation lists of a stand-in for IGC-Sante.
//!
//! Owns every process that it starts. Must never ask the sidecar's own code what the right answer is: replies stand
//! here as they are promised to operators.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

mod check;
mod foreign;
mod reading;
mod revocation;
mod sending;
mod stage;
