//! Who stays out and what is not sent, in the words that a client reads.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::exim::PASSWORD;
use octroi_tests::sasl::Mechanism;
use octroi_tests::sidecar::Settings;
use octroi_tests::smtp::Smtp;

use crate::stage::{
    DEUX, MECHANISMS, SECRETARIAT, SENDER_REFUSED, Stage, UN, attempt, refuses, refuses_sender, sends, site,
};

const NOT_LOGGED_IN: &str = "530 5.7.0 Authentification requise / Authentication required";
const MALFORMED: &str = "554 5.1.7 Adresse d'expediteur invalide / Malformed sender address";

#[tokio::test]
async fn a_bad_token_is_refused_and_the_connection_stays_usable() -> Result<()> {
    let stage = Stage::shared();
    for deviation in [
        Deviation::Expired,
        Deviation::OtherIssuer,
        Deviation::BadSignature,
        Deviation::StrangersKey,
        Deviation::AlgNone,
        Deviation::Hs256WithPublicKey,
    ] {
        let token = stage.psc.token(&doctor_one()).deviate(deviation)?.mint();
        let mut smtp = stage.client().await?;
        for mechanism in MECHANISMS {
            refuses(&mut smtp, mechanism, UN, &token).await.with_context(|| deviation.name())?;
        }
        refuses_sender(&mut smtp, UN, NOT_LOGGED_IN).await?;
        let login = attempt(&mut smtp, Mechanism::Oauthbearer, UN, &stage.token()).await?;
        ensure!(login.code == 235, "{}", smtp.transcript());
        sends(&stage.exim, &mut smtp, UN, DEUX).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_good_token_does_not_log_in_to_someone_else_s_mailbox() -> Result<()> {
    let stage = Stage::shared();
    for mechanism in MECHANISMS {
        // Exim ends a connection after ten commands that send nothing.
        let mut smtp = stage.client().await?;
        for (mailbox, token) in [
            (DEUX, stage.token()),
            (UN, stage.token_of_two()),
            ("automate@bal.example.test", stage.token()),
            ("personne@bal.example.test", stage.token()),
            ("docteur.un", stage.token()),
            ("*", stage.token()),
        ] {
            refuses(&mut smtp, mechanism, mailbox, &token).await.with_context(|| mailbox.to_owned())?;
        }
        let login = attempt(&mut smtp, mechanism, UN, &stage.token()).await?;
        ensure!(login.code == 235, "{}", smtp.transcript());
        sends(&stage.exim, &mut smtp, UN, DEUX).await?;
    }
    Ok(())
}

#[tokio::test]
async fn in_the_clear_no_mechanism_is_offered_and_none_is_taken() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = Smtp::greeted_in_the_clear(stage.exim.submission_port()).await?;
    ensure!(smtp.mechanisms().is_empty(), "{:?}", smtp.mechanisms());
    let login = attempt(&mut smtp, Mechanism::Xoauth2, UN, &stage.token()).await?;
    ensure!(login.line() == "503 AUTH command used when not advertised", "{}", smtp.transcript());
    refuses_sender(&mut smtp, UN, NOT_LOGGED_IN).await
}

#[tokio::test]
async fn a_second_login_in_one_connection_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    let login = attempt(&mut smtp, Mechanism::Xoauth2, DEUX, &stage.token_of_two()).await?;
    ensure!(login.line() == "503 already authenticated", "{}", smtp.transcript());
    refuses_sender(&mut smtp, DEUX, SENDER_REFUSED).await?;
    sends(&stage.exim, &mut smtp, UN, DEUX).await
}

#[tokio::test]
async fn a_sender_that_is_not_the_login_s_is_refused_and_the_next_message_goes() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    // The secretary's mailbox is doctor one's too: but this login is for another.
    for from in [DEUX, SECRETARIAT, "docteur.un@ailleurs.example.test", "docteur.un+labo@bal.example.test"] {
        refuses_sender(&mut smtp, from, SENDER_REFUSED).await?;
        let reply = smtp.command(&format!("RCPT TO:<{DEUX}>")).await?;
        ensure!(reply.line() == "503 sender not yet given", "{}", smtp.transcript());
    }
    sends(&stage.exim, &mut smtp, UN, DEUX).await
}

#[tokio::test]
async fn a_hostile_sender_is_refused_as_a_sender() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for from in [
        "\"docteur.un\"@bal.example.test",
        "\"a b\"@bal.example.test",
        "\"a\\nsasl_username=x\"@bal.example.test",
        "\"a\rsasl_username=x\rb\"@bal.example.test",
        "\"docteur.un@bal.example.test\\\x01\"@x.test",
        "\u{e9}@bal.example.test",
        "$authenticated_id@bal.example.test",
        "\"${readfile{/etc/passwd}}\"@bal.example.test",
    ] {
        let reply = smtp.command(&format!("MAIL FROM:<{from}>")).await?;
        ensure!([MALFORMED, SENDER_REFUSED].contains(&reply.line().as_str()), "{from:?}:\n{}", smtp.transcript());
    }
    let reply = smtp.command("MAIL FROM:<\u{e9}@bal.example.test> SMTPUTF8").await?;
    ensure!(reply.line() == MALFORMED, "{}", smtp.transcript());
    Ok(())
}

#[tokio::test]
async fn a_password_of_the_site_sends_only_where_the_site_says_so() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = stage.client().await?;
    ensure!(attempt(&mut smtp, Mechanism::Plain, UN, PASSWORD).await?.code == 235, "{}", smtp.transcript());
    refuses_sender(&mut smtp, UN, NOT_LOGGED_IN).await?;

    let mut setup = site();
    setup.other_authenticators = "site_plain";
    let other = Stage::start(Settings::default(), &setup)?;
    let mut smtp = other.client().await?;
    let token = attempt(&mut smtp, Mechanism::Plain, UN, &other.token()).await?;
    ensure!(token.code == 535, "a token was taken for a password:\n{}", smtp.transcript());
    ensure!(attempt(&mut smtp, Mechanism::Plain, UN, PASSWORD).await?.code == 235, "{}", smtp.transcript());
    sends(&other.exim, &mut smtp, UN, DEUX).await?;
    let mut smtp = other.logged_in(UN, &other.token()).await?;
    refuses_sender(&mut smtp, DEUX, SENDER_REFUSED).await
}
