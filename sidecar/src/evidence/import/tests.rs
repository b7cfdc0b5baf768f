use proptest::prelude::*;

use super::*;
use crate::evidence::certificate::{Fingerprint, StructureId};
use crate::evidence::directory::{CertificateLimits, IdNat, MailboxAddress, MailboxKind, Person};

const GOOD: &str = "address,kind,persons,aliases
docteur.un@bal.example.test,PER,899700000011=0750011,un@bal.example.test
secretariat@bal.example.test,ORG,899700000011|500000000000017/CPAT00001,
automate@bal.example.test,APP,,
";

fn parse(file: &[u8]) -> Result<Import, BadFile> {
    super::parse(file, &Surroundings::default())
}

#[test]
fn the_addresses_of_the_live_probe_are_nobodys() {
    let reserved = ["canary@x.test", "nobody@x.test"].map(|text| MailboxAddress::parse(text).unwrap()).to_vec();
    let surroundings = Surroundings { reserved, domains: vec!["x.test".to_owned()] };
    let file = "address,kind,persons,aliases\ncanary@x.test,PER,1,\na@x.test,PER,2,Nobody@x.test\n";
    let bad = super::parse(file.as_bytes(), &surroundings).unwrap_err();
    assert_eq!(bad.problems.iter().map(|p| (p.line, p.column)).collect::<Vec<_>>(), [(2, 1), (3, 4)]);
}

#[test]
fn a_mailbox_that_no_token_can_open_is_remarked_on() {
    let surroundings = Surroundings { reserved: vec![], domains: vec!["y.test".to_owned()] };
    let file = "address,kind,persons,aliases\na@x.test,PER,1,\nb@y.test,PER,1,\nc@x.test,APP,,\n";
    let import = super::parse(file.as_bytes(), &surroundings).unwrap();
    let tokens: Vec<_> = import.remarks.iter().filter(|remark| remark.contains("no token opens")).collect();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].starts_with("line 2: "));
}

/// Places and texts of the problems of a header and these lines.
fn problems(lines: &str) -> Vec<(u64, u32, String)> {
    problems_below(&HEADER[..REQUIRED].join(","), lines)
}

fn problems_below(header: &str, lines: &str) -> Vec<(u64, u32, String)> {
    let bad = parse(format!("{header}\n{lines}").as_bytes()).unwrap_err();
    assert_eq!(bad.total, bad.problems.len());
    bad.problems.into_iter().map(|problem| (problem.line, problem.column, problem.expected)).collect()
}

fn places(lines: &str) -> Vec<(u64, u32)> {
    problems(lines).into_iter().map(|(line, column, _)| (line, column)).collect()
}

#[test]
fn a_good_file_becomes_its_mailboxes() {
    let import = parse(GOOD.as_bytes()).unwrap();
    assert_eq!(
        import.remarks,
        ["line 4: no structure stands at this APP mailbox: neither a token nor a certificate opens it"]
    );
    let [doctor, office, software] = &import.mailboxes[..] else { panic!("three mailboxes") };
    assert_eq!((doctor.kind, office.kind, software.kind), (MailboxKind::Per, MailboxKind::Org, MailboxKind::App));
    assert_eq!(doctor.persons[0].synonyms[0].as_str(), "0750011");
    assert_eq!(doctor.aliases[0].as_str(), "un@bal.example.test");
    assert_eq!(office.persons[1].id.as_str(), "500000000000017/CPAT00001");
    assert!(software.persons.is_empty() && software.aliases.is_empty() && software.structures.is_empty());
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let windows = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(parse(windows.as_bytes()), parse(GOOD.as_bytes()));
}

#[test]
fn lines_are_counted_as_an_editor_shows_them() {
    for file in ["H\r\na@x.test,PER,1,\r\nbad,PER,1,\r\n", "H\n\nbad,PER,1,\n", "H\r\n\r\nbad,PER,1,\r\n"] {
        let file = file.replace('H', &HEADER[..REQUIRED].join(","));
        assert_eq!(parse(file.as_bytes()).unwrap_err().problems[0].line, 3, "{file:?}");
    }
}

