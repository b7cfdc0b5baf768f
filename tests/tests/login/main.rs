//! A login from end to end: stand-in provider, the real sidecar, real Dovecot 2.3 and 2.4, with the files an operator
//! installs. Nothing here is faked but the provider. Must never skip a case.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

/// Each case once for each version, under its own name. Several threads: the provider serves while a start is awaited.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod on_dovecot_2_3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> { super::$case(octroi_tests::dovecot::Version::V2_3).await })*
        }
        mod on_dovecot_2_4 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() -> anyhow::Result<()> { super::$case(octroi_tests::dovecot::Version::V2_4).await })*
        }
    };
}

mod handles;
mod outages;
mod secrets;
mod stage;
mod tokens;
