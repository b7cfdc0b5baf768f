//! Distinguished names as text: RFC 4514, and the attributes that Octroi looks at.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::X509Name;

use super::x509::BadCertificate;

/// Longest value of one attribute that is read, in bytes.
const VALUE_MAX: usize = 255;
/// Most attributes of one name.
const ATTRIBUTES_MAX: usize = 32;

/// What is kept of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// RFC 4514: the last attribute of the certificate first.
    pub(super) text: String,
    /// All values of OU, in the certificate's order.
    pub(super) units: Vec<String>,
    /// The only CN.
    pub(super) common_name: Option<String>,
    /// The only O.
    pub(super) organization: Option<String>,
}

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const UNIT: &str = "2.5.4.11";

/// Short names: RFC 4514 section 3, and those of RFC 4519 that health professionals' certificates use.
const SHORT: &[(&str, &str)] = &[
    (COMMON_NAME, "CN"),
    (ORGANIZATION, "O"),
    (UNIT, "OU"),
    ("2.5.4.4", "sn"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.12", "title"),
    ("2.5.4.42", "givenName"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

impl Name {
    pub(super) fn read(name: &X509Name<'_>) -> Result<Self, BadCertificate> {
        let mut read = Self::default();
        let mut relative = Vec::new();
        if name.iter_attributes().count() > ATTRIBUTES_MAX {
            return Err(BadCertificate::Name);
        }
        for several in name.iter() {
            let mut text = String::new();
            for attribute in several.iter() {
                let (oid, value) = (attribute.attr_type().to_id_string(), attribute.attr_value());
                let separator = if text.is_empty() { "" } else { "+" };
                text.push_str(separator);
                read.take(&oid, value, &mut text)?;
            }
            relative.push(text);
        }
        relative.reverse();
        read.text = relative.join(",");
        Ok(read)
    }

    fn take(&mut self, oid: &str, value: &Any<'_>, text: &mut String) -> Result<(), BadCertificate> {
        let Some((_, short)) = SHORT.iter().find(|(known, _)| *known == oid) else {
            // A type without a short name is written in hexadecimal (RFC 4514 section 2.4), whatever it holds.
            let _ = write!(text, "{oid}=#{}", hex(value));
            return Ok(());
        };
        let value = string(value)?;
        let _ = write!(text, "{short}={}", escaped(&value));
        let only = match oid {
            UNIT => {
                self.units.push(value);
                return Ok(());
            }
            COMMON_NAME => &mut self.common_name,
            ORGANIZATION => &mut self.organization,
            _ => return Ok(()),
        };
        // Which of two would count is for nobody to guess.
        if only.replace(value).is_some() { Err(BadCertificate::Repeated(short)) } else { Ok(()) }
    }
}

/// The text of a DirectoryString and its like: exactly what is written, or an error.
fn string(value: &Any<'_>) -> Result<String, BadCertificate> {
    if value.data.len() > VALUE_MAX {
        return Err(BadCertificate::Name);
    }
    let text = match value.tag() {
        Tag::Utf8String => String::from_utf8(value.data.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString if value.data.is_ascii() => {
            String::from_utf8(value.data.to_vec()).ok()
        }
        Tag::BmpString if value.data.len().is_multiple_of(2) => {
            let units =
                value.data.chunks_exact(2).map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    };
    text.filter(|text| !text.is_empty() && !text.chars().any(char::is_control)).ok_or(BadCertificate::Name)
}

/// RFC 4514 section 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (at, character) in value.chars().enumerate() {
        let special = matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\');
        let at_start = at == 0 && matches!(character, ' ' | '#');
        if special || at_start || (at == last && character == ' ') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn hex(value: &Any<'_>) -> String {
    use x509_parser::asn1_rs::ToDer as _;
    let der = value.to_der_vec().unwrap_or_default();
    der.iter().map(|byte| format!("{byte:02x}")).collect()
}
