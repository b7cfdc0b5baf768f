//! One bad day of the provider after the other, through Dovecot.

use anyhow::{Result, ensure};
use octroi_tests::bad_days::{BadDays, Client, Ended};
use octroi_tests::dovecot::{Dovecot, Version};
use octroi_tests::logins::{self, FORMS, Refusal, wording};

use crate::stage::{UN, dovecot};

struct Imap(Dovecot);

impl Client for Imap {
    async fn log_in(&self, token: &str) -> Result<Ended> {
        let (imap, reply) = logins::attempt(&self.0, FORMS[0], UN, token).await?;
        if reply.accepted() {
            imap.logout().await?;
            return Ok(Ended::In);
        }
        let said = (reply.challenge.clone(), reply.line());
        let pinned = [(Refusal::Denied, Ended::Refused), (Refusal::Outage, Ended::Outage)];
        let ended = pinned.into_iter().find(|(refusal, _)| {
            let (challenge, line) = wording(self.0.version(), FORMS[0].mechanism, *refusal);
            said == (challenge, line.to_owned())
        });
        ensure!(ended.is_some(), "{}", imap.transcript());
        Ok(ended.map_or(Ended::Outage, |(_, ended)| ended))
    }
}

async fn each_bad_day_of_the_provider_ends_as_it_must_and_passes_by_itself(version: Version) -> Result<()> {
    let days = BadDays::start("").await?;
    let server = tokio::task::block_in_place(|| dovecot(version, &days.sidecar, &[]))?;
    days.pass(&Imap(server)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dovecot_2_3() -> Result<()> {
    each_bad_day_of_the_provider_ends_as_it_must_and_passes_by_itself(Version::V2_3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dovecot_2_4() -> Result<()> {
    each_bad_day_of_the_provider_ends_as_it_must_and_passes_by_itself(Version::V2_4).await
}
