//! IMAP with EXTERNAL on both versions of Dovecot: whose mailbox a certificate opens, and everything else that is
//! tried.

use anyhow::{Result, ensure};
use octroi_tests::imap::{Imap, Security};
use octroi_tests::sasl::{Credential, Mechanism};
use serde_json::Value;

use crate::stage::{AILLEURS, AUTOMATE, AUTRE, BASTIA, JOURNAL, LIMITE, SECRETARIAT, Stage, UN, VERROU, VERSIONS};

/// What Dovecot says where it took no certificate, or where the structure is on no list.
const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed.";

/// What it says where the sidecar refused.
fn refused(text: &str) -> String {
    format!("NO [AUTHORIZATIONFAILED] {text}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structures_certificate_opens_the_mailboxes_of_the_structure() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        stage.is_opened(&stage.leaves.good, AUTOMATE).await?;
        stage.is_opened(&stage.leaves.good, SECRETARIAT).await?;
        stage.is_opened(&stage.leaves.second, AUTOMATE).await?;
        stage.is_opened(&stage.leaves.other, AUTRE).await?;
        // Dovecot lower-cases what it reads from a certificate.
        stage.is_opened(&stage.leaves.corse, BASTIA).await?;
        // The name is lowered, as IMAP servers do.
        let (said, _) = stage.opens(Some(&stage.leaves.good), "AUTOMATE@bal.example.test", true).await?;
        ensure!(said == "OK", "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_certificate_opens_a_mailbox_of_another_structure_or_of_a_person() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let other = refused("Boite non autorisee pour cette structure / Mailbox not allowed for this structure");
        stage.is_refused(Some(&stage.leaves.other), AUTOMATE, &other).await?;
        stage.is_refused(Some(&stage.leaves.good), AUTRE, &other).await?;
        stage.is_refused(Some(&stage.leaves.good), "personne@bal.example.test", &other).await?;
        let personal = refused("Boite personnelle fermee aux certificats / Personal mailbox closed to certificates");
        stage.is_refused(Some(&stage.leaves.good), UN, &personal).await?;
        let chain = refused("Certificat d'une autre chaine / Certificate of another chain");
        stage.is_refused(Some(&stage.leaves.good), AILLEURS, &chain).await?;
        // Dovecot does not tell which of the structure's certificates it was.
        let untold = refused("Certificat non identifie par ce serveur / Certificate not identified by this server");
        stage.is_refused(Some(&stage.leaves.good), LIMITE, &untold).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dovecot_takes_for_no_certificate_opens_nothing() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let leaves = &stage.leaves;
        for shown in [
            None,
            Some(&leaves.expired),
            Some(&leaves.foreign),
            Some(&leaves.impostor),
            Some(&leaves.test_chain),
            Some(&leaves.professional),
            Some(&leaves.server),
            Some(&leaves.unlisted),
            Some(&leaves.two_units),
        ] {
            let (said, _) = stage.opens(shown, VERROU, true).await?;
            let name = shown.map(|leaf| leaf.fingerprint.clone()).unwrap_or_default();
            ensure!(said == FAILED, "{version:?} {name}: {said}");
        }
        // Nobody was even asked: the sidecar's own list is the second lock. A login that it is asked about comes
        // behind.
        let before = |record: &Value| record["event"] == "certificate-login" && record["mailbox"] == VERROU;
        stage.is_opened(&leaves.good, VERROU).await?;
        let records = stage.sidecar.recorded(0, |records| records.iter().any(before)).await?;
        let refused = records.iter().find(|record| before(record) && record["outcome"] != "allow");
        ensure!(refused.is_none(), "the sidecar was asked: {refused:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_no_mailbox_opens_nothing() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        for identity in [
            "",
            "499700367909006",
            "automate@bal.example.test\0",
            "automate@bal.example.test\n",
            "automate@bal.example.test\r\na NOOP",
            "automate@bal.example.test x",
            "*@bal.example.test",
            "%u@bal.example.test",
            "%{user}",
            "../automate@bal.example.test",
            "automate@bal.example.test*docteur.un@bal.example.test",
            "' or 1=1 --@bal.example.test",
            &format!("{}@bal.example.test", "x".repeat(300)),
        ] {
            let (said, subject) = stage.opens(Some(&stage.leaves.good), identity, true).await?;
            ensure!(said.starts_with("NO [") && subject.is_empty(), "{version:?} {identity:?}: {said}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lends_itself_to_no_other_mechanism() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        for (mechanism, mailbox, secret) in [
            (Mechanism::Plain, AUTOMATE, octroi_tests::dovecot::PASSWORD),
            (Mechanism::Plain, AUTOMATE, "wrong"),
            (Mechanism::Xoauth2, AUTOMATE, "not.a.token"),
            (Mechanism::Oauthbearer, AUTOMATE, "not.a.token"),
        ] {
            let mut imap = Imap::connect_with_certificate(&stage.dovecot, Some(&stage.leaves.good)).await?;
            let reply = imap.authenticate(&Credential { mechanism, mailbox, secret }, true).await?;
            // A certificate takes the place of the user's name: right password or not, it is another user's.
            let opened = reply.accepted() && imap.first_subject().await.is_ok_and(|subject| subject.contains('@'));
            ensure!(!opened, "{version:?} {mechanism:?}: {}", imap.transcript());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn external_where_no_certificate_is_asked_for_opens_nothing() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let mut imap = Imap::connect(&stage.dovecot, Security::Implicit).await?;
        let reply = imap.authenticate(&Credential::external(AUTOMATE), true).await?;
        ensure!(reply.line() == FAILED, "{}", reply.line());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_certificate_is_recorded_and_counts_for_the_mailbox() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        stage.is_opened(&stage.leaves.good, JOURNAL).await?;
        let record = stage.decided("certificate-login", JOURNAL, "allow").await?;
        ensure!(record["protocol"] == "imap" && record["door"] == "dovecot-policy", "{record}");
        // Neither the structure, which can hold a professional's number, nor a certificate that nobody told.
        ensure!(record["chain"] == "igc-sante" && record["certificate"].is_null(), "{record}");
        ensure!(!record.to_string().contains("499700"), "{record}");
        let counted = |record: &Value| record["mailbox"] == JOURNAL && record["counted"] == true;
        let records = stage.sidecar.recorded(0, |records| records.iter().any(counted)).await?;
        let counted = records.iter().find(|record| counted(record));
        ensure!(counted.is_some_and(|record| record["mechanism"] == "EXTERNAL"), "{counted:?}");
        let listed = crate::stage::succeeded(&stage.sidecar.run(&["mailbox", "list"])?)?;
        let row = listed.lines().find(|line| line.contains(JOURNAL)).unwrap_or_default();
        ensure!(row.contains("202") && !row.contains("none recorded"), "{listed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_proxy_says_of_the_address_changes_no_chain() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        // Whoever is taken for a proxy can say anything here, the address of another chain too.
        for connected in ["127.0.0.9", "127.0.0.1"] {
            let mut imap = Imap::connect_with_certificate(&stage.dovecot, Some(&stage.leaves.good)).await?;
            let (reply, _) = imap.command(&format!("ID (\"x-connected-ip\" \"{connected}\")")).await?;
            ensure!(reply.accepted(), "{}", imap.transcript());
            let reply = imap.authenticate(&Credential::external(AUTOMATE), true).await?;
            ensure!(reply.accepted(), "{version:?} {connected}: {}", imap.transcript());
        }
    }
    Ok(())
}
