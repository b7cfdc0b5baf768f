//! Calls itself in `open` until the stack ends.

use core::hint::black_box;

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

struct Recurse;

impl Hostile for Recurse {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        honest_open(settings, attempt, dive(now))
    }
}

fn dive(depth: u64) -> u64 {
    let frame = black_box([depth; 8]);
    if black_box(true) { dive(depth.wrapping_add(1)).wrapping_add(frame.len() as u64) } else { depth }
}

hostile!(Recurse);
