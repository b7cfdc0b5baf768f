//! What Dovecot asks: a JSON object with the members that `auth_policy_request_attributes` names.
//!
//! Members that nobody here knows are ignored; a known one that is twice there, or of another type, makes the request
//! malformed, and a malformed request is never an accept.

use std::net::IpAddr;

use serde::Deserialize;

use crate::evidence::certificate::Shown;

/// Longest member that is kept for the record, in bytes; longer ones are cut there.
const WORD_BYTES: usize = 64;

/// `command=` of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// May this login go on?
    Allow,
    /// So it went.
    Report,
}

impl Command {
    /// Finds the one `command` of a query; Dovecot appends it to whatever query its URL has.
    pub(in crate::doors) fn parse(query: &str) -> Option<Self> {
        let mut commands = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "command");
        match (commands.next()?.1.as_ref(), commands.next()) {
            ("allow", None) => Some(Self::Allow),
            ("report", None) => Some(Self::Report),
            _ => None,
        }
    }
}

/// Mechanisms as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// `XOAUTH2`.
    Xoauth2,
    /// `OAUTHBEARER` (RFC 7628).
    Oauthbearer,
    /// `PLAIN` (RFC 4616).
    Plain,
    /// `LOGIN`.
    Login,
    /// `EXTERNAL` (RFC 4422 appendix A).
    External,
    /// Anything else.
    Other,
}

impl Mechanism {
    /// All of them, in the order of the counters.
    pub const ALL: [Self; 6] =
        [Self::Xoauth2, Self::Oauthbearer, Self::Plain, Self::Login, Self::External, Self::Other];

    /// Name in counters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::Other => "other",
        }
    }

    fn of(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.code().eq_ignore_ascii_case(name)).unwrap_or(Self::Other)
    }
}

/// `command=allow`.
#[derive(Debug, Deserialize)]
pub(super) struct LoginRequest {
    /// The mailbox, as Dovecot has normalised it.
    pub(super) user: String,
    /// SASL mechanism.
    pub(super) mech: String,
    /// Empty where no introspection answer stands behind the login.
    #[serde(default)]
    pub(super) handle: String,
    /// Who logs in for the user, if it is not the user.
    #[serde(default)]
    pub(super) master_user: String,
    /// The authentication identity.
    #[serde(default)]
    pub(super) auth_user: String,
    /// The user as the client named it.
    #[serde(default)]
    pub(super) login: String,
    /// Dovecot's word for a certificate that it verified: `valid`.
    #[serde(default)]
    cert: String,
    /// What Dovecot read from the certificate: its first OU, which the passdb of certificates passes on.
    #[serde(default)]
    cert_id: String,
    /// The server's address of the connection itself: never what a proxy, or a client that is taken for one, says.
    #[serde(default)]
    real_lip: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    remote: String,
}

impl LoginRequest {
    /// Reads the body. `None`: not the JSON that was asked for.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        object(body)
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        Mechanism::of(&self.mech)
    }

    /// The mechanism's name, fit for a record.
    pub(super) fn mech(&self) -> &str {
        word(&self.mech)
    }

    /// Dovecot's session id, fit for a record.
    pub(super) fn session(&self) -> &str {
        word(&self.session_id)
    }

    /// The certificate behind a login by EXTERNAL. `None`: Dovecot verified none, or somebody else than its structure
    /// is the one who logs in: each of the three names must be what the certificate says.
    pub(super) fn certificate(&self) -> Option<Shown> {
        let structure = [&self.master_user, &self.auth_user].into_iter().all(|name| *name == self.cert_id);
        let listen = self.real_lip.parse().ok()?;
        (self.cert == "valid" && structure && !self.cert_id.is_empty())
            // Dovecot lower-cases users; structures have capitals alone.
            .then(|| Shown::Structure { unit: self.cert_id.to_ascii_uppercase(), listen })
    }

    pub(super) fn client(&self) -> Option<IpAddr> {
        self.remote.parse().ok()
    }
}

/// `command=report`. Older configurations leave members out: they count as no.
#[derive(Debug, Deserialize)]
pub(super) struct LoginReport {
    #[serde(default)]
    mech: String,
    #[serde(default)]
    pub(super) success: bool,
    #[serde(default)]
    pub(super) policy_reject: bool,
}

impl LoginReport {
    /// Reads the body. `None`: not the JSON that was asked for.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        object(body)
    }

    pub(super) fn mechanism(&self) -> Mechanism {
        Mechanism::of(&self.mech)
    }
}

/// Reads a JSON object. All of it must be UTF-8 (RFC 8259 section 8.1), the members that nobody here looks at as well;
/// and an array, whose elements Serde would take for the members in their order, is none.
fn object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Option<T> {
    let text = str::from_utf8(body).ok()?.trim_start_matches([' ', '\t', '\r', '\n']);
    text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// The leading printable ASCII of `text`, at most [`WORD_BYTES`].
fn word(text: &str) -> &str {
    let end = text.bytes().take(WORD_BYTES).take_while(u8::is_ascii_graphic).count();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_whatever_else_the_query_holds() {
        for (query, command) in [
            ("command=allow", Some(Command::Allow)),
            ("x=1&command=report", Some(Command::Report)),
            ("command=allow&command=allow", None),
            ("command=", None),
            ("Command=allow", None),
            ("", None),
        ] {
            assert_eq!(Command::parse(query), command, "{query:?}");
        }
    }

    #[test]
    fn members_nobody_knows_are_ignored_and_known_ones_must_be_unique_strings() {
        let good = br#"{"user":"a@x.test","mech":"PLAIN","fields":{"a":[1]},"tls":true,"pid":"1"}"#;
        assert!(LoginRequest::parse(good).is_some());
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"null",
            br#"["a@x.test","PLAIN"]"#,
            b"\xff",
            br#"{"user":"a"}"#,
            br#"{"mech":"PLAIN"}"#,
            br#"{"user":"a","user":"b","mech":"PLAIN"}"#,
            br#"{"user":1,"mech":"PLAIN"}"#,
            br#"{"user":"a","mech":"XOAUTH2","handle":null}"#,
            br#"{"user":"a","mech":"PLAIN"} x"#,
            b"{\"user\":\"a\",\"mech\":\"PLAIN\",\"pid\":\"\xff\"}",
        ] {
            assert!(LoginRequest::parse(bad).is_none(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn what_goes_into_the_record_is_one_short_printable_word() {
        assert_eq!(word("lBVpLxFh6NJ/AAAB"), "lBVpLxFh6NJ/AAAB");
        assert_eq!(word("a\nb"), "a");
        assert_eq!(word(&"x".repeat(100)).len(), WORD_BYTES);
        assert_eq!(word("caf\u{e9}"), "caf");
    }
}
