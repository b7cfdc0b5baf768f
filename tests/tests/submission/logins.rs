//! Who may log in to send, in every form in which a client can ask, and in which words the others are refused.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, Said, doctor_one, doctor_two, secretary, vendor};
use octroi_tests::imap::Security;
use octroi_tests::logins::hostile_names;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::Smtp;
use serde_json::json;

use crate::stage::{ALIAS, AUTOMATE, DEUX, FORMS, LOGGED_IN, SECRETARIAT, Stage, UN, unauthenticated};

const NOT_YOURS: &str = "Boite non autorisee pour ce professionnel / Mailbox not allowed for this professional";

#[tokio::test]
async fn a_doctor_logs_in_and_sends() -> Result<()> {
    let stage = Stage::shared();
    stage.sends(UN, &stage.psc.token(&doctor_one()).mint()).await?;
    stage.sends(DEUX, &stage.psc.token(&doctor_two()).mint()).await
}

/// The secretary's identifier holds a slash.
#[tokio::test]
async fn a_shared_mailbox_is_for_its_people_and_for_nobody_else() -> Result<()> {
    let stage = Stage::shared();
    stage.sends(SECRETARIAT, &stage.psc.token(&doctor_one()).mint()).await?;
    stage.sends(SECRETARIAT, &stage.psc.token(&secretary()).mint()).await?;
    stage.refuses(UN, &stage.psc.token(&secretary()).mint(), NOT_YOURS).await?;
    stage.refuses(SECRETARIAT, &stage.psc.token(&doctor_two()).mint(), NOT_YOURS).await
}

#[tokio::test]
async fn a_good_token_does_not_log_in_to_someone_else_s_mailbox() -> Result<()> {
    let stage = Stage::shared();
    let (one, two) = (stage.psc.token(&doctor_one()).mint(), stage.psc.token(&doctor_two()).mint());
    // The last three: an application's, an alias of one's own, and nobody's.
    for (mailbox, token) in
        [(DEUX, &one), (UN, &two), (AUTOMATE, &one), (ALIAS, &one), ("personne@bal.example.test", &one)]
    {
        stage.refuses(mailbox, token, NOT_YOURS).await.with_context(|| mailbox.to_owned())?;
    }
    let nobody = stage.psc.token(&vendor()).mint();
    stage.refuses(UN, &nobody, "Aucune boite pour ce professionnel / No mailbox for this professional").await
}

#[tokio::test]
async fn a_bad_token_is_refused_and_told_why() -> Result<()> {
    let stage = Stage::shared();
    for (deviation, words) in [
        (Deviation::Expired, "Jeton expire / Token expired"),
        (Deviation::OtherIssuer, "Jeton non emis par Pro Sante Connect / Token not issued by Pro Sante Connect"),
        (Deviation::BadSignature, "Signature invalide / Invalid signature"),
        (Deviation::StrangersKey, "Signature invalide / Invalid signature"),
        (Deviation::NoSignature, "Jeton illisible / Malformed token"),
        (Deviation::AlgNone, "Algorithme de signature refuse / Signature algorithm refused"),
        (Deviation::Hs256WithPublicKey, "Algorithme de signature refuse / Signature algorithm refused"),
    ] {
        let token = stage.psc.token(&doctor_one()).deviate(deviation)?.mint();
        stage.refuses(UN, &token, words).await.with_context(|| deviation.name())?;
    }
    for text in ["x", "a.b.c", ".."] {
        stage.refuses(UN, text, "Jeton illisible / Malformed token").await.with_context(|| text.to_owned())?;
    }
    Ok(())
}

