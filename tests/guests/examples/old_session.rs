//! Reads every `auth_time` and `iat` as now, and says so in the claims it hands back.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile, redated};

struct OldSession;

impl Hostile for OldSession {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        honest_open(settings, redated(&attempt, &["auth_time", "iat"], now), now)
    }
}

hostile!(OldSession);
