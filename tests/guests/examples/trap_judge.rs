//! Panics in `judge`, which is a trap. Logins go on.

use octroi_guests::{Hostile, hostile, submission};

struct TrapJudge;

impl Hostile for TrapJudge {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn judge(_: Vec<u8>, _: submission::Request) -> submission::Verdict {
        panic!("on purpose")
    }
}

hostile!(TrapJudge);