#[test]
fn every_bad_line_is_told_with_its_place() {
    let told = places(
        "not an address,PER,1,\n\
         a@x.test,per,1,\n\
         b@x.test,PER,,\n\
         c@x.test,PER,1|2,\n\
         d@x.test,ORG,,\n\
         e@x.test,APP,1,\n\
         f@x.test,PER,1\n\
         g@x.test,PER,1,,\n\
         h@x.test,PER,1 2,\n\
         i@x.test,ORG,1|,\n\
         j@x.test,ORG,1=,\n\
         k@x.test,ORG,1|1,\n\
         l@x.test,ORG,1=2|2,\n\
         m@x.test,PER,1,not an address\n\
         bad,BAD,a b,bad\n",
    );
    let wanted = [
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 3),
        (6, 3),
        (7, 3),
        (8, 0),
        (9, 0),
        (10, 3),
        (11, 3),
        (12, 3),
        (13, 3),
        (14, 3),
        (15, 4),
        (16, 1),
        (16, 2),
        (16, 3),
        (16, 4),
    ];
    assert_eq!(told, wanted);
}

#[test]
fn one_address_is_one_mailbox_or_one_alias() {
    assert_eq!(places("a@x.test,PER,1,\nA@X.test,PER,2,\n"), [(3, 1)]);
    assert_eq!(places("a@x.test,PER,1,b@x.test\nb@x.test,PER,2,\n"), [(2, 4)]);
    assert_eq!(places("a@x.test,PER,1,c@x.test\nb@x.test,PER,2,c@x.test\n"), [(3, 4)]);
    assert_eq!(places("a@x.test,PER,1,c@x.test|c@x.test\n"), [(2, 4)]);
    assert_eq!(places("a@x.test,PER,1,a@x.test\n"), [(2, 4)]);
}

#[test]
fn other_headers_and_empty_files_are_refused() {
    for file in [
        "",
        "\n\n",
        "\u{feff}",
        "address,kind,persons\n",
        "address,kind,persons,aliases,more\n",
        "a@x.test,PER,1,\n",
        "kind,address,persons,aliases\n",
        "address,kind,persons,aliases\n",
        "address;kind;persons;aliases\n",
    ] {
        assert!(parse(file.as_bytes()).is_err(), "{file:?}");
    }
    let bad = parse(b"address;kind;persons;aliases\na@x.test;PER;1;\n").unwrap_err();
    assert_eq!(bad.total, 1);
    assert!(bad.to_string().contains("separated by commas"));
}

const PRINT: &str = "AB:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01";

#[test]
fn structures_and_limits_on_their_certificates_are_read() {
    let file = format!(
        "{}\na@x.test,ORG,1,,499700367909006| 318751275100020,\n\
         b@x.test,APP,,,3187,\"cn=DRIMbox|cn=a=b|issuer=CN=AC, X,OU=0002 1|sha256={PRINT}\"\n",
        HEADER.join(",")
    );
    let import = parse(file.as_bytes()).unwrap();
    let [office, software] = &import.mailboxes[..] else { panic!("two mailboxes") };
    let names: Vec<_> = office.structures.iter().map(StructureId::as_str).collect();
    assert_eq!(names, ["499700367909006", "318751275100020"]);
    assert_eq!(*office.certificates, CertificateLimits::default());
    let CertificateLimits { common_names, issuers, fingerprints } = &*software.certificates;
    assert_eq!(
        (&common_names[..], &issuers[..]),
        (&["DRIMbox".into(), "a=b".into()][..], &["CN=AC, X,OU=0002 1".into()][..])
    );
    assert_eq!(fingerprints[0].to_string(), format!("ab{}01", "0".repeat(60)));
    let told: Vec<_> = import.remarks.iter().map(|remark| remark.split(": ").nth(1).unwrap()).collect();
    assert_eq!(told, ["blanks around a value were left out", "limited by cn, issuer or sha256"]);
    for limit in ["cn=DRIMbox", "issuer=CN=AC", &format!("sha256={PRINT}")] {
        let import = parse(format!("{}\nb@x.test,APP,,,3187,{limit}\n", HEADER.join(",")).as_bytes()).unwrap();
        assert!(import.remarks.len() == 1 && import.remarks[0].contains("SMTP alone"), "{limit}: {:?}", import.remarks);
    }
}

