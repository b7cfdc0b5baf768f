//! Dovecot's OAuth2 introspection (RFC 7662, post mode): the only gate for tokens over IMAP.
//!
//! The request carries the token and not the mailbox, so a positive answer carries the set of mailboxes that the
//! person may open; Dovecot itself holds the requested user against it. With it goes a handle, by which the after-auth
//! question is joined to this answer. The door never looks into the token.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;

use super::answer::{INACTIVE, Rendered, introspection_active, introspection_denied, introspection_unavailable};
use super::handles::{Entry, Handles, Purpose};
use super::mailbox_set::{MailboxSet, SetError};
use super::ports::Judge;
use super::probe::Probes;
use crate::clock::{Clock, UnixSeconds};
use crate::gate::{Attempt, Credentials, Door, Outcome, Protocol};
use crate::reason::{DenyReason, UnavailableReason};
use crate::secret::Token;

/// The introspection door.
#[derive(Debug)]
pub struct IntrospectionDoor {
    judge: Judge,
    handles: Arc<Handles>,
    clock: Clock,
    probes: Option<Arc<Probes>>,
}

/// A well-formed request.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    token: Token,
    client: Option<IpAddr>,
    protocol: Protocol,
}

impl IntrospectionDoor {
    /// A door whose tokens `judge` judges and whose handles go into `handles`.
    #[must_use]
    pub const fn new(judge: Judge, handles: Arc<Handles>, clock: Clock) -> Self {
        Self { judge, handles, clock, probes: None }
    }

    /// The same door, at which the installation check may knock with a token of `probes`.
    #[must_use]
    pub fn with_probes(self, probes: Arc<Probes>) -> Self {
        Self { probes: Some(probes), ..self }
    }

    /// Answers one introspection request, whose secret was shown.
    pub async fn introspect(&self, headers: &HeaderMap, body: &[u8]) -> Rendered {
        let Some(request) = parse(headers, body) else { return (400, INACTIVE.to_vec()) };
        if let Some(canary) = self.probes.as_ref().and_then(|probes| probes.take(request.token.expose())) {
            let entry = Entry { mailboxes: vec![canary.clone()], purpose: Purpose::Probe };
            return self.grant(entry, self.clock.now());
        }
        let decision = self
            .judge
            .judge(Attempt {
                credentials: Credentials::Bearer(request.token),
                mailbox: None,
                protocol: request.protocol,
                door: Door::DovecotIntrospection,
                client: request.client,
            })
            .await;
        match decision.outcome {
            Outcome::Allow(permit) => {
                let purpose = Purpose::Login {
                    decision: decision.id,
                    issuer: permit.issuer().to_owned(),
                    identity: permit.identity().clone(),
                };
                self.grant(Entry { mailboxes: permit.mailboxes().to_vec(), purpose }, self.clock.now())
            }
            Outcome::Deny(reason) => introspection_denied(reason),
            Outcome::Unavailable(reason) => introspection_unavailable(reason),
        }
    }

    /// A positive answer, where one can carry the set.
    fn grant(&self, entry: Entry, now: UnixSeconds) -> Rendered {
        let set = match MailboxSet::render(&entry.mailboxes) {
            Ok(set) => set,
            Err(SetError::Empty) => return introspection_denied(DenyReason::NoMailbox),
            Err(SetError::TooMany) => return self.too_many(&entry),
            Err(SetError::Unrenderable) => return introspection_denied(DenyReason::MailboxMalformed),
        };
        match self.handles.issue(entry, now) {
            Some(handle) => introspection_active(set.as_str(), &handle.to_string()),
            None => introspection_unavailable(UnavailableReason::Overloaded),
        }
    }

    /// The import refuses such a person; a domain of another issuer added later can still make one.
    fn too_many(&self, entry: &Entry) -> Rendered {
        let decision = match &entry.purpose {
            Purpose::Login { decision, .. } => decision.to_string(),
            Purpose::Probe => String::new(),
        };
        let reason = DenyReason::TooManyMailboxes;
        tracing::warn!(
            decision,
            reason = reason.code(),
            mailboxes = entry.mailboxes.len(),
            "an allowed login is refused"
        );
        introspection_denied(reason)
    }
}

