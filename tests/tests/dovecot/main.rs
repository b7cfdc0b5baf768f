//! The integration files on real Dovecots, 2.3 and 2.4.
//!
//! Owns nothing that is shared with other programs: each server has its own ports and folder. Must never skip a case.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

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

mod answers;
mod configuration;
mod fake;
mod foreign;
mod outages;
mod stage;
mod verdicts;
