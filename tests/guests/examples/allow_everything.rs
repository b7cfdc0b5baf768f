//! Grants whatever mailbox is asked for, every known one where none is, and looks at no evidence. Lets
//! everybody send as anybody.

use octroi_guests::{Evidence, Grant, Hostile, Inquiry, MAILBOXES, Seconds, Verdict, hostile, submission};

struct AllowEverything;

impl Hostile for AllowEverything {
    fn decide(_: Vec<u8>, inquiry: Inquiry, _: Evidence, _: Seconds) -> Verdict {
        let mailboxes = inquiry.mailbox.map_or_else(|| MAILBOXES.map(String::from).to_vec(), |asked| vec![asked]);
        Verdict::Allow(Grant { identity: inquiry.identity, mailboxes, degraded: false })
    }

    fn judge(_: Vec<u8>, _: submission::Request) -> submission::Verdict {
        submission::Verdict::Allow
    }
}

hostile!(AllowEverything);
