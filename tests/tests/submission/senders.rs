//! As whom a login may send, to how many, and over what: the rules of submission on the real server, and its words.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{doctor_one, secretary};
use octroi_tests::imap::Security;
use octroi_tests::sasl::Credential;
use octroi_tests::smtp::Smtp;

use crate::stage::{ALIAS, AUTOMATE, DEUX, FORMS, LOGGED_IN, SECRETARIAT, Stage, UN, site};

const NOT_YOURS: &str =
    "Sender address rejected: Expediteur non autorise pour cette session / Sender not allowed for this login";
const NO_ADDRESS: &str = "Sender address rejected: Adresse d'expediteur invalide / Malformed sender address";

/// Every setting of submission otherwise than by default.
fn other_settings() -> &'static Stage {
    static OTHER: LazyLock<Stage> = LazyLock::new(|| {
        let settings = "[policy.settings.submission]\nsenders = \"person\"\nplus_extension = true\nnull_sender = false\n\
                        recipients_max = 2\ntls_min = \"1.3\"\n";
        Stage::start("off", settings, &site()).unwrap()
    });
    &OTHER
}

async fn doctor(stage: &Stage) -> Result<Smtp> {
    stage.logged_in(FORMS[0], UN, &stage.psc.token(&doctor_one()).mint()).await
}

/// The sender is refused in these words; the connection goes on.
async fn refused(smtp: &mut Smtp, sender: &str, status: &str, words: &str) -> Result<()> {
    let reply = smtp.mail(sender).await?;
    ensure!(reply.line() == format!("554 {status} <{sender}>: {words}"), "{}", smtp.transcript());
    Ok(())
}

#[tokio::test]
async fn a_login_sends_as_its_mailbox_and_its_aliases() -> Result<()> {
    let stage = Stage::shared();
    let mut smtp = doctor(stage).await?;
    for sender in [UN, ALIAS, "Docteur.UN@BAL.example.test"] {
        stage.arrives(&mut smtp, sender, DEUX).await?;
    }
    for sender in [DEUX, AUTOMATE, "personne@bal.example.test", "docteur.un@ailleurs.example.test"] {
        refused(&mut smtp, sender, "5.7.1", NOT_YOURS).await?;
    }
    // Several messages in one connection, also after refusals.
    stage.arrives(&mut smtp, UN, SECRETARIAT).await?;
    smtp.quit().await
}

#[tokio::test]
async fn a_colleague_of_a_shared_mailbox_does_not_send_as_one() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&secretary()).mint();
    let mut smtp = stage.logged_in(FORMS[2], SECRETARIAT, &token).await?;
    refused(&mut smtp, UN, "5.7.1", NOT_YOURS).await?;
    refused(&mut smtp, ALIAS, "5.7.1", NOT_YOURS).await?;
    stage.arrives(&mut smtp, SECRETARIAT, UN).await
}

/// By default a login is for one mailbox; by setting for all of the person's.
#[tokio::test]
async fn another_mailbox_of_one_s_own_is_a_sender_by_setting() -> Result<()> {
    let mut smtp = doctor(Stage::shared()).await?;
    refused(&mut smtp, SECRETARIAT, "5.7.1", NOT_YOURS).await?;
    let stage = other_settings();
    let mut smtp = doctor(stage).await?;
    stage.arrives(&mut smtp, SECRETARIAT, DEUX).await?;
    refused(&mut smtp, DEUX, "5.7.1", NOT_YOURS).await
}

#[tokio::test]
async fn a_plus_extension_is_a_sender_by_setting() -> Result<()> {
    let extended = "docteur.un+labo@bal.example.test";
    refused(&mut doctor(Stage::shared()).await?, extended, "5.7.1", NOT_YOURS).await?;
    let stage = other_settings();
    let mut smtp = doctor(stage).await?;
    stage.arrives(&mut smtp, extended, DEUX).await?;
    refused(&mut smtp, "docteur.deux+labo@bal.example.test", "5.7.1", NOT_YOURS).await
}

