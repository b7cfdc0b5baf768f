//! Wants WASI, as a component does that is built for the usual target. Honest otherwise, and to be refused when it is
//! loaded.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

mod imported {
    #![allow(missing_docs, unsafe_code, clippy::allow_attributes_without_reason, reason = "generated")]
    wit_bindgen::generate!({
        inline: "
            package wasi:random@0.2.0;

            interface random {
                get-random-u64: func() -> u64;
            }

            world curious {
                import random;
            }
        ",
    });
}

struct WantsWasi;

impl Hostile for WantsWasi {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        honest_open(settings, attempt, now.max(imported::wasi::random::random::get_random_u64() % 2))
    }
}

hostile!(WantsWasi);
