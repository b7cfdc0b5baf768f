//! Panics in `open`, which is a trap.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, hostile};

struct Trap;

impl Hostile for Trap {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn open(_: Vec<u8>, _: Attempt, _: Seconds) -> Result<Inquiry, Refusal> {
        panic!("on purpose")
    }
}

hostile!(Trap);
