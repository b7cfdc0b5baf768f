//! A reader of DER (X.690 section 10) that copies nothing and holds nothing: one element after the other.
//!
//! For what must not be read into memory as a whole (a list of 200 000 serials), and for what a parser throws away (the
//! signed bytes, the algorithm as written).

/// BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// OBJECT IDENTIFIER.
pub(super) const OID: u8 = 0x06;
/// ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0a;
/// SEQUENCE, constructed.
pub(super) const SEQUENCE: u8 = 0x30;
/// UTCTime.
pub(super) const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub(super) const GENERALIZED_TIME: u8 = 0x18;

/// Not DER where DER was expected, or another element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDer;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// Its identifier octet.
    pub(super) tag: u8,
    /// Its content.
    pub(super) content: &'a [u8],
    /// The whole of it, with identifier and length.
    pub(super) whole: &'a [u8],
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The identifier of the next element; `None` at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: one identifier octet, a definite length in as few octets as can be, up to 4 GiB.
    pub(super) fn next(&mut self) -> Result<Element<'a>, NotDer> {
        let [tag, first, rest @ ..] = self.0 else { return Err(NotDer) };
        if tag & 0x1f == 0x1f {
            return Err(NotDer);
        }
        let (length, rest) = match *first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(NotDer)?;
                let length = octets.iter().fold(0_u64, |length, octet| (length << 8) | u64::from(*octet));
                if length < 0x80 || octets.first() == Some(&0) {
                    return Err(NotDer);
                }
                (usize::try_from(length).map_err(|_| NotDer)?, rest)
            }
            _ => return Err(NotDer),
        };
        let (content, after) = rest.split_at_checked(length).ok_or(NotDer)?;
        let (whole, _) = self.0.split_at_checked(self.0.len() - after.len()).ok_or(NotDer)?;
        self.0 = after;
        Ok(Element { tag: *tag, content, whole })
    }

    /// The next element, which has this identifier.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        self.next().and_then(|element| if element.tag == tag { Ok(element) } else { Err(NotDer) })
    }

    /// The next element where it has this identifier; nothing is read where it has another.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, NotDer> {
        if self.peek() == Some(tag) { self.next().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(super) const fn end(&self) -> Result<(), NotDer> {
        if self.0.is_empty() { Ok(()) } else { Err(NotDer) }
    }
}

/// `SIGNED{}` of X.509: a certificate or a revocation list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// What is signed, with its header.
    pub(super) to_be_signed: Element<'a>,
    /// The algorithm, without its header.
    pub(super) algorithm: &'a [u8],
    /// The signature's octets.
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes `der` apart: exactly one element, nothing behind it.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, NotDer> {
        let mut outer = Reader::new(der);
        let mut parts = Reader::new(outer.expect(SEQUENCE)?.content);
        outer.end()?;
        let to_be_signed = parts.expect(SEQUENCE)?;
        let algorithm = parts.expect(SEQUENCE)?.content;
        let [0, signature @ ..] = parts.expect(BIT_STRING)?.content else { return Err(NotDer) };
        parts.end()?;
        Ok(Self { to_be_signed, algorithm, signature })
    }

    /// Whether the holder of `public_key` (SubjectPublicKeyInfo, DER) signed it, by an algorithm that TLS accepts
    /// today: no SHA-1, no RSA below 2048 bits.
    pub(super) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        let Some((key_algorithm, key)) = key(public_key) else { return false };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == key_algorithm
                && algorithm.verify_signature(key, self.to_be_signed.whole, self.signature).is_ok()
        })
    }
}

/// The algorithm and the key of a SubjectPublicKeyInfo.
fn key(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = Reader::new(Reader::new(spki).expect(SEQUENCE).ok()?.content);
    let algorithm = parts.expect(SEQUENCE).ok()?.content;
    let [0, key @ ..] = parts.expect(BIT_STRING).ok()?.content else { return None };
    Some((algorithm, key))
}
