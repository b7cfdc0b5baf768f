//! Mail clients that nobody here wrote: a good token sends, a bad one and another's sender do not.

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::clients::{Message, Seen, Server, curl, msmtp, smtplib};

use crate::stage::{DEUX, MECHANISMS, REFUSED, Stage, UN, subject};

fn server() -> Server {
    (&Stage::shared().exim).into()
}

/// The three things that each client must see.
async fn client<'a, F>(attempt: impl Fn(String, String, &'static str) -> F) -> Result<()>
where
    F: Future<Output = Result<Seen>> + 'a,
{
    let stage = Stage::shared();
    let good = subject();
    let seen = attempt(stage.token(), good.clone(), UN).await?;
    ensure!(seen.sent, "{seen:?}");
    stage.exim.delivered(DEUX, &good).await?;

    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let seen = attempt(expired, subject(), UN).await?;
    ensure!(!seen.sent && seen.login == REFUSED, "{seen:?}");

    let foreign = subject();
    let seen = attempt(stage.token(), foreign.clone(), DEUX).await?;
    ensure!(!seen.sent && seen.shown.contains("5.7.1"), "{seen:?}");
    ensure!(!stage.exim.has_accepted(&foreign), "{}", stage.exim.log());
    Ok(())
}

#[tokio::test]
async fn curl_sends_with_and_without_initial_response() -> Result<()> {
    for initial_response in [true, false] {
        client(|token, subject, sender| async move {
            let message = Message { sender, recipient: DEUX, subject: &subject };
            curl(&server(), UN, &token, initial_response, message).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn smtplib_sends_with_and_without_initial_response() -> Result<()> {
    for mechanism in MECHANISMS {
        for initial_response in [true, false] {
            client(|token, subject, sender| async move {
                let credential = Credential { mechanism, mailbox: UN, secret: &token };
                let message = Message { sender, recipient: DEUX, subject: &subject };
                smtplib(&server(), &credential, initial_response, message).await
            })
            .await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn msmtp_sends_with_both_mechanisms() -> Result<()> {
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
        client(|token, subject, sender| async move {
            let credential = Credential { mechanism, mailbox: UN, secret: &token };
            msmtp(&server(), &credential, Message { sender, recipient: DEUX, subject: &subject }).await
        })
        .await?;
    }
    Ok(())
}
