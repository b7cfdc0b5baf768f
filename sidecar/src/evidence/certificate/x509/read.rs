//! From the bytes of a file to [`Certificate`]s, or to an error that tells how to mend the file.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::super::der::Signed;
use super::super::name::Name;
use super::{Certificate, Fingerprint, Serial, Uses};
use crate::clock::UnixSeconds;

/// Largest certificate, in bytes.
const SIZE_MAX: usize = 64 * 1024;
/// Most certificates of one file.
const COUNT_MAX: usize = 64;

/// Why there is no certificate to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// Nothing there.
    #[error("the file is empty: expected a certificate in PEM or DER")]
    Empty,
    /// Neither PEM nor DER.
    #[error("this is neither PEM (-----BEGIN CERTIFICATE-----) nor DER: expected a certificate in one of them")]
    NeitherPemNorDer,
    /// PEM that can't be read.
    #[error("the PEM is damaged: a line or an end is missing, or it is not Base64; export the certificate again")]
    Pem,
    /// A private key.
    #[error("the file holds a private key: keep it where it is used, and give a file with certificates alone")]
    PrivateKey,
    /// Another kind of PEM.
    #[error("the file holds something else than certificates: give a file with -----BEGIN CERTIFICATE----- alone")]
    OtherLabel,
    /// More than 64.
    #[error("the file holds more than {COUNT_MAX} certificates: give those that are needed alone")]
    TooMany,
    /// Larger than 64 KiB.
    #[error("the certificate is larger than {} KiB", SIZE_MAX / 1024)]
    TooLarge,
    /// Bytes behind the certificate, or less than a whole one.
    #[error("the certificate is not one whole DER element: it is cut short, or other bytes follow it")]
    NotWhole,
    /// Not RFC 5280.
    #[error("this is not an X.509 version 3 certificate as RFC 5280 describes it")]
    NotX509,
    /// A serial number that RFC 5280 does not allow.
    #[error("the serial number is not a positive number of at most 20 octets")]
    Serial,
    /// A name that can't be read.
    #[error(
        "a name in the certificate can't be read as text: empty, over 255 bytes, control characters, or another encoding"
    )]
    Name,
    /// Two of what there may be one of.
    #[error("a name in the certificate has more than one {0}: which one counts can't be told")]
    Repeated(&'static str),
    /// An extension that can't be read.
    #[error("an extension of the certificate can't be read, or stands in it twice")]
    Extension,
}

pub(super) fn all(file: &[u8]) -> Result<Vec<Certificate>, BadCertificate> {
    match file {
        [] => Err(BadCertificate::Empty),
        // The identifier of a SEQUENCE, and a length that a certificate can have.
        [0x30, 0x81..=0x84, ..] => Ok(vec![one(file)?]),
        _ => pem(file),
    }
}

fn pem(file: &[u8]) -> Result<Vec<Certificate>, BadCertificate> {
    let begins = memchr::memmem::find_iter(file, b"-----BEGIN").count();
    let mut certificates = Vec::new();
    match begins {
        0 => return Err(BadCertificate::NeitherPemNorDer),
        1..=COUNT_MAX => {}
        _ => return Err(BadCertificate::TooMany),
    }
    for block in Pem::iter_from_buffer(file) {
        let block = block.map_err(|_| BadCertificate::Pem)?;
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => certificates.push(one(&block.contents)?),
            label if label.ends_with("PRIVATE KEY") => return Err(BadCertificate::PrivateKey),
            _ => return Err(BadCertificate::OtherLabel),
        }
    }
    // A block that the reader passed over, as one whose first line is damaged, must not go missing unseen.
    if certificates.len() == begins { Ok(certificates) } else { Err(BadCertificate::Pem) }
}

pub(super) fn one(der: &[u8]) -> Result<Certificate, BadCertificate> {
    if der.len() > SIZE_MAX {
        return Err(BadCertificate::TooLarge);
    }
    // The reader is strict about lengths, and the parser about what is in them.
    Signed::read(der).map_err(|_| BadCertificate::NotWhole)?;
    let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| BadCertificate::NotX509)?;
    if !rest.is_empty() {
        return Err(BadCertificate::NotWhole);
    }
    if parsed.version().0 != 2 || parsed.signature_algorithm != parsed.tbs_certificate.signature {
        return Err(BadCertificate::NotX509);
    }
    let spki = parsed.public_key().raw;
    Ok(Certificate {
        fingerprint: Fingerprint::of(der),
        public_key: Fingerprint::of(spki),
        serial: Serial::from_integer(parsed.raw_serial()).ok_or(BadCertificate::Serial)?,
        issuer: Name::read(parsed.issuer())?,
        subject: Name::read(parsed.subject())?,
        not_before: moment(parsed.validity().not_before),
        not_after: moment(parsed.validity().not_after),
        issuer_der: parsed.issuer().as_raw().into(),
        subject_der: parsed.subject().as_raw().into(),
        spki: spki.into(),
        uses: uses(&parsed)?,
        points: points(&parsed),
        der: der.into(),
    })
}

/// A date before 1970 reads as 1970.
fn moment(time: ASN1Time) -> UnixSeconds {
    UnixSeconds(u64::try_from(time.timestamp()).unwrap_or(0))
}

/// Where the lists that speak of it are found: points for all reasons and by its own issuer alone.
fn points(parsed: &X509Certificate<'_>) -> Box<[Box<str>]> {
    let mut found = Vec::new();
    for extension in parsed.extensions() {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { continue };
        for point in points.points.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none()) {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else { continue };
            found.extend(names.iter().filter_map(|name| match name {
                GeneralName::URI(address) => Some(Box::from(*address)),
                _ => None,
            }));
        }
    }
    found.into()
}

fn uses(parsed: &X509Certificate<'_>) -> Result<Uses, BadCertificate> {
    let known = parsed.extensions_map().map_err(|_| BadCertificate::Extension)?;
    let mut uses = Uses {
        ca: false,
        path_length: None,
        signs_certificates: None,
        signs_lists: None,
        client: None,
        unknown_critical: false,
    };
    for extension in known.values() {
        match extension.parsed_extension() {
            ParsedExtension::ParseError { .. } => return Err(BadCertificate::Extension),
            ParsedExtension::BasicConstraints(basic) => {
                (uses.ca, uses.path_length) = (basic.ca, basic.path_len_constraint)
            }
            ParsedExtension::KeyUsage(usage) => {
                (uses.signs_certificates, uses.signs_lists) = (Some(usage.key_cert_sign()), Some(usage.crl_sign()));
            }
            // anyExtendedKeyUsage is not enough: these certificates are to say that they are a client's.
            ParsedExtension::ExtendedKeyUsage(usage) => uses.client = Some(usage.client_auth),
            // They tell a mail server nothing: the purpose is the policies' own, and a name besides the subject counts
            // nowhere here.
            ParsedExtension::SubjectAlternativeName(_) | ParsedExtension::CertificatePolicies(_) => {}
            _ if extension.critical => uses.unknown_critical = true,
            _ => {}
        }
    }
    Ok(uses)
}
