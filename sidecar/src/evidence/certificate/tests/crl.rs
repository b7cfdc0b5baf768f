use octroi_igc::crl::{self, Draft};
use octroi_igc::{DAY, Igc, der};

use super::{NOW, chain, igc};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::crl::SIZE_MAX;
use crate::evidence::certificate::{BadCrl, Certificate, Chain, Crl, Serial};

fn read(chain: &Chain, file: &[u8]) -> Result<(usize, Crl), BadCrl> {
    Crl::read(file, chain.authorities(), UnixSeconds(NOW))
}

fn serial(octets: &[u8]) -> Serial {
    Serial::from_integer(octets).unwrap()
}

fn signed(igc: &Igc, draft: &Draft) -> Vec<u8> {
    draft.signed_by(igc.organisations()).unwrap()
}

#[test]
fn a_list_is_read_and_says_who_is_revoked() {
    let igc = igc();
    let chain = chain(&igc);
    let leaf = |cn| igc.organisation(&["499700367909006"], "O", cn).unwrap();
    let (good, revoked) = (leaf("good"), leaf("revoked"));
    igc.organisations().revoke(&revoked);
    let made = igc.organisations().crl(7, NOW - DAY, NOW + DAY).unwrap();
    let serial = |leaf: &octroi_igc::Leaf| Certificate::from_der(&leaf.der).unwrap().serial().clone();
    for file in [made.der.as_slice(), made.pem.as_bytes()] {
        let (place, list) = read(&chain, file).unwrap();
        assert_eq!(chain.authorities()[place].certificate().der(), igc.organisations().der());
        assert!(list.revokes(&serial(&revoked)) && !list.revokes(&serial(&good)));
        assert_eq!((list.entries(), list.number().to_string().as_str()), (1, "7"));
        assert_eq!((list.this_update(), list.next_update()), (UnixSeconds(NOW - DAY), UnixSeconds(NOW + DAY)));
    }
    let (place, list) = read(&chain, &igc.root().crl(1, NOW, NOW + DAY).unwrap().der).unwrap();
    assert_eq!(chain.authorities()[place].certificate().der(), igc.root().der());
    assert_eq!(list.entries(), 0);
}

