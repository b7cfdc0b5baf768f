//! Revocation lists written by hand: those that no library would make, and large ones.

use anyhow::Result;

use crate::Authority;
use crate::authority::algorithm;
use crate::der::{element, integer, sequence, time};

/// An extension: object identifier (content octets), critical, value (DER).
pub type Extension = (Vec<u8>, bool, Vec<u8>);

/// cRLNumber.
pub const NUMBER: [u8; 3] = [0x55, 0x1d, 0x14];
/// deltaCRLIndicator.
pub const DELTA: [u8; 3] = [0x55, 0x1d, 0x1b];
/// issuingDistributionPoint.
pub const DISTRIBUTION_POINT: [u8; 3] = [0x55, 0x1d, 0x1c];
/// reasonCode of an entry.
pub const REASON: [u8; 3] = [0x55, 0x1d, 0x15];
/// certificateIssuer of an entry.
pub const CERTIFICATE_ISSUER: [u8; 3] = [0x55, 0x1d, 0x1d];

/// A list to be signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Content octets of the number, the most significant first; `None`: it has none.
    pub number: Option<Vec<u8>>,
    /// Unix seconds.
    pub this_update: u64,
    /// Unix seconds; `None`: it says nothing.
    pub next_update: Option<u64>,
    /// Serial numbers, each with its extensions.
    pub entries: Vec<(Vec<u8>, Vec<Extension>)>,
    /// Extensions beside the number.
    pub extensions: Vec<Extension>,
}

impl Draft {
    /// A list without entries, from `this_update` for 30 days.
    #[must_use]
    pub fn new(number: u64, this_update: u64) -> Self {
        Self {
            number: Some(number.to_be_bytes().to_vec()),
            this_update,
            next_update: Some(this_update + 30 * crate::DAY),
            entries: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// The same with `count` serial numbers of 16 octets, spread over all that there are.
    #[must_use]
    pub fn filled(mut self, count: u64) -> Self {
        self.entries.extend((0..count).map(|at| (spread(at).to_vec(), Vec::new())));
        self
    }

    /// Signed by `authority`, DER.
    ///
    /// # Errors
    /// The library's.
    pub fn signed_by(&self, authority: &Authority) -> Result<Vec<u8>> {
        let mut parts = vec![integer(&[1]), algorithm(), authority.subject().to_vec(), time(self.this_update)];
        parts.extend(self.next_update.map(time));
        if !self.entries.is_empty() {
            let date = time(self.this_update);
            let entries = self.entries.iter().map(|(serial, extensions)| {
                let mut entry = vec![integer(serial), date.clone()];
                entry.extend((!extensions.is_empty()).then(|| sequence(&self::extensions(extensions))));
                sequence(&entry)
            });
            parts.push(sequence(&entries.collect::<Vec<_>>()));
        }
        let number = self.number.iter().map(|number| (NUMBER.to_vec(), false, integer(number)));
        let all: Vec<Extension> = number.chain(self.extensions.iter().cloned()).collect();
        if !all.is_empty() {
            parts.push(element(0xa0, &sequence(&extensions(&all))));
        }
        authority.sign(&sequence(&parts))
    }
}

/// The `at`th of the serial numbers of [`Draft::filled`].
#[must_use]
pub fn spread(at: u64) -> [u8; 16] {
    let mixed = (u128::from(at) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed >> 2 | 1 << 126).to_be_bytes()
}

fn extensions(extensions: &[Extension]) -> Vec<Vec<u8>> {
    let one = |(oid, critical, value): &Extension| {
        let mut parts = vec![element(0x06, oid)];
        parts.extend(critical.then(|| element(0x01, &[0xff])));
        parts.push(element(0x04, value));
        sequence(&parts)
    };
    extensions.iter().map(one).collect()
}
