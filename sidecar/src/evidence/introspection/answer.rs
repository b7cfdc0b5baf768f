//! The answer of RFC 7662 section 2.2, read strictly.

use std::fmt;

use serde::Deserialize;

use crate::clock::UnixSeconds;

/// What the issuer says about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspected {
    /// Nothing that counts: no answer, or not one.
    Unavailable,
    /// Not active: revoked, expired, logged out, or not for this caller to know.
    Inactive,
    /// Active.
    Active(Active),
}

/// What an active token's answer says. Each is for comparison with the token; none replaces it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Active {
    /// `sub`.
    pub subject: Option<String>,
    /// `sid`, else `session_state` (Keycloak).
    pub session: Option<String>,
    /// `azp`, else `client_id`.
    pub authorized_party: Option<String>,
    /// `exp`.
    pub expires_at: Option<UnixSeconds>,
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Active(..)")
    }
}

/// A member given twice is an error of the parser.
#[derive(Deserialize)]
struct Answer {
    active: bool,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    sid: Option<String>,
    #[serde(default)]
    session_state: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    exp: Option<u64>,
}

/// Reads an answer of `issuer`.
///
/// `None` when it is not one: not an object, no boolean `active`, a member twice or of another type, another issuer.
pub(super) fn read(body: &[u8], issuer: &str) -> Option<Introspected> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if !answer.active {
        return Some(Introspected::Inactive);
    }
    answer.iss.as_deref().is_none_or(|named| named == issuer).then_some(())?;
    Some(Introspected::Active(Active {
        subject: answer.sub,
        session: answer.sid.or(answer.session_state),
        authorized_party: answer.azp.or(answer.client_id),
        expires_at: answer.exp.map(UnixSeconds),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example.test/realm";

    #[test]
    fn only_an_object_with_a_boolean_active_is_an_answer() {
        for body in [
            "",
            "null",
            "true",
            "[]",
            "{}",
            "<html></html>",
            "{\"active\":\"true\"}",
            "{\"active\":1}",
            "{\"active\":null}",
            "{\"active\":true",
            "{\"active\":true}{}",
            "{\"active\":true,\"active\":false}",
            "{\"active\":false,\"active\":true}",
            "{\"Active\":true}",
            "{\"active\":true,\"sub\":7}",
            "{\"active\":true,\"exp\":\"soon\"}",
            "{\"active\":true,\"iss\":\"https://other.example.test\"}",
        ] {
            assert_eq!(read(body.as_bytes(), ISSUER), None, "{body}");
        }
    }

    #[test]
    fn an_inactive_answer_says_nothing_else() {
        assert_eq!(read(b"{\"active\":false}", ISSUER), Some(Introspected::Inactive));
        assert_eq!(read(b"{\"active\":false,\"iss\":\"elsewhere\"}", ISSUER), Some(Introspected::Inactive));
    }

    #[test]
    fn an_active_answer_gives_what_is_compared_with_the_token() {
        let body = br#"{"exp":1900000000,"iat":1,"iss":"https://issuer.example.test/realm","sub":"f:0:8","typ":"Bearer",
            "azp":"soft","session_state":"s-1","sid":"s-1","client_id":"soft","username":"8","active":true,"nonce":""}"#;
        let expected = Active {
            subject: Some("f:0:8".into()),
            session: Some("s-1".into()),
            authorized_party: Some("soft".into()),
            expires_at: Some(UnixSeconds(1_900_000_000)),
        };
        assert_eq!(read(body, ISSUER), Some(Introspected::Active(expected)));
        assert_eq!(read(b"{\"active\":true}", ISSUER), Some(Introspected::Active(Active::default())));
    }
}
