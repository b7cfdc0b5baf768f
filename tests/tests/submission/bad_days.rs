//! One bad day of the provider after the other, through Postfix.

use anyhow::{Result, bail};
use octroi_tests::bad_days::{BadDays, Client, Ended};
use octroi_tests::postfix::Postfix;
use octroi_tests::sasl::Credential;
use octroi_tests::smtp::Smtp;

use crate::stage::{FORMS, LOGGED_IN, OUTAGE, UN, challenge, site};

struct Submission(Postfix);

impl Client for Submission {
    async fn log_in(&self, token: &str) -> Result<Ended> {
        let form = FORMS[0];
        let mut smtp = Smtp::connect(&self.0, form.security).await?;
        let credential = Credential { mechanism: form.mechanism, mailbox: UN, secret: token };
        let reply = smtp.authenticate(&credential, form.initial_response).await?;
        match reply.line().as_str() {
            LOGGED_IN => Ok(Ended::In),
            OUTAGE if reply.challenge.is_empty() => Ok(Ended::Outage),
            line if line.starts_with("535 5.7.8 ") && reply.challenge == challenge(form.mechanism) => {
                Ok(Ended::Refused)
            }
            _ => bail!("{}", smtp.transcript()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_day_of_the_provider_ends_as_it_must_and_passes_by_itself() -> Result<()> {
    let postfix = tokio::task::block_in_place(|| Postfix::start(&site()))?;
    let days = BadDays::start(&postfix.sidecar_section()).await?;
    days.pass(&Submission(postfix)).await
}
