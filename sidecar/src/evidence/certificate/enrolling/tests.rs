use std::path::PathBuf;

use octroi_igc::{Igc, Leaf, Names};

use super::*;
use crate::evidence::certificate::{Chain, ChainKind};

const STRUCTURE: &str = "318751275100020";

/// A stand-in for the authorities, and a chain that vouches for what they issued.
struct Desk {
    igc: Igc,
    chains: Chains,
    present: Set,
}

impl Desk {
    fn new() -> Self {
        let igc = Igc::new(Names::Test).unwrap();
        let files = [(PathBuf::from("ca.pem"), igc.bundle().into_bytes())];
        let chain = Chain::new("igc", ChainKind::Test, vec![], vec![], &files).unwrap();
        Self { igc, chains: Chains(vec![chain]), present: Set::default() }
    }

    fn leaf(&self, structure: &str, cn: &str) -> Leaf {
        self.igc.organisation(&[structure], "CABINET", cn).unwrap()
    }

    fn examine(&self, files: &[(&str, &[u8])]) -> Result<Vec<Enrolled>, Vec<Problem>> {
        let submitted =
            |(name, content): &(&str, &[u8])| Submitted { name: (*name).to_owned(), content: content.to_vec() };
        let files: Vec<_> = files.iter().map(submitted).collect();
        examine(
            &files,
            &Surroundings { present: &self.present, chains: &self.chains, now: UnixSeconds(self.igc.now()) },
        )
    }

    /// The only problem of one file.
    fn refused(&self, content: &[u8]) -> Problem {
        let mut problems = self.examine(&[("a.pem", content)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }
}

#[test]
fn certificates_in_pem_and_der_are_taken_in_their_order() {
    let desk = Desk::new();
    let (one, two) = (desk.leaf(STRUCTURE, "one"), desk.leaf("499700367909006", "two"));
    let taken = desk.examine(&[("a.pem", one.certificate_pem.as_bytes()), ("b.der", &two.der)]).unwrap();
    let told: Vec<_> = taken.iter().map(|e| (e.structure.as_str(), e.chain.as_deref(), e.enrolled_at.0)).collect();
    let now = desk.igc.now();
    assert_eq!(told, [(STRUCTURE, Some("igc"), now), ("499700367909006", Some("igc"), now)]);
}

#[test]
fn what_can_not_be_enrolled_is_told_with_its_place_and_its_remedy() {
    let desk = Desk::new();
    let (foreign, impostor) = (Igc::new(Names::Foreign).unwrap(), Igc::new(Names::Test).unwrap());
    let cases = [
        (desk.igc.professional().unwrap(), "has no OU", "ORG AUTH_CLI"),
        (desk.igc.organisation(&[STRUCTURE, "2"], "O", "C").unwrap(), "has 2 OUs", "only OU"),
        (desk.igc.organisation(&["0002 187512751"], "O", "C").unwrap(), "no structure identifier", "only OU"),
        (desk.igc.expired(&[STRUCTURE], "O", "C").unwrap(), "it has expired", "a new one"),
        (impostor.organisation(&[STRUCTURE], "O", "C").unwrap(), "which did not sign it", "do not trust it"),
        (desk.igc.server(&["x.test"]).unwrap(), "lacks clientAuth", "AUTH_CLI"),
        (foreign.organisation(&[STRUCTURE], "O", "C").unwrap(), "its issuer is CN=FOREIGN CA", "in ca_files"),
    ];
    for (leaf, problem, remedy) in cases {
        let told = desk.examine(&[("a.pem", leaf.certificate_pem.as_bytes())]).unwrap_err().pop().unwrap();
        assert!(told.problem.contains(problem) && told.remedy.contains(remedy), "{told:?}");
        assert_eq!((told.file.as_str(), told.position), ("a.pem", 1));
        assert!(told.subject.contains("CN="), "{told:?}");
    }
    let authority = desk.refused(desk.igc.organisations().der());
    assert!(authority.problem.contains("of an authority") && authority.remedy.contains("ca_files"), "{authority:?}");
}

#[test]
fn files_that_are_no_certificates_are_told_as_a_whole_and_never_shown() {
    let desk = Desk::new();
    let leaf = desk.leaf(STRUCTURE, "one");
    let trailing = [&leaf.der[..], b"x"].concat();
    let with_key = format!("{}{}", leaf.certificate_pem, leaf.key_pem);
    let cut = leaf.certificate_pem.replace("-----END", "");
    for (content, problem) in [
        (&trailing[..], "other bytes follow"),
        (with_key.as_bytes(), "a private key"),
        (cut.as_bytes(), "PEM is damaged"),
        (b"", "empty"),
        (b"<html>", "neither PEM"),
    ] {
        let told = desk.refused(content);
        assert!(told.problem.contains(problem) && told.position == 0, "{told:?}");
        assert!(!format!("{told:?}").contains(leaf.key_pem.lines().nth(1).unwrap()));
    }
    for rest in [vec![], vec![("large.pem", vec![b' '; MAX_IMPORT + 1])]] {
        let rest: Vec<_> = rest.iter().map(|(name, content)| (*name, &content[..])).collect();
        assert_eq!(desk.examine(&rest).unwrap_err()[0].file, "");
    }
}

#[test]
fn every_problem_of_every_certificate_is_told() {
    let desk = Desk::new();
    let foreign = Igc::new(Names::Foreign).unwrap();
    let worst = foreign.expired(&["a b"], "O", "C").unwrap();
    let chain = desk.leaf(STRUCTURE, "good").chain_pem;
    let problems = desk.examine(&[("a", &worst.der), ("b", chain.as_bytes())]).unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.position)).collect();
    assert_eq!(places, [("a", 1), ("a", 1), ("a", 1), ("b", 2)], "{problems:?}");
}

#[test]
fn a_certificate_is_enrolled_once_and_never_after_it_was_withdrawn() {
    let mut desk = Desk::new();
    let leaf = desk.leaf(STRUCTURE, "one");
    let twice = desk.examine(&[("a", &leaf.der), ("b", leaf.certificate_pem.as_bytes())]).unwrap_err();
    assert_eq!((twice.len(), twice[0].file.as_str()), (1, "b"));
    assert!(twice[0].problem.contains("twice, first in a, certificate 1"), "{twice:?}");
    let mut enrolled = desk.examine(&[("a", &leaf.der)]).unwrap();
    desk.present = Set::new(enrolled.clone());
    assert!(desk.refused(&leaf.der).problem.contains("enrolled already"));
    enrolled[0].withdrawn_at = Some(UnixSeconds(1));
    desk.present = Set::new(enrolled);
    assert!(desk.refused(&leaf.der).problem.contains("was withdrawn"));
}

#[test]
fn the_key_of_a_withdrawn_certificate_does_not_come_back_with_another_one() {
    let mut desk = Desk::new();
    let leaf = desk.leaf(STRUCTURE, "one");
    let mut old = desk.examine(&[("a.der", &leaf.der)]).unwrap();
    let renewed = desk.igc.renewed(&leaf, STRUCTURE, "one").unwrap();
    assert!(desk.examine(&[("b.der", &renewed.der)]).is_ok());
    old[0].withdrawn_at = Some(UnixSeconds(1));
    desk.present = Set::new(old);
    let told = desk.refused(&renewed.der);
    assert_eq!(told.problem, "its key is that of a certificate that was withdrawn");
    assert!(told.remedy.contains("with a new key"), "{}", told.remedy);
    assert!(desk.examine(&[("c.der", &desk.leaf(STRUCTURE, "two").der)]).is_ok());
}
