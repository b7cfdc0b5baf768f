//! What a mail server writes to the checkpassword program's descriptor 3.

use octroi_checkpassword::request::{MAX, Malformed, Request, Shape};

pub(crate) const SEEDS: &[&[u8]] = &[
    b"a@x.test\0ticket-0123456789abcdef0123456789abcdef\0\0",
    b"a@x.test\0ticket-0123456789abcdef0123456789abcdef\0<1896.697170952@dbc.mtview.ca.us>\0",
    b"a@x.test\0eyJhbGciOiJSUzI1NiJ9.eyJ9.c2ln\0\0and more\0",
    b"a@x.test\0secret\0\0",
    b"a@x.test\0\0\0",
    b"a@x.test\0ticket-\0",
    b"m\xc3\xa9@x.test\0ticket-0\0\0",
    b"",
];

pub(crate) fn run(bytes: &[u8]) {
    let read = Request::parse(bytes).map(|request| (request.user, request.password));
    let fields: Vec<_> = bytes.splitn(4, |byte| *byte == 0).collect();
    match fields.as_slice() {
        _ if bytes.len() > MAX => assert_eq!(read, Err(Malformed::TooLong)),
        [user, password, _, _] => {
            assert_eq!(read, Ok((*user, *password)));
            looks(user, password);
        }
        _ => assert_eq!(read, Err(Malformed::Truncated)),
    }
}

fn looks(user: &[u8], password: &[u8]) {
    let request = Request { user, password };
    let shape = match password {
        b"" => Shape::Empty,
        _ if password.starts_with(b"ticket-") => Shape::Ticket,
        _ if password.starts_with(b"eyJ") => Shape::Token,
        _ => Shape::Other,
    };
    assert_eq!(request.shape(), shape);
    let printable = user.iter().all(|byte| (b'!'..=b'~').contains(byte));
    match request.mailbox() {
        Some(mailbox) => assert!(printable && mailbox.contains('@') && mailbox.as_bytes() == user),
        None => assert!(!printable || !user.contains(&b'@')),
    }
}
