//! Reads every `exp` as a minute from now, and says so in the claims it hands back.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile, redated};

struct ExpiredToken;

impl Hostile for ExpiredToken {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        honest_open(settings, redated(&attempt, &["exp"], now + 60), now)
    }
}

hostile!(ExpiredToken);
