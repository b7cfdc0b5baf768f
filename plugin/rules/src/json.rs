//! JSON as tokens carry it, read without tolerance.
//!
//! Owns the refusal of what two readers could read differently: a member named twice, at any depth (RFC 8725 section
//! 2.6 warns of parsers that disagree), nesting without bound, bytes after the value. It knows no claim.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting, the top-level object included. Keycloak's own claims need 4 (`resource_access`, client, `roles`,
/// name); the bound keeps recursion well within the guest's stack.
const MAX_DEPTH: usize = 12;

/// A value, as far as the rules tell values apart.
#[derive(Clone, PartialEq)]
pub(crate) enum Value<'de> {
    /// `null`.
    Null,
    /// A string.
    Text(Cow<'de, str>),
    /// A number without sign, fraction and exponent that fits 64 bits.
    Integer(u64),
    /// An array of nothing but strings, the empty array included.
    Texts(Vec<Cow<'de, str>>),
    /// Any other value.
    Other,
}

/// The members of a JSON object, each name once, in the order of the names.
pub(crate) struct Object<'de>(Vec<(Cow<'de, str>, Value<'de>)>);

/// The bytes are not one strict JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl<'de> Object<'de> {
    /// Reads `bytes`, all of them, as one object.
    pub(crate) fn parse(bytes: &'de [u8]) -> Result<Self, Malformed> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let object = reader.deserialize_map(TopLevel).map_err(|_| Malformed)?;
        reader.end().map_err(|_| Malformed)?;
        Ok(object)
    }

    /// The member of that name; `null` counts as absent.
    pub(crate) fn member(&self, name: &str) -> Option<&Value<'de>> {
        let at = self.0.binary_search_by(|(member, _)| member.as_ref().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value).filter(|value| **value != Value::Null)
    }

    /// Whether there is a member of that name, `null` or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|(member, _)| member.as_ref().cmp(name)).is_ok()
    }
}

/// Checks that `text` is JSON in which no object names a member twice.
pub(crate) fn has_no_duplicates(text: &str) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Strict { depth: 0 }.deserialize(&mut reader)?;
    reader.end()
}

struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(32);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value_seed(Strict { depth: 1 })?));
        }
        members.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        match members.array_windows().any(|[(left, _), (right, _)]| left == right) {
            true => Err(A::Error::custom(TWICE)),
            false => Ok(Object(members)),
        }
    }
}

const TWICE: &str = "a member is named twice";

/// A member's name, unescaped: `"sub"` and `"\u0073ub"` are the same.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.into()))
    }
}

/// Reads a value that stands `depth` levels deep.
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(self.depth + 1),
            false => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let depth = self.deeper()?;
        let mut texts = Some(Vec::new());
        while let Some(item) = seq.next_element_seed(Self { depth })? {
            match (item, &mut texts) {
                (Value::Text(text), Some(list)) => list.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Value::Other, Value::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let depth = self.deeper()?;
        let mut names = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            names.push(name);
            map.next_value_seed(Self { depth })?;
        }
        names.sort_unstable();
        match names.array_windows().any(|[left, right]| left == right) {
            true => Err(A::Error::custom(TWICE)),
            false => Ok(Value::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_told_apart() {
        let object = Object::parse(br#"{"t":"x","n":null,"i":7,"l":["a","b"],"e":[],"f":1.0,"m":-1,"o":{},"x":[1]}"#);
        let object = object.unwrap_or_else(|_| panic!("valid"));
        assert!(object.member("t") == Some(&Value::Text("x".into())));
        assert!(object.member("i") == Some(&Value::Integer(7)));
        assert!(object.member("l") == Some(&Value::Texts(vec!["a".into(), "b".into()])));
        assert!(object.member("e") == Some(&Value::Texts(Vec::new())));
        for other in ["f", "m", "o", "x"] {
            assert!(object.member(other) == Some(&Value::Other), "{other}");
        }
        assert!(object.member("n").is_none() && object.has("n"));
        assert!(object.member("absent").is_none() && !object.has("absent"));
    }

    #[test]
    fn a_member_named_twice_is_refused_at_every_depth() {
        for twice in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"{"x":[[{"a":{"b":1,"b":1}}]]}"#,
        ] {
            assert!(Object::parse(twice.as_bytes()).is_err(), "{twice}");
            assert!(has_no_duplicates(twice).is_err(), "{twice}");
        }
        assert!(Object::parse(br#"{"a":{"a":{"a":1}},"A":2}"#).is_ok());
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        for broken in [
            "",
            "null",
            "[]",
            "1",
            "\"a\"",
            "{",
            "{}x",
            "{} {}",
            "{\"a\":1,}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\ud800\"}",
            "\u{feff}{}",
            "{\"a\":1}\0",
        ] {
            assert!(Object::parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(Object::parse(b" \t\r\n{ } ").is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Object::parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(Object::parse(nested(MAX_DEPTH).as_bytes()).is_err());
        assert!(Object::parse(nested(100_000).as_bytes()).is_err());
        let objects = format!("{}1{}", "{\"a\":".repeat(13), "}".repeat(13));
        assert!(Object::parse(objects.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Object::parse(&bytes);
        }

        #[test]
        fn no_json_like_text_makes_it_panic(text in "[\\[\\]{}\":,a0-9\\\\u .eE+-]{0,120}") {
            let _ = Object::parse(text.as_bytes());
        }
    }
}
