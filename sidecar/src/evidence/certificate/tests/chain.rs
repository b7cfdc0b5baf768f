use octroi_igc::{DAY, Igc, Names};

use super::{NOW, chain, files, igc};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{BadChain, Certificate, Chain, ChainKind, Chains, NotOfChain};

const STRUCTURE: &str = "499700367909006";

fn leaf(igc: &Igc) -> Certificate {
    Certificate::from_der(&igc.organisation(&[STRUCTURE], "CABINET", "DRIMbox").unwrap().der).unwrap()
}

fn made(contents: &[&str]) -> Result<Chain, BadChain> {
    Chain::new("x", ChainKind::Test, Vec::new(), Vec::new(), &files(contents))
}

#[test]
fn the_names_are_igc_santes() {
    let igc = Igc::at(Names::Production, NOW).unwrap();
    let read = leaf(&igc);
    let suffix = "OU=IGC-SANTE,OU=0002 187512751,O=ASIP-SANTE,C=FR";
    assert_eq!(read.issuer(), format!("CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,{suffix}"));
    assert_eq!(read.subject(), format!("CN=DRIMbox,OU={STRUCTURE},O=CABINET,ST=Paris (75),C=FR"));
    let root = Certificate::from_der(igc.root().der()).unwrap();
    assert_eq!(root.subject(), format!("CN=AC RACINE IGC-SANTE ELEMENTAIRE,{suffix}"));
    assert_eq!(root.subject_der.as_ref(), igc.root().subject());
    let person = Certificate::from_der(&igc.professional().unwrap().der).unwrap();
    assert_eq!(person.subject(), "CN=899700367917,givenName=KIT,sn=DOC0036791,title=Médecin,C=FR");
    assert!(person.structure().is_err());
}

#[test]
fn a_certificate_is_found_by_signature_up_to_the_root() {
    let igc = igc();
    let (chain, leaf) = (chain(&igc), leaf(&igc));
    let path = chain.path(&leaf).unwrap();
    let names: Vec<&str> = path.authorities().iter().map(|a| a.certificate().common_name().unwrap()).collect();
    assert_eq!(names, ["TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS", "TEST AC RACINE IGC-SANTE ELEMENTAIRE"]);
    let revocable: Vec<_> = path.revocable().collect();
    assert_eq!(revocable.len(), 2);
    assert_eq!(revocable[0].0.serial().as_bytes(), leaf.serial().as_bytes());
    assert_eq!(revocable[1].0.serial().as_bytes(), igc.organisations().serial());
    let chains = Chains(vec![chain.clone()]);
    assert_eq!(chains.find(&leaf).unwrap().0.name(), "igc-test");
    assert!(chains.by_name("igc-test").is_some() && chains.by_name("other").is_none());
    assert!(chains.by_listen("192.0.2.10".parse().unwrap()).is_some());
    assert!(chains.by_listen("192.0.2.11".parse().unwrap()).is_none());
}

#[test]
fn validity_looks_at_the_leaf_and_at_every_authority() {
    let igc = igc();
    let chain = chain(&igc);
    let at = |leaf: &octroi_igc::Leaf, now: u64| {
        let leaf = Certificate::from_der(&leaf.der).unwrap();
        chain.path(&leaf).unwrap().valid_at(UnixSeconds(now))
    };
    let good = igc.organisation(&[STRUCTURE], "O", "CN").unwrap();
    assert!(at(&good, NOW) && !at(&good, NOW - 2 * DAY) && !at(&good, NOW + 4 * 365 * DAY));
    assert!(!at(&igc.expired(&[STRUCTURE], "O", "CN").unwrap(), NOW));
    assert!(!at(&igc.not_yet_valid(&[STRUCTURE], "O", "CN").unwrap(), NOW));
    let long = igc.valid(&[STRUCTURE], "O", "CN", NOW, NOW + 40 * 365 * DAY).unwrap();
    assert!(!at(&long, NOW + 10 * 365 * DAY), "the authorities have expired by then");
}

#[test]
fn an_impostor_of_the_same_names_is_told_from_a_stranger() {
    let (igc, impostor, foreign) = (igc(), igc(), Igc::at(Names::Foreign, NOW).unwrap());
    let chain = chain(&igc);
    assert_eq!(chain.path(&leaf(&impostor)).unwrap_err(), NotOfChain::Signature);
    assert_eq!(chain.path(&leaf(&foreign)).unwrap_err(), NotOfChain::UnknownIssuer);
}

#[test]
fn authorities_and_servers_are_no_clients() {
    let igc = igc();
    let chain = chain(&igc);
    let authority = Certificate::from_der(igc.organisations().der()).unwrap();
    assert_eq!(chain.path(&authority).unwrap_err(), NotOfChain::Authority);
    let server = Certificate::from_der(&igc.server(&["localhost", "127.0.0.1"]).unwrap().der).unwrap();
    assert_eq!(chain.path(&server).unwrap_err(), NotOfChain::Purpose);
}

#[test]
fn a_chain_has_one_root_and_each_authority_once() {
    let (igc, other) = (igc(), igc());
    let (root, below) = (igc.root().pem(), igc.organisations().pem());
    assert_eq!(made(&[&root, &below]).unwrap().authorities().len(), 2);
    assert_eq!(made(&[&root]).unwrap().authorities().len(), 1);
    assert_eq!(made(&[&below]).unwrap_err(), BadChain::NoRoot);
    assert_eq!(made(&[]).unwrap_err(), BadChain::NoRoot);
    assert!(matches!(made(&[&root, &below, &below]).unwrap_err(), BadChain::Duplicate { .. }));
    assert!(matches!(made(&[&root, &other.root().pem()]).unwrap_err(), BadChain::SeveralRoots(_)));
    assert!(matches!(made(&[&root, &other.organisations().pem()]).unwrap_err(), BadChain::Foreign(_)));
    let leaf = igc.organisation(&[STRUCTURE], "O", "CN").unwrap();
    assert!(matches!(made(&[&root, &leaf.chain_pem]).unwrap_err(), BadChain::NotAnAuthority { .. }));
    let error = made(&[&root, &format!("{below}{}", leaf.key_pem)]).unwrap_err().to_string();
    assert!(error.contains("ca.pem") && error.contains("private key"), "{error}");
}
