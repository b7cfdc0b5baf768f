//! A revocation list, signed as it should be: what stands in it after the authority's name is whatever comes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use octroi::clock::UnixSeconds;
use octroi::evidence::certificate::{BadCrl, Chain, ChainKind, Crl, Serial};
use octroi_igc::der::{element, integer, sequence};
use octroi_igc::{Igc, Names};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// 2026-05-28.
const NOW: u64 = 1_780_000_000;

pub(crate) const SEEDS: &[&[u8]] = &[
    // thisUpdate, nextUpdate, two entries (one with a reason), number 5.
    b"\x17\x0d260501000000Z\x17\x0d260601000000Z\x30\x38\x30\x14\x02\x03\x01\x02\x03\x17\x0d260501000000Z\x30\x20\x02\x01\x7f\x17\x0d260501000000Z0\x0c0\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x01\xa0\x0e0\x0c0\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x05",
    // removeFromCRL, the same number twice.
    b"\x17\x0d260501000000Z\x17\x0d260601000000Z\x30\x36\x30\x20\x02\x01\x09\x17\x0d260501000000Z0\x0c0\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x08\x30\x12\x02\x01\x09\x17\x0d260501000000Z\xa0\x0e0\x0c0\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x05",
    // No entries, GeneralizedTime.
    b"\x17\x0d260501000000Z\x18\x0f20560601000000Z\xa0\x0e0\x0c0\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x05",
    // No nextUpdate; no number; a delta list.
    b"\x17\x0d260501000000Z\xa0\x0e0\x0c0\x0a\x06\x03\x55\x1d\x14\x04\x03\x02\x01\x05",
    b"\x17\x0d260501000000Z\x17\x0d260601000000Z",
    b"\x17\x0d260501000000Z\x17\x0d260601000000Z\xa0\x110\x0f0\x0d\x06\x03\x55\x1d\x1b\x01\x01\xff\x04\x03\x02\x01\x05",
];

static STAND_IN: LazyLock<(Igc, Chain)> = LazyLock::new(|| {
    let igc = Igc::at(Names::Test, NOW).expect("keys");
    let files = [(PathBuf::from("bundle.pem"), igc.bundle().into_bytes())];
    let chain = Chain::new("fuzz", ChainKind::Test, Vec::new(), Vec::new(), &files).expect("a chain");
    (igc, chain)
});

/// The list that `bytes` make, and what is read in it.
fn read(bytes: &[u8]) -> (Vec<u8>, Result<(usize, Crl), BadCrl>) {
    let (igc, chain) = &*STAND_IN;
    let algorithm = sequence(&[element(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])]);
    let subject = igc.organisations().subject().to_vec();
    let list = sequence(&[integer(&[1]), algorithm, subject, bytes.to_vec()]);
    let der = igc.organisations().sign(&list).expect("a signature");
    let read = Crl::read(&der, chain.authorities(), UnixSeconds(NOW));
    (der, read)
}

/// What is taken has an end, a number and the entries that another reader sees in it, and no others.
pub(crate) fn run(bytes: &[u8]) {
    let (igc, chain) = &*STAND_IN;
    let (der, read) = read(bytes);
    let Ok((place, list)) = read else { return };
    assert_eq!(chain.authorities()[place].certificate().der(), igc.organisations().der());
    assert!(list.this_update() < list.next_update() && list.this_update() <= UnixSeconds(NOW + 300));
    let Ok((rest, other)) = CertificateRevocationList::from_der(&der) else { return };
    assert!(rest.is_empty() && other.crl_number().is_some());
    let lifted = |code: Option<(bool, x509_parser::x509::ReasonCode)>| code.is_some_and(|(_, code)| code.0 == 8);
    let revoked = other.iter_revoked_certificates().filter(|entry| !lifted(entry.reason_code()));
    let serials: HashSet<_> = revoked.filter_map(|entry| Serial::from_integer(entry.raw_serial())).collect();
    assert_eq!(list.entries(), serials.len());
    assert!(serials.iter().all(|serial| list.revokes(serial)));
}

#[test]
fn the_seeds_are_lists_and_what_is_told_apart_from_them() {
    let read: Vec<_> = SEEDS.iter().map(|seed| read(seed).1.map(|(_, list)| list.entries())).collect();
    let refused = [BadCrl::NoNextUpdate, BadCrl::NoNumber, BadCrl::Delta].map(Err);
    assert_eq!(read, [[Ok(2), Ok(1), Ok(0)], refused].concat());
}
