//! One certificate revocation list (RFC 5280 section 5): verified, and kept as a sorted table of serial numbers.
//!
//! Complete lists of one authority alone. What limits a list to some certificates, or adds those of other authorities,
//! is refused: who reads past it takes a part for the whole.

mod error;
mod read;
mod table;

use std::borrow::Cow;

pub use error::BadCrl;

use super::chain::Authority;
use super::{Certificate, Fingerprint, Serial};
use crate::clock::UnixSeconds;
use table::Table;

/// Largest list, in bytes: some 400 000 entries.
pub(super) const SIZE_MAX: usize = 16 << 20;
/// How far in the future a list may be dated: two clocks differ, seconds.
const AHEAD: u64 = 300;

/// A list whose signature holds. Immutable.
#[derive(Clone, Debug)]
pub struct Crl {
    number: Number,
    this_update: UnixSeconds,
    next_update: UnixSeconds,
    content: Fingerprint,
    /// Addresses: it speaks of certificates that name one of them alone. `None`: of all that its authority issued.
    places: Option<Box<[Box<[u8]>]>>,
    revoked: Table,
}

/// CRL number (RFC 5280 section 5.2.3): up to 20 octets, padded on the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number([u8; Serial::MAX]);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // In decimal where it fits, as the authorities themselves print it.
        let (high, low) = self.0.split_at(4);
        let low = low.iter().fold(0_u128, |number, octet| number << 8 | u128::from(*octet));
        if high.iter().all(|octet| *octet == 0) {
            return write!(f, "{low}");
        }
        write!(f, "0x")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl std::fmt::Debug for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Number({self})")
    }
}

impl Crl {
    /// Reads a list in DER, or in PEM, and verifies it with the one of `authorities` whose name it carries and whose
    /// key signed it. Gives its place among them. Costs time: 200 000 entries some 50 ms.
    ///
    /// # Errors
    /// [`BadCrl`].
    pub fn read(file: &[u8], authorities: &[Authority], now: UnixSeconds) -> Result<(usize, Self), BadCrl> {
        let der = der(file)?;
        let parts = read::parts(&der)?;
        if parts.this_update.since(now) > AHEAD {
            return Err(BadCrl::Future);
        }
        let mut known = false;
        let place = authorities.iter().position(|authority| {
            let named = authority.subject_der() == parts.issuer;
            known |= named;
            named && authority.signs_lists() && parts.signed.is_signed_by(authority.spki())
        });
        let place = place.ok_or(if known { BadCrl::Signature } else { BadCrl::Issuer })?;
        let list = Self {
            number: Number(table::padded(parts.number)),
            this_update: parts.this_update,
            next_update: parts.next_update,
            content: Fingerprint::of(parts.signed.to_be_signed.whole),
            places: parts.places.map(|places| places.into_iter().map(Box::from).collect()),
            revoked: read::entries(parts.entries)?,
        };
        Ok((place, list))
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> Number {
        self.number
    }

    /// When it was made.
    #[must_use]
    pub const fn this_update(&self) -> UnixSeconds {
        self.this_update
    }

    /// By when the next one is made: later this one is out of date.
    #[must_use]
    pub const fn next_update(&self) -> UnixSeconds {
        self.next_update
    }

    /// SHA-256 of what is signed.
    #[must_use]
    pub const fn content(&self) -> Fingerprint {
        self.content
    }

    /// How many certificates it revokes.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.revoked.len()
    }

    /// Bytes that its entries take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.revoked.memory()
    }

    /// Whether it speaks of this certificate, of the authority that signed it (RFC 5280 section 6.3.3 (b) (2)): what it
    /// does not name is then not revoked.
    #[must_use]
    pub fn speaks_of(&self, certificate: &Certificate) -> bool {
        let names = |place: &[u8]| certificate.points.iter().any(|point| point.as_bytes() == place);
        self.places.as_ref().is_none_or(|places| places.iter().any(|place| names(place)))
    }

    /// Whether it revokes the certificate of this number, of the authority that signed it.
    #[must_use]
    pub fn revokes(&self, serial: &Serial) -> bool {
        self.revoked.contains(serial.as_bytes())
    }

    /// Whether it may take the place of `held`: a list never gives way to an older one, nor to another one of the same
    /// number.
    ///
    /// # Errors
    /// [`BadCrl::OlderNumber`], [`BadCrl::SameNumber`], [`BadCrl::OlderDate`].
    pub fn may_replace(&self, held: &Self) -> Result<(), BadCrl> {
        if self.number < held.number {
            return Err(BadCrl::OlderNumber);
        }
        if self.number == held.number && self.content != held.content {
            return Err(BadCrl::SameNumber);
        }
        if self.this_update < held.this_update {
            return Err(BadCrl::OlderDate);
        }
        Ok(())
    }
}

/// The DER of a list that comes as DER or as PEM with one list and nothing else.
///
/// # Errors
/// [`BadCrl`]: what the file is instead.
pub(super) fn der(file: &[u8]) -> Result<Cow<'_, [u8]>, BadCrl> {
    if file.len() > SIZE_MAX {
        return Err(BadCrl::TooLarge);
    }
    let text = file.trim_ascii_start();
    match text {
        [] => Err(BadCrl::Empty),
        _ if file.first() == Some(&super::der::SEQUENCE) => Ok(Cow::Borrowed(file)),
        [b'<', ..] => Err(BadCrl::Html),
        _ if text.starts_with(b"-----BEGIN") => {
            let mut blocks = x509_parser::pem::Pem::iter_from_buffer(text);
            let block = blocks.next().and_then(Result::ok).ok_or(BadCrl::Pem)?;
            let single = memchr::memmem::find_iter(text, b"-----BEGIN").count() == 1;
            if block.label == "X509 CRL" && single { Ok(Cow::Owned(block.contents)) } else { Err(BadCrl::Pem) }
        }
        _ => Err(BadCrl::NotACrl),
    }
}

/// SHA-256 of what is signed in a list in DER; `None` where it is none. Verifies nothing.
pub(super) fn content(der: &[u8]) -> Option<Fingerprint> {
    super::der::Signed::read(der).ok().map(|signed| Fingerprint::of(signed.to_be_signed.whole))
}
