//! Client certificates in the gate: the honest policy, and hostile ones against the rails.

mod messages;
mod seen;
mod site;
mod structures;

use std::collections::BTreeMap;

use octroi::clock::UnixSeconds;
use octroi::evidence::certificate::Shown;
use octroi::gate::{CertificateOutcome, Failed, Probation, Service};
use octroi::policy::EMBEDDED;
use octroi_igc::{DAY, Igc, Names};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::bench::Bench;
use super::guests::guest;
use site::{
    ACCUEIL, ANOTHER, AUTOMATE, BY_FINGERPRINT, BY_ISSUER, BY_NAME, ELSEWHERE, LISTEN, NAME, NOW, OF_ANOTHER,
    OF_NOBODY, OF_OTHER_ISSUER, OTHER_DOMAIN, PERSONAL, STRUCTURE, Site, by_fingerprint, by_structure, judged, said,
};

const REFUSED: [&str; 2] = ["deny structure-refused", "deny rail-structure"];
const FOR_OTHERS: [&str; 2] = ["deny certificate-refused", "deny rail-structure"];
const UNIDENTIFIED: [&str; 2] = ["deny certificate-unidentified", "deny rail-structure"];
const OTHER_CHAIN: [&str; 2] = ["deny chain-refused", "deny rail-chain"];
const UNKNOWN: [&str; 2] = ["deny certificate-unknown"; 2];

/// What the honest policy says, and what is left of a yes to everything.
fn both(said: &'static str) -> [&'static str; 2] {
    [said, said]
}

