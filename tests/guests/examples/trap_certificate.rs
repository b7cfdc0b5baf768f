//! Panics in the judgement of a certificate, which is a trap. Logins with tokens go on.

use octroi_guests::{Hostile, Seconds, certificate, hostile};

struct TrapCertificate;

impl Hostile for TrapCertificate {
    #[expect(clippy::panic, reason = "what this guest is for")]
    fn judge_certificate(_: Vec<u8>, _: certificate::Request, _: Seconds) -> certificate::Verdict {
        panic!("on purpose")
    }
}

hostile!(TrapCertificate);
