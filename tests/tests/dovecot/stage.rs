//! A server and the doors behind it.
//!
//! Owns one shared stage a version, for the tests that leave it as it is. Must never be changed by a test that shares
//! it.

use std::sync::LazyLock;

use anyhow::Result;
use octroi_tests::dovecot::{Dovecot, Setup, Version};

use crate::fake::{Answer, Fake, Verdict};

/// A mailbox of one person.
pub(crate) const ONE: &str = "docteur.un@bal.example.test";
/// Another person's.
pub(crate) const TWO: &str = "docteur.deux@bal.example.test";
/// A mailbox of several.
pub(crate) const ORG: &str = "secretariat@bal.example.test";

/// The size of a usual token, bytes.
pub(crate) const USUAL: usize = 1500;

pub(crate) struct Stage {
    pub(crate) fake: Fake,
    pub(crate) server: Dovecot,
}

impl Stage {
    /// A server of its own, for a site that differs from the instructions by `change`.
    pub(crate) fn start(version: Version, change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let fake = Fake::start()?;
        let mut setup = Setup::new(version, fake.introspection(), fake.policy(), &[ONE, TWO, ORG]);
        change(&mut setup);
        Ok(Self { server: Dovecot::start(&setup)?, fake })
    }

    /// The one that most tests share.
    pub(crate) fn shared(version: Version) -> &'static Self {
        static V2_3: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_3, |_| {}).unwrap());
        static V2_4: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_4, |_| {}).unwrap());
        match version {
            Version::V2_3 => &V2_3,
            Version::V2_4 => &V2_4,
        }
    }

    /// A token that opens these mailboxes.
    pub(crate) fn member(&self, mailboxes: &[&str]) -> String {
        self.judged(mailboxes, Verdict::Handle)
    }

    /// The same, with another last word.
    pub(crate) fn judged(&self, mailboxes: &[&str], verdict: Verdict) -> String {
        self.fake.token(USUAL, Answer::Member(mailboxes.iter().map(ToString::to_string).collect()), verdict)
    }

    /// A token to which the introspection door says exactly this.
    pub(crate) fn answered(&self, status: u16, body: &str) -> String {
        self.fake.token(USUAL, Answer::Raw(status, body.to_owned()), Verdict::Handle)
    }
}
