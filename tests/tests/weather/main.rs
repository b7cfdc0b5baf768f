//! Pro Santé Connect's bad days, at the real gate with the embedded policy: hours of them in simulated time, with a
//! provider that needs no network, and each kind once over real connections, to the stand-in.
//!
//! Three outcomes are told apart in every case: an outage is never a bad credential.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod faults;
mod operator;
mod outage;
mod provider;
mod rotation;
mod sky;
mod wire;
