use std::os::unix::fs::PermissionsExt as _;

use octroi_igc::DAY;
use octroi_igc::crl::Draft;

use super::server::{BELOW, ROOT, Site, read};
use crate::evidence::certificate::{Certificate, Revocations};

const CHAIN: &str = "igc-test";

fn enforced(site: &Site, revocations: &Revocations) -> bool {
    revocations.enforced_by_dovecot(CHAIN, site.clock.now())
}

fn required(site: &Site) -> String {
    read(&site.for_dovecot().join("igc-test-crl.conf"))
}

#[tokio::test]
async fn dovecot_gets_all_authorities_and_lists_and_is_told() {
    let site = Site::new().await;
    let revocations = site.start().await;
    let bundle = read(&site.for_dovecot().join("igc-test.pem"));
    assert_eq!(bundle.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    assert_eq!(bundle.matches("-----BEGIN X509 CRL-----").count(), 2);
    assert!(bundle.lines().all(|line| line.len() <= 64));
    let list = site.igc.organisations().pem();
    let certificate = list.lines().nth(1).unwrap();
    assert!(bundle.contains(certificate));
    // The blocks are read as what they are.
    let only: String = bundle
        .split_inclusive("-----END CERTIFICATE-----\n")
        .filter_map(|part| part.find("-----BEGIN CERTIFICATE-----").and_then(|at| part.get(at..)).map(str::to_owned))
        .collect();
    assert_eq!(Certificate::read_all(only.as_bytes()).unwrap().len(), 2);
    assert_eq!(required(&site), "ssl_require_crl = yes\n");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.for_dovecot()), 0o755);
    assert_eq!(mode(&site.for_dovecot().join("igc-test.pem")), 0o644);
    assert_eq!(mode(&site.copies()), 0o700);
    assert!(enforced(&site, &revocations));
    assert!(!revocations.enforced_by_dovecot("other", site.clock.now()));
    assert_eq!(revocations.status(site.clock.now()).enforced_by_dovecot, [CHAIN]);
}

#[tokio::test]
async fn a_new_list_reaches_dovecot() {
    let site = Site::new().await;
    let revocations = site.start().await;
    let before = read(&site.for_dovecot().join("igc-test.pem"));
    site.publish(6);
    revocations.refresh().await;
    assert_ne!(read(&site.for_dovecot().join("igc-test.pem")), before);
    assert!(enforced(&site, &revocations));
}

#[tokio::test]
async fn what_dovecot_was_not_told_it_does_not_enforce() {
    let mut site = Site::new().await;
    let flag = site.folder.path().join("may-reload");
    let script = format!("test -e {}", flag.display());
    site.reload = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let revocations = site.start().await;
    assert!(!enforced(&site, &revocations));
    assert_eq!(revocations.status(site.clock.now()).dovecot_error, Some("reload-failed"));
    std::fs::write(&flag, "").unwrap();
    revocations.refresh().await;
    assert!(enforced(&site, &revocations), "it is told again until it works");
    assert_eq!(revocations.status(site.clock.now()).dovecot_error, None);
    std::fs::remove_file(&flag).unwrap();
    site.publish(6);
    revocations.refresh().await;
    assert!(!enforced(&site, &revocations), "the newer list is not known there");
}

#[tokio::test]
async fn without_a_command_or_with_a_wrong_one_nothing_is_enforced() {
    let mut site = Site::new().await;
    site.reload = Vec::new();
    assert!(!enforced(&site, &site.start().await));
    site.reload = vec!["/nowhere/doveadm".to_owned()];
    let revocations = site.start().await;
    assert!(!enforced(&site, &revocations));
    assert_eq!(revocations.status(site.clock.now()).dovecot_error, Some("reload-not-started"));
}

#[tokio::test]
async fn dovecot_wants_lists_unless_an_operator_suspends_the_check_and_one_is_out_of_date() {
    let mut site = Site::new().await;
    site.max_stale = 100;
    let revocations = site.start().await;
    let until = site.clock.now().plus(2 * DAY);
    revocations.suspend(until, "drill", "root").unwrap();
    revocations.settle().await;
    assert_eq!(required(&site), "ssl_require_crl = yes\n", "every list is current");
    revocations.resume("root").unwrap();
    for pass in [DAY + 1, 100] {
        site.pass(pass);
        revocations.refresh().await;
        assert_eq!(
            required(&site),
            "ssl_require_crl = yes\n",
            "usable here or not: Dovecot would look at no list at all"
        );
        assert!(!enforced(&site, &revocations));
    }
    revocations.suspend(until, "drill", "root").unwrap();
    revocations.settle().await;
    assert_eq!(required(&site), "ssl_require_crl = no\n");
    assert!(!enforced(&site, &revocations));
    revocations.resume("root").unwrap();
    revocations.settle().await;
    assert_eq!(required(&site), "ssl_require_crl = yes\n");
    site.publish(6);
    revocations.refresh().await;
    assert!(enforced(&site, &revocations));
}

#[tokio::test]
async fn a_bad_list_changes_nothing_at_dovecot() {
    let site = Site::new().await;
    let revocations = site.start().await;
    let before = read(&site.for_dovecot().join("igc-test.pem"));
    site.pages.set(ROOT, "<html>");
    site.pages.set(BELOW, Draft::new(1, site.clock.now().0).signed_by(site.igc.organisations()).unwrap());
    revocations.refresh().await;
    assert_eq!(read(&site.for_dovecot().join("igc-test.pem")), before);
    assert!(enforced(&site, &revocations));
}
