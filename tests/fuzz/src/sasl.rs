//! The SASL server's side of Dovecot's auth protocol: whole connections.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi::clock::{Clock, UnixSeconds};
use octroi::doors::join::Joins;
use octroi::doors::ports::Judge;
use octroi::doors::sasl::{Offer, SaslDoor, SaslParts};
use octroi::gate::{Attempt, Credentials, Decision, DecisionId, Protocol};
use octroi::reason::{DenyReason, UnavailableReason};
use regex::bytes::{Captures, Regex};

use crate::door::{Shelf, converse};
use crate::framing::frames;
use crate::somewhere;

pub(crate) const SEEDS: &[&[u8]] = &[
    b"VERSION\t1\t0\nCPID\t4711\nAUTH\t1\tXOAUTH2\tservice=smtp\tnologin\tlip=::1\trip=192.0.2.7\tsecured\tresp=dXNlcg==\n\
      CONT\t1\t\n",
    b"CPID\t4711\n",
    b"VERSION\t1\t1\nCPID\t4711\nAUTH\t1\toauthbearer\tservice=submission\tsecured\trip=2001:db8::7\tresp=\nCONT\t1\tbixh\n\
      CONT\t1\tAQ==\nAUTH\t2\tPLAIN\tresp=AGEAYg==\n",
    b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tXOAUTH2\nCANCEL\t1\nCONT\t1\tx\n",
    b"VERSION\t1\t0\nCPID\t1\nSERVICE\tSMTP\n\nAUTH\t1\tXOAUTH2\tresp=outage\nAUTH\t2\tXOAUTH2\tresp=x\n",
    b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tXOAUTH2\nAUTH\t2\tXOAUTH2\nAUTH\t3\tXOAUTH2\nAUTH\t4\tXOAUTH2\nAUTH\t5\tXOAUTH2\n\
      AUTH\t6\tXOAUTH2\nAUTH\t7\tXOAUTH2\nAUTH\t8\tXOAUTH2\nAUTH\t9\tXOAUTH2\nCONT\t2\ta\nCONT\t1\ta\n",
    b"VERSION\t2\t0\n",
    b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tXOAUTH2\tresp=\xc3\xa9\n",
];

/// Exchanges that may be open, and bytes of a line, its end included.
const OPEN: usize = 8;
const LINE: usize = 16 * 1024;

/// What there is to see of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Messages judged: mechanism, response, protocol, client.
    judged: Vec<(String, Vec<u8>, Protocol, Option<IpAddr>)>,
    /// Lines said after the greeting.
    said: Vec<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// `CONT` without data: to go on.
    Go(u32),
    /// `CONT` with a reason for the mail client.
    Challenge(u32),
    /// `FAIL`.
    Fail(u32),
}

/// Nothing is ever judged or answered but what the strict reading finds, however the bytes arrive; what has come is
/// answered whatever follows.
pub(crate) fn run(bytes: &[u8]) {
    let (head, tail) = bytes.split_at(somewhere(bytes));
    let whole = seen(&[bytes]);
    assert_eq!(whole, strictly(bytes));
    assert_eq!(whole, seen(&[head, tail]));
    let begun = seen(&[head]);
    assert!(whole.judged.starts_with(&begun.judged) && whole.said.starts_with(&begun.said));
}

/// A judge that is never content: an outage where the response says so, else a refusal.
fn seen(pieces: &[&[u8]]) -> Seen {
    let judged = Arc::<Mutex<Vec<_>>>::default();
    let (into, store) = (Arc::clone(&judged), Arc::new(Shelf::default()));
    let judge = Judge::new(move |attempt: Attempt| {
        let Credentials::Sasl { mechanism, response } = attempt.credentials else { panic!("not a SASL message") };
        let response = response.expose().to_vec();
        let outage = response.starts_with(b"outage");
        into.lock().expect("no panic").push((mechanism, response, attempt.protocol, attempt.client));
        let outcome = if outage { UnavailableReason::KeysUnavailable.into() } else { DenyReason::TokenExpired.into() };
        std::future::ready(Decision { id: DecisionId::random(), outcome })
    });
    let joins = Arc::new(Joins::new(4, 100));
    let clock = Clock::manual(UnixSeconds(1_000));
    let door = SaslDoor::new(SaslParts {
        judge,
        store: store.clone(),
        offer: Offer::Tokens,
        joins: Arc::clone(&joins),
        clock,
    });
    let answer = converse(door, pieces);
    assert!(store.recorded().is_empty() && joins.is_empty());
    let judged = std::mem::take(&mut *judged.lock().expect("no panic"));
    Seen { judged, said: said(&answer) }
}

fn said(answer: &[u8]) -> Vec<Said> {
    let answer = str::from_utf8(answer).expect("ASCII");
    let (greeting, rest) = answer.split_once("\nDONE\n").expect("a greeting");
    assert!(greeting.starts_with("VERSION\t1\t1\nMECH\tXOAUTH2\tplaintext\nMECH\tOAUTHBEARER\tplaintext\nSPID\t"));
    rest.split_inclusive('\n').map(line_said).collect()
}

