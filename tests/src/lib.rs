//! What the acceptance tests, the demo and the benchmarks share: real servers, clients, and what a login must look
//! like.
//!
//! Owns no rule of Octroi. Must never make a check weaker for one caller: what a server says is pinned in one place.
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]
#![allow(clippy::missing_errors_doc, reason = "every error here is a failed test, and says why by itself")]

pub mod bad_days;
pub mod certificates;
pub mod clients;
pub mod dovecot;
pub mod exim;
pub mod imap;
pub mod logins;
pub mod memory;
pub mod minisign;
pub mod pki;
pub mod postfix;
pub mod sasl;
pub mod servers;
pub mod sidecar;
pub mod smtp;
mod warden;
pub mod web;
mod wire;
pub mod written;
