//! Keeps the record of what doors answer by themselves: from what a door says to a line of the audit trail.

use crate::audit::{AfterAuth, Audit, Submitted};
use crate::doors::dovecot_policy::{PolicyDoor, Tally};
use crate::doors::handles::Purpose;
use crate::doors::ports::{AfterAuthOutcome, UnjoinedWitness, Witness};

/// A witness that writes to the trail.
pub(super) fn witness(audit: Audit) -> Witness {
    Witness::new(move |answer| {
        let handle = answer.handle.map(|handle| handle.to_string()).unwrap_or_default();
        let (decision, digest) = match answer.purpose {
            Some(Purpose::Login { decision, identity, .. }) => {
                (Some(*decision), Some(audit.pseudonyms().digest(identity)))
            }
            Some(Purpose::Probe) | None => (answer.certificate, None),
        };
        audit.after_auth(&AfterAuth {
            decision,
            now: answer.at,
            answer: match answer.outcome {
                AfterAuthOutcome::Allowed { .. } => "allow",
                AfterAuthOutcome::Denied(reason) => reason.code(),
                AfterAuthOutcome::Unavailable(reason) => reason.code(),
            },
            handle: &handle,
            session: answer.session,
            mailbox: answer.mailbox.map_or("", |mailbox| mailbox.as_str()),
            mechanism: answer.mechanism,
            identity_digest: digest.as_deref(),
            counted: matches!(answer.outcome, AfterAuthOutcome::Allowed { counted: true }),
        });
    })
}

/// A witness of messages without a login that writes to the trail.
pub(super) fn unjoined(audit: Audit) -> UnjoinedWitness {
    UnjoinedWitness::new(move |message| {
        audit.submission(&Submitted {
            now: message.at,
            stage: message.stage,
            outcome: message.outcome,
            login: None,
            sasl_username: message.sasl_username,
            sender: message.sender,
            recipient: message.recipient,
            recipients: 0,
            bytes: 0,
            client: message.client,
            release: None,
        });
    })
}

/// The after-auth counters by name, for the operator's view; those that never counted are left out.
pub(super) fn counts(door: &PolicyDoor) -> Vec<(String, u64)> {
    let named = |tally: Tally| {
        [
            ("counted", tally.counted),
            ("passed", tally.passed),
            ("denied", tally.denied),
            ("unavailable", tally.unavailable),
            ("report_success", tally.succeeded),
            ("report_failure", tally.failed),
            ("report_policy_reject", tally.rejected),
        ]
        .map(|(what, count)| (format!("after_auth_{}_{what}", tally.mechanism.code().to_ascii_lowercase()), count))
    };
    door.counters().tallies().flat_map(named).filter(|(_, count)| *count > 0).collect()
}
