//! Revocation on the real servers: a list that takes a certificate back, lists that can't be had, and an operator who
//! lets things go on.

use anyhow::{Result, ensure};
use octroi_igc::DAY;
use octroi_tests::dovecot::Version;

use crate::stage::{AUTOMATE, Stage, VERSIONS, succeeded};

const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed.";

/// Has the sidecar fetch the lists now, and what it says then.
fn fetched(stage: &Stage) -> Result<String> {
    succeeded(&stage.sidecar.run(&["certificate", "crl", "fetch"])?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_once_its_list_is_there_and_the_others_go_on() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::start(version, "")?;
        stage.is_opened(&stage.leaves.good, AUTOMATE).await?;
        stage.site.igc.organisations().revoke(&stage.leaves.good);
        stage.site.publish(2)?;
        fetched(&stage)?;
        // Dovecot itself refuses it: it was told.
        stage.is_refused(Some(&stage.leaves.good), AUTOMATE, FAILED).await?;
        stage.is_opened(&stage.leaves.second, AUTOMATE).await?;
        if stage.postfix.is_some() {
            let said = stage.sends(Some(&stage.leaves.good), AUTOMATE, AUTOMATE, "never").await?;
            ensure!(said.ends_with("Certificat revoque / Certificate revoked"), "{said}");
            let said = stage.sends(Some(&stage.leaves.second), AUTOMATE, AUTOMATE, "second").await?;
            ensure!(said.starts_with("250 "), "{said}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_operator_withdrew_closes_what_can_not_be_told_from_it() -> Result<()> {
    let stage = Stage::start(Version::V2_3, "")?;
    let withdrawn = &stage.leaves.second.fingerprint;
    let told = succeeded(&stage.sidecar.run(&["certificate", "revoke", withdrawn, "--reason", "vol du poste"])?)?;
    ensure!(told.contains("over IMAP every certificate of structure 499700367909006 is refused from now on"), "{told}");
    let said = stage.sends(Some(&stage.leaves.second), AUTOMATE, AUTOMATE, "never").await?;
    ensure!(said.ends_with("Certificat revoque / Certificate revoked"), "{said}");
    let said = stage.sends(Some(&stage.leaves.good), AUTOMATE, AUTOMATE, "still").await?;
    ensure!(said.starts_with("250 "), "{said}");
    // Over IMAP nobody tells which of the two it is.
    let answer = "NO [AUTHORIZATIONFAILED] Certificat peut-etre retire / Certificate perhaps withdrawn";
    stage.is_refused(Some(&stage.leaves.good), AUTOMATE, answer).await?;
    // Once its authority has taken it back Dovecot refuses it by itself, and the other one goes on.
    stage.site.igc.organisations().revoke(&stage.leaves.second);
    stage.site.publish(2)?;
    fetched(&stage)?;
    stage.is_opened(&stage.leaves.good, AUTOMATE).await?;
    stage.is_refused(Some(&stage.leaves.second), AUTOMATE, FAILED).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_current_lists_nobody_is_let_in_until_an_operator_lets_it_go_on_for_a_time() -> Result<()> {
    for version in VERSIONS {
        let mut stage = Stage::start(version, "")?;
        // The lists that the sidecar holds have run out, and there are no others.
        let now = stage.site.igc.now();
        let old = stage.site.igc.organisations().crl(3, now - 2 * DAY, now - 60)?;
        stage.site.put("organisations.crl", old.der);
        stage.sidecar.stop()?;
        std::fs::remove_dir_all(stage.sidecar.folder().join("state/crl"))?;
        stage.sidecar.resume()?;
        fetched(&stage)?;
        let (said, _) = stage.opens(Some(&stage.leaves.good), AUTOMATE, true).await?;
        ensure!(said.starts_with("NO ["), "{said}");
        if stage.postfix.is_some() {
            let said = stage.sends(Some(&stage.leaves.good), AUTOMATE, AUTOMATE, "later").await?;
            ensure!(said.starts_with("450 4.3.0 ") || said.starts_with("451 4.3.0 "), "{said}");
        }
        let told = succeeded(&stage.sidecar.run(&["status"])?)?;
        ensure!(told.contains("igc-sante"), "{told}");
        succeeded(&stage.sidecar.run(&[
            "certificate",
            "crl",
            "suspend",
            "--hours",
            "2",
            "--reason",
            "panne de l'ANS",
        ])?)?;
        stage.is_opened(&stage.leaves.good, AUTOMATE).await?;
        let record = stage.decided("certificate-login", AUTOMATE, "allow").await?;
        ensure!(record["degraded"] == true, "{record}");
        succeeded(&stage.sidecar.run(&["certificate", "crl", "resume"])?)?;
        let (said, _) = stage.opens(Some(&stage.leaves.good), AUTOMATE, true).await?;
        ensure!(said.starts_with("NO ["), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_web_server_gives_the_last_good_list_stays() -> Result<()> {
    let stage = Stage::start(Version::V2_4, "")?;
    let (igc, now) = (&stage.site.igc, stage.site.igc.now());
    let other = octroi_igc::Igc::new(octroi_igc::Names::Production)?;
    let good = igc.organisations().crl(5, now - DAY, now + 30 * DAY)?.der;
    for (what, content) in [
        ("a page", b"<!doctype html><title>Maintenance</title>".to_vec()),
        ("nothing", Vec::new()),
        ("half of a list", good[..good.len() / 2].to_vec()),
        ("a list with bytes behind it", [good.as_slice(), b"x"].concat()),
        ("another authority's of the same name", other.organisations().crl(6, now - DAY, now + 30 * DAY)?.der),
        ("one from the future", igc.organisations().crl(7, now + DAY, now + 30 * DAY)?.der),
        ("an older one", igc.organisations().crl(0, now - 2 * DAY, now + 30 * DAY)?.der),
    ] {
        stage.site.put("organisations.crl", content);
        fetched(&stage)?;
        stage.is_opened(&stage.leaves.good, AUTOMATE).await.map_err(|error| error.context(what))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dovecot_that_can_not_be_told_of_the_lists_lets_nobody_in_by_certificate() -> Result<()> {
    let stage = Stage::start(Version::V2_4, "")?;
    stage.is_opened(&stage.leaves.good, AUTOMATE).await?;
    stage.site.tell("/no/such/configuration")?;
    stage.site.publish(2)?;
    fetched(&stage)?;
    let (said, _) = stage.opens(Some(&stage.leaves.good), AUTOMATE, true).await?;
    ensure!(said.starts_with("NO ["), "{said}");
    let record = stage.decided("certificate-login", AUTOMATE, "unavailable").await?;
    ensure!(record["reason"] == "revocation-unavailable", "{record}");
    // It is an outage, and it ends with its cause.
    stage.site.tell(&stage.dovecot.configuration()?)?;
    fetched(&stage)?;
    stage.is_opened(&stage.leaves.good, AUTOMATE).await
}
