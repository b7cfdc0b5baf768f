//! Mailbox addresses: what a client may name as the mailbox (BAL) to open.
//!
//! Owns the grammar and the lower-casing. It never repairs: an address is taken whole or refused.

use alloc::string::String;

/// Longest address, in bytes (RFC 5321 section 4.5.3.1.3: a path of 256 less its angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part, in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest label of a domain name, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// The address in lower case, when `bytes` is an ASCII dot-string, `@`, and a domain of at least two LDH labels
/// (RFC 5321 section 4.1.2). Quoted local parts, address literals and internationalised addresses are refused: none of
/// them is an MSSanté mailbox, and each is a way to slip separators past a mail server.
pub(crate) fn parse(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_ADDRESS)?;
    let (local, domain) = text.split_once('@')?;
    (is_local_part(local) && is_domain(domain)).then(|| text.to_ascii_lowercase())
}

fn is_local_part(local: &str) -> bool {
    local.len() <= MAX_LOCAL && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

fn is_domain(domain: &str) -> bool {
    domain.contains('.') && domain.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plausible_addresses_are_taken_in_lower_case() {
        for (given, taken) in [
            ("docteur.un@bal.example.test", "docteur.un@bal.example.test"),
            ("Docteur.UN@BAL.Example.TEST", "docteur.un@bal.example.test"),
            ("899700000011@bal.example.test", "899700000011@bal.example.test"),
            ("o'brien+suite@bal-1.example.test", "o'brien+suite@bal-1.example.test"),
        ] {
            assert_eq!(parse(given.as_bytes()).as_deref(), Some(taken));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for given in [
            "",
            "@",
            "a",
            "a@",
            "@b.test",
            "a@b",
            "a@b.",
            "a@.test",
            "a@b..test",
            ".a@b.test",
            "a.@b.test",
            "a..c@b.test",
            "a@b.test@c.test",
            "a b@c.test",
            "a@b.test ",
            " a@b.test",
            "a@b.test\0",
            "a\r\n@b.test",
            "\"a\"@b.test",
            "a@[127.0.0.1]",
            "a,c@b.test",
            "a;c@b.test",
            "<a@b.test>",
            "a:c@b.test",
            "docteur@bäl.test",
            "é@b.test",
            "a@-b.test",
            "a@b-.test",
            "a@b_c.test",
            "a\u{7f}@b.test",
        ] {
            assert_eq!(parse(given.as_bytes()), None, "{given:?}");
        }
        assert_eq!(parse(&[b'a', 0xff, b'@', b'b', b'.', b'c']), None);
    }

    #[test]
    fn lengths_are_bounded() {
        let label = "a".repeat(63);
        let at = |local: usize, domain: &str| parse(format!("{}@{domain}", "l".repeat(local)).as_bytes());
        assert!(at(64, "b.test").is_some());
        assert!(at(65, "b.test").is_none());
        assert!(at(1, &format!("{label}.test")).is_some());
        assert!(at(1, &format!("{label}a.test")).is_none());
        assert!(at(1, &format!("{label}.{label}.{label}.{}", "a".repeat(60))).is_some());
        assert!(at(1, &format!("{label}.{label}.{label}.{}", "a".repeat(61))).is_none());
    }

    proptest! {
        #[test]
        fn what_is_taken_is_lower_case_ascii_and_stable(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(taken) = parse(&bytes) {
                prop_assert!(taken.is_ascii());
                prop_assert!(bytes.eq_ignore_ascii_case(taken.as_bytes()));
                prop_assert_eq!(parse(taken.as_bytes()), Some(taken));
            }
        }
    }
}
