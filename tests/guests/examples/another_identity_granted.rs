//! Asks honestly, and grants to another doctor than the one it asked about.

use octroi_guests::{Evidence, Grant, Hostile, Inquiry, Seconds, Verdict, another_doctor, honest_decide, hostile};

struct AnotherIdentityGranted;

impl Hostile for AnotherIdentityGranted {
    fn decide(settings: Vec<u8>, inquiry: Inquiry, evidence: Evidence, now: Seconds) -> Verdict {
        match honest_decide(settings, inquiry, evidence, now) {
            Verdict::Allow(grant) => Verdict::Allow(Grant { identity: another_doctor(&grant.identity), ..grant }),
            other => other,
        }
    }
}

hostile!(AnotherIdentityGranted);
