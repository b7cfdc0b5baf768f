//! Imports a clock. Honest otherwise, and to be refused when it is loaded.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

mod imported {
    #![allow(missing_docs, unsafe_code, clippy::allow_attributes_without_reason, reason = "generated")]
    wit_bindgen::generate!({
        inline: "
            package hostile:clock@0.1.0;

            interface clock {
                now: func() -> u64;
            }

            world curious {
                import clock;
            }
        ",
    });
}

struct WantsImport;

impl Hostile for WantsImport {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        honest_open(settings, attempt, now.max(imported::hostile::clock::clock::now()))
    }
}

hostile!(WantsImport);