/// Until the keys may be read again nobody knows whether there is such a key: an outage. Then the answer is no.
#[tokio::test]
async fn a_key_nobody_published_is_never_good() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).deviate(Deviation::UnknownKid)?.mint();
    for form in FORMS {
        let (mut smtp, reply) = stage.attempt(form, UN, &token).await?;
        ensure!(matches!(reply.code, 535 | 454), "{}", smtp.transcript());
        unauthenticated(&mut smtp).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_its_issuer_calls_inactive_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    stage.psc.say(&token, Said::Inactive);
    stage.refuses(UN, &token, "Jeton revoque / Token no longer active").await?;
    ensure!(stage.psc.was_asked_about(&token), "nobody was asked");
    let token = stage.psc.token(&doctor_one()).mint();
    stage.psc.say(&token, Said::Answer(json!({"active": true, "sub": "f:another:899700000022"})));
    stage.refuses(UN, &token, "Introspection discordante / Introspection mismatch").await
}

#[tokio::test]
async fn a_token_of_every_size_up_to_6000_bytes_logs_in() -> Result<()> {
    let stage = Stage::shared();
    for bytes in [2000, 4000, 6000] {
        let token = stage.psc.token(&doctor_one()).sized(bytes).mint();
        ensure!(token.len() == bytes, "{}", token.len());
        stage.sends(UN, &token).await?;
    }
    // Beyond what Postfix itself takes.
    let token = stage.psc.token(&doctor_one()).sized(9500).mint();
    for form in FORMS {
        let (smtp, reply) = stage.attempt(form, UN, &token).await?;
        ensure!(!reply.accepted(), "{}", smtp.transcript());
    }
    Ok(())
}

#[tokio::test]
async fn no_hostile_name_gets_in() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    for name in hostile_names(UN) {
        // One form each: what a name can do does not depend on how it is sent.
        let form = FORMS[name.len() % FORMS.len()];
        let (mut smtp, reply) = stage.attempt(form, &name, &token).await?;
        ensure!(matches!(reply.code, 535 | 501), "{name:?}:\n{}", smtp.transcript());
        unauthenticated(&mut smtp).await?;
    }
    Ok(())
}

/// Postfix refuses what the sidecar does not offer.
#[tokio::test]
async fn another_mechanism_is_refused() -> Result<()> {
    let stage = Stage::shared();
    let token = stage.psc.token(&doctor_one()).mint();
    for command in
        ["AUTH PLAIN AGEAYg==", "AUTH EXTERNAL =", "AUTH EXTERNAL", "AUTH ANONYMOUS =", "AUTH LOGIN", "AUTH X"]
    {
        let mut smtp = Smtp::connect(&stage.postfix, Security::Implicit).await?;
        let reply = smtp.command(command).await?;
        let pinned = "535 5.7.8 Error: authentication failed: Invalid authentication mechanism";
        ensure!(reply.line() == pinned, "{command}:\n{}", smtp.transcript());
        unauthenticated(&mut smtp).await?;
    }
    let mut smtp = Smtp::connect(&stage.postfix, Security::Implicit).await?;
    let plain = Credential { mechanism: Mechanism::Plain, mailbox: UN, secret: &token };
    ensure!(smtp.authenticate(&plain, true).await?.code == 535, "{}", smtp.transcript());
    Ok(())
}

#[tokio::test]
async fn a_connection_is_good_after_a_refusal_and_logs_in_once() -> Result<()> {
    let stage = Stage::shared();
    let good = stage.psc.token(&doctor_one()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    for form in FORMS {
        let (mut smtp, reply) = stage.attempt(form, UN, &expired).await?;
        ensure!(reply.code == 535, "{}", smtp.transcript());
        let credential = Credential { mechanism: form.mechanism, mailbox: UN, secret: &good };
        let reply = smtp.authenticate(&credential, form.initial_response).await?;
        ensure!(reply.line() == LOGGED_IN, "{}", smtp.transcript());
        stage.arrives(&mut smtp, UN, DEUX).await?;
        let again = smtp.authenticate(&credential, form.initial_response).await?;
        ensure!(again.line() == "503 5.5.1 Error: already authenticated", "{}", smtp.transcript());
        smtp.quit().await?;
    }
    Ok(())
}
