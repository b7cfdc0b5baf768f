//! One question of Postfix's policy delegation protocol (SMTPD_POLICY_README): `name=value` lines. Parsing, no state.
//!
//! Attributes that nobody here reads are ignored. One that is read and stands there twice makes the question malformed:
//! the protocol leaves open which of the two counts, and whoever could write the second must not choose.

use std::net::IpAddr;

use thiserror::Error;

use crate::evidence::certificate::Fingerprint;
use crate::gate::{Encryption, Stage};

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) state: State,
    /// Process id of the smtpd, where `instance` tells it: from RCPT on.
    pub(super) instance_pid: Option<u32>,
    /// Empty where nobody is logged in.
    pub(super) sasl_username: String,
    pub(super) sender: String,
    pub(super) recipient: Option<String>,
    pub(super) recipients: u32,
    pub(super) bytes: u64,
    pub(super) encryption: Encryption,
    pub(super) client: Option<IpAddr>,
    /// SASL mechanism of the login.
    pub(super) sasl_method: String,
    /// The certificate that the client showed, where Postfix verified it.
    pub(super) certificate: Certificate,
}

/// A client certificate, as Postfix tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Certificate {
    /// None, or one that Postfix did not verify: it tells the fingerprint of that one too, and no subject.
    Missing,
    /// A verified one, whose digest is not SHA-256 (`smtpd_tls_fingerprint_digest`).
    Unreadable,
    /// A verified one.
    Verified(Fingerprint),
}

/// `protocol_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A new client, on a new connection or behind a proxy that Postfix trusts (`XCLIENT`).
    Connect,
    /// `HELO`, `EHLO`, `VRFY`, `ETRN`: nothing is sent yet.
    Aside,
    /// A transaction.
    Transaction(Stage),
}

/// Why a question can't be read. Postfix gets no answer then, and tries again on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    #[error("a line without `=`")]
    Line,
    #[error("the attribute `{0}` stands twice")]
    Twice(&'static str),
    #[error("`request` is not smtpd_access_policy")]
    Request,
    #[error("an unknown or missing `protocol_state`")]
    State,
    #[error("`recipient_count` or `size` is no number")]
    Number,
}

/// The attributes that are read, in the order of [`Attributes`].
const READ: [&str; 13] = [
    "request",
    "protocol_state",
    "instance",
    "sasl_username",
    "sender",
    "recipient",
    "recipient_count",
    "size",
    "encryption_protocol",
    "client_address",
    "sasl_method",
    "ccert_subject",
    "ccert_fingerprint",
];

type Attributes<'a> = [Option<&'a [u8]>; READ.len()];

/// Parses one question, without the empty line at its end.
pub(super) fn parse(block: &[u8]) -> Result<Question, Malformed> {
    let [
        request,
        state,
        instance,
        sasl_username,
        sender,
        recipient,
        recipients,
        bytes,
        encryption,
        client,
        method,
        subject,
        print,
    ] = attributes(block)?;
    if request != Some(b"smtpd_access_policy") {
        return Err(Malformed::Request);
    }
    let recipient = text(recipient);
    Ok(Question {
        state: parse_state(state)?,
        instance_pid: instance.and_then(instance_pid),
        sasl_username: text(sasl_username),
        sender: text(sender),
        recipient: Some(recipient).filter(|recipient| !recipient.is_empty()),
        recipients: number(recipients)?,
        bytes: number(bytes)?,
        encryption: parse_encryption(encryption),
        client: text(client).parse().ok(),
        sasl_method: text(method),
        certificate: certificate(subject, &text(print)),
    })
}

fn certificate(subject: Option<&[u8]>, fingerprint: &str) -> Certificate {
    match (subject.unwrap_or_default(), Fingerprint::parse(fingerprint)) {
        (b"", _) => Certificate::Missing,
        (_, Err(_)) => Certificate::Unreadable,
        (_, Ok(fingerprint)) => Certificate::Verified(fingerprint),
    }
}

fn attributes(block: &[u8]) -> Result<Attributes<'_>, Malformed> {
    let mut found: Attributes<'_> = [None; READ.len()];
    for line in block.split(|byte| *byte == b'\n') {
        let equals = line.iter().position(|byte| *byte == b'=').ok_or(Malformed::Line)?;
        let (name, value) = line.split_at(equals);
        let value = value.get(1..).unwrap_or_default();
        for (read, slot) in READ.into_iter().zip(&mut found) {
            if read.as_bytes() == name && slot.replace(value).is_some() {
                return Err(Malformed::Twice(read));
            }
        }
    }
    Ok(found)
}

/// The value as text. What is not UTF-8 becomes what no address holds: it is refused as one, by whoever judges.
fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

fn parse_state(value: Option<&[u8]>) -> Result<State, Malformed> {
    match value.unwrap_or_default() {
        // Postfix names the command after which it begins anew, as its list of states does not say.
        b"CONNECT" | b"XCLIENT" => Ok(State::Connect),
        b"EHLO" | b"HELO" | b"VRFY" | b"ETRN" => Ok(State::Aside),
        b"MAIL" => Ok(State::Transaction(Stage::Mail)),
        b"RCPT" => Ok(State::Transaction(Stage::Rcpt)),
        b"DATA" => Ok(State::Transaction(Stage::Data)),
        b"END-OF-MESSAGE" => Ok(State::Transaction(Stage::EndOfMessage)),
        _ => Err(Malformed::State),
    }
}

/// `instance` begins with the smtpd's process id in hexadecimal, up to the first dot.
fn instance_pid(value: &[u8]) -> Option<u32> {
    let (pid, _) = str::from_utf8(value).ok()?.split_once('.')?;
    let plain = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u32::from_str_radix(pid, 16).ok() } else { None }
}

