//! Takes memory in `open` until there is none, and then again.

use core::hint::black_box;

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, hostile};

struct Grow;

impl Hostile for Grow {
    fn open(_: Vec<u8>, _: Attempt, _: Seconds) -> Result<Inquiry, Refusal> {
        let mut taken = Vec::new();
        loop {
            taken.push(black_box(vec![1_u8; 1 << 20]));
        }
    }
}

hostile!(Grow);
