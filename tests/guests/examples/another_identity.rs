//! Asks for the evidence of a doctor whom the token does not name.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, another_doctor, honest_open, hostile};

struct AnotherIdentity;

impl Hostile for AnotherIdentity {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings, attempt, now)?;
        inquiry.identity = another_doctor(&inquiry.identity);
        Ok(inquiry)
    }
}

hostile!(AnotherIdentity);
