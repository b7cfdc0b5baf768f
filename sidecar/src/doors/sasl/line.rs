//! Lines of Dovecot's auth protocol 1.x as a client (Postfix, Exim) sends them: parsing, without any state.
//!
//! Fields are separated by tabs. What nobody here knows is ignored, as the protocol asks; what is known must be well
//! formed. A `resp=` is the last parameter and holds the rest of the line.

use std::net::IpAddr;

use thiserror::Error;

use crate::secret::Token;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `VERSION`: the major version; minor ones are compatible.
    Version(u32),
    /// `CPID`: the client's process id.
    Cpid(u32),
    /// `AUTH`: an exchange begins.
    Auth(Auth),
    /// `CONT`: it goes on.
    Cont {
        /// Which exchange.
        id: u32,
        /// The client's response, base64 as on the wire; empty where it is empty.
        response: Token,
    },
    /// `CANCEL`: the client gave up.
    Cancel(u32),
    /// Something else.
    Unknown,
}

/// The beginning of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Auth {
    /// Name of the exchange on this connection.
    pub(super) id: u32,
    /// Mechanism as the client named it.
    pub(super) mechanism: String,
    /// The initial response, base64 as on the wire. An empty one is none: Exim sends `resp=` where there is none, and
    /// no mechanism here has an empty message.
    pub(super) response: Option<Token>,
    /// `service=`, for instance `smtp`.
    pub(super) service: Option<String>,
    /// `rip=`: the mail client's address.
    pub(super) client: Option<IpAddr>,
}

/// Why a line is none of the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum LineError {
    /// Not text.
    #[error("a line is not ASCII")]
    NotAscii,
    /// A known command without its fields, or with others.
    #[error("a known command has the wrong fields")]
    Fields,
}

/// Parses one line, without its LF.
pub(super) fn parse(line: &[u8]) -> Result<Line, LineError> {
    if !line.is_ascii() {
        return Err(LineError::NotAscii);
    }
    let line = str::from_utf8(line).map_err(|_| LineError::NotAscii)?;
    let (command, fields) = line.split_once('\t').map_or((line, None), |(command, fields)| (command, Some(fields)));
    let fields = fields.ok_or(LineError::Fields);
    match command {
        "VERSION" => version(fields?).map(Line::Version),
        "CPID" => number(fields?).map(Line::Cpid),
        "AUTH" => auth(fields?).map(Line::Auth),
        "CONT" => {
            let (id, response) = fields?.split_once('\t').ok_or(LineError::Fields)?;
            Ok(Line::Cont { id: number(id)?, response: Token::new(response) })
        }
        "CANCEL" => number(fields?).map(Line::Cancel),
        _ => Ok(Line::Unknown),
    }
}

fn version(fields: &str) -> Result<u32, LineError> {
    let (major, minor) = fields.split_once('\t').ok_or(LineError::Fields)?;
    number(minor)?;
    number(major)
}

fn auth(fields: &str) -> Result<Auth, LineError> {
    let (fields, response) = match fields.split_once("\tresp=") {
        Some((fields, response)) => (fields, Some(response).filter(|response| !response.is_empty())),
        None => (fields, None),
    };
    let mut fields = fields.split('\t');
    let id = number(fields.next().unwrap_or_default())?;
    let mechanism = fields.next().filter(|name| is_name(name)).ok_or(LineError::Fields)?;
    let mut auth =
        Auth { id, mechanism: mechanism.to_owned(), response: response.map(Token::new), service: None, client: None };
    for field in fields {
        match field.split_once('=') {
            Some(("service", service)) if auth.service.is_none() => auth.service = Some(service.to_owned()),
            // An address that is none is an unknown one: it decides nothing.
            Some(("rip", address)) if auth.client.is_none() => auth.client = address.parse().ok(),
            Some(_) | None => {}
        }
    }
    Ok(auth)
}

