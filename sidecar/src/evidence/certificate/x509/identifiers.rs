//! Fingerprints, serial numbers and structure identifiers.

use std::borrow::Borrow;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of a certificate or of a public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
        Self(fingerprint)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits of either case; all bytes separated by `:`, or none.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "a SHA-256 fingerprint has 64 hexadecimal digits, with ':' between all bytes or none";
        let pairs: Vec<&[u8]> = match text.len() {
            64 => text.as_bytes().chunks(2).collect(),
            95 => text.as_bytes().split(|byte| *byte == b':').collect(),
            _ => return Err(EXPECTED),
        };
        let mut fingerprint = [0; 32];
        if pairs.len() != fingerprint.len() {
            return Err(EXPECTED);
        }
        for (byte, pair) in fingerprint.iter_mut().zip(pairs) {
            let [high, low] = pair else { return Err(EXPECTED) };
            *byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or(EXPECTED)?;
        }
        Ok(Self(fingerprint))
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A certificate's serial number: the octets of a positive INTEGER without leading zero octets, at most 20 of them
/// (RFC 5280 section 4.1.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Box<[u8]>);

impl Serial {
    /// Most octets.
    pub const MAX: usize = 20;

    /// From the content octets of an INTEGER, DER. `None`: negative, zero, too long, or not DER.
    #[must_use]
    pub fn from_integer(content: &[u8]) -> Option<Self> {
        magnitude(content).map(|octets| Self(octets.into()))
    }

    /// The octets, the most significant first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The octets of a positive INTEGER: see [`Serial`].
pub(in crate::evidence::certificate) const fn magnitude(content: &[u8]) -> Option<&[u8]> {
    let octets = match content {
        // The sign's octet, there only where the number would look negative without it.
        [0, rest @ ..] => match rest {
            [0x80..=0xff, ..] => rest,
            _ => return None,
        },
        [0x01..=0x7f, ..] => content,
        _ => return None,
    };
    if octets.len() <= Serial::MAX { Some(octets) } else { None }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// A structure as certificates name it: a digit for the kind of identifier (1 FINESS, 3 SIRET, 4 RPPS of a practice),
/// and the identifier. Which kinds are accepted is for the policy to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StructureId(String);

impl StructureId {
    /// Reads one digit and 1 to 30 digits or ASCII capitals.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected one digit for the type, then 1 to 30 digits or capital letters A to Z";
        let [kind, identifier @ ..] = text.as_bytes() else { return Err(EXPECTED) };
        let good = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
        if kind.is_ascii_digit() && (1..=30).contains(&identifier.len()) && identifier.iter().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(EXPECTED)
        }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StructureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for StructureId {
    fn borrow(&self) -> &str {
        &self.0
    }
}
