//! Serial numbers in compact memory: 20 bytes for each, sorted.

use super::Serial;

/// A number, padded on the left with zeros: which numbers are equal and which is larger stays as it was.
pub(super) type Padded = [u8; Serial::MAX];

/// `octets`, of which there are at most 20; more are cut on the left.
pub(super) fn padded(octets: &[u8]) -> Padded {
    let mut padded = [0; Serial::MAX];
    padded.iter_mut().rev().zip(octets.iter().rev()).for_each(|(to, from)| *to = *from);
    padded
}

#[derive(Clone)]
pub(super) struct Table(Box<[Padded]>);

impl Table {
    /// Sorts and drops what is there twice.
    pub(super) fn new(mut numbers: Vec<Padded>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        Self(numbers.into_boxed_slice())
    }

    pub(super) fn contains(&self, octets: &[u8]) -> bool {
        octets.len() <= Serial::MAX && self.0.binary_search(&padded(octets)).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} numbers)", self.len())
    }
}
