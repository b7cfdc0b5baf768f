//! Takes the signature out of what a client showed, so that what is left opens nothing.
//!
//! Strict on purpose: a message that is not wholly understood could hide a good token in pieces, and is not recorded.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// Longest run of token characters that may stand outside the token. Addresses and host names are shorter between their
/// dots and at signs; the shortest signature has 86 (ES256).
const RUN: usize = 64;

/// A bare token without its signature. `None`: it is not three or five parts of base64url of which those that are kept,
/// header and claims, are JSON objects.
pub(super) fn token(shown: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(shown).ok()?;
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    if !parts.iter().all(|part| part.bytes().all(is_token)) {
        return None;
    }
    // Of an encrypted token (RFC 7516) all but the header, of a signed one (RFC 7515) the signature.
    let kept = match parts.len() {
        3 => 2,
        5 => 1,
        _ => return None,
    };
    // A signature that somebody put where a header belongs must not come through as one.
    if !parts.iter().take(kept).all(|part| is_object(part)) {
        return None;
    }
    parts.iter_mut().skip(kept).for_each(|part| *part = "A".repeat(part.len()));
    Some(parts.join("."))
}

/// A SASL message (base64) without its token's signature, in base64 again. `None`: it is not base64, or not one token
/// in a message without anything else that could be one.
pub(super) fn message(response: &[u8]) -> Option<String> {
    let message = STANDARD.decode(response).ok()?;
    let text = std::str::from_utf8(&message).ok()?;
    let start = text.to_ascii_lowercase().find("auth=bearer ")? + "auth=bearer ".len();
    let (before, rest) = text.split_at_checked(start)?;
    let end = rest.find('\u{1}')?;
    let (shown, after) = rest.split_at_checked(end)?;
    if !(is_short(before) && is_short(after)) {
        return None;
    }
    Some(STANDARD.encode(format!("{before}{}{after}", token(shown.as_bytes())?)))
}

/// A token's own dots are not counted in: two of its parts side by side are longer still.
pub(super) fn is_short(text: &str) -> bool {
    // The whole of it is shorter than an RSA signature, the usual one: cut into many runs it must not come through
    // either.
    text.len() < 342 && text.split(|c: char| !c.is_ascii() || !is_token(c as u8)).all(|run| run.len() < RUN)
}

fn is_object(part: &str) -> bool {
    URL_SAFE_NO_PAD.decode(part).is_ok_and(|json| serde_json::from_slice::<Map<String, Value>>(&json).is_ok())
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbXVzdC1uZXZlci1iZS13cml0dGVuLWFueXdoZXJlLWF0LWFsbC1hdC1hbGwtYXQtYWxs";

    /// `{"alg":"RS256"}` and `{"sub":"f:1:2"}`.
    const KEPT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJmOjE6MiJ9";
    const HEADER: &str = "eyJhbGciOiJSUzI1NiJ9";

    fn sasl(text: &str) -> Option<String> {
        let cleaned = message(STANDARD.encode(text).as_bytes())?;
        Some(String::from_utf8(STANDARD.decode(cleaned).unwrap()).unwrap())
    }

    #[test]
    fn the_signature_is_filler_of_the_same_length_and_everything_else_stays() {
        let filler = "A".repeat(SIGNATURE.len());
        let shown = format!("{KEPT}.{SIGNATURE}");
        assert_eq!(token(shown.as_bytes()), Some(format!("{KEPT}.{filler}")));
        for (before, after) in
            [("user=un@x.test\u{1}auth=Bearer ", "\u{1}\u{1}"), ("n,a=un@x.test,\u{1}auth=bearer ", "\u{1}\u{1}")]
        {
            assert_eq!(sasl(&format!("{before}{shown}{after}")), Some(format!("{before}{KEPT}.{filler}{after}")));
        }
        let encrypted = format!("{HEADER}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}.{SIGNATURE}");
        assert_eq!(token(encrypted.as_bytes()), Some(format!("{HEADER}.{filler}.{filler}.{filler}.{filler}")));
    }

    proptest::proptest! {
        /// Whatever stands around the token: nothing that is recorded has a piece of the signature that is worth
        /// anything.
        #[test]
        fn no_piece_of_a_signature_comes_through(pieces in proptest::collection::vec(0..12_usize, 1..12)) {
            let signature = "c2lnbmF0dXJl".repeat(28);
            let token = format!("{KEPT}.{signature}");
            let (half, rest) = signature.split_at(signature.len() / 2);
            let pieces: String = pieces
                .iter()
                .map(|piece| match piece {
                    0 => "user=",
                    1 | 2 => "\u{1}",
                    3 => "auth=Bearer ",
                    4 => &token,
                    5 => &signature,
                    6 => half,
                    7 => rest,
                    8 => ".",
                    9 => "n,a=un@x.test,",
                    10 => "host=imap.x.test",
                    _ => " ",
                })
                .collect();
            for text in [pieces.clone(), format!("user=un@x.test\u{1}auth=Bearer {token}\u{1}{pieces}")] {
                if let Some(recorded) = sasl(&text) {
                    proptest::prop_assert!(!recorded.contains("c2lnbmF0dXJlc2lnbmF0dXJl"), "{}", recorded);
                }
            }
        }
    }

    #[test]
    fn a_signature_in_the_place_of_header_or_claims_is_not_taken_for_them() {
        let good = format!("{KEPT}.{SIGNATURE}");
        for shown in
            [format!("{SIGNATURE}{good}"), format!("{HEADER}.{SIGNATURE}.{SIGNATURE}"), format!("W10.W10.{SIGNATURE}")]
        {
            assert_eq!(token(shown.as_bytes()), None, "{shown}");
            assert_eq!(sasl(&format!("auth=Bearer {shown}\u{1}")), None, "{shown}");
        }
    }

    #[test]
    fn what_is_not_wholly_understood_is_not_recorded() {
        let good = format!("{KEPT}.{SIGNATURE}");
        for shown in
            ["", "a.b", "a.b.c.d", &format!("{good}\n"), &good.replace('.', " "), &format!("{good}="), "a.b.c.d.e.f"]
        {
            assert_eq!(token(shown.as_bytes()), None, "{shown}");
        }
        assert_eq!(token(&[b'a', b'.', 0xff, b'.', b'c']), None);
        for message in [
            String::new(),
            format!("user=un@x.test\u{1}auth=Bearer {good}"),
            format!("user={SIGNATURE}\u{1}auth=Bearer {good}\u{1}\u{1}"),
            format!("user=un\u{1}auth=Bearer {good}\u{1}auth=Bearer {good}\u{1}\u{1}"),
            format!("user=un\u{1}token={good}\u{1}\u{1}"),
            format!("user=un\u{1}auth=Bearer {KEPT}.c {good}\u{1}\u{1}"),
            format!("user=un\u{1}auth=Bearer {KEPT}.c\u{1}{}\u{1}", "x ".repeat(300)),
        ] {
            assert_eq!(sasl(&message), None, "{message}");
        }
        assert_eq!(message(b"no base64!"), None);
    }
}
