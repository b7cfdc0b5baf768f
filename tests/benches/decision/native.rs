//! The same decision without a sandbox: the rules as native code, the same verification, the same directory.
//!
//! This is the bare minimum that a program with these rules built in would do: its settings stay decoded, it keeps no
//! rails beside its rules and no audit.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi::evidence::directory::{Directory, MailboxKind};
use octroi::evidence::keys::VerifyingKey;
use octroi_rules::{Attempt, Credentials, Evidence, Introspection, Mailbox, Protocol, Settings, Verdict, decide, open};

/// Rules, key and directory.
pub(super) struct Native<'s> {
    pub(super) settings: Settings<'s>,
    pub(super) key: &'s VerifyingKey,
    pub(super) directory: &'s Directory,
}

impl Native<'_> {
    /// Judges a bearer token. `true` when it opens exactly one mailbox.
    pub(super) fn grants(&self, token: &[u8], now: u64) -> bool {
        let attempt = Attempt { credentials: Credentials::Bearer(token), mailbox: None, protocol: Protocol::Imap };
        let Ok(inquiry) = open(&self.settings, &attempt, now) else { return false };
        if !verify(token, self.key) {
            return false;
        }
        let directory = self.directory.snapshot();
        let mailboxes = directory.of_person(&inquiry.identity).map(listed).collect();
        let evidence = Evidence { introspection: Introspection::NotAsked, mailboxes };
        matches!(decide(&self.settings, inquiry, evidence, now), Verdict::Allow(grant) if grant.mailboxes.len() == 1)
    }
}

/// The verification alone: decodes the signature and verifies it, by the same call as the gate.
pub(super) fn verify(token: &[u8], key: &VerifyingKey) -> bool {
    let Some(dot) = token.iter().rposition(|byte| *byte == b'.') else { return false };
    let Some((signed, signature)) = token.split_at_checked(dot) else { return false };
    let signature = signature.get(1..).and_then(|signature| URL_SAFE_NO_PAD.decode(signature).ok());
    signature.is_some_and(|signature| key.holds(signed, &signature))
}

fn listed(mailbox: &octroi::evidence::directory::Mailbox) -> Mailbox {
    Mailbox {
        address: mailbox.address.as_str().to_owned(),
        kind: match mailbox.kind {
            MailboxKind::Per => octroi_rules::MailboxKind::Per,
            MailboxKind::Org => octroi_rules::MailboxKind::Org,
            MailboxKind::App => octroi_rules::MailboxKind::App,
        },
        persons: u32::try_from(mailbox.persons.len()).unwrap_or(u32::MAX),
    }
}
