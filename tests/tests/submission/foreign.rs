//! Clients that nobody here wrote, through the real sidecar: curl, Python's smtplib, msmtp.
//!
//! Must never be satisfied with an exit code: the message has to arrive, and a refusal has to be shown.

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::clients::{self, Message, Seen, Server};

use crate::stage::{DEUX, LOGGED_IN, Stage, UN, subject};

const EXPIRED: &str = "535 5.7.8 Error: authentication failed: Jeton expire / Token expired";

/// A message from doctor one, or from whoever it says.
fn message<'a>(sender: &'a str, subject: &'a str) -> Message<'a> {
    Message { sender, recipient: DEUX, subject }
}

fn is(seen: &Seen, login: &str, sent: bool) -> Result<()> {
    ensure!(seen.login == login && seen.sent == sent, "{seen:?}");
    Ok(())
}

fn tokens(stage: &Stage) -> Result<(String, String)> {
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    Ok((stage.psc.token(&doctor_one()).mint(), expired))
}

#[tokio::test]
async fn curl_sends_and_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let (server, (good, expired)) = (Server::from(&stage.postfix), tokens(stage)?);
    for initial_response in [true, false] {
        let subject = subject();
        let seen = clients::curl(&server, UN, &good, initial_response, message(UN, &subject)).await?;
        is(&seen, LOGGED_IN, true)?;
        stage.postfix.delivered(DEUX, &subject).await?;
        let seen = clients::curl(&server, UN, &good, initial_response, message(DEUX, &subject)).await?;
        is(&seen, LOGGED_IN, false)?;
        let seen = clients::curl(&server, UN, &expired, initial_response, message(UN, &subject)).await?;
        is(&seen, EXPIRED, false)?;
    }
    Ok(())
}

#[tokio::test]
async fn smtplib_sends_and_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let (server, (good, expired)) = (Server::from(&stage.postfix), tokens(stage)?);
    for (mechanism, initial_response) in
        [(Mechanism::Xoauth2, true), (Mechanism::Xoauth2, false), (Mechanism::Oauthbearer, true)]
    {
        let subject = subject();
        let credential = Credential { mechanism, mailbox: UN, secret: &good };
        let seen = clients::smtplib(&server, &credential, initial_response, message(UN, &subject)).await?;
        is(&seen, LOGGED_IN, true)?;
        stage.postfix.delivered(DEUX, &subject).await?;
        let seen = clients::smtplib(&server, &credential, initial_response, message(DEUX, &subject)).await?;
        is(&seen, LOGGED_IN, false)?;
        let credential = Credential { secret: &expired, ..credential };
        let seen = clients::smtplib(&server, &credential, initial_response, message(UN, &subject)).await?;
        is(&seen, EXPIRED, false)?;
    }
    Ok(())
}

#[tokio::test]
async fn msmtp_sends_and_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let (server, (good, expired)) = (Server::from(&stage.postfix), tokens(stage)?);
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
        let subject = subject();
        let credential = Credential { mechanism, mailbox: UN, secret: &good };
        let seen = clients::msmtp(&server, &credential, message(UN, &subject)).await?;
        is(&seen, LOGGED_IN, true)?;
        stage.postfix.delivered(DEUX, &subject).await?;
        let credential = Credential { secret: &expired, ..credential };
        let seen = clients::msmtp(&server, &credential, message(UN, &subject)).await?;
        is(&seen, EXPIRED, false)?;
    }
    Ok(())
}