/// A mechanism name (RFC 4422 section 3.1), in either case.
fn is_name(name: &str) -> bool {
    (1..=20).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A decimal number of 32 bits, without sign or leading zero.
fn number(text: &str) -> Result<u32, LineError> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if plain { text.parse().map_err(|_| LineError::Fields) } else { Err(LineError::Fields) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_postfix_and_exim_send_is_understood() {
        let postfix = b"AUTH\t7\tXOAUTH2\tservice=smtp\tnologin\tlip=192.0.2.1\trip=192.0.2.7\tsecured\tresp=dXNlcg==";
        let expected = Auth {
            id: 7,
            mechanism: "XOAUTH2".into(),
            response: Some(Token::new("dXNlcg==")),
            service: Some("smtp".into()),
            client: Some("192.0.2.7".parse().unwrap()),
        };
        assert_eq!(parse(postfix), Ok(Line::Auth(expected)));
        let exim = b"AUTH\t1\tOAUTHBEARER\tservice=smtp\tsecured\trip=2001:db8::7\tlip=::1\tnologin\tresp=";
        let Ok(Line::Auth(auth)) = parse(exim) else { panic!("not understood") };
        assert_eq!((auth.response, auth.client), (None, Some("2001:db8::7".parse().unwrap())));
        assert_eq!(parse(b"VERSION\t1\t0"), Ok(Line::Version(1)));
        assert_eq!(parse(b"CPID\t4711"), Ok(Line::Cpid(4711)));
        assert_eq!(parse(b"CONT\t7\t"), Ok(Line::Cont { id: 7, response: Token::new("") }));
        assert_eq!(parse(b"CONT\t7\tAQ=="), Ok(Line::Cont { id: 7, response: Token::new("AQ==") }));
        assert_eq!(parse(b"CANCEL\t7"), Ok(Line::Cancel(7)));
    }

    #[test]
    fn a_response_holds_the_rest_of_the_line() {
        let Ok(Line::Auth(auth)) = parse(b"AUTH\t1\tXOAUTH2\tresp=abc\trip=192.0.2.9\tresp=def") else { panic!() };
        assert_eq!((auth.response, auth.client), (Some(Token::new("abc\trip=192.0.2.9\tresp=def")), None));
    }

    #[test]
    fn known_commands_with_other_fields_are_refused() {
        for line in [
            "VERSION",
            "VERSION\t1",
            "VERSION\t1\t",
            "VERSION\t-1\t0",
            "VERSION\t01\t0",
            "VERSION\t1\t0\t0",
            "CPID",
            "CPID\t",
            "CPID\t+1",
            "CPID\t4294967296",
            "CPID\t1\t2",
            "AUTH",
            "AUTH\t1",
            "AUTH\t1\t",
            "AUTH\tx\tXOAUTH2",
            "AUTH\t1\tX OAUTH2",
            "AUTH\t1\tABCDEFGHIJKLMNOPQRSTU",
            "AUTH\t\tresp=x",
            "CONT",
            "CONT\t1",
            "CONT\tx\ty",
            "CANCEL",
            "CANCEL\t1\t2",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(LineError::Fields), "{line:?}");
        }
        assert_eq!(parse("AUTH\t1\tXOAUTH2\tresp=\u{e9}".as_bytes()), Err(LineError::NotAscii));
    }

    #[test]
    fn other_commands_are_ignored() {
        for line in ["", "SERVICE\tSMTP", "auth\t1\tXOAUTH2", "AUTHX\t1", "\tAUTH"] {
            assert_eq!(parse(line.as_bytes()), Ok(Line::Unknown), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn mutated_lines_never_change_the_response_of_another(
            id in any::<u32>(), response in "[A-Za-z0-9+/]{4,40}={0,2}", junk in "[a-z=]{0,12}",
        ) {
            let line = format!("AUTH\t{id}\tXOAUTH2\t{junk}\trip=192.0.2.1\tresp={response}");
            let Ok(Line::Auth(auth)) = parse(line.as_bytes()) else { panic!("not understood") };
            prop_assert_eq!(auth.id, id);
            prop_assert_eq!(auth.response, Some(Token::new(response)));
        }
    }
}
