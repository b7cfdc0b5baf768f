//! Never returns from `decide`.

use octroi_guests::{Evidence, Hostile, Inquiry, Seconds, Verdict, hostile};

struct SpinDecide;

impl Hostile for SpinDecide {
    fn decide(_: Vec<u8>, _: Inquiry, _: Evidence, _: Seconds) -> Verdict {
        loop {
            core::hint::spin_loop();
        }
    }
}

hostile!(SpinDecide);
