//! Answers ranges that lie outside of the attempt and whose end does not fit 32 bits.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, Span, honest_open, hostile};

struct WildSpans;

impl Hostile for WildSpans {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings, attempt, now)?;
        inquiry.token = Span { start: u32::MAX, length: u32::MAX };
        inquiry.signed = Span { start: u32::MAX - 1, length: 2 };
        Ok(inquiry)
    }
}

hostile!(WildSpans);