#[test]
fn the_columns_for_certificates_may_be_left_out_together_or_the_last_alone() {
    let header = HEADER.join(",");
    for columns in [4, 5, 6] {
        let header = HEADER[..columns].join(",");
        let line = format!("a@x.test,ORG,1,{}", ",".repeat(columns - 4));
        assert_eq!(parse(format!("{header}\n{line}\n").as_bytes()).unwrap().remarks, [""; 0], "{columns}");
        assert_eq!(problems_below(&header, &format!("{line},\n"))[0].1, 0);
    }
    for wrong in [
        header.replace(",structures", ""),
        format!("{header},more"),
        header.replace("structures,certificates", "certificates,structures"),
    ] {
        assert!(parse(format!("{wrong}\n").as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn bad_structures_and_limits_are_told_with_their_place() {
    let long = "x".repeat(1025);
    let told = problems_below(
        &HEADER.join(","),
        &format!(
            "a@x.test,PER,1,,3187,\n\
             b@x.test,ORG,1,,3187|3187,\n\
             c@x.test,ORG,1,,0002 187512751,\n\
             d@x.test,ORG,1,,3187|,\n\
             e@x.test,ORG,1,,,cn=DRIMbox\n\
             f@x.test,ORG,1,,3187,DRIMbox\n\
             g@x.test,ORG,1,,3187,cn=\n\
             h@x.test,ORG,1,,3187,sha256=ab\n\
             i@x.test,ORG,1,,3187,cn=a|cn=a\n\
             j@x.test,ORG,1,,3187,issuer={long}\n\
             k@x.test,ORG,1,,3187,\"cn=a\nb\"\n\
             l@x.test,ORG,1,,x3187,serial=1\n"
        ),
    );
    let places: Vec<_> = told.iter().map(|(line, column, _)| (*line, *column)).collect();
    let wanted =
        [(2, 5), (3, 5), (4, 5), (5, 5), (6, 6), (7, 6), (8, 6), (9, 6), (10, 6), (11, 6), (12, 6), (14, 5), (14, 6)];
    assert_eq!(places, wanted, "{told:?}");
    assert!(told[0].2.contains("names a structure and no person"));
}

#[test]
fn bytes_that_are_no_utf_8_are_told_with_their_column() {
    let bad = parse(b"address,kind,persons,aliases\na@x.test,PER,caf\xe9,\n").unwrap_err();
    assert_eq!((bad.problems[0].line, bad.problems[0].column), (2, 3));
}

#[test]
fn an_open_quote_is_told_where_it_opens() {
    let rest = "b@x.test,PER,2,\n".repeat(10_000);
    let told = problems(&format!("a@x.test,PER,\"1,\n{rest}"));
    assert_eq!((told[0].0, told.len()), (2, 1));
    assert!(told[0].2.contains("quote"));
}

#[test]
fn identifiers_that_differ_by_case_or_have_blanks_around_are_remarked_on() {
    let import = parse(b"address,kind,persons,aliases\na@x.test,PER,ans1,\nb@x.test,ORG,ANS1| 2,\n").unwrap();
    assert_eq!(import.remarks.len(), 2);
    assert!(import.remarks.iter().all(|remark| remark.starts_with("line 3: ")), "{:?}", import.remarks);
    assert!(import.remarks.iter().all(|remark| !remark.to_ascii_lowercase().contains("ans1")));
}

#[test]
fn a_person_with_more_mailboxes_than_an_answer_carries_is_refused() {
    let lines = |count: usize| (0..count).map(|n| format!("m{n}@x.test,ORG,7=8,\n")).collect::<String>();
    assert!(parse(format!("{}\n{}", HEADER[..REQUIRED].join(","), lines(64)).as_bytes()).is_ok());
    assert_eq!(places(&lines(65)), [(66, 3), (66, 3)]);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_bounded_and_counted() {
    let file = format!("{}\n{}", HEADER[..REQUIRED].join(","), "bad,BAD,,\n".repeat(100_001));
    let bad = parse(file.as_bytes()).unwrap_err();
    assert_eq!((bad.problems.len(), bad.total), (MAX_PROBLEMS, 200_002));
    assert!(bad.to_string().starts_with("200002 problems, the first: line 2, column 1 (address): "));
}

prop_compose! {
    fn person()(id in "[!-<>-{}~]{1,20}", synonyms in prop::collection::vec("[0-9]{3,9}", 0..3)) -> Person {
        let id = IdNat::parse(&id.replace(['"', ','], "x")).unwrap();
        Person { id, synonyms: synonyms.iter().map(|s| IdNat::parse(s).unwrap()).collect() }
    }
}

prop_compose! {
    fn limits()(
        name in "[!-{}~\u{e9}][ -{}~\u{e9}]{0,20}[!-{}~]",
        issuer in "CN=[!-{}~]{1,20}",
        print in any::<[u8; 4]>(),
        which in 0_u8..8,
    ) -> CertificateLimits {
        CertificateLimits {
            common_names: if which & 1 == 0 { vec![] } else { vec![name] },
            issuers: if which & 2 == 0 { vec![] } else { vec![issuer] },
            fingerprints: if which & 4 == 0 { vec![] } else { vec![Fingerprint::of(&print)] },
        }
    }
}

fn render(mailboxes: &[Mailbox]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(HEADER).unwrap();
    for mailbox in mailboxes {
        let person =
            |p: &Person| std::iter::once(&p.id).chain(&p.synonyms).map(IdNat::as_str).collect::<Vec<_>>().join("=");
        let persons = mailbox.persons.iter().map(person).collect::<Vec<_>>().join("|");
        let aliases = mailbox.aliases.iter().map(MailboxAddress::as_str).collect::<Vec<_>>().join("|");
        let structures = mailbox.structures.iter().map(StructureId::as_str).collect::<Vec<_>>().join("|");
        let CertificateLimits { common_names, issuers, fingerprints } = &*mailbox.certificates;
        let limits = common_names.iter().map(|name| format!("cn={name}"));
        let limits = limits.chain(issuers.iter().map(|name| format!("issuer={name}")));
        let limits = limits.chain(fingerprints.iter().map(|print| format!("sha256={print}")));
        let limits = limits.collect::<Vec<_>>().join("|");
        let code = mailbox.kind.code();
        writer.write_record([mailbox.address.as_str(), code, &persons, &aliases, &structures, &limits]).unwrap();
    }
    writer.into_inner().unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(all in prop::collection::vec((person(), 0_u8..4), 1..20), limits in limits()) {
        let mailboxes: Vec<Mailbox> = all.into_iter().enumerate().map(|(n, (mut person, aliases))| {
            person.synonyms.retain(|synonym| *synonym != person.id);
            person.synonyms.sort();
            person.synonyms.dedup();
            let address = |name: String| MailboxAddress::parse(&name).unwrap();
            Mailbox {
                address: address(format!("m{n}@x.test")),
                kind: if n % 2 == 0 { MailboxKind::Per } else { MailboxKind::Org },
                persons: vec![person],
                aliases: (0..aliases).map(|a| address(format!("m{n}.{a}@x.test"))).collect(),
                structures: if n % 2 == 0 { vec![] } else { vec![StructureId::parse(&format!("3{n}")).unwrap()] },
                certificates: if n % 4 == 1 { limits.clone().shared() } else { CertificateLimits::none() },
            }
        }).collect();
        prop_assert_eq!(parse(&render(&mailboxes)).unwrap().mailboxes, mailboxes);
    }

    #[test]
    fn no_bytes_break_the_import_and_what_it_takes_holds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut file = HEADER.join(",").into_bytes();
        file.push(b'\n');
        file.extend(bytes);
        if let Ok(import) = parse(&file) {
            for mailbox in import.mailboxes {
                let persons = mailbox.persons.len();
                let holds = match mailbox.kind {
                    MailboxKind::Per => persons == 1,
                    MailboxKind::Org => persons >= 1,
                    MailboxKind::App => persons == 0,
                };
                prop_assert!(holds);
                prop_assert!(mailbox.kind != MailboxKind::Per || mailbox.structures.is_empty());
                prop_assert!(*mailbox.certificates == CertificateLimits::default() || !mailbox.structures.is_empty());
            }
        }
    }
}
