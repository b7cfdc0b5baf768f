//! The policy's reading of a SASL message: XOAUTH2 and OAUTHBEARER, before base64.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_rules::{Attempt, Credentials, DenyReason, Inquiry, MAX_RESPONSE, MAX_TOKEN, Protocol, open};
use regex::bytes::Regex;

use crate::token::{GOOD, NOW, settings};

/// `TOKEN` stands for a token that the policy can read.
pub(crate) const SEEDS: &[&[u8]] = &[
    b"user=docteur.un@bal.example.test\x01auth=Bearer TOKEN\x01\x01",
    b"n,a=docteur.un@bal.example.test,\x01host=imap.example.test\x01port=993\x01auth=Bearer TOKEN\x01\x01",
    b"y,,\x01auth=bearer   TOKEN\x01mailer=x\x01\x01",
    b"n,a=a=3Db=2Cc@bal.example.test,\x01auth=Bearer TOKEN\x01\x01",
    b"n,,\x01auth=Bearer TOKEN\x01auth=Bearer x\x01user=b@x.test\x01\x01",
    b"p=tls-unique,,\x01auth=Bearer TOKEN\x01\x01",
    b"user=\x01auth=Bearer TOKEN\x01\x01",
    b"user=a@x.test\x01auth=Basic TOKEN\x01\x01",
];

/// The grammars, as printed by Google and by RFC 7628 section 3.1.
struct Grammars {
    xoauth2: Regex,
    oauthbearer: Regex,
    field: Regex,
    bearer: Regex,
    address: Regex,
}

static GRAMMARS: LazyLock<Grammars> = LazyLock::new(|| {
    let of = |text| Regex::new(text).expect("it parses");
    Grammars {
        xoauth2: of(r"(?s-u)^user=([^\x00-\x1f\x7f]+)\x01auth=(?i:Bearer) ([!-~]+)\x01\x01$"),
        oauthbearer: of(r"(?s-u)^[ny],(?:a=((?:[^\x00-\x1f\x7f,=]|=2C|=3D)+))?,\x01((?:[^\x01]+\x01)+)\x01$"),
        field: of(r"(?s-u)^([A-Za-z]+)=([^\x00-\x1f\x7f]*)$"),
        bearer: of(r"^(?i:Bearer) +([!-~]+)$"),
        address: of(concat!(
            r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
            r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
        )),
    }
});

pub(crate) fn run(bytes: &[u8]) {
    let message = crate::replaced(bytes, b"TOKEN", GOOD.as_bytes());
    let response = STANDARD.encode(&message);
    for (mechanism, read) in [("XOAUTH2", xoauth2(&message)), ("oauthbearer", oauthbearer(&message))] {
        let credentials = Credentials::Sasl { mechanism, response: response.as_bytes() };
        let attempt = Attempt { credentials, mailbox: None, protocol: Protocol::Imap };
        let opened = open(&settings(), &attempt, NOW);
        match read {
            _ if response.len() > MAX_RESPONSE => assert_eq!(opened.err(), Some(DenyReason::TooLarge)),
            None => assert_eq!(opened.err(), Some(DenyReason::MessageMalformed)),
            Some((token, _)) if token.len() > MAX_TOKEN => assert_eq!(opened.err(), Some(DenyReason::TooLarge)),
            Some((token, user)) => agrees(&message, token, user.as_deref(), opened),
        }
    }
}

/// What was opened is the token and the mailbox that the strict reading finds.
fn agrees(message: &[u8], token: Range<usize>, user: Option<&[u8]>, opened: Result<Inquiry, DenyReason>) {
    if user.is_some_and(|user| !is_address(user)) {
        assert_eq!(opened.err(), Some(DenyReason::MailboxMalformed));
        return;
    }
    match opened {
        Ok(inquiry) => {
            let start = inquiry.token.start as usize;
            assert_eq!(start..start + inquiry.token.length as usize, token);
            assert_eq!(inquiry.mailbox.map(String::into_bytes), user.map(<[u8]>::to_ascii_lowercase));
        }
        Err(reason) => assert!(reason != DenyReason::MessageMalformed && &message[token] != GOOD.as_bytes()),
    }
}

fn is_address(user: &[u8]) -> bool {
    let local = user.iter().position(|byte| *byte == b'@').unwrap_or(0);
    user.len() <= 254 && local <= 64 && GRAMMARS.address.is_match(user)
}

/// Where the token stands, and the mailbox.
type Read = (Range<usize>, Option<Vec<u8>>);

fn xoauth2(message: &[u8]) -> Option<Read> {
    let captures = GRAMMARS.xoauth2.captures(message)?;
    Some((captures.get(2)?.range(), Some(captures[1].to_vec())))
}

fn oauthbearer(message: &[u8]) -> Option<Read> {
    let captures = GRAMMARS.oauthbearer.captures(message)?;
    let (fields, mut seen, mut token) = (captures.get(2)?, Vec::new(), None);
    let mut at = fields.start();
    for field in fields.as_bytes().split(|byte| *byte == 1).filter(|field| !field.is_empty()) {
        let pair = GRAMMARS.field.captures(field)?;
        let name = pair[1].to_vec();
        match name.as_slice() {
            b"user" => return None,
            b"auth" | b"host" | b"port" if seen.contains(&name) => return None,
            b"auth" => {
                let found = GRAMMARS.bearer.captures(&pair[2])?.get(1)?.range();
                let from = at + b"auth=".len();
                token = Some(from + found.start..from + found.end);
            }
            _ => {}
        }
        seen.push(name);
        at += field.len() + 1;
    }
    let unescaped = |name: &[u8]| crate::replaced(&crate::replaced(name, b"=2C", b","), b"=3D", b"=");
    Some((token?, captures.get(1).map(|name| unescaped(name.as_bytes()))))
}
