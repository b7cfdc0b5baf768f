//! SMTP with EXTERNAL on a real Postfix: whose certificate sends as whom.

use anyhow::{Result, ensure};
use octroi_tests::dovecot::Version;
use octroi_tests::imap::Security;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::smtp::Smtp;

use crate::stage::{AILLEURS, ALIAS, AUTOMATE, AUTRE, LIMITE, SECRETARIAT, Stage, UN};

fn stage() -> &'static Stage {
    Stage::shared(Version::V2_3)
}

/// The message goes nowhere, and this is said of it.
async fn is_refused(shown: Option<&octroi_igc::Leaf>, mailbox: &str, text: &str) -> Result<()> {
    let said = stage().sends(shown, mailbox, mailbox, "never").await?;
    ensure!(said == format!("554 5.7.8 <{mailbox}>: Sender address rejected: {text}"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structures_certificate_sends_as_its_mailbox_and_the_message_arrives() -> Result<()> {
    let stage = stage();
    for (sender, subject, initial) in [(AUTOMATE, "by certificate", true), (ALIAS, "as an alias", false)] {
        let (mut smtp, said) = stage.smtp(Some(&stage.leaves.good), AUTOMATE, initial).await?;
        ensure!(said == "235 2.7.0 Authentication successful", "{said}");
        let reply = smtp.submit(sender, &[SECRETARIAT], subject).await?;
        ensure!(reply.line().starts_with("250 2.0.0 Ok: queued as "), "{}", smtp.transcript());
        stage.postfix().delivered(SECRETARIAT, subject).await?;
    }
    // The certificate with the CN that the mailbox is for, which Postfix can tell.
    let said = stage.sends(Some(&stage.leaves.good), LIMITE, LIMITE, "by name").await?;
    ensure!(said.starts_with("250 "), "{said}");
    let record = stage.decided("submission", LIMITE, "allow").await?;
    ensure!(record["certificate"] == stage.leaves.good.fingerprint.as_str(), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_open_the_mailbox_sends_nothing() -> Result<()> {
    let leaves = &stage().leaves;
    let structure = "Boite non autorisee pour cette structure / Mailbox not allowed for this structure";
    is_refused(Some(&leaves.other), AUTOMATE, structure).await?;
    is_refused(Some(&leaves.good), AUTRE, structure).await?;
    is_refused(Some(&leaves.good), "personne@bal.example.test", structure).await?;
    let personal = "Boite personnelle fermee aux certificats / Personal mailbox closed to certificates";
    is_refused(Some(&leaves.good), UN, personal).await?;
    is_refused(Some(&leaves.good), AILLEURS, "Certificat d'une autre chaine / Certificate of another chain").await?;
    let other = "Certificat non autorise pour cette boite / Certificate not allowed for this mailbox";
    is_refused(Some(&leaves.second), LIMITE, other).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_enrolled_sends_nothing() -> Result<()> {
    let leaves = &stage().leaves;
    for leaf in [&leaves.stranger, &leaves.unlisted, &leaves.two_units, &leaves.professional] {
        is_refused(Some(leaf), AUTOMATE, "Certificat non enregistre / Certificate not enrolled").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_postfix_did_not_verify_is_none() -> Result<()> {
    let leaves = &stage().leaves;
    for leaf in [None, Some(&leaves.expired), Some(&leaves.foreign), Some(&leaves.impostor), Some(&leaves.test_chain)] {
        is_refused(leaf, AUTOMATE, "Certificat absent ou refuse / Certificate missing or not accepted").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_sends_as_itself_alone() -> Result<()> {
    let stage = stage();
    for sender in [AUTRE, UN, SECRETARIAT, "automate@ailleurs.example.test"] {
        let said = stage.sends(Some(&stage.leaves.good), AUTOMATE, sender, "never").await?;
        ensure!(said.starts_with(&format!("554 5.7.1 <{sender}>: Sender address rejected: ")), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_or_by_a_token_the_port_for_certificates_sends_nothing() -> Result<()> {
    let stage = stage();
    let postfix = stage.postfix();
    let mut smtp =
        Smtp::greeted_with_certificate(postfix.certificates_port(), postfix.pki(), Some(&stage.leaves.good)).await?;
    let reply = smtp.submit(AUTOMATE, &[SECRETARIAT], "never").await?;
    ensure!(reply.line().starts_with("554 5.7.0 "), "{}", reply.line());
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer, Mechanism::Plain] {
        let credential = Credential { mechanism, mailbox: AUTOMATE, secret: "x" };
        let reply = smtp.authenticate(&credential, true).await?;
        ensure!(reply.code == 535, "{mechanism:?}: {}", smtp.transcript());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn external_on_the_other_submission_ports_is_refused_although_postfix_passes_it_on() -> Result<()> {
    let stage = stage();
    for security in [Security::Implicit, Security::StartTls] {
        let mut smtp = Smtp::connect(stage.postfix(), security).await?;
        for initial in [true, false] {
            let reply = smtp.authenticate(&Credential::external(AUTOMATE), initial).await?;
            ensure!(reply.code == 535, "{}", smtp.transcript());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_no_mailbox_is_refused_at_auth() -> Result<()> {
    let stage = stage();
    for identity in [
        "499700367909006",
        "automate@bal.example.test\0",
        "a@b.test\nUSER x",
        "*@bal.example.test",
        "x y@bal.example.test",
    ] {
        let (_, said) = stage.smtp(Some(&stage.leaves.good), identity, true).await?;
        ensure!(said.starts_with("535 5.7.8 "), "{identity:?}: {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_smtpd_serves_two_clients_and_the_firsts_certificate_does_not_leak() -> Result<()> {
    let stage = stage();
    for _ in 0..4 {
        let said = stage.sends(Some(&stage.leaves.good), AUTOMATE, AUTOMATE, "first").await?;
        ensure!(said.starts_with("250 "), "{said}");
        is_refused(None, AUTOMATE, "Certificat absent ou refuse / Certificate missing or not accepted").await?;
        let (mut smtp, _) = stage.smtp(Some(&stage.leaves.other), AUTRE, true).await?;
        let reply = smtp.submit(AUTOMATE, &[SECRETARIAT], "never").await?;
        ensure!(reply.line().starts_with("554 5.7.1 "), "{}", reply.line());
    }
    Ok(())
}
