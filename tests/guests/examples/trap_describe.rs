//! Panics in `describe`, which is a trap.

use octroi_guests::{Hostile, hostile, manifest};

struct TrapDescribe;

impl Hostile for TrapDescribe {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn describe() -> manifest::Card {
        panic!("on purpose")
    }
}

hostile!(TrapDescribe);
