//! Opens whatever mailbox is asked for to whatever certificate is shown, and lets every structure send as anybody.
//! Logins with tokens stay honest.

use octroi_guests::{Hostile, Seconds, certificate, hostile, submission};

struct OpenEverything;

impl Hostile for OpenEverything {
    fn judge_certificate(_: Vec<u8>, _: certificate::Request, _: Seconds) -> certificate::Verdict {
        certificate::Verdict::Allow
    }

    fn judge(_: Vec<u8>, _: submission::Request) -> submission::Verdict {
        submission::Verdict::Allow
    }
}

hostile!(OpenEverything);
