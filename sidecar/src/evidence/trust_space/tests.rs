use proptest::prelude::*;

use super::document::{Document, Invalid, MAX_BYTES, MAX_DOMAINS, NAMESPACE, parse};
use super::*;
use crate::evidence::import::BadFile;

/// A list of entries as the published one has them.
fn list(entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListeBlanche xmlns=\"{NAMESPACE}\">\n\
         <DateDeGeneration>2026-11-20T04:00:00</DateDeGeneration>\n{entries}</ListeBlanche>\n"
    )
}

fn entry(name: &str) -> String {
    format!(
        "<Domaine><Nom>{name}</Nom><Description>D &amp; E</Description><DNCertificatOperateur>CN=x,OU=1,O=O,ST=Paris \
         (75),C=FR</DNCertificatOperateur><ResponsableContact>r</ResponsableContact><SupportContact/>\
         <DateMAJ>2026-01-01</DateMAJ></Domaine>\n"
    )
}

fn read(xml: &str) -> Result<Document, BadFile> {
    parse(xml.as_bytes(), Invalid::Refuse)
}

fn names(document: &Document) -> Vec<&str> {
    document.domains.keys().map(DomainName::as_str).collect()
}

/// Lines and texts of the problems.
fn problems(xml: &str) -> Vec<(u64, String)> {
    read(xml).unwrap_err().problems.into_iter().map(|problem| (problem.line, problem.expected)).collect()
}

#[test]
fn the_published_form_becomes_a_set_of_domains() {
    let document = read(&list(&[entry("chu.mssante.fr"), entry(" Medecin.MSSANTE.fr\n")].concat())).unwrap();
    assert_eq!(document.generated, "2026-11-20T04:00:00");
    assert_eq!(names(&document), ["chu.mssante.fr", "medecin.mssante.fr"]);
    assert!(document.remarks.is_empty(), "{:?}", document.remarks);
    assert_eq!(document.domains.values().copied().collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn a_prefix_a_byte_order_mark_crlf_and_cdata_change_nothing() {
    let xml = format!(
        "\u{feff}<!-- c --><l:X xmlns:l='{NAMESPACE}' xmlns='urn:other'>\r\n<l:Entete><l:DateDeGeneration>d</l:DateDeGeneration>\
         </l:Entete><Domaine><Nom>other.test</Nom></Domaine><l:Domaines><l:Domaine><l:Nom>a<![CDATA[.te]]>s&#x74;</l:Nom>\
         <Nom>no.test</Nom></l:Domaine></l:Domaines>\r\n</l:X>"
    );
    let document = read(&xml).unwrap();
    assert_eq!((names(&document), document.generated.as_str()), (vec!["a.test"], "d"));
}

#[test]
fn an_internationalised_name_is_its_a_label_and_remarked_on() {
    let document = read(&list(&entry("clinique-d\u{e9}l\u{e9}.example.test"))).unwrap();
    assert_eq!(names(&document), ["xn--clinique-dl-kbbb.example.test"]);
    assert_eq!(document.remarks.len(), 1);
    assert!(document.remarks[0].starts_with("line 4: "), "{:?}", document.remarks);
}

#[test]
fn a_duplicate_is_kept_once_and_remarked_on_with_both_lines() {
    let document = read(&list(&[entry("a.test"), entry("b.test"), entry("A.test")].concat())).unwrap();
    assert_eq!(names(&document), ["a.test", "b.test"]);
    assert_eq!(document.remarks, ["line 6: a.test stands in line 4 too"]);
}

#[test]
fn names_that_are_none_refuse_the_whole_document_each_with_its_line() {
    let bad =
        ["", "a b.test", "test", "a@b.test", "a..test", "-a.test", "a.test.", "*.test", "a_b.test", "\u{202e}.test"];
    let entries: String = bad.iter().map(|name| entry(name)).chain([entry("good.test")]).collect();
    let told = problems(&list(&entries));
    assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), (4..14).collect::<Vec<_>>(), "{told:?}");
    assert!(told.iter().all(|(_, expected)| expected.contains("domain name") && expected.is_ascii()), "{told:?}");
    let document = parse(list(&entries).as_bytes(), Invalid::LeaveOut).unwrap();
    assert_eq!((names(&document), document.left_out, document.remarks.len()), (vec!["good.test"], 10, 10));
}

