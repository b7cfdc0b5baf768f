//! Which professional a token speaks of: the national identifier (idNat) among its claims.
//!
//! Owns the order of preference and the shape of an identifier. It never normalises one: identifiers are compared byte
//! for byte, as Pro Santé Connect prints them.

use crate::reason::DenyReason;

/// Longest identifier taken, in bytes. The longest form known, a type digit, a SIRET, a slash and an internal number,
/// stays under 40.
const MAX_IDENTITY: usize = 128;

/// The claims in which an identifier may stand.
#[derive(Clone, Copy)]
pub(crate) struct Candidates<'c> {
    /// `SubjectNameID`.
    pub(crate) name_id: Option<&'c str>,
    /// `preferred_username`.
    pub(crate) username: Option<&'c str>,
    /// `sub`.
    pub(crate) subject: Option<&'c str>,
}

/// The identifier to rest on, and whether another one in the token differs from it.
///
/// `SubjectNameID`, else `preferred_username`, else the tail of `sub`; an empty claim counts as absent, as Pro Santé
/// Connect prints empty strings for what it doesn't know. A preferred claim that is present and unusable is refused
/// rather than passed over: falling through would pick a person the provider did not name first.
///
/// # Errors
/// `identity-missing`.
pub(crate) fn choose<'c>(candidates: &Candidates<'c>) -> Result<(&'c str, bool), DenyReason> {
    let mut present = [
        candidates.name_id.filter(|text| !text.is_empty()),
        candidates.username.filter(|text| !text.is_empty()),
        candidates.subject.and_then(subject_tail),
    ]
    .into_iter()
    .flatten();
    let chosen = present.next().filter(|text| is_identity(text)).ok_or(DenyReason::IdentityMissing)?;
    Ok((chosen, present.any(|other| other != chosen)))
}

/// The idNat at the end of a Keycloak federated subject, `f:<federation>:<idNat>`. A subject of another form (a plain
/// UUID) holds none. The idNat may hold a slash (`500000000000017/CPAT00001`), never a colon.
fn subject_tail(subject: &str) -> Option<&str> {
    let (federation, tail) = subject.strip_prefix("f:")?.rsplit_once(':')?;
    (!federation.is_empty() && !tail.is_empty()).then_some(tail)
}

/// Printable ASCII without blanks, at most [`MAX_IDENTITY`] bytes.
fn is_identity(text: &str) -> bool {
    (1..=MAX_IDENTITY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of<'c>(name_id: &'c str, username: &'c str, subject: &'c str) -> Candidates<'c> {
        let given = |text: &'c str| (text != "-").then_some(text);
        Candidates { name_id: given(name_id), username: given(username), subject: given(subject) }
    }

    #[test]
    fn the_first_claim_that_is_there_names_the_person() {
        let sub = "f:550dc1c8:899700000011";
        for (candidates, chosen, differ) in [
            (of("899700000011", "899700000011", sub), "899700000011", false),
            (of("-", "899700000011", sub), "899700000011", false),
            (of("", "899700000011", sub), "899700000011", false),
            (of("-", "-", sub), "899700000011", false),
            (of("", "", sub), "899700000011", false),
            (of("A", "B", sub), "A", true),
            (of("A", "A", sub), "A", true),
            (of("A", "A", "0e9c2d7c-0000-4000-8000-000000000000"), "A", false),
            (of("-", "-", "f:550dc1c8:500000000000017/CPAT00001"), "500000000000017/CPAT00001", false),
            (of("a", "A", "-"), "a", true),
        ] {
            assert_eq!(choose(&candidates), Ok((chosen, differ)));
        }
    }

    #[test]
    fn without_a_usable_identifier_there_is_no_login() {
        for candidates in [
            of("-", "-", "-"),
            of("", "", ""),
            of("-", "-", "0e9c2d7c-0000-4000-8000-000000000000"),
            of("-", "-", "f:550dc1c8:"),
            of("-", "-", "f::899700000011"),
            of("-", "-", "899700000011"),
            of("8997 00000011", "899700000011", "-"),
            of("899700000011\n", "899700000011", "-"),
            of("é", "899700000011", "-"),
        ] {
            assert_eq!(choose(&candidates), Err(DenyReason::IdentityMissing));
        }
        let long = "8".repeat(129);
        assert!(choose(&of(&long, "-", "-")).is_err());
        assert!(choose(&of(&long[1..], "-", "-")).is_ok());
    }

    proptest! {
        #[test]
        fn the_identity_is_always_bytes_of_the_token(name in ".{0,6}", user in ".{0,6}", sub in "(f:)?[a:]{0,3}.{0,6}") {
            if let Ok((chosen, _)) = choose(&of(&name, &user, &sub)) {
                let tail = format!(":{chosen}");
                prop_assert!(chosen == name || chosen == user || sub.ends_with(&tail));
                prop_assert!(chosen.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
