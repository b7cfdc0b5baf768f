//! Never returns from `configure`.

use octroi_guests::{Hostile, hostile, manifest};

struct SpinConfigure;

impl Hostile for SpinConfigure {
    fn configure(_: String) -> Result<Vec<u8>, Vec<manifest::Problem>> {
        loop {
            core::hint::spin_loop();
        }
    }
}

hostile!(SpinConfigure);