#[test]
fn what_is_no_list_is_told_for_what_it_is() {
    let igc = igc();
    let chain = chain(&igc);
    let list = signed(&igc, &Draft::new(1, NOW - DAY).filled(3));
    let pem = igc.organisations().crl(1, NOW - DAY, NOW + DAY).unwrap().pem;
    let cases = [
        (Vec::new(), BadCrl::Empty),
        (b"\n<!DOCTYPE html><html>maintenance</html>".to_vec(), BadCrl::Html),
        (b"not found".to_vec(), BadCrl::NotACrl),
        (list[..list.len() - 1].to_vec(), BadCrl::Truncated),
        (list[..20].to_vec(), BadCrl::Truncated),
        ([&list[..], &[0]].concat(), BadCrl::TrailingBytes),
        (vec![0x30; SIZE_MAX + 1], BadCrl::TooLarge),
        (igc.root().der().to_vec(), BadCrl::Malformed),
        (igc.root().pem().into_bytes(), BadCrl::Pem),
        (pem.replace("-----END X509 CRL-----", "").into_bytes(), BadCrl::Pem),
        (pem.repeat(2).into_bytes(), BadCrl::Pem),
    ];
    for (file, expected) in cases {
        assert_eq!(read(&chain, &file).unwrap_err(), expected);
    }
    for length in 0..list.len() {
        assert!(read(&chain, &list[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_list_counts_only_by_the_signature_of_the_authority_that_it_names() {
    let (igc, impostor) = (igc(), igc());
    let chain = chain(&igc);
    let foreign = Igc::at(octroi_igc::Names::Foreign, NOW).unwrap();
    assert_eq!(read(&chain, &signed(&impostor, &Draft::new(1, NOW))).unwrap_err(), BadCrl::Signature);
    assert_eq!(read(&chain, &signed(&foreign, &Draft::new(1, NOW))).unwrap_err(), BadCrl::Issuer);
    let good = signed(&igc, &Draft::new(1, NOW - DAY).filled(3));
    let at = good.windows(16).position(|window| window == crl::spread(1)).unwrap();
    let mut changed = good;
    changed[at] ^= 1;
    assert_eq!(read(&chain, &changed).unwrap_err(), BadCrl::Signature);
}

#[test]
fn dates_and_number_are_needed_and_not_from_the_future() {
    let igc = igc();
    let chain = chain(&igc);
    let refused = |draft: Draft| read(&chain, &signed(&igc, &draft)).unwrap_err();
    assert_eq!(refused(Draft { next_update: None, ..Draft::new(1, NOW) }), BadCrl::NoNextUpdate);
    assert_eq!(refused(Draft { next_update: Some(NOW), ..Draft::new(1, NOW) }), BadCrl::Dates);
    assert_eq!(refused(Draft { number: None, ..Draft::new(1, NOW) }), BadCrl::NoNumber);
    assert_eq!(refused(Draft { number: Some(vec![1; 21]), ..Draft::new(1, NOW) }), BadCrl::Malformed);
    assert_eq!(refused(Draft::new(1, NOW + 301)), BadCrl::Future);
    assert!(read(&chain, &signed(&igc, &Draft::new(1, NOW + 300))).is_ok());
    let long = Draft { number: Some(vec![0x7f; 20]), ..Draft::new(1, NOW) };
    assert_eq!(read(&chain, &signed(&igc, &long)).unwrap().1.number().to_string(), format!("0x{}", "7f".repeat(20)));
}

#[test]
fn lists_that_cover_more_or_less_than_their_authority_are_refused() {
    let igc = igc();
    let chain = chain(&igc);
    let refused = |id: &[u8], critical: bool, value: Vec<u8>| {
        let extensions = vec![(id.to_vec(), critical, value)];
        read(&chain, &signed(&igc, &Draft { extensions, ..Draft::new(1, NOW) })).unwrap_err()
    };
    assert_eq!(refused(&crl::DELTA, true, der::integer(&[1])), BadCrl::Delta);
    let point = |tag| der::sequence(&[der::element(tag, &[0xff])]);
    assert_eq!(refused(&crl::DISTRIBUTION_POINT, true, point(0x84)), BadCrl::Indirect);
    // onlyContainsUserCerts, onlyContainsCACerts, onlySomeReasons, onlyContainsAttributeCerts
    for limit in [0x81, 0x82, 0x83, 0x85] {
        assert_eq!(refused(&crl::DISTRIBUTION_POINT, true, point(limit)), BadCrl::Partial);
        let with_place = der::sequence(&[place(), der::element(limit, &[0xff])]);
        assert_eq!(refused(&crl::DISTRIBUTION_POINT, true, with_place), BadCrl::Partial);
    }
    let with_place = der::sequence(&[place(), der::element(0x84, &[0xff])]);
    assert_eq!(refused(&crl::DISTRIBUTION_POINT, true, with_place), BadCrl::Indirect);
    let whole = || der::sequence(&[place()]);
    let empty = der::sequence(&[der::element(0xa0, &[])]);
    for wrong in [der::sequence(&[]), der::sequence(&[place(), place()]), [whole(), vec![5, 0]].concat(), empty] {
        assert_eq!(refused(&crl::DISTRIBUTION_POINT, true, wrong), BadCrl::Malformed);
    }
    assert_eq!(refused(&crl::DISTRIBUTION_POINT, false, whole()), BadCrl::Malformed, "RFC 5280 has it critical");
    assert_eq!(refused(&[0x2a, 3], true, vec![5, 0]), BadCrl::UnknownCritical);
    let harmless = Draft { extensions: vec![(vec![0x2a, 3], false, vec![5, 0])], ..Draft::new(1, NOW) };
    assert!(read(&chain, &signed(&igc, &harmless)).is_ok());
    let entry = |id: &[u8], critical| {
        let entries = vec![(vec![9], vec![(id.to_vec(), critical, vec![5, 0])])];
        read(&chain, &signed(&igc, &Draft { entries, ..Draft::new(1, NOW) }))
    };
    assert_eq!(entry(&crl::CERTIFICATE_ISSUER, true).unwrap_err(), BadCrl::Indirect);
    assert_eq!(entry(&[0x2a, 3], true).unwrap_err(), BadCrl::UnknownCritical);
    assert!(entry(&[0x2a, 3], false).unwrap().1.revokes(&serial(&[9])));
}

/// distributionPoint with a fullName of one address.
fn place() -> Vec<u8> {
    let address = der::element(0x86, b"http://crl.example.test/organisations.crl");
    der::element(0xa0, &der::element(0xa0, &address))
}

#[test]
fn a_list_that_says_where_it_is_found_speaks_of_the_certificates_that_say_so_too() {
    let igc = igc();
    let extensions = vec![(crl::DISTRIBUTION_POINT.to_vec(), true, der::sequence(&[place()]))];
    let draft = Draft { extensions, ..Draft::new(3, NOW).filled(1) };
    let (_, list) = read(&chain(&igc), &signed(&igc, &draft)).unwrap();
    assert!(list.revokes(&serial(&crl::spread(0))));
    let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
    let silent = certificate(&igc.organisation(&["318751275100020"], "O", "C").unwrap().der);
    assert!(!list.speaks_of(&silent), "it may stand on another list of the authority");
    for (address, speaks) in
        [("http://crl.example.test/organisations.crl", true), ("http://crl.example.test/organisations-2.crl", false)]
    {
        assert_eq!(list.speaks_of(&certificate(&igc.listed_at(address).unwrap().der)), speaks, "{address}");
    }
    let (_, all) = read(&chain(&igc), &signed(&igc, &Draft::new(4, NOW))).unwrap();
    assert!(all.speaks_of(&silent));
}

#[test]
fn an_entry_that_lifts_a_hold_revokes_nothing_and_doubles_count_once() {
    let igc = igc();
    let chain = chain(&igc);
    let reason = |code| vec![(crl::REASON.to_vec(), false, vec![0x0a, 1, code])];
    let entries = vec![
        (vec![1], reason(8)),
        (vec![2], reason(1)),
        (vec![2], Vec::new()),
        (vec![3], reason(8)),
        (vec![3], Vec::new()),
        (vec![0], Vec::new()),
    ];
    let (_, list) = read(&chain, &signed(&igc, &Draft { entries, ..Draft::new(1, NOW) })).unwrap();
    assert_eq!(list.entries(), 2);
    assert_eq!([1, 2, 3].map(|number| list.revokes(&serial(&[number]))), [false, true, true]);
}

#[test]
fn serials_of_other_lengths_are_other_serials() {
    let igc = igc();
    let entries = [vec![1], vec![1, 0], vec![0xff], vec![0x7f; 20]].map(|serial| (serial, Vec::new())).to_vec();
    let (_, list) = read(&chain(&igc), &signed(&igc, &Draft { entries, ..Draft::new(1, NOW) })).unwrap();
    for (octets, revoked) in [
        (&[1][..], true),
        (&[1, 0], true),
        (&[0, 0xff], true),
        (&[0x7f; 20], true),
        (&[1, 0, 0], false),
        (&[0x7f; 19], false),
    ] {
        assert_eq!(list.revokes(&serial(octets)), revoked, "{octets:?}");
    }
}

#[test]
fn a_list_never_gives_way_to_an_older_one_or_to_another_of_its_number() {
    let igc = igc();
    let chain = chain(&igc);
    let list = |draft: &Draft| read(&chain, &signed(&igc, draft)).unwrap().1;
    let held = list(&Draft::new(5, NOW - DAY).filled(2));
    assert_eq!(list(&Draft::new(4, NOW)).may_replace(&held), Err(BadCrl::OlderNumber));
    assert_eq!(list(&Draft::new(5, NOW)).may_replace(&held), Err(BadCrl::SameNumber));
    assert_eq!(list(&Draft::new(6, NOW - 2 * DAY)).may_replace(&held), Err(BadCrl::OlderDate));
    assert_eq!(list(&Draft::new(6, NOW)).may_replace(&held), Ok(()));
    // Signed again, with another signature: the same list.
    assert_eq!(list(&Draft::new(5, NOW - DAY).filled(2)).may_replace(&held), Ok(()));
}

#[test]
fn a_large_list_is_held_in_20_bytes_for_each_entry() {
    let igc = igc();
    let (_, list) = read(&chain(&igc), &signed(&igc, &Draft::new(1, NOW).filled(20_000))).unwrap();
    assert_eq!((list.entries(), list.memory()), (20_000, 400_000));
    assert!((0..20_000).all(|at| list.revokes(&serial(&crl::spread(at)))));
    assert!(!list.revokes(&serial(&crl::spread(20_000))));
}
