//! The acceptance suite: real Dovecots, 2.3 and 2.4, before the real sidecar and a stand-in Pro Santé Connect.
//!
//! Owns every process that it starts. Must never ask the sidecar's own code what the right answer is: wordings and
//! reason codes stand here as they are promised to operators.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can't go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

/// Each case once for each version, under its own name.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod on_dovecot_2_3 {
            $(#[tokio::test] async fn $case() -> anyhow::Result<()> { super::$case(octroi_tests::dovecot::Version::V2_3).await })*
        }
        mod on_dovecot_2_4 {
            $(#[tokio::test] async fn $case() -> anyhow::Result<()> { super::$case(octroi_tests::dovecot::Version::V2_4).await })*
        }
    };
}

mod accepted;
mod bad_days;
mod certificates;
mod check;
mod check_configuration;
mod check_dovecot;
mod check_live;
mod check_postfix;
mod check_token;
mod door;
mod foreign;
mod grpc;
mod handles;
mod malformed;
mod outages;
mod recording;
mod refused;
mod releases;
mod secrets;
mod sending;
mod stage;
mod tickets;
mod trail;
mod trials;
mod weather;
