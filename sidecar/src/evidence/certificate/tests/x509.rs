use rcgen::string::BmpString;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SerialNumber,
};

use crate::clock::UnixSeconds;
use crate::evidence::certificate::{BadCertificate, BadStructure, Certificate, Fingerprint, Serial, StructureId};

fn params(subject: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn structure() -> CertificateParams {
    params(&[
        (DnType::CountryName, "FR"),
        (DnType::StateOrProvinceName, "Paris (75)"),
        (DnType::OrganizationName, "CABINET M DOC0036790"),
        (DnType::OrganizationalUnitName, "499700367909006"),
        (DnType::CommonName, "DRIMbox"),
    ])
}

fn made(params: &CertificateParams) -> rcgen::Certificate {
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn read(params: &CertificateParams) -> Result<Certificate, BadCertificate> {
    Certificate::from_der(made(params).der())
}

#[test]
fn a_structures_certificate_is_read_as_it_is_written() {
    let mut params = structure();
    params.serial_number = Some(SerialNumber::from_slice(&[0x00, 0xff, 1, 2]));
    params.not_before = rcgen::date_time_ymd(2021, 12, 1);
    params.not_after = rcgen::date_time_ymd(2024, 12, 1);
    let made = made(&params);
    let read = Certificate::from_der(made.der()).unwrap();
    assert_eq!(read.subject(), "CN=DRIMbox,OU=499700367909006,O=CABINET M DOC0036790,ST=Paris (75),C=FR");
    assert_eq!(read.issuer(), read.subject());
    assert_eq!(read.units(), ["499700367909006"]);
    assert_eq!((read.common_name(), read.organization()), (Some("DRIMbox"), Some("CABINET M DOC0036790")));
    assert_eq!(read.serial().to_string(), "ff0102");
    assert_eq!((read.not_before(), read.not_after()), (UnixSeconds(1_638_316_800), UnixSeconds(1_733_011_200)));
    assert!(read.is_valid_at(UnixSeconds(1_733_011_200)) && !read.is_valid_at(UnixSeconds(1_733_011_201)));
    assert_eq!(read.fingerprint(), Fingerprint::of(made.der()));
    assert_eq!(read.der(), &made.der()[..]);
    assert_eq!(read.structure().unwrap().as_str(), "499700367909006");
    assert!(!read.is_ca());
}

#[test]
fn two_certificates_of_one_key_have_one_public_key_and_two_fingerprints() {
    let key = KeyPair::generate().unwrap();
    let read = |cn| {
        let made = params(&[(DnType::CommonName, cn)]).self_signed(&key).unwrap();
        Certificate::from_der(made.der()).unwrap()
    };
    let (one, other) = (read("one"), read("other"));
    assert_eq!(one.public_key(), other.public_key());
    assert_ne!(one.fingerprint(), other.fingerprint());
}

#[test]
fn names_are_escaped_as_rfc_4514_says() {
    let read = read(&params(&[(DnType::OrganizationName, " A,B+C\\ "), (DnType::CommonName, "#1 é")])).unwrap();
    assert_eq!(read.subject(), r"CN=\#1 é,O=\ A\,B\+C\\\ ");
    assert_eq!(read.organization(), Some(" A,B+C\\ "));
}

#[test]
fn an_attribute_without_a_short_name_is_shown_in_hexadecimal() {
    let read = read(&params(&[(DnType::CustomDnType(vec![2, 5, 4, 97]), "VATFR"), (DnType::CommonName, "x")])).unwrap();
    assert_eq!(read.subject(), "CN=x,2.5.4.97=#0c055641544652");
}

#[test]
fn a_certificate_without_a_unit_is_a_persons_and_one_with_two_is_ambiguous() {
    let person = read(&params(&[(DnType::CountryName, "FR"), (DnType::CommonName, "899700367917")])).unwrap();
    assert_eq!(person.structure(), Err(BadStructure::NoUnit));
    assert!(person.structure().unwrap_err().to_string().contains("certificate of a person"));

    let two = two_units("0002 187512751", "499700367909006");
    assert_eq!(two.units(), ["0002 187512751", "499700367909006"]);
    assert_eq!(two.structure(), Err(BadStructure::Ambiguous(2)));
}

/// A certificate whose subject has two OUs: the CN of a made one is renamed to OU in the DER; signatures are not looked
/// at here.
fn two_units(first: &str, second: &str) -> Certificate {
    let made = made(&params(&[(DnType::OrganizationalUnitName, first), (DnType::CommonName, second)]));
    let mut der = made.der().to_vec();
    let at: Vec<usize> = (0..der.len() - 3).filter(|at| der[*at..*at + 3] == [0x55, 4, 3]).collect();
    at.iter().for_each(|at| der[at + 2] = 11);
    Certificate::from_der(&der).unwrap()
}

#[test]
fn a_unit_that_is_no_identifier_is_shown_and_names_no_structure() {
    for unit in ["4997 00367909006", "A99700", "4", "499-700", "49970036790900a", &"9".repeat(32)] {
        let read = read(&params(&[(DnType::OrganizationalUnitName, unit), (DnType::CommonName, "x")])).unwrap();
        assert_eq!(read.units(), [unit]);
        assert!(matches!(read.structure(), Err(BadStructure::NotAnIdentifier(_))), "{unit}");
    }
}

#[test]
fn a_unit_with_a_nul_a_line_feed_or_300_characters_is_no_name() {
    for unit in ["499700\u{0}367909006", "499700367909006\n", &"9".repeat(300), ""] {
        let bad = read(&params(&[(DnType::OrganizationalUnitName, unit), (DnType::CommonName, "x")]));
        assert_eq!(bad.unwrap_err(), BadCertificate::Name, "{unit:?}");
    }
}

#[test]
fn two_common_names_are_refused() {
    let made = made(&params(&[(DnType::OrganizationalUnitName, "1"), (DnType::CommonName, "x")]));
    let mut der = made.der().to_vec();
    let at: Vec<usize> = (0..der.len() - 3).filter(|at| der[*at..*at + 3] == [0x55, 4, 11]).collect();
    at.iter().for_each(|at| der[at + 2] = 3);
    assert_eq!(Certificate::from_der(&der), Err(BadCertificate::Repeated("CN")));
}

#[test]
fn a_bmp_string_is_read_exactly() {
    let mut params = params(&[]);
    let text = BmpString::try_from("Cabinet é").unwrap();
    params.distinguished_name.push(DnType::CommonName, DnValue::BmpString(text));
    assert_eq!(read(&params).unwrap().common_name(), Some("Cabinet é"));
}

#[test]
fn a_teletex_string_is_refused() {
    let mut params = params(&[]);
    let text = rcgen::string::TeletexString::try_from("Cabinet").unwrap();
    params.distinguished_name.push(DnType::CommonName, DnValue::TeletexString(text));
    assert_eq!(read(&params), Err(BadCertificate::Name));
}

#[test]
fn what_the_extensions_allow_is_kept() {
    let leaf = read(&structure()).unwrap();
    assert_eq!((leaf.uses.ca, leaf.uses.client), (false, Some(true)));
    let mut authority = structure();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority = read(&authority).unwrap();
    assert!(authority.is_ca());
    assert_eq!(authority.uses.path_length, Some(1));
    assert_eq!((authority.uses.signs_certificates, authority.uses.signs_lists), (Some(true), Some(false)));
    let mut unknown = structure();
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
    extension.set_criticality(true);
    unknown.custom_extensions = vec![extension];
    assert!(read(&unknown).unwrap().uses.unknown_critical);
}

#[test]
fn der_cut_short_or_with_bytes_behind_it_is_refused() {
    let der = made(&structure()).der().to_vec();
    let mut long = der.clone();
    long.push(0);
    assert_eq!(Certificate::from_der(&long), Err(BadCertificate::NotWhole));
    assert_eq!(Certificate::read_all(&long), Err(BadCertificate::NotWhole));
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
    assert_eq!(Certificate::from_der(&vec![0x30; 64 * 1024 + 1]), Err(BadCertificate::TooLarge));
}

#[test]
fn a_file_is_pem_with_one_or_many_or_one_in_der() {
    let (one, other) = (made(&structure()), made(&structure()));
    assert_eq!(Certificate::read_all(one.der()).unwrap().len(), 1);
    let both = format!("subject=x\n{}issuer=y\n{}", one.pem(), other.pem());
    let read = Certificate::read_all(both.as_bytes()).unwrap();
    assert_eq!((read[0].der(), read[1].der()), (&one.der()[..], &other.der()[..]));
    let crlf = one.pem().replace('\n', "\r\n");
    assert_eq!(Certificate::read_all(crlf.as_bytes()).unwrap().len(), 1);
}

#[test]
fn malformed_pem_is_refused_with_what_was_expected() {
    let pem = made(&structure()).pem();
    let cases = [
        (String::new(), BadCertificate::Empty),
        ("<html>maintenance</html>".to_owned(), BadCertificate::NeitherPemNorDer),
        ("0 is no certificate".to_owned(), BadCertificate::NeitherPemNorDer),
        (pem.replace("-----END CERTIFICATE-----", ""), BadCertificate::Pem),
        (pem.replace("MII", "M!I"), BadCertificate::Pem),
        (format!("{pem}-----BEGIN CERTIFICATE----\n"), BadCertificate::Pem),
        (format!("{pem}{}", pem.replace("-----BEGIN", "x-----BEGIN")), BadCertificate::Pem),
        (pem.repeat(65), BadCertificate::TooMany),
        (pem.replace("CERTIFICATE", "CERTIFICATE REQUEST"), BadCertificate::OtherLabel),
        (pem.replace("CERTIFICATE", "X509 CRL"), BadCertificate::OtherLabel),
    ];
    for (file, expected) in cases {
        assert_eq!(Certificate::read_all(file.as_bytes()).unwrap_err(), expected, "{file:.80}");
    }
}

#[test]
fn a_private_key_is_refused_and_not_repeated() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let file = format!("{}{key}", made(&structure()).pem());
    let error = Certificate::read_all(file.as_bytes()).unwrap_err();
    assert_eq!(error, BadCertificate::PrivateKey);
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(secret));
}