#[test]
fn entries_that_are_none_are_told_with_their_line() {
    for (entry, what) in [
        ("<Domaine><Description/></Domaine>", "expected a Nom"),
        ("<Domaine><Nom>a.test</Nom><Nom>b.test</Nom></Domaine>", "expected one Nom"),
        ("<Domaine><Nom>a.test<b/></Nom></Domaine>", "expected text alone"),
        ("<Domaine><Domaine><Nom>a.test</Nom></Domaine></Domaine>", "expected no Domaine within"),
        ("<Domaine/>", "expected a Nom"),
        ("<DateDeGeneration>again</DateDeGeneration>", "expected one DateDeGeneration"),
        ("<DateDeGeneration>\u{e9}</DateDeGeneration>", "expected a date"),
        (&format!("<DateDeGeneration>{}</DateDeGeneration>", "9".repeat(65)), "expected a date"),
    ] {
        let told = problems(&list(&format!("<Domaine><Nom>good.test</Nom></Domaine>\n{entry}")));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].0 == 5 && told[0].1.starts_with(what), "{told:?}");
    }
}

#[test]
fn documents_that_are_not_the_list_are_refused() {
    let good = list(&entry("a.test"));
    let cut = |by: usize| good.get(..good.len() - by).unwrap().to_owned();
    for (xml, what) in [
        (String::new(), "expected an XML document"),
        ("<html></html>".to_owned(), "expected a root element of the namespace"),
        (good.replace(NAMESPACE, "https://elsewhere.test/"), "expected a root element of the namespace"),
        (cut(16), "expected the end of the root element"),
        (cut(3), "expected well-formed XML"),
        (good.replace("</Domaine>", "</Domain>"), "expected well-formed XML"),
        (format!("{good}{good}"), "expected "),
        (format!("{good}<L xmlns='{NAMESPACE}'><Domaine><Nom>b.test</Nom></Domaine></L>"), "expected one root element"),
        (format!("{good}trailing"), "expected nothing outside"),
        (list(""), "expected at least one Domaine"),
        (good.replace("DateDeGeneration", "Date"), "expected a DateDeGeneration"),
        (good.replace("UTF-8", "ISO-8859-1"), "expected UTF-8"),
    ] {
        let told = problems(&xml);
        assert!(told[0].1.starts_with(what), "{what}: {told:?}");
    }
    assert!(parse(b"<a>\n\xff", Invalid::Refuse).unwrap_err().problems[0].expected.starts_with("expected UTF-8"));
}

#[test]
fn document_types_and_entities_are_refused() {
    let bomb = format!(
        "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n{}",
        list(&entry("&b;.test")).split_once('\n').unwrap().1
    );
    assert_eq!(problems(&bomb)[0].1, "expected no document type (DTD): the list has none");
    for entity in ["b", "x", "nbsp", "LT"] {
        let told = problems(&list(&entry(&format!("&{entity};a.test"))));
        assert_eq!(told, [(4, format!("expected no entity, found {entity:?}"))]);
    }
    for reference in ["&#0;", "&#xd800;", "&#;", "&"] {
        assert!(read(&list(&entry(reference))).is_err(), "{reference}");
    }
}

#[test]
fn size_depth_names_and_texts_are_bounded() {
    let big = vec![b' '; MAX_BYTES + 1];
    assert!(parse(&big, Invalid::Refuse).unwrap_err().problems[0].expected.contains("32 MiB"));
    let deep = list(&"<a>".repeat(100));
    assert!(problems(&deep)[0].1.contains("16 levels"));
    let many: String = (0..100).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect();
    assert!(problems(&list(&format!("<a{many}/>")))[0].1.contains("well-formed"));
    let long = list(&entry(&"a".repeat(2_000)));
    assert!(problems(&long)[0].1.contains("1024 bytes"));
    let entries: String = (0..=MAX_DOMAINS).map(|n| format!("<Domaine><Nom>d{n}.test</Nom></Domaine>\n")).collect();
    assert_eq!(problems(&list(&entries)), [(MAX_DOMAINS as u64 + 4, "expected at most 100000 domains".to_owned())]);
}

