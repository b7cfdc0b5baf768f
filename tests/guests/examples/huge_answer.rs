//! Grants sixteen thousand mailboxes.

use octroi_guests::{Evidence, Hostile, Inquiry, Seconds, Verdict, honest_decide, hostile};

struct HugeAnswer;

impl Hostile for HugeAnswer {
    fn decide(settings: Vec<u8>, inquiry: Inquiry, evidence: Evidence, now: Seconds) -> Verdict {
        let mut verdict = honest_decide(settings, inquiry, evidence, now);
        if let Verdict::Allow(grant) = &mut verdict {
            grant.mailboxes.extend((0..16_000).map(|number| format!("{number}@bal.example.test")));
        }
        verdict
    }
}

hostile!(HugeAnswer);
