//! The submission suite: a real Postfix with the shipped files before the real sidecar and a stand-in Pro Santé
//! Connect.
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

mod bad_days;
mod foreign;
mod logins;
mod outages;
mod secrets;
mod senders;
mod sessions;
mod stage;
mod transport;
