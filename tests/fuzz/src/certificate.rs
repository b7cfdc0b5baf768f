//! A file of certificates, of an operator or of whoever sent it to him.

use octroi::evidence::certificate::Certificate;

pub(crate) const SEEDS: &[&[u8]] = &[
    include_bytes!("../seeds/certificate.der"),
    b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
    b"<html>",
];

/// What is taken stands in the file to the byte, reads the same alone, and has names that can be shown.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(certificates) = Certificate::read_all(bytes) else { return };
    assert!((1..=64).contains(&certificates.len()));
    if bytes[0] == 0x30 {
        assert_eq!(certificates.iter().map(Certificate::der).collect::<Vec<_>>(), [bytes]);
    }
    for certificate in certificates {
        assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
        assert!((1..=20).contains(&certificate.serial().as_bytes().len()));
        for shown in [certificate.subject(), certificate.issuer()] {
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
        if let Ok(structure) = certificate.structure() {
            assert_eq!(certificate.units(), [structure.as_str()]);
            assert!(structure.as_str().bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
        }
    }
}
