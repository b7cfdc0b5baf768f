//! Panics in `configure`, which is a trap.

use octroi_guests::{Hostile, hostile, manifest};

struct TrapConfigure;

impl Hostile for TrapConfigure {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn configure(_: String) -> Result<Vec<u8>, Vec<manifest::Problem>> {
        panic!("on purpose")
    }
}

hostile!(TrapConfigure);
