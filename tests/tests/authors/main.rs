//! What those who write policies do, with the real programs: the way from a new folder to a release in service, and the
//! component in other hosts. Builds with cargo, offline, from what this workspace was built of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "real programs are waited for in real time, always with a bound")]

mod elsewhere;
mod example;
mod new;
mod workshop;
