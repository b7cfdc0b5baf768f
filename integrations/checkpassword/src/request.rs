//! What a caller writes to descriptor 3: `name NUL password NUL timestamp NUL`, and possibly more. Pure.

use thiserror::Error;

/// Most bytes that a caller may write, its NULs included: both qmail's interface and Dovecot (db-checkpassword.c) say
/// so.
pub const MAX: usize = 512;

/// How a written ticket begins.
const TICKET: &[u8] = b"ticket-";
/// How every compact JWS begins: `{"` in base64url.
const TOKEN: &[u8] = b"eyJ";

/// Name and password. The timestamp means nothing here: the mechanisms that need one (APOP) can't carry a ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The name, as the mail client gave it.
    pub user: &'a [u8],
    /// The password. A secret.
    pub password: &'a [u8],
}

/// What a password looks like. Nothing is decided by it but who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A ticket, or meant for one: the sidecar knows.
    Ticket,
    /// An access token.
    Token,
    /// None: a lookup, which has no password.
    Empty,
    /// Somebody else's password.
    Other,
}

/// What is wrong with a request. Shows none of it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Longer than the interface allows.
    #[error("more than 512 bytes on descriptor 3")]
    TooLong,
    /// It ends before the third NUL.
    #[error("expected name, password and timestamp on descriptor 3, each with a NUL behind it")]
    Truncated,
}

impl<'a> Request<'a> {
    /// Reads a whole request.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX {
            return Err(Malformed::TooLong);
        }
        let (user, rest) = field(bytes)?;
        let (password, rest) = field(rest)?;
        field(rest)?;
        Ok(Self { user, password })
    }

    /// What the password looks like.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self.password {
            [] => Shape::Empty,
            password if password.starts_with(TICKET) => Shape::Ticket,
            password if password.starts_with(TOKEN) => Shape::Token,
            _ => Shape::Other,
        }
    }

    /// The name, where it can be one of a mailbox: printable ASCII with an at sign.
    #[must_use]
    pub fn mailbox(&self) -> Option<&'a str> {
        let name = str::from_utf8(self.user).ok()?;
        (name.contains('@') && name.bytes().all(|byte| byte.is_ascii_graphic())).then_some(name)
    }
}

/// What stands before the next NUL, and what stands behind it.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Malformed::Truncated)?;
    let (field, rest) = bytes.split_at_checked(end).ok_or(Malformed::Truncated)?;
    Ok((field, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
        Request::parse(bytes).map(|request| (request.user, request.password))
    }

    #[test]
    fn what_dovecot_and_qmail_write_is_understood() {
        let expected: Result<(&[u8], &[u8]), _> = Ok((b"a@x.test", b"ticket-00"));
        assert_eq!(parsed(b"a@x.test\0ticket-00\0\0"), expected);
        assert_eq!(parsed(b"a@x.test\0ticket-00\0<1896.697170952@dbc.mtview.ca.us>\0"), expected);
        assert_eq!(parsed(b"a@x.test\0ticket-00\0\0and more\0"), expected);
        assert_eq!(parsed(b"a@x.test\0\0\0"), Ok((b"a@x.test".as_slice(), b"".as_slice())));
    }

    #[test]
    fn what_is_cut_or_too_long_is_told_apart() {
        for cut in ["", "a", "a\0", "a\0b", "a\0b\0", "a\0b\0c"] {
            assert_eq!(parsed(cut.as_bytes()), Err(Malformed::Truncated), "{cut:?}");
        }
        let of = |length: usize| [b"a\0".as_slice(), &vec![b'x'; length - 4], b"\0\0"].concat();
        assert!(parsed(&of(MAX)).is_ok());
        assert_eq!(parsed(&of(MAX + 1)), Err(Malformed::TooLong));
    }

    #[test]
    fn a_password_is_taken_for_what_it_looks_like() {
        let shape = |password: &[u8]| Request { user: b"a@x.test", password }.shape();
        assert_eq!(shape(b"ticket-0123456789abcdef0123456789abcdef"), Shape::Ticket);
        assert_eq!(shape(b"ticket-0"), Shape::Ticket);
        assert_eq!(shape(b"eyJhbGciOiJSUzI1NiJ9.eyJ9.c2ln"), Shape::Token);
        assert_eq!(shape(b""), Shape::Empty);
        for other in [b"secret".as_slice(), b"Ticket-0", b" ticket-0", b"h-0123", b"\xff"] {
            assert_eq!(shape(other), Shape::Other);
        }
    }

    #[test]
    fn a_name_that_can_be_no_mailbox_is_none() {
        let mailbox = |user: &'static [u8]| Request { user, password: b"" }.mailbox();
        assert_eq!(mailbox(b"a@x.test"), Some("a@x.test"));
        for user in [b"".as_slice(), b"root", b"a@x.test\n", b"a @x.test", b"\xe9@x.test", b"m\xc3\xa9@x.test"] {
            assert_eq!(mailbox(user), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic_or_find_what_is_not_there(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(request) = Request::parse(&bytes) {
                let start = [request.user, b"\0", request.password, b"\0"].concat();
                prop_assert!(bytes.starts_with(&start));
                prop_assert!(!request.user.contains(&0) && !request.password.contains(&0));
                let _ = (request.shape(), request.mailbox());
            }
        }
    }
}
