//! Takes a list apart, one entry after the other, with nothing in memory but the numbers.

use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::super::der::{
    BOOLEAN, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, NotDer, OCTET_STRING, OID, Reader, SEQUENCE, Signed,
    UTC_TIME,
};
use super::super::x509::magnitude;
use super::table::{Padded, Table, padded};
use super::{BadCrl, Serial};
use crate::clock::UnixSeconds;

impl From<NotDer> for BadCrl {
    fn from(_: NotDer) -> Self {
        Self::Malformed
    }
}

/// A list before its signature is verified.
pub(super) struct Parts<'a> {
    pub(super) signed: Signed<'a>,
    /// Name, DER.
    pub(super) issuer: &'a [u8],
    pub(super) this_update: UnixSeconds,
    pub(super) next_update: UnixSeconds,
    /// revokedCertificates.
    pub(super) entries: &'a [u8],
    /// Octets of the number, without leading zeros; none for 0.
    pub(super) number: &'a [u8],
    /// Addresses by which it speaks of certificates that name one of them alone. `None`: of all.
    pub(super) places: Places<'a>,
}

/// Addresses. `None`: the list has no place of its own.
type Places<'a> = Option<Vec<&'a [u8]>>;

/// Contents of the object identifiers below id-ce (2.5.29).
const NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON: &[u8] = &[0x55, 0x1d, 21];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
/// authorityKeyIdentifier: names and signature tell the authority.
const KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
/// crlExtensions, `[0] EXPLICIT`.
const EXTENSIONS: u8 = 0xa0;
/// distributionPoint, `[0] EXPLICIT`, of an issuingDistributionPoint, and what it may be: `[0]` or `[1]`.
const PLACE: u8 = 0xa0;
const FULL_NAME: u8 = 0xa0;
const RELATIVE_NAME: u8 = 0xa1;
/// uniformResourceIdentifier, `[6] IMPLICIT IA5String`, of a GeneralName.
const ADDRESS: u8 = 0x86;
/// indirectCRL, `[4] IMPLICIT BOOLEAN`.
const INDIRECT: u8 = 0x84;
/// CRLReason removeFromCRL (RFC 5280 section 5.3.1).
const REMOVE_FROM_CRL: u8 = 8;
/// Fewest octets of an entry: headers, a number of one octet and a UTCTime.
const ENTRY_MIN: usize = 20;

pub(super) fn parts(der: &[u8]) -> Result<Parts<'_>, BadCrl> {
    whole(der)?;
    let signed = Signed::read(der)?;
    let mut list = Reader::new(signed.to_be_signed.content);
    if list.expect(INTEGER)?.content != [1] || list.expect(SEQUENCE)?.content != signed.algorithm {
        return Err(BadCrl::Malformed);
    }
    let issuer = list.expect(SEQUENCE)?.whole;
    let this_update = time(list.next()?)?;
    let next_update = match list.peek() {
        Some(UTC_TIME | GENERALIZED_TIME) => time(list.next()?)?,
        _ => return Err(BadCrl::NoNextUpdate),
    };
    if next_update <= this_update {
        return Err(BadCrl::Dates);
    }
    let entries = list.optional(SEQUENCE)?.map_or(&[][..], |entries| entries.content);
    let (number, places) = match list.optional(EXTENSIONS)? {
        Some(explicit) => extensions(explicit.content)?,
        None => return Err(BadCrl::NoNumber),
    };
    list.end()?;
    Ok(Parts { signed, issuer, this_update, next_update, entries, number, places })
}

/// Tells a list that is cut short from one with other bytes behind it: what an operator does about them differs.
fn whole(der: &[u8]) -> Result<(), BadCrl> {
    let mut outer = Reader::new(der);
    match (outer.next(), der) {
        (Ok(_), _) if outer.is_empty() => Ok(()),
        (Ok(_), _) => Err(BadCrl::TrailingBytes),
        (Err(NotDer), [SEQUENCE, 0x81..=0x84, ..]) => Err(BadCrl::Truncated),
        (Err(NotDer), _) => Err(BadCrl::NotACrl),
    }
}

fn time(element: Element<'_>) -> Result<UnixSeconds, BadCrl> {
    let (_, time) = ASN1Time::from_der(element.whole).map_err(|_| BadCrl::Malformed)?;
    u64::try_from(time.timestamp()).map(UnixSeconds).map_err(|_| BadCrl::Malformed)
}

/// One extension.
struct Extension<'a> {
    id: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

fn extension<'a>(list: &mut Reader<'a>) -> Result<Extension<'a>, NotDer> {
    let mut parts = Reader::new(list.expect(SEQUENCE)?.content);
    let id = parts.expect(OID)?.content;
    let critical = match parts.optional(BOOLEAN)? {
        Some(Element { content: [0xff], .. }) => true,
        None => false,
        // DER leaves out what is the default (X.690 section 11.5).
        Some(_) => return Err(NotDer),
    };
    let value = parts.expect(OCTET_STRING)?.content;
    parts.end()?;
    Ok(Extension { id, critical, value })
}

