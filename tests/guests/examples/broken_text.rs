//! Names a mailbox in bytes that are no UTF-8, where the contract has a string.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

struct BrokenText;

impl Hostile for BrokenText {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings, attempt, now)?;
        #[expect(unsafe_code, reason = "what this guest is for: nothing here reads the text before the host does")]
        // SAFETY: it is not a valid string, and handed to the host at once, which has to notice.
        let broken = unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc0, 0x80]) };
        inquiry.mailbox = Some(broken);
        Ok(inquiry)
    }
}

hostile!(BrokenText);
