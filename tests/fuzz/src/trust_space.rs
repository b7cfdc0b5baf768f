//! The trust space's white list, an XML document.

use std::fmt::Write as _;

use octroi::evidence::trust_space::DomainName;
use octroi::evidence::trust_space::document::{Document, Invalid, NAMESPACE, parse};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListeBlanche xmlns=\"https://listeblanche.mssante.fr/schema\">\n\
      <DateDeGeneration>2026-11-20T04:00:00</DateDeGeneration>\n<Domaine><Nom>chu.mssante.fr</Nom><Description>D &amp; E\
      </Description><SupportContact/></Domaine>\n<Domaine><Nom> Medecin.MSSANTE.fr\n</Nom></Domaine></ListeBlanche>\n",
    b"\xef\xbb\xbf<!-- c --><l:X xmlns:l='https://listeblanche.mssante.fr/schema' xmlns='urn:other'>\r\n<l:DateDeGeneration>d\
      </l:DateDeGeneration><Domaine><Nom>other.test</Nom></Domaine><l:Domaine><l:Nom>a<![CDATA[.te]]>s&#x74;</l:Nom>\
      <Nom>no.test</Nom></l:Domaine></l:X>",
    "<L xmlns='https://listeblanche.mssante.fr/schema'><DateDeGeneration>d</DateDeGeneration><Domaine><Nom>d\u{e9}.test\
      </Nom></Domaine><Domaine><Nom>D\u{e9}.test</Nom></Domaine><Domaine><Nom>a b.test</Nom></Domaine></L>"
        .as_bytes(),
    b"<!DOCTYPE l [<!ENTITY a \"aaa\">]><L xmlns='https://listeblanche.mssante.fr/schema'>&a;</L>",
    b"<L xmlns='https://listeblanche.mssante.fr/schema'><Domaine/><Domaine><Nom>a.test</Nom><Nom>b.test</Nom></Domaine>",
    b"<html></html>",
];

pub(crate) fn run(bytes: &[u8]) {
    let lenient = parse(bytes, Invalid::LeaveOut);
    match parse(bytes, Invalid::Refuse) {
        Ok(document) => {
            assert_eq!(document.left_out, 0);
            holds(bytes, &document);
            // Leaving out what is no name changes nothing where there is none.
            assert_eq!(lenient.ok(), Some(document));
        }
        Err(bad) => {
            assert!(!bad.problems.is_empty());
            if let Ok(document) = lenient {
                assert!(document.left_out > 0);
                holds(bytes, &document);
            }
        }
    }
}

/// What was read is what an import needs, came from an element each, and reads the same when it is written plainly.
fn holds(bytes: &[u8], document: &Document) {
    let Document { generated, domains, .. } = document;
    assert!(!domains.is_empty() && !generated.is_empty() && generated.len() <= 64);
    let elements = bytes.windows(b"Domaine".len()).filter(|window| window == b"Domaine").count();
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(domains.len() <= elements && domains.values().all(|line| (1..=lines).contains(line)));
    let mut plain = format!("<L xmlns='{NAMESPACE}'><DateDeGeneration>{}</DateDeGeneration>\n", escaped(generated));
    for domain in domains.keys() {
        assert_eq!(DomainName::parse(domain.as_str()).as_ref(), Ok(domain));
        let _ = write!(plain, "<Domaine><Nom>{}</Nom></Domaine>", domain.as_str());
    }
    let again = parse(format!("{plain}</L>").as_bytes(), Invalid::Refuse).expect("a plain list");
    assert!(again.generated == *generated && again.domains.keys().eq(domains.keys()));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
