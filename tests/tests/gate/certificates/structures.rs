//! Dovecot tells the structure alone: what then counts is every certificate of it that Dovecot may have let pass.

use octroi::clock::UnixSeconds;
use octroi::policy::EMBEDDED;
use octroi_igc::DAY;

use super::site::{
    ACCUEIL, ANOTHER, LISTEN, NAME, NOW, OTHER_DOMAIN, OTHER_LISTEN, STRUCTURE, Site, by_fingerprint, by_structure,
    said,
};

const UNDETERMINED: &str = "deny certificate-undetermined";
const UNKNOWN: &str = "deny certificate-unknown";
const REVOKED: &str = "deny certificate-revoked";
/// Dovecot was not told of the lists: whether it looked at them is not known.
const UNAVAILABLE: &str = "unavailable revocation-unavailable";

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_certificate_closes_the_structure_until_dovecot_itself_refuses_it() {
    let site = Site::without_lists().await;
    let [good, withdrawn] = [NAME, NAME].map(|name| site.leaf(STRUCTURE, name));
    site.publish().await;
    let bench = site.gate(EMBEDDED, &good).await;
    let asks = || said(&bench, &by_structure(STRUCTURE, LISTEN), ACCUEIL);
    assert_eq!(asks(), UNAVAILABLE);
    site.withdraw(&withdrawn);
    assert_eq!(asks(), UNDETERMINED);
    assert_eq!(said(&bench, &by_fingerprint(&good), ACCUEIL), ACCUEIL, "Postfix tells which one");
    // Its authority revokes it, and Dovecot does not know yet.
    site.igc.organisations().revoke(&withdrawn);
    site.publish().await;
    assert!(!site.revocations.enforced_by_dovecot("igc-test", site.clock.now()));
    assert_eq!(asks(), UNAVAILABLE);
    site.let_dovecot_reload();
    site.revocations.settle().await;
    assert!(site.revocations.enforced_by_dovecot("igc-test", site.clock.now()));
    assert_eq!(asks(), ACCUEIL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_certificate_that_dovecot_enforces_lists_for_but_no_list_has_keeps_the_structure_closed() {
    let site = Site::new().await;
    let [good, withdrawn] = [NAME, NAME].map(|name| site.leaf(STRUCTURE, name));
    let bench = site.gate(EMBEDDED, &good).await;
    site.withdraw(&withdrawn);
    assert!(site.revocations.enforced_by_dovecot("igc-test", site.clock.now()));
    assert_eq!(said(&bench, &by_structure(STRUCTURE, LISTEN), ACCUEIL), UNDETERMINED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_certificate_that_has_expired_was_not_shown() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    let short = site.enrolled(site.igc.valid(&[STRUCTURE], "C", NAME, NOW - DAY, NOW + 10).unwrap());
    site.withdraw(&short);
    let bench = site.gate(EMBEDDED, &good).await;
    let asks = || said(&bench, &by_structure(STRUCTURE, LISTEN), ACCUEIL);
    assert_eq!(asks(), UNDETERMINED);
    site.clock.set(UnixSeconds(NOW + 11));
    assert_eq!(asks(), ACCUEIL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_closes_the_structure_until_dovecot_knows_the_list() {
    let site = Site::without_lists().await;
    let [good, revoked] = [NAME, NAME].map(|name| site.leaf(STRUCTURE, name));
    site.igc.organisations().revoke(&revoked);
    site.publish().await;
    let bench = site.gate(EMBEDDED, &good).await;
    let asks = || said(&bench, &by_structure(STRUCTURE, LISTEN), ACCUEIL);
    assert_eq!(asks(), UNAVAILABLE);
    site.let_dovecot_reload();
    site.revocations.settle().await;
    assert_eq!(asks(), ACCUEIL);
    site.igc.organisations().revoke(&good);
    site.publish().await;
    assert_eq!(asks(), REVOKED, "none is left");
    assert_eq!(said(&bench, &by_fingerprint(&good), ACCUEIL), REVOKED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_without_a_certificate_of_the_chain_that_was_asked_for_is_unknown() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    let other = site.enrolled(site.other.organisation(&[ANOTHER], "C", NAME).unwrap());
    let expired = site.enrolled(site.igc.expired(&["1750000001"], "C", NAME).unwrap());
    let bench = site.gate(EMBEDDED, &good).await;
    for (unit, listen, expected) in [
        (STRUCTURE, LISTEN, ACCUEIL),
        // An address at which Dovecot asks for the other chain, and one at which it asks for none.
        (STRUCTURE, OTHER_LISTEN, UNKNOWN),
        (STRUCTURE, "192.0.2.99", UNKNOWN),
        (STRUCTURE, "::ffff:192.0.2.99", UNKNOWN),
        (ANOTHER, LISTEN, UNKNOWN),
        // Of the other chain, whose domain this is not.
        (ANOTHER, OTHER_LISTEN, "deny chain-refused"),
        ("399999999999999", LISTEN, UNKNOWN),
        ("", LISTEN, UNKNOWN),
        ("1750000001", LISTEN, UNKNOWN),
    ] {
        assert_eq!(said(&bench, &by_structure(unit, listen), ACCUEIL), expected, "{unit} at {listen}");
    }
    assert_eq!(said(&bench, &by_fingerprint(&expired), ACCUEIL), "deny certificate-expired");
    assert_eq!(said(&bench, &by_fingerprint(&other), ACCUEIL), "deny chain-refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_the_root_revokes_takes_all_its_certificates_with_it() {
    let site = Site::without_lists().await;
    let leaves = [STRUCTURE, STRUCTURE, ANOTHER].map(|structure| site.leaf(structure, NAME));
    let other = site.enrolled(site.other.organisation(&[STRUCTURE], "C", NAME).unwrap());
    site.publish().await;
    let bench = site.gate(EMBEDDED, &leaves[0]).await;
    let shown = || leaves.iter().map(by_fingerprint).chain([by_structure(STRUCTURE, LISTEN)]);
    leaves.iter().for_each(|leaf| assert_eq!(said(&bench, &by_fingerprint(leaf), ACCUEIL), ACCUEIL));
    site.igc.root().revoke_serial(site.igc.organisations().serial());
    site.publish().await;
    leaves.iter().for_each(|leaf| assert_eq!(said(&bench, &by_fingerprint(leaf), ACCUEIL), REVOKED));
    // Dovecot does not know: it may have let one pass.
    assert_eq!(said(&bench, &by_structure(STRUCTURE, LISTEN), ACCUEIL), UNAVAILABLE);
    site.let_dovecot_reload();
    site.revocations.settle().await;
    shown().for_each(|shown| assert_eq!(said(&bench, &shown, ACCUEIL), REVOKED));
    assert_eq!(said(&bench, &by_fingerprint(&other), OTHER_DOMAIN), OTHER_DOMAIN, "the other chain is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_outdated_vouches_for_nobody() {
    let site = Site::new().await;
    let years = 10 * 365 * DAY;
    let long = site.enrolled(site.igc.valid(&[STRUCTURE], "C", NAME, NOW, NOW + 2 * years).unwrap());
    let bench = site.gate(EMBEDDED, &long).await;
    for shown in [by_fingerprint(&long), by_structure(STRUCTURE, LISTEN)] {
        site.clock.set(UnixSeconds(NOW));
        assert_eq!(said(&bench, &shown, ACCUEIL), ACCUEIL);
        site.clock.set(UnixSeconds(NOW + years));
        assert_eq!(said(&bench, &shown, ACCUEIL), UNKNOWN);
    }
}
