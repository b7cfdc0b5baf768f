//! What surrounds a login: encryption, the port where nobody logs in, commands that need no login.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::doctor_one;
use octroi_tests::imap::Security;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::Smtp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{DEUX, FORMS, LOGGED_IN, Stage, UN, subject};

#[tokio::test]
async fn nothing_is_sent_in_the_clear() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    let mut smtp = Smtp::in_the_clear(stage.postfix.submission_port()).await?;
    ensure!(smtp.reply().await?.code == 220, "{}", smtp.transcript());
    smtp.ehlo().await?;
    ensure!(!smtp.offered().iter().any(|offer| offer.starts_with("AUTH")), "{}", smtp.transcript());
    let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: UN, secret: &token };
    for reply in [smtp.authenticate(&credential, true).await?, smtp.mail(UN).await?] {
        ensure!(reply.line() == "530 5.7.0 Must issue a STARTTLS command first", "{}", smtp.transcript());
    }
    Ok(())
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_taken_and_nothing_older() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for security in [Security::Implicit, Security::StartTls] {
            let mut smtp = Smtp::encrypted(&stage.postfix, security, &[version]).await?;
            smtp.ehlo().await?;
            let credential = Credential { mechanism: Mechanism::Oauthbearer, mailbox: UN, secret: &token };
            ensure!(smtp.authenticate(&credential, true).await?.line() == LOGGED_IN, "{}", smtp.transcript());
            stage.arrives(&mut smtp, UN, DEUX).await?;
        }
    }
    // A ServerHello to 1.2, the control; the alert protocol_version (70) to anything older.
    ensure!(says_hello(stage.postfix.submissions_port(), 3).await?[..1] == [22], "no ServerHello to TLS 1.2");
    for minor in [1, 2] {
        let answer = says_hello(stage.postfix.submissions_port(), minor).await?;
        ensure!(answer[0] == 21 && answer[5..7] == [2, 70], "version 3.{minor}: {answer:?}");
    }
    Ok(())
}

/// What comes back to a ClientHello of version 3.`minor` that offers what both sides of that time had.
async fn says_hello(port: u16, minor: u8) -> Result<Vec<u8>> {
    // TLS_ECDHE_ECDSA and _RSA with AES in GCM and CBC; supported_groups x25519 and secp256r1, signature_algorithms.
    let ciphers = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x13, 0xc0, 0x14];
    let extensions =
        [&[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 2, 3, 2, 1]]
            .concat();
    let length = |bytes: usize| u16::try_from(bytes).map(u16::to_be_bytes);
    let body = [
        &[3, minor][..],
        &[7; 32],
        &[0],
        &length(ciphers.len())?,
        &ciphers,
        &[1, 0],
        &length(extensions.len())?,
        &extensions,
    ]
    .concat();
    let handshake = [&[1, 0][..], &length(body.len())?, &body].concat();
    let record = [&[22, 3, minor.min(1)][..], &length(handshake.len())?, &handshake].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&record).await?;
    let mut answer = vec![0; 7];
    tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut answer)).await.context("silence")??;
    Ok(answer)
}

/// Where other operators deliver nobody logs in, and nobody is asked.
#[tokio::test]
async fn port_25_offers_no_login_and_delivers_to_the_site_s_mailboxes_alone() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    let mut smtp = Smtp::in_the_clear(stage.postfix.smtp_port()).await?;
    ensure!(smtp.reply().await?.code == 220, "{}", smtp.transcript());
    smtp.ehlo().await?;
    ensure!(!smtp.offered().iter().any(|offer| offer.starts_with("AUTH")), "{}", smtp.transcript());
    let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: UN, secret: &token };
    let reply = smtp.authenticate(&credential, true).await?;
    ensure!(reply.line() == "503 5.5.1 Error: authentication not enabled", "{}", smtp.transcript());
    stage.arrives(&mut smtp, "medecin@autre.example.test", DEUX).await?;
    let reply = smtp.submit("medecin@autre.example.test", &["quelqu.un@ailleurs.example.test"], &subject()).await?;
    ensure!(reply.code == 554, "{}", smtp.transcript());
    Ok(())
}

/// Being near is no login: the site's `mynetworks` holds this very client.
#[tokio::test]
async fn without_a_login_the_submission_ports_tell_and_take_nothing() -> Result<()> {
    let stage = Stage::shared();
    for form in [FORMS[0], FORMS[1]] {
        let mut smtp = Smtp::connect(&stage.postfix, form.security).await?;
        for (command, code) in [
            (format!("VRFY {UN}"), 502),
            (format!("EXPN {UN}"), 500),
            ("ETRN bal.example.test".to_owned(), 554),
            (format!("RCPT TO:<{UN}>"), 503),
            ("DATA".to_owned(), 503),
            (format!("MAIL FROM:<{UN}>"), 554),
            ("MAIL FROM:<>".to_owned(), 554),
            (format!("RCPT TO:<{DEUX}>"), 503),
        ] {
            let reply = smtp.command(&command).await?;
            ensure!(reply.code == code, "{command}: {}", smtp.transcript());
        }
        smtp.quit().await?;
    }
    Ok(())
}

/// BDAT (RFC 3030) in the place of DATA: Postfix asks the same questions.
#[tokio::test]
async fn a_message_in_chunks_is_asked_about_like_any_other() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(FORMS[0], UN, &stage.psc.token(&doctor_one()).mint()).await?;
    let (own, foreign) = (subject(), subject());
    for (sender, subject) in [(UN, &own), (DEUX, &foreign)] {
        smtp.mail(sender).await?;
        smtp.rcpt(DEUX).await?;
        let chunk = format!("From: <{sender}>\r\nSubject: {subject}\r\n\r\nBonjour.");
        let reply = smtp.command(&format!("BDAT {} LAST\r\n{chunk}", chunk.len() + 2)).await?;
        ensure!(reply.accepted() == (sender == UN), "{}", smtp.transcript());
    }
    stage.postfix.delivered(DEUX, &own).await?;
    ensure!(stage.postfix.messages(DEUX, &foreign)?.is_empty(), "{}", stage.postfix.log());
    Ok(())
}