/// A number; 0 where the attribute is absent or empty.
fn number<N: std::str::FromStr + Default>(value: Option<&[u8]>) -> Result<N, Malformed> {
    match value.unwrap_or_default() {
        b"" => Ok(N::default()),
        digits if digits.iter().all(u8::is_ascii_digit) => {
            str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed::Number)
        }
        _ => Err(Malformed::Number),
    }
}

fn parse_encryption(value: Option<&[u8]>) -> Encryption {
    match value.unwrap_or_default() {
        b"" => Encryption::None,
        b"TLSv1" => Encryption::Tls10,
        b"TLSv1.1" => Encryption::Tls11,
        b"TLSv1.2" => Encryption::Tls12,
        b"TLSv1.3" => Encryption::Tls13,
        _ => Encryption::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RCPT: &str = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n\
                        sender=a@x.test\nrecipient=b@y.test\nrecipient_count=0\ninstance=4412.6b0654e8.7fe6e.0\nsize=12\n\
                        sasl_method=XOAUTH2\nsasl_username=a@x.test\nsasl_sender=\nccert_subject=\n\
                        encryption_protocol=TLSv1.3\nsomething_new=a=b";

    #[test]
    fn what_postfix_asks_at_rcpt_is_understood() {
        let expected = Question {
            state: State::Transaction(Stage::Rcpt),
            instance_pid: Some(0x4412),
            sasl_username: "a@x.test".into(),
            sender: "a@x.test".into(),
            recipient: Some("b@y.test".into()),
            recipients: 0,
            bytes: 12,
            encryption: Encryption::Tls13,
            client: Some("192.0.2.7".parse().unwrap()),
            sasl_method: "XOAUTH2".into(),
            certificate: Certificate::Missing,
        };
        assert_eq!(parse(RCPT.as_bytes()), Ok(expected));
    }

    #[test]
    fn the_least_question_has_nobody_logged_in_and_no_process() {
        let question = parse(b"request=smtpd_access_policy\nprotocol_state=CONNECT\ninstance=").unwrap();
        assert_eq!((question.state, question.instance_pid), (State::Connect, None));
        assert_eq!((question.sasl_username.as_str(), question.encryption), ("", Encryption::None));
    }

    #[test]
    fn only_a_certificate_that_postfix_verified_has_a_fingerprint() {
        let print = ["AB"; 32].join(":");
        let of = |subject: &str, fingerprint: &str| {
            let block =
                RCPT.replace("ccert_subject=", &format!("ccert_subject={subject}\nccert_fingerprint={fingerprint}"));
            parse(block.as_bytes()).unwrap().certificate
        };
        assert_eq!(of("DRIMbox", &print), Certificate::Verified(Fingerprint::parse(&"ab".repeat(32)).unwrap()));
        assert_eq!(of("", &print), Certificate::Missing);
        for other in ["", "AB:CD", &["AB"; 20].join(":"), &["AB"; 16].join(":")] {
            assert_eq!(of("DRIMbox", other), Certificate::Unreadable, "{other}");
        }
    }

    #[test]
    fn malformed_questions_are_told_apart() {
        for (block, malformed) in [
            ("", Malformed::Line),
            ("request=smtpd_access_policy\nprotocol_state", Malformed::Line),
            ("\nrequest=smtpd_access_policy", Malformed::Line),
            ("protocol_state=MAIL", Malformed::Request),
            ("request=junk\nprotocol_state=MAIL", Malformed::Request),
            ("request=smtpd_access_policy", Malformed::State),
            ("request=smtpd_access_policy\nprotocol_state=mail", Malformed::State),
            ("request=smtpd_access_policy\nprotocol_state=MAIL\nsize=-1", Malformed::Number),
            ("request=smtpd_access_policy\nprotocol_state=MAIL\nrecipient_count=99999999999", Malformed::Number),
        ] {
            assert_eq!(parse(block.as_bytes()), Err(malformed), "{block:?}");
        }
    }

    #[test]
    fn an_attribute_that_is_read_may_not_stand_twice() {
        for name in READ {
            let block = format!("{RCPT}\n{name}=x\n{name}=x");
            assert!(matches!(parse(block.as_bytes()), Err(Malformed::Twice(twice)) if twice == name), "{name}");
        }
        assert!(parse(format!("{RCPT}\nsasl_sender=\nsasl_sender=").as_bytes()).is_ok());
    }

    #[test]
    fn a_process_id_is_plain_hexadecimal_before_a_dot() {
        for (instance, pid) in [
            ("4412.6b.7.0", Some(0x4412)),
            ("1.", Some(1)),
            ("4412", None),
            (".1", None),
            ("+1.0", None),
            ("-1.0", None),
            ("fffffffff.0", None),
            ("", None),
        ] {
            assert_eq!(instance_pid(instance.as_bytes()), pid, "{instance:?}");
        }
    }

    #[test]
    fn old_and_unknown_encryption_is_below_every_floor() {
        for (name, encryption) in [("SSLv3", Encryption::Unknown), ("TLSv1", Encryption::Tls10), ("", Encryption::None)]
        {
            assert_eq!(parse_encryption(Some(name.as_bytes())), encryption);
            assert!(encryption < Encryption::Tls12);
        }
    }

    proptest! {
        #[test]
        fn no_block_makes_the_parser_panic(block in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&block);
        }

        #[test]
        fn a_value_never_becomes_another_attribute(sender in "[ -~]{0,60}") {
            let block = format!("request=smtpd_access_policy\nprotocol_state=MAIL\nsender={sender}\nsasl_username=a@x.test");
            let question = parse(block.as_bytes()).unwrap();
            prop_assert_eq!((question.sender, question.sasl_username), (sender, "a@x.test".to_owned()));
        }
    }
}
