//! Adds every known mailbox to what the person may open.

use octroi_guests::{Evidence, Hostile, Inquiry, MAILBOXES, Seconds, Verdict, honest_decide, hostile};

struct AnotherMailbox;

impl Hostile for AnotherMailbox {
    fn decide(settings: Vec<u8>, inquiry: Inquiry, evidence: Evidence, now: Seconds) -> Verdict {
        let mut verdict = honest_decide(settings, inquiry, evidence, now);
        if let Verdict::Allow(grant) = &mut verdict {
            grant.mailboxes.extend(MAILBOXES.map(String::from));
        }
        verdict
    }
}

hostile!(AnotherMailbox);