/// The list's date and nobody else's.
#[test]
fn a_date_of_an_entry_or_of_another_namespace_is_not_the_lists() {
    let date = "<DateDeGeneration>d</DateDeGeneration>";
    let of = |inside: &str, beside: &str| {
        format!("<L xmlns='{NAMESPACE}' xmlns:x='urn:x'>{beside}<Domaine><Nom>a.test</Nom>{inside}</Domaine></L>")
    };
    assert_eq!(read(&of("", date)).unwrap().generated, "d");
    let foreign = "<x:DateDeGeneration>d</x:DateDeGeneration>";
    for xml in [of(date, ""), of("", foreign)] {
        assert_eq!(problems(&xml), [(1, "expected a DateDeGeneration: is this the list?".to_owned())], "{xml}");
    }
}

#[test]
fn a_name_of_endless_length_is_none() {
    assert_eq!(DomainName::parse(&"a".repeat(1_013)), Err("a domain name has at most 253 characters"));
    assert!(DomainName::parse(&["a"; 127].join(".")).is_ok_and(|name| name.as_str().len() == 253));
    assert!(DomainName::parse(&["a"; 128].join(".")).is_err());
}

fn trust_list(domains: &[&str]) -> TrustList {
    let domains = domains.iter().map(|domain| DomainName::parse(domain).unwrap()).collect();
    TrustList { generated: "today".into(), imported: UnixSeconds(1), domains }
}

#[test]
fn a_recipient_is_inside_by_its_domain_to_the_letter() {
    let list = trust_list(&["chu.mssante.fr", "d\u{e9}.test"]);
    for inside in
        ["a@chu.mssante.fr", "A.B+c@CHU.mssante.FR", "a@d\u{e9}.test", "a@xn--d-bga.test", "\u{e9}@chu.mssante.fr"]
    {
        assert!(list.holds(inside), "{inside}");
    }
    for outside in [
        "",
        "a",
        "@chu.mssante.fr",
        "a@mssante.fr",
        "a@x.chu.mssante.fr",
        "a@chu.mssante.fr.evil.test",
        "a@evil.test",
        "a@chu.mssante.fr.",
        "a@[127.0.0.1]",
        "a@chu.mssante.fr\0",
    ] {
        assert!(!list.holds(outside), "{outside:?}");
    }
}

#[test]
fn a_recipient_that_leads_further_is_outside() {
    let list = trust_list(&["chu.mssante.fr"]);
    for routed in [
        "a%evil.test@chu.mssante.fr",
        "evil.test!a@chu.mssante.fr",
        "a@evil.test@chu.mssante.fr",
        "@chu.mssante.fr:a@evil.test",
        "@evil.test,@chu.mssante.fr:a@chu.mssante.fr",
        "\"a@evil.test\"@chu.mssante.fr",
        "a@evil.test,b@chu.mssante.fr",
        "a b@chu.mssante.fr",
    ] {
        assert!(!list.holds(routed), "{routed:?}");
    }
}

#[test]
fn without_a_list_nobody_knows_and_an_import_changes_that_for_all() {
    let (ours, theirs) = {
        let space = TrustSpace::default();
        (space.clone(), space)
    };
    assert_eq!(ours.holds("a@a.test"), None);
    theirs.publish(trust_list(&["a.test"]));
    assert_eq!((ours.holds("a@a.test"), ours.holds("a@b.test")), (Some(true), Some(false)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, Invalid::LeaveOut);
    }

    #[test]
    fn no_change_of_one_byte_adds_a_domain(at in 0_usize..400, byte in any::<u8>()) {
        let mut xml = list(&entry("aaa.test")).into_bytes();
        let at = at % xml.len();
        xml[at] = byte;
        if let Ok(document) = parse(&xml, Invalid::Refuse) {
            prop_assert_eq!(document.domains.len(), 1);
        }
    }
}
