//! Releases of the policy from elsewhere than a folder, with the real program and a real registry (Debian's
//! docker-registry) over TLS on loopback; and with servers that lie.
//!
//! Signatures of cosign are made by openssl, with keys and payloads in cosign's form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

mod addresses;
mod artifact;
mod cosign;
mod lies;
mod pulls;
mod registry;
mod stage;
mod tokens;
mod updates;
