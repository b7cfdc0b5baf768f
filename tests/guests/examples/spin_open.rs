//! Never returns from `open`.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, hostile};

struct SpinOpen;

impl Hostile for SpinOpen {
    fn open(_: Vec<u8>, _: Attempt, _: Seconds) -> Result<Inquiry, Refusal> {
        loop {
            core::hint::spin_loop();
        }
    }
}

hostile!(SpinOpen);
