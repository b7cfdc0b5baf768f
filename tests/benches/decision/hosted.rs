//! The policy component without the gate around it: what the sandbox itself costs, by how instances are used.

use octroi::clock::UnixSeconds;
use octroi::evidence::directory::{Directory, MailboxKind};
use octroi::evidence::keys::VerifyingKey;
use octroi::policy::wit::login::{self, Attempt, Evidence, Introspection, Verdict};
use octroi::policy::{Instance, Release};

use super::native::verify;

/// Component, key and directory.
#[derive(Clone, Copy)]
pub(super) struct Hosted<'r> {
    pub(super) release: &'r Release,
    pub(super) key: &'r VerifyingKey,
    pub(super) directory: &'r Directory,
}

impl<'r> Hosted<'r> {
    /// Opens, verifies and decides on one fresh instance.
    pub(super) fn on_one(&self, token: &[u8], now: UnixSeconds) -> bool {
        self.release.instance().is_ok_and(|mut instance| self.on(&mut instance, token, now))
    }

    /// Opens on one fresh instance, verifies without any, decides on another.
    pub(super) fn on_two(&self, token: &[u8], now: UnixSeconds) -> bool {
        let Ok(opened) = self.release.instance().map(|mut instance| instance.open(&attempt(token), now)) else {
            return false;
        };
        let Ok(Ok(inquiry)) = opened else { return false };
        verify(token, self.key) && self.release.instance().is_ok_and(|mut it| self.decides(&mut it, &inquiry, now))
    }

    /// Opens, verifies and decides on an instance that may have served others before: what the sidecar never does.
    pub(super) fn on(&self, instance: &mut Instance<'r>, token: &[u8], now: UnixSeconds) -> bool {
        let Ok(Ok(inquiry)) = instance.open(&attempt(token), now) else { return false };
        verify(token, self.key) && self.decides(instance, &inquiry, now)
    }

    fn decides(&self, instance: &mut Instance<'r>, inquiry: &login::Inquiry, now: UnixSeconds) -> bool {
        let directory = self.directory.snapshot();
        let mailboxes = directory.of_person(&inquiry.identity).map(listed).collect();
        let evidence = Evidence { introspection: Introspection::NotAsked, mailboxes };
        let verdict = instance.decide(inquiry, &evidence, now);
        matches!(verdict, Ok(Verdict::Allow(grant)) if grant.mailboxes.len() == 1)
    }
}

pub(super) fn attempt(token: &[u8]) -> Attempt {
    let credentials = login::Credentials::Bearer(token.to_vec());
    Attempt { credentials, mailbox: None, protocol: login::Protocol::Imap }
}

fn listed(mailbox: &octroi::evidence::directory::Mailbox) -> login::Mailbox {
    login::Mailbox {
        address: mailbox.address.as_str().to_owned(),
        kind: match mailbox.kind {
            MailboxKind::Per => login::MailboxKind::Per,
            MailboxKind::Org => login::MailboxKind::Org,
            MailboxKind::App => login::MailboxKind::App,
        },
        persons: u32::try_from(mailbox.persons.len()).unwrap_or(u32::MAX),
    }
}
