//! The gate in this process: every hostile guest against the rails, and every bad token against the rules, with the
//! embedded policy, real signatures and no mail server. And what an operator sees of it from outside, with the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bench;
mod certificates;
mod guests;
mod introspection;
mod operator;
mod portion;
mod probation;
mod seen;
mod shadow;
mod standing;
mod submission;
mod swap;
mod throttle;
mod tokens;
