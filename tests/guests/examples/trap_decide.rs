//! Panics in `decide`, which is a trap.

use octroi_guests::{Evidence, Hostile, Inquiry, Seconds, Verdict, hostile};

struct TrapDecide;

impl Hostile for TrapDecide {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn decide(_: Vec<u8>, _: Inquiry, _: Evidence, _: Seconds) -> Verdict {
        panic!("on purpose")
    }
}

hostile!(TrapDecide);
