//! Mail clients that nobody here wrote: a good token sends, a bad one and another's sender do not.

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::exim::clients::{Message, Sent, curl, msmtp, smtplib};
use octroi_tests::sasl::{Credential, Mechanism};

use crate::stage::{DEUX, MECHANISMS, Stage, UN, subject};

/// The three things that each client must see.
async fn client<'a, F>(attempt: impl Fn(String, String, &'static str) -> F) -> Result<()>
where
    F: Future<Output = Result<Sent>> + 'a,
{
    let stage = Stage::shared();
    let good = subject();
    let sent = attempt(stage.token(), good.clone(), UN).await?;
    ensure!(sent.taken, "{}", sent.shown);
    stage.exim.delivered(DEUX, &good).await?;

    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let sent = attempt(expired, subject(), UN).await?;
    ensure!(!sent.taken && sent.shown.contains("535 Incorrect authentication data"), "{}", sent.shown);

    let foreign = subject();
    let sent = attempt(stage.token(), foreign.clone(), DEUX).await?;
    ensure!(!sent.taken && sent.shown.contains("5.7.1"), "{}", sent.shown);
    ensure!(!stage.exim.has_accepted(&foreign), "{}", stage.exim.log());
    Ok(())
}

#[tokio::test]
async fn curl_sends_with_and_without_initial_response() -> Result<()> {
    for initial_response in [true, false] {
        client(|token, subject, from| async move {
            let message = Message { from, to: DEUX, subject: &subject };
            curl(&Stage::shared().exim, UN, &token, initial_response, message).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn smtplib_sends_with_and_without_initial_response() -> Result<()> {
    for mechanism in MECHANISMS {
        for initial_response in [true, false] {
            client(|token, subject, from| async move {
                let credential = Credential { mechanism, mailbox: UN, secret: &token };
                let message = Message { from, to: DEUX, subject: &subject };
                smtplib(&Stage::shared().exim, &credential, initial_response, message).await
            })
            .await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn msmtp_sends_with_both_mechanisms() -> Result<()> {
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
        client(|token, subject, from| async move {
            let credential = Credential { mechanism, mailbox: UN, secret: &token };
            msmtp(&Stage::shared().exim, &credential, Message { from, to: DEUX, subject: &subject }).await
        })
        .await?;
    }
    Ok(())
}
