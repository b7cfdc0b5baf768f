//! Never returns from `judge`. Logins go on.

use octroi_guests::{Hostile, hostile, submission};

struct SpinJudge;

impl Hostile for SpinJudge {
    fn judge(_: Vec<u8>, _: submission::Request) -> submission::Verdict {
        loop {
            core::hint::spin_loop();
        }
    }
}

hostile!(SpinJudge);