/// One line of the door, complete and in the protocol's grammar. There is no `OK` among them.
fn line_said(line: &str) -> Said {
    let line = line.strip_suffix('\n').expect("a whole line");
    let mut fields = line.splitn(3, '\t');
    let [command, id, rest] = [(); 3].map(|()| fields.next().expect("three fields"));
    let id = id.parse().expect("a number");
    match command {
        "CONT" if rest.is_empty() => Said::Go(id),
        "CONT" => {
            let challenge = STANDARD.decode(rest).expect("base64");
            assert!(serde_json::from_slice::<serde_json::Value>(&challenge).is_ok_and(|value| value.is_object()));
            Said::Challenge(id)
        }
        "FAIL" => {
            let reason = rest.strip_prefix("reason=").expect("a reason");
            assert!(!reason.is_empty() && reason.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            Said::Fail(id)
        }
        other => panic!("the door says {other}"),
    }
}

/// The grammar of a client's lines.
struct Grammar {
    version: Regex,
    cpid: Regex,
    auth: Regex,
    cont: Regex,
    cancel: Regex,
}

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let of = |text: &str| Regex::new(&text.replace('#', "(0|[1-9][0-9]{0,9})")).expect("it parses");
    Grammar {
        version: of(r"^VERSION\t#\t#$"),
        cpid: of(r"^CPID\t#$"),
        auth: of(r"(?s-u)^AUTH\t#\t([A-Za-z0-9_-]{1,20})((?:\t[^\t]*)*?)(?:\tresp=(.*))?$"),
        cont: of(r"(?s-u)^CONT\t#\t(.*)$"),
        cancel: of(r"^CANCEL\t#$"),
    }
});

#[derive(Default)]
struct Reading {
    versioned: bool,
    begun: bool,
    /// Oldest first; `None` waits for the acknowledgement of a challenge.
    open: Vec<(u32, Option<Message>)>,
    seen: Seen,
}

/// Mechanism, protocol, client.
type Message = (String, Protocol, Option<IpAddr>);

fn strictly(bytes: &[u8]) -> Seen {
    let mut reading = Reading::default();
    for line in frames(bytes, b"\n", LINE) {
        if !line.is_ascii() || reading.line(line).is_none() {
            break;
        }
    }
    reading.seen
}

fn number(captures: &Captures<'_>, at: usize) -> Option<u32> {
    str::from_utf8(&captures[at]).ok()?.parse().ok()
}

impl Reading {
    /// `None`: the connection ends.
    fn line(&mut self, line: &[u8]) -> Option<()> {
        match line.split(|byte| *byte == b'\t').next()? {
            b"VERSION" => {
                let version = GRAMMAR.version.captures(line)?;
                (number(&version, 1)? == 1 && number(&version, 2).is_some() && !self.versioned).then_some(())?;
                self.versioned = true;
            }
            b"CPID" => {
                number(&GRAMMAR.cpid.captures(line)?, 1).filter(|_| self.versioned && !self.begun)?;
                self.begun = true;
            }
            b"AUTH" => return self.auth(&GRAMMAR.auth.captures(line)?),
            b"CONT" => return self.cont(&GRAMMAR.cont.captures(line)?),
            b"CANCEL" => {
                let id = number(&GRAMMAR.cancel.captures(line)?, 1).filter(|_| self.begun)?;
                self.open.retain(|(open, _)| *open != id);
            }
            _ => {}
        }
        Some(())
    }

    fn auth(&mut self, auth: &Captures<'_>) -> Option<()> {
        let id = number(auth, 1).filter(|_| self.begun)?;
        if self.open.iter().any(|(open, _)| *open == id) {
            return None;
        }
        let mechanism = str::from_utf8(&auth[2]).ok()?.to_ascii_uppercase();
        if !["XOAUTH2", "OAUTHBEARER"].contains(&mechanism.as_str()) {
            self.seen.said.push(Said::Fail(id));
            return Some(());
        }
        let parameters = str::from_utf8(&auth[3]).ok()?.split('\t');
        let values = |name| parameters.clone().filter_map(move |parameter| parameter.strip_prefix(name));
        let protocol = match values("service=").next() {
            Some("smtp" | "submission") => Protocol::Smtp,
            Some("imap") => Protocol::Imap,
            _ => Protocol::Other,
        };
        let message = (mechanism, protocol, values("rip=").find_map(|address| address.parse().ok()));
        match auth.get(4).filter(|response| !response.is_empty()) {
            Some(response) => self.judge(id, message, response.as_bytes()),
            None => {
                self.wait(id, Some(message));
                self.seen.said.push(Said::Go(id));
                Some(())
            }
        }
    }

    fn cont(&mut self, cont: &Captures<'_>) -> Option<()> {
        let id = number(cont, 1).filter(|_| self.begun)?;
        let at = self.open.iter().position(|(open, _)| *open == id)?;
        match self.open.remove(at).1 {
            Some(message) => self.judge(id, message, &cont[2]),
            None => {
                self.seen.said.push(Said::Fail(id));
                Some(())
            }
        }
    }

    fn judge(&mut self, id: u32, (mechanism, protocol, client): Message, response: &[u8]) -> Option<()> {
        self.seen.judged.push((mechanism, response.to_vec(), protocol, client));
        if response.starts_with(b"outage") {
            return None;
        }
        self.wait(id, None);
        self.seen.said.push(Said::Challenge(id));
        Some(())
    }

    fn wait(&mut self, id: u32, message: Option<Message>) {
        self.open.push((id, message));
        if self.open.len() > OPEN {
            self.open.remove(0);
        }
    }
}