/// Reads the form (`application/x-www-form-urlencoded`): exactly one `token`. `token_type_hint`, `client_id` and
/// `client_secret` (RFC 7662 section 2.1; Dovecot 2.3 sends the last two) and whatever else stands there are ignored:
/// the secret that counts was shown in the head.
fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Request> {
    let mut tokens = body.split(|byte| *byte == b'&').filter_map(token);
    let (Some(token), None) = (tokens.next(), tokens.next()) else { return None };
    Some(Request {
        token: Token::new(token.into_owned()),
        client: header(headers, "x-dovecot-auth-remote").and_then(address),
        protocol: protocol(
            header(headers, "x-dovecot-auth-protocol").or_else(|| header(headers, "x-dovecot-auth-service")),
        ),
    })
}

/// The value of one pair of the form, where it is the token. A token has nothing to decode, and decoding byte by byte
/// costs as much as the policy's whole judgement: only what holds an escape is decoded.
fn token(pair: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr2(b'%', b'+', pair).is_some() {
        return form_urlencoded::parse(pair).find(|(name, _)| name == "token").map(|(_, value)| value);
    }
    let value = if pair == b"token" { b"" } else { pair.strip_prefix(b"token=")? };
    Some(str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed))
}

/// A header that stands exactly once.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

/// `address:port`, IPv6 in brackets, or a bare address. For the record and the limits of work; it decides nothing.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse()).ok()
}

/// Dovecot's name of the service (2.3: `X-Dovecot-Auth-Service`, 2.4: `X-Dovecot-Auth-Protocol`).
fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("imap") => Protocol::Imap,
        Some("smtp" | "submission") => Protocol::Smtp,
        Some(_) | None => Protocol::Other,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_forms_of_both_versions_give_the_token_and_nothing_else() {
        let expected = Token::new("aaa.bbb.ccc");
        for body in [
            "token=aaa.bbb.ccc",
            "token=aaa.bbb.ccc&client_id=x&client_secret=y",
            "token_type_hint=access_token&token=aaa.bbb.ccc",
            "token=aaa%2Ebbb%2Eccc",
        ] {
            let request = parse(&HeaderMap::new(), body.as_bytes()).unwrap();
            assert_eq!((request.token, request.client, request.protocol), (expected.clone(), None, Protocol::Other));
        }
    }

    #[test]
    fn no_token_and_two_tokens_are_malformed() {
        for body in [
            "",
            "tokens=a",
            "Token=a",
            "token=a&token=a",
            "token=a&token=b",
            "token&token=a",
            "token=a&%74oken=b",
            "{\"token\":\"a\"}",
            "\0\u{1}",
        ] {
            assert_eq!(parse(&HeaderMap::new(), body.as_bytes()), None, "{body:?}");
        }
    }

    #[test]
    fn the_client_and_the_protocol_come_from_dovecots_headers() {
        let v23 = headers(&[("x-dovecot-auth-remote", "192.0.2.7:4711"), ("x-dovecot-auth-service", "imap")]);
        let v24 =
            headers(&[("x-dovecot-auth-remote", "[2001:db8::7]:4711"), ("x-dovecot-auth-protocol", "submission")]);
        let of = |headers| parse(headers, b"token=a").map(|r| (r.client, r.protocol)).unwrap();
        assert_eq!(of(&v23), (Some("192.0.2.7".parse().unwrap()), Protocol::Imap));
        assert_eq!(of(&v24), (Some("2001:db8::7".parse().unwrap()), Protocol::Smtp));
        let odd = headers(&[("x-dovecot-auth-remote", "nowhere"), ("x-dovecot-auth-protocol", "lmtp")]);
        assert_eq!(of(&odd), (None, Protocol::Other));
        let twice = headers(&[("x-dovecot-auth-remote", "192.0.2.7:1"), ("x-dovecot-auth-remote", "192.0.2.8:1")]);
        assert_eq!(of(&twice).0, None);
    }

    proptest! {
        #[test]
        fn a_form_is_read_as_the_standard_reads_it(
            pairs in prop::collection::vec("(token|%74oken|x)?=?[a%2B+\u{e9}=]{0,6}", 0..4),
        ) {
            let body = pairs.join("&").into_bytes();
            let standard: Vec<_> =
                form_urlencoded::parse(&body).filter(|(name, _)| name == "token").map(|(_, value)| value).collect();
            let ours: Vec<_> = body.split(|byte| *byte == b'&').filter_map(token).collect();
            prop_assert_eq!(ours, standard);
        }
    }
}
