//! The set of mailboxes that one introspection answer carries, as a regular expression that Dovecot matches the
//! requested user against (2.3: POSIX extended; 2.4: POSIX extended, later PCRE2).
//!
//! The shape is always `^(member|member)$`. It must never match anything but its members: an empty expression matches
//! everybody, so an empty set has no rendering at all.

use thiserror::Error;

use crate::evidence::directory::MailboxAddress;

/// A rendered, anchored, escaped, bounded set. Only [`MailboxSet::render`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxSet(String);

/// Why a set has no rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SetError {
    /// No member: there is no expression that matches nobody in both of Dovecot's dialects.
    #[error("an empty set of mailboxes can't be rendered")]
    Empty,
    /// More members, or more bytes, than one answer carries.
    #[error("more mailboxes than one answer carries")]
    TooMany,
    /// A member holds a character that no bracket expression makes harmless.
    #[error("a mailbox address can't be rendered as a regular expression")]
    Unrenderable,
}

impl MailboxSet {
    /// Most members of one set.
    pub const MAX_MEMBERS: usize = 64;
    /// Longest rendering, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Renders the set of exactly these mailboxes.
    ///
    /// # Errors
    /// [`SetError`] when the set is empty, too large, or holds an address with `\`, `^`, `[` or `]`, a control
    /// character, a blank or a byte outside ASCII. Directory addresses never do; the check is repeated here because
    /// this string decides who is let in.
    pub fn render(mailboxes: &[MailboxAddress]) -> Result<Self, SetError> {
        if mailboxes.is_empty() {
            return Err(SetError::Empty);
        }
        if mailboxes.len() > Self::MAX_MEMBERS {
            return Err(SetError::TooMany);
        }
        let mut pattern = String::with_capacity(4 + mailboxes.len() * 48);
        pattern.push_str("^(");
        for (at, mailbox) in mailboxes.iter().enumerate() {
            if at > 0 {
                pattern.push('|');
            }
            push_member(&mut pattern, mailbox.as_str())?;
        }
        pattern.push_str(")$");
        if pattern.len() > Self::MAX_BYTES { Err(SetError::TooMany) } else { Ok(Self(pattern)) }
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Appends one address in lower case; whatever is not a plain character stands in a bracket expression of its own,
/// where both dialects read it literally.
fn push_member(pattern: &mut String, address: &str) -> Result<(), SetError> {
    if address.is_empty() {
        return Err(SetError::Unrenderable);
    }
    for character in address.chars().map(|c| c.to_ascii_lowercase()) {
        match character {
            'a'..='z' | '0'..='9' | '@' | '_' | '-' => pattern.push(character),
            '\\' | '^' | '[' | ']' => return Err(SetError::Unrenderable),
            _ if character.is_ascii_graphic() => pattern.extend(['[', character, ']']),
            _ => return Err(SetError::Unrenderable),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<MailboxAddress> {
        texts.iter().map(|text| MailboxAddress::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_rendering_has_the_shape_that_both_servers_were_tried_with() {
        let set = MailboxSet::render(&addresses(&["Alice@Example.Test", "bob+x@example.test"])).unwrap();
        assert_eq!(set.as_str(), "^(alice@example[.]test|bob[+]x@example[.]test)$");
    }

    #[test]
    fn an_empty_set_is_never_rendered() {
        assert_eq!(MailboxSet::render(&[]), Err(SetError::Empty));
    }

    #[test]
    fn sixty_four_mailboxes_fit_and_one_more_does_not() {
        let many: Vec<_> = (0..65).map(|n| MailboxAddress::parse(&format!("m{n}@example.test")).unwrap()).collect();
        assert!(MailboxSet::render(&many[..64]).is_ok());
        assert_eq!(MailboxSet::render(&many), Err(SetError::TooMany));
    }

    #[test]
    fn a_rendering_over_sixteen_kibibytes_is_refused() {
        let dotted: Vec<_> = (0..64)
            .map(|n| {
                MailboxAddress::parse(&format!("{n:02}{}@{}.test", ".".repeat(62), "a.".repeat(90) + "b")).unwrap()
            })
            .collect();
        assert_eq!(MailboxSet::render(&dotted), Err(SetError::TooMany));
    }

    #[test]
    fn characters_that_no_bracket_tames_are_refused() {
        for address in
            ["a\\@x.test", "a^@x.test", "a[@x.test", "a]@x.test", "a\n@x.test", "a b@x.test", "\u{e9}@x.test", ""]
        {
            assert_eq!(push_member(&mut String::new(), address), Err(SetError::Unrenderable), "{address:?}");
        }
    }

    #[test]
    fn near_misses_of_a_member_do_not_match() {
        let set = MailboxSet::render(&addresses(&["alice@example.test", "bob+x@example.test"])).unwrap();
        let matcher = Regex::new(set.as_str()).unwrap();
        for stranger in [
            "",
            "alice",
            "alice@exampleXtest",
            "alice@example.tes",
            "xalice@example.test",
            "alice@example.test.evil",
            "bobx@example.test",
            "bobbx@example.test",
            "alice@example.test\n",
            "alice@example.test|bob+x@example.test",
            set.as_str(),
            "alice@example[.]test",
        ] {
            assert!(!matcher.is_match(stranger), "{stranger:?}");
        }
    }

    prop_compose! {
        fn address()(local in "[A-Za-z0-9!#$&'+/=_.{}~-]{1,20}", domain in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,3}") -> MailboxAddress {
            MailboxAddress::parse(&format!("{local}@{domain}")).unwrap()
        }
    }

    /// A member with one byte replaced, removed or added: what an attacker would register.
    fn neighbour(of: &str, at: usize, with: char, kind: u8) -> String {
        let at = at % of.len();
        let (head, tail) = of.split_at(at);
        let rest = tail.get(1..).unwrap_or_default();
        match kind % 3 {
            0 => format!("{head}{with}{rest}"),
            1 => format!("{head}{rest}"),
            _ => format!("{head}{with}{tail}"),
        }
    }

    proptest! {
        #[test]
        fn a_set_matches_exactly_its_members(
            members in prop::collection::vec(address(), 1..12),
            stranger in address(),
            at in any::<usize>(), with in prop::char::range('\u{1}', '~'), kind in any::<u8>(),
        ) {
            let set = MailboxSet::render(&members).unwrap();
            let matcher = Regex::new(set.as_str()).unwrap();
            for member in &members {
                prop_assert!(matcher.is_match(member.as_str()));
            }
            let near = neighbour(members[0].as_str(), at, with, kind);
            for user in [stranger.as_str(), near.as_str()] {
                prop_assert_eq!(matcher.is_match(user), members.iter().any(|m| m.as_str() == user), "{}", user);
            }
        }
    }
}
