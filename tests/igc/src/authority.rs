//! One authority: its certificate, what it signs and what it takes back.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SigningKey as _,
};

use crate::clock::moment;
use crate::der::{element, sequence};
use crate::{DAY, Leaf};

/// Something signed, in both forms.
#[derive(Clone, Debug)]
pub struct PemDer {
    /// PEM.
    pub pem: String,
    /// DER.
    pub der: Vec<u8>,
}

/// A certificate authority.
pub struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    serial: Vec<u8>,
    subject: Vec<u8>,
    revoked: Mutex<Vec<Vec<u8>>>,
}

/// A serial number of 16 octets, as random as the key.
pub(crate) fn serial(key: &KeyPair) -> Vec<u8> {
    let mut serial: Vec<u8> = rcgen::PublicKeyData::der_bytes(key).iter().copied().skip(1).take(16).collect();
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    serial
}

impl Authority {
    pub(crate) fn root(cn: &str, ou: &str, now: u64) -> Result<Self> {
        let (params, key, serial) = params(cn, ou, now)?;
        Ok(Self::of(CertifiedIssuer::self_signed(params, key)?, serial, (ou, cn)))
    }

    pub(crate) fn below(&self, cn: &str, ou: &str, now: u64) -> Result<Self> {
        let (params, key, serial) = params(cn, ou, now)?;
        Ok(Self::of(CertifiedIssuer::signed_by(params, key, &self.issuer)?, serial, (ou, cn)))
    }

    fn of(issuer: CertifiedIssuer<'static, KeyPair>, serial: Vec<u8>, name: (&str, &str)) -> Self {
        Self { issuer, serial, subject: subject(name.0, name.1), revoked: Mutex::default() }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.issuer.der()
    }

    /// The serial number of its certificate.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Its name, DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Puts a certificate of its own on the lists that it signs from now on.
    pub fn revoke(&self, leaf: &Leaf) {
        self.revoke_serial(&leaf.serial);
    }

    /// The same by its serial number: that of an authority below this one, for instance.
    pub fn revoke_serial(&self, serial: &[u8]) {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).push(serial.to_vec());
    }

    /// A revocation list with this number, between two moments, Unix seconds.
    ///
    /// # Errors
    /// The library's.
    pub fn crl(&self, number: u64, this_update: u64, next_update: u64) -> Result<PemDer> {
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let entry = |serial: Vec<u8>| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial),
            revocation_time: moment(this_update).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: moment(this_update).into(),
            next_update: moment(next_update).into(),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer)?;
        Ok(PemDer { pem: list.pem()?, der: list.der().to_vec() })
    }

    /// Signs whatever is given (a TBSCertList, DER) and puts it together: ecdsa-with-SHA256.
    ///
    /// # Errors
    /// The library's.
    pub fn sign(&self, to_be_signed: &[u8]) -> Result<Vec<u8>> {
        let signature = [&[0], &self.issuer.key().sign(to_be_signed)?[..]].concat();
        Ok(sequence(&[to_be_signed.to_vec(), algorithm(), element(0x03, &signature)]))
    }
}

/// ecdsa-with-SHA256 as an AlgorithmIdentifier (RFC 5758 section 3.2).
pub(crate) fn algorithm() -> Vec<u8> {
    sequence(&[element(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])])
}

const ORGANIZATION: &str = "ASIP-SANTE";
const COUNTRY_UNIT: &str = "0002 187512751";

/// A second OU: the library keeps one value for each type that it knows.
pub(crate) const OTHER_UNIT: [u64; 4] = [2, 5, 4, 11];

fn params(cn: &str, ou: &str, now: u64) -> Result<(CertificateParams, KeyPair, Vec<u8>)> {
    let mut params = CertificateParams::new(Vec::new())?;
    let name = &mut params.distinguished_name;
    *name = rcgen::DistinguishedName::new();
    name.push(DnType::CountryName, rcgen::DnValue::PrintableString("FR".try_into()?));
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::OrganizationalUnitName, COUNTRY_UNIT);
    name.push(DnType::CustomDnType(OTHER_UNIT.to_vec()), ou);
    name.push(DnType::CommonName, cn);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = moment(now - 365 * DAY).into();
    params.not_after = moment(now + 9 * 365 * DAY).into();
    let key = KeyPair::generate()?;
    let serial = serial(&key);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok((params, key, serial))
}

/// The same name in DER.
fn subject(ou: &str, cn: &str) -> Vec<u8> {
    let attribute = |last: u8, tag: u8, value: &str| {
        let pair = sequence(&[element(0x06, &[0x55, 0x04, last]), element(tag, value.as_bytes())]);
        element(0x31, &pair)
    };
    sequence(&[
        attribute(6, 0x13, "FR"),
        attribute(10, 0x0c, ORGANIZATION),
        attribute(11, 0x0c, COUNTRY_UNIT),
        attribute(11, 0x0c, ou),
        attribute(3, 0x0c, cn),
    ])
}
