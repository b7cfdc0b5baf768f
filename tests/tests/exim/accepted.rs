//! Who gets in and what arrives.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{doctor_one, secretary};
use octroi_tests::imap::Security;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::Smtp;

use crate::stage::{ALIAS, DEUX, MECHANISMS, SECRETARIAT, Stage, UN, attempt, sends, subject};

#[tokio::test]
async fn a_good_token_sends_a_message_that_arrives() -> Result<()> {
    let Stage { exim, .. } = Stage::shared();
    for mechanism in MECHANISMS {
        for (initial_response, starts_with_tls) in [(true, false), (false, false), (true, true), (false, true)] {
            let mut smtp = match starts_with_tls {
                true => Smtp::greeted(exim.submissions_port(), Security::Implicit, exim.pki()).await?,
                false => Stage::shared().client().await?,
            };
            ensure!(smtp.mechanisms() == ["XOAUTH2", "OAUTHBEARER", "PLAIN"], "{:?}", smtp.mechanisms());
            let token = Stage::shared().token();
            let credential = Credential { mechanism, mailbox: UN, secret: &token };
            let login = smtp.authenticate(&credential, initial_response).await?;
            ensure!(login.line() == "235 Authentication succeeded", "{}", smtp.transcript());
            ensure!(login.challenge.is_empty(), "{}", login.challenge);
            sends(exim, &mut smtp, UN, DEUX).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn tokens_of_2_4_and_6_thousand_bytes_pass_with_and_without_initial_response() -> Result<()> {
    let stage = Stage::shared();
    for bytes in [2_000, 4_000, 6_000] {
        for mechanism in MECHANISMS {
            for initial_response in [true, false] {
                let token = stage.psc.token(&doctor_one()).sized(bytes).mint();
                let mut smtp = stage.client().await?;
                let credential = Credential { mechanism, mailbox: UN, secret: &token };
                let login = smtp.authenticate(&credential, initial_response).await?;
                ensure!(login.code == 235, "{bytes} bytes:\n{}", smtp.transcript());
                sends(&stage.exim, &mut smtp, UN, DEUX).await.with_context(|| bytes.to_string())?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_connection_sends_several_messages_and_each_is_judged() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for from in [UN, ALIAS, UN] {
        sends(&stage.exim, &mut smtp, from, DEUX).await?;
        crate::stage::refuses_sender(&mut smtp, DEUX, crate::stage::SENDER_REFUSED).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_receipt_goes_out_under_the_null_sender() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    sends(&stage.exim, &mut smtp, "", DEUX).await
}

#[tokio::test]
async fn a_message_in_chunks_is_sent() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    let subject = subject();
    let message = format!("Subject: {subject}\r\n\r\nBonjour.\r\n");
    for command in [format!("MAIL FROM:<{UN}> SIZE={}", message.len()), format!("RCPT TO:<{DEUX}>")] {
        ensure!(smtp.command(&command).await?.code == 250, "{}", smtp.transcript());
    }
    // The client ends each exchange with CR LF: here it is the end of the chunk's last line.
    let chunk = message.strip_suffix("\r\n").context("a last line")?;
    let reply = smtp.command(&format!("BDAT {} LAST\r\n{chunk}", message.len())).await?;
    ensure!(reply.code == 250, "{}", smtp.transcript());
    stage.exim.delivered(DEUX, &subject).await.map(|_| ())
}

#[tokio::test]
async fn two_connections_have_their_own_login_each() -> Result<()> {
    let stage = Stage::shared();
    let mut one = stage.logged_in(UN, &stage.token()).await?;
    let mut two = stage.logged_in(DEUX, &stage.token_of_two()).await?;
    for _ in 0..3 {
        crate::stage::refuses_sender(&mut one, DEUX, crate::stage::SENDER_REFUSED).await?;
        crate::stage::refuses_sender(&mut two, UN, crate::stage::SENDER_REFUSED).await?;
        sends(&stage.exim, &mut one, UN, DEUX).await?;
        sends(&stage.exim, &mut two, DEUX, UN).await?;
    }
    Ok(())
}

#[tokio::test]
async fn each_person_of_an_organization_sends_as_it() -> Result<()> {
    let stage = Stage::shared();
    for person in [doctor_one(), secretary()] {
        let mut smtp = stage.client().await?;
        let login = attempt(&mut smtp, Mechanism::Xoauth2, SECRETARIAT, &stage.psc.token(&person).mint()).await?;
        ensure!(login.code == 235, "{}", smtp.transcript());
        sends(&stage.exim, &mut smtp, SECRETARIAT, DEUX).await?;
    }
    Ok(())
}

#[tokio::test]
async fn other_sites_still_deliver_without_a_login() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = Smtp::greeted(stage.exim.mx_port(), Security::StartTls, stage.exim.pki()).await?;
    ensure!(smtp.mechanisms() == ["PLAIN"], "tokens are taken on the other port: {:?}", smtp.mechanisms());
    sends(&stage.exim, &mut smtp, "someone@elsewhere.example", UN).await?;
    ensure!(smtp.command("MAIL FROM:<someone@elsewhere.example>").await?.code == 250, "{}", smtp.transcript());
    let relay = smtp.command("RCPT TO:<someone@third.example>").await?;
    ensure!(relay.line() == "550 5.7.1 relay not permitted", "{}", smtp.transcript());
    Ok(())
}