/// Shows everything to a gate with the honest policy, and to one with a policy that opens everything.
async fn compare(site: &Site, only: &octroi_igc::Leaf, cases: &[(&str, Shown, &str, [&str; 2])]) {
    for (at, wasm) in [EMBEDDED, guest("open_everything")].into_iter().enumerate() {
        let bench = site.gate(wasm, only).await;
        for (what, shown, mailbox, expected) in cases {
            assert_eq!(said(&bench, shown, mailbox), expected[at], "{what}, {mailbox}, policy {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_opens_everything_opens_the_structures_own_mailboxes_alone() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    let renamed = site.leaf(STRUCTURE, "OTHER SOFTWARE");
    let other = site.enrolled(site.other.organisation(&[STRUCTURE], "CABINET", NAME).unwrap());
    let (good_shown, renamed_shown) = (by_fingerprint(&good), by_fingerprint(&renamed));
    let case = |what, shown: &Shown, mailbox, said| (what, shown.clone(), mailbox, said);
    let own = |mailbox: &'static str| case("its own", &good_shown, mailbox, both(mailbox));
    let of_structure = by_structure(STRUCTURE, LISTEN);
    let cases = [
        own(ACCUEIL),
        own(AUTOMATE),
        own(BY_NAME),
        own(BY_ISSUER),
        own(BY_FINGERPRINT),
        case("in capitals", &good_shown, "ACCUEIL@BAL.Example.test", both(ACCUEIL)),
        case("of another structure", &good_shown, OF_ANOTHER, REFUSED),
        case("of no structure", &good_shown, OF_NOBODY, REFUSED),
        case("in no directory", &good_shown, "nobody@bal.example.test", REFUSED),
        case("a person's", &good_shown, PERSONAL, ["deny mailbox-personal", "deny rail-structure"]),
        case("outside of the chain's domains", &good_shown, ELSEWHERE, OTHER_CHAIN),
        case("of the other chain's domain", &good_shown, OTHER_DOMAIN, OTHER_CHAIN),
        case("no address", &good_shown, "accueil", both("deny mailbox-malformed")),
        case("several addresses", &good_shown, "accueil@bal.example.test,x@y.test", both("deny mailbox-malformed")),
        case("for certificates of another issuer", &good_shown, OF_OTHER_ISSUER, FOR_OTHERS),
        case("another name", &renamed_shown, BY_NAME, FOR_OTHERS),
        case("another certificate", &renamed_shown, BY_FINGERPRINT, FOR_OTHERS),
        case("the same issuer", &renamed_shown, BY_ISSUER, both(BY_ISSUER)),
        case("the other chain", &by_fingerprint(&other), OTHER_DOMAIN, both(OTHER_DOMAIN)),
        case("the other chain in a domain that is not its own", &by_fingerprint(&other), ACCUEIL, OTHER_CHAIN),
        case("Dovecot's word", &of_structure, ACCUEIL, both(ACCUEIL)),
        case("Dovecot's word", &of_structure, AUTOMATE, both(AUTOMATE)),
        case("Dovecot's word", &of_structure, OF_ANOTHER, REFUSED),
        case("Dovecot's word", &of_structure, PERSONAL, ["deny mailbox-personal", "deny rail-structure"]),
        case("Dovecot's word", &of_structure, ELSEWHERE, OTHER_CHAIN),
        case("Dovecot's word", &of_structure, BY_NAME, UNIDENTIFIED),
        case("Dovecot's word", &of_structure, BY_ISSUER, UNIDENTIFIED),
        case("Dovecot's word", &of_structure, BY_FINGERPRINT, UNIDENTIFIED),
    ];
    compare(&site, &good, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_opens_everything_opens_nothing_to_a_certificate_that_is_worth_nothing() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    let [expired, young] = [site.igc.expired(&[STRUCTURE], "C", NAME), site.igc.not_yet_valid(&[STRUCTURE], "C", NAME)]
        .map(|leaf| by_fingerprint(&site.enrolled(leaf.unwrap())));
    let [revoked, withdrawn] = [site.leaf(STRUCTURE, NAME), site.leaf(STRUCTURE, NAME)];
    site.igc.organisations().revoke(&revoked);
    site.publish().await;
    site.withdraw(&withdrawn);
    let not_enrolled = by_fingerprint(&site.igc.organisation(&[STRUCTURE], "CABINET", NAME).unwrap());
    let person = by_fingerprint(&site.enrolled(site.igc.professional().unwrap()));
    let two = by_fingerprint(&site.enrolled(site.igc.organisation(&[STRUCTURE, ANOTHER], "C", NAME).unwrap()));
    // Of the same names, and signed by another key.
    let [impostor, foreign] = [Names::Test, Names::Foreign].map(|names| {
        let igc = Igc::at(names, NOW).unwrap();
        by_fingerprint(&site.enrolled(igc.organisation(&[STRUCTURE], "CABINET", NAME).unwrap()))
    });
    let forced = site.force(site.igc.organisation(&[STRUCTURE, ANOTHER], "C", NAME).unwrap());
    let worthless = ["deny certificate-revoked", "deny rail-certificate"];
    let cases = [
        ("good", by_fingerprint(&good), ACCUEIL, both(ACCUEIL)),
        ("expired", expired, ACCUEIL, ["deny certificate-expired", "deny rail-certificate"]),
        ("not yet valid", young, ACCUEIL, ["deny certificate-not-yet-valid", "deny rail-certificate"]),
        ("revoked", by_fingerprint(&revoked), ACCUEIL, worthless),
        ("withdrawn", by_fingerprint(&withdrawn), ACCUEIL, worthless),
        ("not enrolled", not_enrolled, ACCUEIL, UNKNOWN),
        ("a person's", person, ACCUEIL, UNKNOWN),
        ("of two structures", two, ACCUEIL, UNKNOWN),
        ("of two structures, forced", by_fingerprint(&forced), ACCUEIL, ["deny structure-ambiguous", REFUSED[1]]),
        ("an impostor's", impostor, ACCUEIL, UNKNOWN),
        ("of no chain", foreign, ACCUEIL, UNKNOWN),
    ];
    compare(&site, &good, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_good_to_its_last_second_and_not_after() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    let short = site.enrolled(site.igc.valid(&[STRUCTURE], "C", NAME, NOW - 10, NOW + 10).unwrap());
    for (wasm, [before, after]) in [
        (EMBEDDED, ["deny certificate-not-yet-valid", "deny certificate-expired"]),
        (guest("open_everything"), ["deny rail-certificate"; 2]),
    ] {
        let bench = site.gate(wasm, &good).await;
        for (now, expected) in [(NOW - 11, before), (NOW - 10, ACCUEIL), (NOW + 10, ACCUEIL), (NOW + 11, after)] {
            site.clock.set(UnixSeconds(now));
            assert_eq!(said(&bench, &by_fingerprint(&short), ACCUEIL), expected, "{now}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_that_is_not_known_puts_off_whatever_the_policy_says() {
    let site = Site::without_lists().await;
    let good = site.leaf(STRUCTURE, NAME);
    let unknown = both("unavailable revocation-unavailable");
    let all = [by_fingerprint(&good), by_structure(STRUCTURE, LISTEN)];
    let cases = |expected: [&'static str; 2]| all.clone().map(|shown| ("", shown, ACCUEIL, expected));
    compare(&site, &good, &cases(unknown)).await;
    let personal = all.clone().map(|shown| ("", shown, PERSONAL, ["deny mailbox-personal", "deny rail-structure"]));
    compare(&site, &good, &personal).await;
    site.publish().await;
    site.let_dovecot_reload();
    site.revocations.settle().await;
    compare(&site, &good, &cases(both(ACCUEIL))).await;
    // The lists run out.
    site.clock.set(UnixSeconds(NOW + DAY + 1));
    compare(&site, &good, &cases(unknown)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_check_opens_mailboxes_and_says_so_and_brings_no_revoked_certificate_back() {
    let site = Site::new().await;
    let [good, revoked] = [NAME, NAME].map(|name| site.leaf(STRUCTURE, name));
    site.igc.organisations().revoke(&revoked);
    site.publish().await;
    let bench = site.gate(EMBEDDED, &good).await;
    let degraded = || match judged(&bench, &by_fingerprint(&good), ACCUEIL) {
        CertificateOutcome::Allow(opened) => opened.degraded(),
        other => panic!("{other:?}"),
    };
    assert!(!degraded());
    let now = UnixSeconds(NOW + DAY + 1);
    site.clock.set(now);
    site.revocations.suspend(now.plus(3600), "lists can't be had", "operator").unwrap();
    assert!(degraded());
    assert_eq!(said(&bench, &by_fingerprint(&revoked), ACCUEIL), "deny certificate-revoked");
    site.clock.set(now.plus(3601));
    assert_eq!(said(&bench, &by_fingerprint(&good), ACCUEIL), "unavailable revocation-unavailable");
}

/// A gate in which a guest came into service a moment ago, and may fail two structures.
async fn watched(site: &Site, name: &str, only: &octroi_igc::Leaf) -> (Bench, UnboundedReceiver<Failed>) {
    let bench = site.gate(EMBEDDED, only).await;
    let (told, failed) = unbounded_channel();
    let before = bench.gate.service().release.clone();
    let release = bench.release(guest(name), "off");
    let probation = Some(Probation::new(&release, Some(before), bench.clock.now().plus(900), 3, told).into());
    bench.gate.put_in_service(Service { release, partial: None, probation });
    (bench, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_gives_no_answer_about_a_certificate_puts_it_off_and_is_taken_back() {
    let site = Site::new().await;
    let structures = [STRUCTURE, ANOTHER, "1750000001"].map(|structure| site.leaf(structure, NAME));
    let [first, second, third] = &structures;
    let outages = [("spin_certificate", "policy-timeout"), ("trap_certificate", "policy-trapped")];
    let table: BTreeMap<_, _> = outages.into_iter().chain([("open_everything", "rail-structure")]).collect();
    for (name, code) in table {
        let (bench, mut failed) = watched(&site, name, first).await;
        let kind = if code.starts_with("rail") { "deny" } else { "unavailable" };
        let asks = |leaf| assert_eq!(said(&bench, &by_fingerprint(leaf), PERSONAL), format!("{kind} {code}"), "{name}");
        // One structure counts once, and certificates that nobody enrolled count for nothing.
        (0..4).for_each(|_| asks(first));
        for _ in 0..4 {
            let stranger = Shown::Fingerprint(octroi::evidence::certificate::Fingerprint::of(b"stranger"));
            assert_eq!(said(&bench, &stranger, PERSONAL), "deny certificate-unknown");
        }
        asks(second);
        assert!(failed.try_recv().is_err(), "{name} is taken back too early");
        asks(third);
        let release = bench.gate.service().release.digest().to_owned();
        assert_eq!(failed.try_recv().unwrap(), Failed { release, code, persons: 3 }, "{name}");
        asks(third);
        assert!(failed.try_recv().is_err(), "{name} is told twice");
    }
}
