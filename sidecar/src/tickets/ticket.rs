//! One ticket: what its bearer holds, and what the sidecar keeps of it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use zeroize::Zeroizing;

/// How a written ticket begins: told apart from a site's passwords and found by whoever searches a log for secrets.
const PREFIX: &[u8] = b"ticket-";

/// 128 random bits, written `ticket-` and 32 lower-case hexadecimal digits: fit for a password in every SASL mechanism,
/// an IMAP quoted string and a checkpassword request. A secret; wiped on drop.
pub struct Ticket(Zeroizing<[u8; 16]>);

/// What is kept of a ticket: SHA-256 of its bits. They are random, so that neither salt nor stretching adds anything;
/// and who looks one up compares digests, whose order of bytes nobody can steer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TicketHash([u8; SHA256_OUTPUT_LEN]);

impl Ticket {
    /// A fresh ticket. `None` when the system gives no random bytes.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bits = Zeroizing::new([0; 16]);
        aws_lc_rs::rand::fill(bits.as_mut_slice()).ok()?;
        Some(Self(bits))
    }

    /// Parses the written form; anything else is `None`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: &[u8; 32] = text.strip_prefix(PREFIX)?.try_into().ok()?;
        let mut bits = Zeroizing::new([0; 16]);
        for (bits, pair) in bits.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (pair.first().and_then(nibble), pair.last().and_then(nibble)) else {
                return None;
            };
            *bits = high << 4 | low;
        }
        Some(Self(bits))
    }

    /// The written form, for the one who asked for it; never for a log.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 32));
        text.push_str(&String::from_utf8_lossy(PREFIX));
        for byte in self.0.iter() {
            for nibble in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(nibble.into(), 16));
            }
        }
        text
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> TicketHash {
        let hash = digest(&SHA256, self.0.as_slice());
        // SHA-256 has 32 bytes. Were it otherwise, all tickets would share one hash and each would void the last.
        TicketHash(hash.as_ref().try_into().unwrap_or_default())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

const fn nibble(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(*digit - b'0'),
        b'a'..=b'f' => Some(*digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_form_is_read_back_and_fits_a_password() {
        let ticket = Ticket::random().unwrap();
        let text = ticket.expose();
        assert_eq!(Ticket::parse(text.as_bytes()).unwrap().hash(), ticket.hash());
        assert_eq!(text.len(), 39);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "a quoted string can't hold it");
        assert_ne!(Ticket::random().unwrap().hash(), ticket.hash());
    }

    #[test]
    fn only_the_written_form_parses() {
        let good = "ticket-0123456789abcdef0123456789abcdef";
        assert!(Ticket::parse(good.as_bytes()).is_some());
        for text in [
            "",
            "ticket-",
            "0123456789abcdef0123456789abcdef",
            "ticket-0123456789ABCDEF0123456789ABCDEF",
            "ticket-0123456789abcdef0123456789abcde",
            "ticket-0123456789abcdef0123456789abcdef0",
            "ticket-+123456789abcdef0123456789abcdef",
            "TICKET-0123456789abcdef0123456789abcdef",
            " ticket-0123456789abcdef0123456789abcdef",
            "ticket-0123456789abcdef0123456789abcdef\n",
            "ticket-0123456789abcdef0123456789abcde\0",
        ] {
            assert!(Ticket::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn debug_shows_no_bit_of_it() {
        assert_eq!(format!("{:?}", Ticket::random()), "Some(Ticket(..))");
    }
}