#[tokio::test]
async fn a_receipt_has_no_sender_unless_a_setting_forbids_it() -> Result<()> {
    let stage = Stage::shared();
    stage.arrives(&mut doctor(stage).await?, "", DEUX).await?;
    refused(&mut doctor(other_settings()).await?, "", "5.7.1", NOT_YOURS).await
}

#[tokio::test]
async fn an_internationalised_sender_is_refused_as_no_address() -> Result<()> {
    let mut smtp = doctor(Stage::shared()).await?;
    ensure!(smtp.offered().iter().any(|offer| offer == "SMTPUTF8"), "{}", smtp.transcript());
    let reply = smtp.command("MAIL FROM:<doct\u{e9}ur.un@bal.example.test> SMTPUTF8").await?;
    let pinned = format!("554 5.1.7 <doct\u{e9}ur.un@bal.example.test>: {NO_ADDRESS}");
    ensure!(reply.line() == pinned, "{}", smtp.transcript());
    // Without the word for it the server refuses by itself, or asks and is told the same.
    let reply = smtp.mail("doct\u{e9}ur.un@bal.example.test").await?;
    ensure!((500..600).contains(&reply.code), "{}", smtp.transcript());
    Ok(())
}

/// Ways to write an address so that two programs read two.
#[tokio::test]
async fn no_hostile_sender_is_taken() -> Result<()> {
    let mut smtp = doctor(Stage::shared()).await?;
    for sender in [
        "\"docteur.un\"@bal.example.test.evil",
        "docteur.un@bal.example.test@ailleurs.example.test",
        "@bal.example.test:docteur.deux@bal.example.test",
        "docteur.deux%bal.example.test@bal.example.test",
        "docteur.un",
        "docteur.un@[127.0.0.1]",
        "docteur.un+docteur.deux@bal.example.test",
        "*@bal.example.test",
        "docteur.deux@bal.example.test,docteur.un@bal.example.test",
        "sasl_username=docteur.un@bal.example.test",
        "docteur.un@bal.example.test sasl_username=docteur.un@bal.example.test",
    ] {
        let reply = smtp.mail(sender).await.with_context(|| sender.to_owned())?;
        ensure!((500..600).contains(&reply.code), "{sender:?}\n{}", smtp.transcript());
    }
    Ok(())
}

#[tokio::test]
async fn a_message_with_a_recipient_too_many_is_refused() -> Result<()> {
    let stage = other_settings();
    let mut smtp = doctor(stage).await?;
    let subject = crate::stage::subject();
    let reply = smtp.submit(UN, &[DEUX, SECRETARIAT, AUTOMATE], &subject).await?;
    let pinned = "554 5.5.3 <DATA>: Data command rejected: Trop de destinataires / Too many recipients";
    ensure!(reply.line() == pinned, "{}", smtp.transcript());
    ensure!(smtp.command("RSET").await?.accepted(), "{}", smtp.transcript());
    let taken = smtp.submit(UN, &[DEUX, SECRETARIAT], &subject).await?;
    ensure!(taken.code == 250, "{}", smtp.transcript());
    stage.postfix.delivered(SECRETARIAT, &subject).await?;
    ensure!(stage.postfix.messages(AUTOMATE, &subject)?.is_empty(), "the refused message arrived");
    Ok(())
}

/// Postfix's own floor is in `transport.rs`; this one holds where a site has loosened that.
#[tokio::test]
async fn the_policy_s_tls_floor_is_a_floor_too() -> Result<()> {
    let stage = other_settings();
    let token = stage.psc.token(&doctor_one()).mint();
    let mut smtp = Smtp::encrypted(&stage.postfix, Security::Implicit, &[&rustls::version::TLS12]).await?;
    smtp.ehlo().await?;
    let credential = Credential { mechanism: FORMS[0].mechanism, mailbox: UN, secret: &token };
    ensure!(smtp.authenticate(&credential, true).await?.line() == LOGGED_IN, "{}", smtp.transcript());
    let words = "Sender address rejected: Version de TLS refusee / TLS version refused";
    refused(&mut smtp, UN, "5.7.10", words).await
}
