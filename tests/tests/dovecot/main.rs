//! The integration files on real Dovecots, 2.3 and 2.4.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod fake;
mod configuration;
