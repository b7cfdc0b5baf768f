//! The shipped configuration alone, held against every answer that could come through the two doors.
//!
//! Owns one server a version, shared by the tests that leave it as it is. Must never need the sidecar: what is proved here
//! is that Dovecot refuses by itself.

use std::sync::LazyLock;

use anyhow::Result;
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::logins::{self, Refusal};

use crate::fake::{Answer, Fake, Verdict};

const ONE: &str = "docteur.un@bal.example.test";
const TWO: &str = "docteur.deux@bal.example.test";
const ORG: &str = "secretariat@bal.example.test";

struct Stage {
    fake: Fake,
    server: Dovecot,
}

impl Stage {
    fn start(version: Version, change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let fake = Fake::start()?;
        let mut setup = Setup::new(version, fake.introspection(), fake.policy(), &[ONE, TWO, ORG]);
        change(&mut setup);
        Ok(Self { server: Dovecot::start(&setup)?, fake })
    }

    fn member(&self, mailboxes: &[&str]) -> String {
        self.fake.token(900, Answer::Member(mailboxes.iter().map(ToString::to_string).collect()), Verdict::Handle)
    }
}

fn shared(version: Version) -> &'static Stage {
    static V2_3: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_3, |_| {}).unwrap());
    static V2_4: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_4, |_| {}).unwrap());
    match version {
        Version::V2_3 => &V2_3,
        Version::V2_4 => &V2_4,
    }
}

async fn a_member_logs_in(version: Version) -> Result<()> {
    let stage = shared(version);
    let token = stage.member(&[ONE, ORG]);
    logins::opens(&stage.server, ONE, &token).await?;
    logins::opens(&stage.server, ORG, &token).await
}

async fn a_non_member_is_refused(version: Version) -> Result<()> {
    let stage = shared(version);
    let token = stage.member(&[ONE]);
    logins::refuses(&stage.server, TWO, &token, Refusal::NotAMember).await
}

async fn a_denied_token_is_refused(version: Version) -> Result<()> {
    logins::refuses(&shared(version).server, ONE, "never-heard-of-it", Refusal::Denied).await
}

macro_rules! on_both {
    ($($case:ident)*) => {
        mod on_dovecot_2_3 { $(#[tokio::test] async fn $case() -> anyhow::Result<()> { super::$case(super::Version::V2_3).await })* }
        mod on_dovecot_2_4 { $(#[tokio::test] async fn $case() -> anyhow::Result<()> { super::$case(super::Version::V2_4).await })* }
    };
}

on_both! {
    a_member_logs_in
    a_non_member_is_refused
    a_denied_token_is_refused
}