#[test]
fn a_fingerprint_is_read_with_colons_or_without_and_shown_without() {
    let plain = Fingerprint::of(b"x").to_string();
    let pairs: Vec<&str> = (0..32).filter_map(|at| plain.get(2 * at..2 * at + 2)).collect();
    for text in [plain.clone(), plain.to_uppercase(), pairs.join(":"), pairs.join(":").to_uppercase()] {
        assert_eq!(Fingerprint::parse(&text).unwrap(), Fingerprint::of(b"x"));
    }
    let half = format!("{}:{}", pairs[..16].concat(), pairs[16..].concat());
    for bad in [
        "",
        "00",
        &plain.repeat(2),
        &half,
        &plain.replace(char::is_alphanumeric, "g"),
        &pairs.join("-"),
        &"é".repeat(32),
    ] {
        assert!(Fingerprint::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_serial_is_a_positive_number_of_at_most_20_octets() {
    let text = |content: &[u8]| Serial::from_integer(content).map(|serial| serial.to_string());
    assert_eq!(text(&[1]).as_deref(), Some("01"));
    assert_eq!(text(&[0, 0x80]).as_deref(), Some("80"));
    assert_eq!(text(&[0x7f; 20]).map(|text| text.len()), Some(40));
    for bad in [&[][..], &[0], &[0x80], &[0, 1], &[0, 0, 0x80], &[1; 21]] {
        assert_eq!(text(bad), None, "{bad:?}");
    }
}

#[test]
fn a_structure_identifier_is_a_digit_and_what_follows_it() {
    for good in ["499700367909006", "318751275100020", "12A0021832"] {
        assert_eq!(StructureId::parse(good).unwrap().to_string(), good);
    }
    for bad in ["", "4", "A1", "4 1", "4a", "４１", "41\n"] {
        assert!(StructureId::parse(bad).is_err(), "{bad:?}");
    }
}
