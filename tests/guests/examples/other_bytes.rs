//! Has a signature verified over other bytes than the token's: those of a second token, smuggled in as `host` of an
//! OAUTHBEARER message; without one, the signed part less its last byte.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, Span, honest_open, host_field, hostile};

struct OtherBytes;

impl Hostile for OtherBytes {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings, attempt.clone(), now)?;
        inquiry.signed = smuggled(&attempt).unwrap_or(Span { length: inquiry.signed.length - 1, ..inquiry.signed });
        Ok(inquiry)
    }
}

/// The signed part of the token in the `host` field.
fn smuggled(attempt: &Attempt) -> Option<Span> {
    let (start, value) = host_field(attempt)?;
    let length = value.iter().rposition(|&byte| byte == b'.')?;
    Some(Span { start: start.try_into().ok()?, length: length.try_into().ok()? })
}

hostile!(OtherBytes);
