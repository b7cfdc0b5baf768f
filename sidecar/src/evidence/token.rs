//! The token as the sidecar itself reads it: where it is in the attempt, whether its signature holds, and what the
//! proven payload carries. Reads nothing before the signature holds.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::keys::VerifyingKey;
use crate::clock::UnixSeconds;
use crate::policy::wit::login::Span;

/// A compact JWS (RFC 7515 section 7.1) found at the place that the policy named. Nothing of it is proven.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    token: &'a [u8],
    signed: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Presented<'a> {
    /// Finds the token in a bare credential: it must be all of it.
    ///
    /// `None` when the spans are not exactly the token and its signed part.
    #[must_use]
    pub fn in_bearer(raw: &'a [u8], token: Span, signed: Span) -> Option<Self> {
        let found = slice(raw, token)?;
        (found.len() == raw.len()).then_some(())?;
        Self::split(raw, found, signed)
    }

    /// Finds the token in a decoded SASL response: it must stand between `Bearer ` and the separator %x01
    /// (RFC 7628 section 3.1), so that what is judged is a whole field of what the client sent.
    ///
    /// `None` when the spans are not exactly that token and its signed part.
    #[must_use]
    pub fn in_sasl(raw: &'a [u8], token: Span, signed: Span) -> Option<Self> {
        let found = slice(raw, token)?;
        let start = usize::try_from(token.start).ok()?;
        let before = raw.get(start.checked_sub(b"Bearer ".len())?..start)?;
        let after = raw.get(start.checked_add(found.len())?)?;
        (before.eq_ignore_ascii_case(b"Bearer ") && *after == 0x01).then_some(())?;
        Self::split(raw, found, signed)
    }

    fn split(raw: &'a [u8], token: &'a [u8], signed: Span) -> Option<Self> {
        let mut dots = memchr::memchr_iter(b'.', token);
        let (first, second) = (dots.next()?, dots.next()?);
        dots.next().is_none().then_some(())?;
        let (head, tail) = token.split_at_checked(second)?;
        let same = slice(raw, signed)?;
        (same.as_ptr() == head.as_ptr() && same.len() == head.len()).then_some(())?;
        Some(Self { token, signed: head, payload: head.get(first + 1..)?, signature: tail.get(1..)? })
    }

    /// The whole token.
    #[must_use]
    pub const fn token(&self) -> &'a [u8] {
        self.token
    }

    /// Verifies the signature with what the key says, and reads the payload once it holds.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<Proven, Unproven> {
        let signature = URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| Unproven::Signature)?;
        if !key.holds(self.signed, &signature) {
            return Err(Unproven::Signature);
        }
        Proven::read(self.payload).ok_or(Unproven::Payload)
    }
}

fn slice(raw: &[u8], span: Span) -> Option<&[u8]> {
    let start = usize::try_from(span.start).ok()?;
    raw.get(start..start.checked_add(usize::try_from(span.length).ok()?)?)
}

/// Why a token is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The signature does not hold under this key.
    Signature,
    /// It holds, and the payload is not what a payload must be.
    Payload,
}

/// What the rails need of a payload whose signature holds. Only [`Presented::verify`] makes one.
#[derive(Clone)]
pub struct Proven {
    /// `iss`.
    pub issuer: String,
    /// `exp`.
    pub expires_at: UnixSeconds,
    /// `auth_time`, else `iat`: the birth of the provider's session as far as this token tells.
    pub born_at: Option<UnixSeconds>,
    /// `azp`, for the alarm about introspection that calls every token inactive.
    pub authorized_party: Option<String>,
    identities: [Option<String>; 3],
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    exp: u64,
    #[serde(default)]
    auth_time: Option<u64>,
    #[serde(default)]
    iat: Option<u64>,
    #[serde(borrow, default)]
    sub: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    preferred_username: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "SubjectNameID")]
    subject_name_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    azp: Option<Cow<'a, str>>,
}

impl Proven {
    /// A payload for tests of what is built on one.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"iss":"https://psc.example.test/realm","exp":4000000000}"#);
        Self::read(payload.as_bytes()).unwrap()
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let read: Payload<'_> = serde_json::from_slice(&json).ok()?;
        let tail = read.sub.as_deref().and_then(|sub| sub.rsplit_once(':')).map(|(_, tail)| tail.to_owned());
        Some(Self {
            issuer: read.iss.into_owned(),
            expires_at: UnixSeconds(read.exp),
            born_at: read.auth_time.or(read.iat).map(UnixSeconds),
            authorized_party: read.azp.map(Cow::into_owned),
            identities: [read.subject_name_id.map(Cow::into_owned), read.preferred_username.map(Cow::into_owned), tail],
        })
    }

    /// The person whom the payload names: its first identity.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        self.identities.iter().flatten().map(String::as_str).find(|carried| !carried.is_empty())
    }

    /// Whether the payload carries this identity, byte for byte: as `SubjectNameID`, `preferred_username` or the tail
    /// of `sub`.
    #[must_use]
    pub fn carries(&self, identity: &str) -> bool {
        !identity.is_empty() && self.identities.iter().flatten().any(|carried| carried == identity)
    }
}
