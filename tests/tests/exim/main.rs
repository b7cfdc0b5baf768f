//! Sending through a real Exim: the shipped files, the real sidecar, a stand-in Pro Santé Connect.
//!
//! Owns every process that it starts. Must never ask the sidecar's own code what the right answer is: wordings stand
//! here as a mail client reads them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can't go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

mod accepted;
mod clients;
mod outages;
mod questions;
mod refused;
mod secrets;
mod stage;
mod submission;
