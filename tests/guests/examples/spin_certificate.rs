//! Never returns from the judgement of a certificate. Logins with tokens go on.

use octroi_guests::{Hostile, Seconds, certificate, hostile};

struct SpinCertificate;

impl Hostile for SpinCertificate {
    fn judge_certificate(_: Vec<u8>, _: certificate::Request, _: Seconds) -> certificate::Verdict {
        loop {
            core::hint::spin_loop();
        }
    }
}

hostile!(SpinCertificate);
