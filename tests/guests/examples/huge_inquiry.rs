//! Asks about a key whose name is 1 MiB long.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

struct HugeInquiry;

impl Hostile for HugeInquiry {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings, attempt, now)?;
        inquiry.key_id = Some("k".repeat(1 << 20));
        Ok(inquiry)
    }
}

hostile!(HugeInquiry);
