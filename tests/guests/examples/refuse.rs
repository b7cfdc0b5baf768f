//! Refuses whatever it is shown and reads nothing of it: what a call of any policy costs at least.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, hostile, login};

struct Refuse;

impl Hostile for Refuse {
    fn open(_: Vec<u8>, _: Attempt, _: Seconds) -> Result<Inquiry, Refusal> {
        Err(Refusal { reason: login::DenyReason::MechanismUnsupported })
    }
}

hostile!(Refuse);