/// The number, and the places; anything else that would change what the list means is refused.
fn extensions(explicit: &[u8]) -> Result<(&[u8], Places<'_>), BadCrl> {
    let mut outer = Reader::new(explicit);
    let mut list = Reader::new(outer.expect(SEQUENCE)?.content);
    outer.end()?;
    let (mut number, mut places) = (None, None);
    while !list.is_empty() {
        let extension = extension(&mut list)?;
        match extension.id {
            NUMBER if number.is_none() => number = Some(integer(extension.value)?),
            NUMBER => return Err(BadCrl::Malformed),
            DELTA => return Err(BadCrl::Delta),
            DISTRIBUTION_POINT if places.is_some() => return Err(BadCrl::Malformed),
            DISTRIBUTION_POINT => places = Some(scope(extension.value, extension.critical)?),
            KEY_IDENTIFIER => {}
            _ if extension.critical => return Err(BadCrl::UnknownCritical),
            _ => {}
        }
    }
    Ok((number.ok_or(BadCrl::NoNumber)?, places))
}

/// The addresses of an issuingDistributionPoint (RFC 5280 section 5.2.5) that names nothing but a place, for the list
/// then speaks of the certificates that name that place alone. Any by which a list covers more, or less, is refused.
fn scope(value: &[u8], critical: bool) -> Result<Vec<&[u8]>, BadCrl> {
    let mut outer = Reader::new(value);
    let mut fields = Reader::new(outer.expect(SEQUENCE)?.content);
    outer.end()?;
    let (mut places, mut limits) = (Vec::new(), false);
    while !fields.is_empty() {
        match fields.next()? {
            Element { tag: INDIRECT, content: [0xff], .. } => return Err(BadCrl::Indirect),
            Element { tag: PLACE, content, .. } => places.push(content),
            _ => limits = true,
        }
    }
    match (limits, &places[..], critical) {
        (true, ..) => Err(BadCrl::Partial),
        (false, [place], true) => addresses(place),
        (false, ..) => Err(BadCrl::Malformed),
    }
}

/// The addresses of a distributionPoint. One without an address can't be compared with what a certificate says.
fn addresses(place: &[u8]) -> Result<Vec<&[u8]>, BadCrl> {
    let mut name = Reader::new(place);
    let full = name.next()?;
    name.end()?;
    if full.tag != FULL_NAME {
        return Err(if full.tag == RELATIVE_NAME { BadCrl::Partial } else { BadCrl::Malformed });
    }
    let (mut names, mut found) = (Reader::new(full.content), Vec::new());
    while !names.is_empty() {
        let name = names.next()?;
        found.extend((name.tag == ADDRESS).then_some(name.content));
    }
    if found.is_empty() { Err(BadCrl::Partial) } else { Ok(found) }
}

/// Octets of an INTEGER of up to 20 octets that is not negative.
fn integer(value: &[u8]) -> Result<&[u8], BadCrl> {
    let mut reader = Reader::new(value);
    let content = reader.expect(INTEGER)?.content;
    reader.end()?;
    if content == [0] { Ok(&[]) } else { magnitude(content).ok_or(BadCrl::Malformed) }
}

pub(super) fn entries(entries: &[u8]) -> Result<Table, BadCrl> {
    let mut numbers: Vec<Padded> = Vec::with_capacity(entries.len() / (ENTRY_MIN + Serial::MAX / 2));
    let mut list = Reader::new(entries);
    while !list.is_empty() {
        let mut entry = Reader::new(list.expect(SEQUENCE)?.content);
        let number = entry.expect(INTEGER)?.content;
        if !matches!(entry.next()?.tag, UTC_TIME | GENERALIZED_TIME) {
            return Err(BadCrl::Malformed);
        }
        let revokes = match entry.optional(SEQUENCE)? {
            Some(extensions) => revokes(extensions.content)?,
            None => true,
        };
        entry.end()?;
        match number {
            [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => return Err(BadCrl::Malformed),
            _ => {}
        }
        // A number that no certificate may have is no certificate's that is read here.
        numbers.extend(magnitude(number).filter(|_| revokes).map(padded));
    }
    Ok(Table::new(numbers))
}

/// Whether an entry revokes: all do but one that only says that the certificate is on hold no longer.
fn revokes(extensions: &[u8]) -> Result<bool, BadCrl> {
    let mut list = Reader::new(extensions);
    let mut reason = None;
    while !list.is_empty() {
        let extension = extension(&mut list)?;
        match (extension.id, extension.value) {
            (CERTIFICATE_ISSUER, _) => return Err(BadCrl::Indirect),
            (REASON, [ENUMERATED, 1, code]) if reason.is_none() => reason = Some(*code),
            (REASON, _) => return Err(BadCrl::Malformed),
            _ if extension.critical => return Err(BadCrl::UnknownCritical),
            _ => {}
        }
    }
    Ok(reason != Some(REMOVE_FROM_CRL))
}
