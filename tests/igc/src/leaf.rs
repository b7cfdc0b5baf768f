//! Certificates that are no authority's.

use anyhow::{Result, ensure};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SerialNumber};

use crate::authority::{Authority, OTHER_UNIT, serial};
use crate::clock::moment;

/// A certificate with its key.
#[derive(Clone)]
pub struct Leaf {
    /// The certificate and its issuer's, PEM: what a client shows.
    pub chain_pem: String,
    /// The certificate alone, PEM.
    pub certificate_pem: String,
    /// Its private key, PKCS #8 PEM.
    pub key_pem: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Octets of its serial number: 16.
    pub serial: Vec<u8>,
    /// SHA-256 of the DER, 64 hexadecimal digits in lower case.
    pub fingerprint: String,
}

type Validity = (u64, u64);

pub(crate) fn organisation(
    authority: &Authority,
    (ous, o, cn): (&[&str], &str, &str),
    validity: Validity,
) -> Result<Leaf> {
    ensure!(ous.len() <= 2, "two OUs at most");
    let mut params = params(validity, ExtendedKeyUsagePurpose::ClientAuth)?;
    let name = &mut params.distinguished_name;
    name.push(DnType::StateOrProvinceName, "Paris (75)");
    name.push(DnType::OrganizationName, o);
    for (ou, kind) in ous.iter().zip([DnType::OrganizationalUnitName, DnType::CustomDnType(OTHER_UNIT.to_vec())]) {
        name.push(kind, *ou);
    }
    name.push(DnType::CommonName, cn);
    signed(authority, params)
}

pub(crate) fn server(authority: &Authority, names: &[&str], validity: Validity) -> Result<Leaf> {
    let mut params = params(validity, ExtendedKeyUsagePurpose::ServerAuth)?;
    let named = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.subject_alt_names = named.subject_alt_names;
    params.distinguished_name.push(DnType::OrganizationName, "SERVICE DE TEST");
    params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("localhost"));
    signed(authority, params)
}

pub(crate) fn professional(authority: &Authority, validity: Validity) -> Result<Leaf> {
    let mut params = params(validity, ExtendedKeyUsagePurpose::ClientAuth)?;
    let name = &mut params.distinguished_name;
    name.push(DnType::CustomDnType(vec![2, 5, 4, 12]), "Médecin");
    name.push(DnType::CustomDnType(vec![2, 5, 4, 4]), "DOC0036791");
    name.push(DnType::CustomDnType(vec![2, 5, 4, 42]), "KIT");
    name.push(DnType::CommonName, "899700367917");
    signed(authority, params)
}

fn params((from, until): Validity, purpose: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, rcgen::DnValue::PrintableString("FR".try_into()?));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    (params.not_before, params.not_after) = (moment(from).into(), moment(until).into());
    Ok(params)
}

pub(crate) fn listed_at(authority: &Authority, address: &str, validity: Validity) -> Result<Leaf> {
    let mut params = params(validity, ExtendedKeyUsagePurpose::ClientAuth)?;
    params.distinguished_name.push(DnType::OrganizationalUnitName, "318751275100020");
    params.distinguished_name.push(DnType::CommonName, "DRIMbox");
    params.crl_distribution_points = vec![rcgen::CrlDistributionPoint { uris: vec![address.to_owned()] }];
    signed(authority, params)
}

/// Another certificate of the same key, as a structure gets that sends its old request again.
pub(crate) fn renewed(authority: &Authority, leaf: &Leaf, (ou, cn): (&str, &str), validity: Validity) -> Result<Leaf> {
    let mut params = params(validity, ExtendedKeyUsagePurpose::ClientAuth)?;
    params.distinguished_name.push(DnType::OrganizationalUnitName, ou);
    params.distinguished_name.push(DnType::CommonName, cn);
    let mut serial = leaf.serial.clone();
    serial.reverse();
    signed_with(authority, params, &KeyPair::from_pem(&leaf.key_pem)?, serial)
}

fn signed(authority: &Authority, params: CertificateParams) -> Result<Leaf> {
    let key = KeyPair::generate()?;
    let serial = serial(&key);
    signed_with(authority, params, &key, serial)
}

fn signed_with(authority: &Authority, mut params: CertificateParams, key: &KeyPair, serial: Vec<u8>) -> Result<Leaf> {
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate = params.signed_by(key, &authority.issuer)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    Ok(Leaf {
        chain_pem: [certificate.pem(), authority.pem()].concat(),
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        der: certificate.der().to_vec(),
        serial,
        fingerprint: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
