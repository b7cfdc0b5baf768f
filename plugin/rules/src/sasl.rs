//! The two SASL mechanisms that carry a bearer token: XOAUTH2 and OAUTHBEARER (RFC 7628).
//!
//! Owns their grammar, read strictly: a message either is exactly what the mechanism prescribes or is refused, so that
//! no two readers can find different tokens or mailboxes in it. It never looks into the token.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::jws::MAX_TOKEN;
use crate::reason::DenyReason;

/// Longest SASL response taken, in bytes of base64: a token of [`MAX_TOKEN`] bytes with room for the other fields.
pub const MAX_RESPONSE: usize = 12_288;

/// Ends each field of both mechanisms (`kvsep`, RFC 7628 section 3.1).
const SEPARATOR: u8 = 0x01;

/// What a message says.
pub(crate) struct Message {
    /// The whole message after base64 decoding.
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` the token stands.
    pub(crate) token: Range<usize>,
    /// The mailbox named, unescaped but otherwise as given. `None`: the message names none (OAUTHBEARER only).
    pub(crate) user: Option<Vec<u8>>,
}

/// Where a reader of one mechanism found the fields.
struct Fields<'m> {
    token: Range<usize>,
    user: Option<Cow<'m, [u8]>>,
}

/// Decodes and reads the only message of an exchange.
///
/// # Errors
/// `mechanism-unsupported`, `too-large` (the token's size included), `message-malformed`.
pub(crate) fn read(mechanism: &str, response: &[u8]) -> Result<Message, DenyReason> {
    let reader: fn(&[u8]) -> Option<Fields<'_>> = if mechanism.eq_ignore_ascii_case("XOAUTH2") {
        xoauth2
    } else if mechanism.eq_ignore_ascii_case("OAUTHBEARER") {
        oauthbearer
    } else {
        return Err(DenyReason::MechanismUnsupported);
    };
    if response.len() > MAX_RESPONSE {
        return Err(DenyReason::TooLarge);
    }
    // The engine insists on padding and on zero trailing bits: one message has one encoding (RFC 4648 section 3.5).
    let bytes = STANDARD.decode(response).map_err(|_| DenyReason::MessageMalformed)?;
    let Fields { token, user } = reader(&bytes).ok_or(DenyReason::MessageMalformed)?;
    if token.len() > MAX_TOKEN {
        return Err(DenyReason::TooLarge);
    }
    let user = user.map(Cow::into_owned);
    Ok(Message { bytes, token, user })
}

/// XOAUTH2, as Google published it and the operators' interface adopts it (MSS 7.2, 7.4):
/// `"user=" {User} ^A "auth=Bearer " {Token} ^A ^A`, these two fields in this order and nothing else.
fn xoauth2(message: &[u8]) -> Option<Fields<'_>> {
    let mut cursor = Cursor { message, at: 0 };
    let user = cursor.field()?.strip_prefix(b"user=").filter(|user| is_text(user) && !user.is_empty())?;
    let token = bearer(&mut cursor, b"auth=", Spaces::One)?;
    cursor.ends().then_some(Fields { token, user: Some(Cow::Borrowed(user)) })
}

/// OAUTHBEARER: a GS2 header (RFC 5801 section 4) without channel binding, then fields (RFC 7628 section 3.1) of which
/// `auth` must and `host` and `port` may stand once. Other names are passed over, as that grammar is open to extension,
/// except `user`: it means the mailbox in XOAUTH2, and a message that names two mailboxes is refused.
fn oauthbearer(message: &[u8]) -> Option<Fields<'_>> {
    let mut cursor = Cursor { message, at: 0 };
    let user = gs2_header(cursor.field()?)?;
    let (mut token, mut host, mut port) = (None, false, false);
    while !cursor.ends() {
        let field = cursor.peek()?;
        let name = field.split(|&byte| byte == b'=').next().filter(|name| name.len() < field.len())?;
        match name {
            b"auth" if token.is_none() => {
                token = Some(bearer(&mut cursor, b"auth=", Spaces::Some)?);
                continue;
            }
            b"host" if !host => host = true,
            b"port" if !port => port = true,
            b"auth" | b"host" | b"port" | b"user" => return None,
            _ if name.is_empty() || !name.iter().all(u8::is_ascii_alphabetic) => return None,
            _ => {}
        }
        cursor.field().filter(|field| is_text(field))?;
    }
    token.map(|token| Fields { token, user })
}

/// `n,a=user,` or `n,,`; `y` says that the client could bind channels but saw no offer. The outer `None` is a fault,
/// the inner one an absent authorisation identity.
fn gs2_header(header: &[u8]) -> Option<Option<Cow<'_, [u8]>>> {
    let rest = header.strip_prefix(b"n,").or_else(|| header.strip_prefix(b"y,"))?;
    let identity = rest.strip_suffix(b",").filter(|identity| is_text(identity) && !identity.contains(&b','))?;
    if identity.is_empty() {
        return Some(None);
    }
    identity.strip_prefix(b"a=").filter(|name| !name.is_empty()).and_then(saslname).map(Some)
}

/// Undoes `=2C` and `=3D`; any other `=` is a fault (RFC 5801 section 4).
fn saslname(escaped: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut pieces = escaped.split(|&byte| byte == b'=');
    let first = pieces.next()?;
    if first.len() == escaped.len() {
        return Some(Cow::Borrowed(escaped));
    }
    let mut name = first.to_vec();
    for piece in pieces {
        let (byte, rest) = match piece {
            [b'2', b'C', rest @ ..] => (b',', rest),
            [b'3', b'D', rest @ ..] => (b'=', rest),
            _ => return None,
        };
        name.push(byte);
        name.extend_from_slice(rest);
    }
    Some(Cow::Owned(name))
}

/// How many spaces may stand between scheme and token.
#[derive(PartialEq)]
enum Spaces {
    /// One, as XOAUTH2 prints it.
    One,
    /// One or more, as `credentials` of RFC 6750 section 2.1 allows.
    Some,
}

/// Takes a field `NAME=Bearer TOKEN` and says where in the message the token stands. The scheme is compared without
/// case (RFC 9110 section 11.1); the token is visible ASCII, which leaves its own grammar to its own reader.
fn bearer(cursor: &mut Cursor<'_>, name: &[u8], spaces: Spaces) -> Option<Range<usize>> {
    let end = cursor.at + cursor.peek()?.len();
    let value = cursor.field()?.strip_prefix(name)?;
    let (scheme, rest) = value.split_at_checked(b"Bearer".len())?;
    let rest = rest.strip_prefix(b" ").filter(|_| scheme.eq_ignore_ascii_case(b"Bearer"))?;
    let token = match spaces {
        Spaces::One => rest,
        Spaces::Some => rest.get(rest.iter().take_while(|&&byte| byte == b' ').count()..).unwrap_or_default(),
    };
    (!token.is_empty() && token.iter().all(u8::is_ascii_graphic)).then(|| end - token.len()..end)
}

/// No control characters: what the mail server logs or forwards can't be forged from here. Bytes above ASCII pass, to
/// be judged with the address.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().any(u8::is_ascii_control)
}

/// Walks the fields of a message.
struct Cursor<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Cursor<'m> {
    fn rest(&self) -> &'m [u8] {
        self.message.get(self.at..).unwrap_or_default()
    }

    /// The next field, without its separator; `None` when no separator follows.
    fn peek(&self) -> Option<&'m [u8]> {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| byte == SEPARATOR)?;
        rest.get(..length)
    }

    /// The same, and steps past it.
    fn field(&mut self) -> Option<&'m [u8]> {
        let field = self.peek()?;
        self.at += field.len() + 1;
        Some(field)
    }

    /// Whether all that is left is the separator that closes the message.
    fn ends(&self) -> bool {
        self.rest() == [SEPARATOR]
    }
}

#[cfg(test)]
mod tests;
