//! The two doors for Dovecot: the JSON of its auth-policy, and the form of its introspection.

use std::sync::{Arc, Mutex};

use hyper::HeaderMap;
use octroi::clock::{Clock, UnixSeconds};
use octroi::doors::answer::INACTIVE;
use octroi::doors::dovecot_introspection::IntrospectionDoor;
use octroi::doors::dovecot_policy::{PolicyDoor, PolicyParts, PolicySettings};
use octroi::doors::handles::{Entry, Handles, Purpose};
use octroi::doors::ports::{CertificateJudge, Judge, Witness};
use octroi::evidence::directory::{Directory, IdNat, Mailbox, MailboxAddress, MailboxKind, Snapshot};
use octroi::gate::{Attempt, CertificateDecision, Credentials, Decision, DecisionId};
use octroi::reason::{DenyReason, UnavailableReason};
use octroi::store::{Authentication, Means};
use serde_json::{Map, Value};

use crate::door::{Shelf, wait};

/// `HANDLE` stands for the one that is good, for `a@x.test`.
pub(crate) const POLICY_SEEDS: &[&[u8]] = &[
    br#"{"user":"a@x.test","mech":"XOAUTH2","handle":"HANDLE","session_id":"lBVpLxFh6NJ/AAAB","remote":"192.0.2.7"}"#,
    br#"{"user":"A@X.test","mech":"oauthbearer","handle":"HANDLE","master_user":"","auth_user":"","login":"a@x.test"}"#,
    br#"{"user":"b@x.test","mech":"XOAUTH2","handle":"HANDLE"}"#,
    br#"{"user":"a@x.test","mech":"XOAUTH2","handle":"h-00000000000000000000000000000000"}"#,
    br#"{"user":"a@x.test","mech":"XOAUTH2","handle":""}"#,
    br#"{"user":"a@x.test","mech":"PLAIN","fields":{"a":[1]},"tls":true,"pid":"1"}"#,
    br#"{"user":"b@x.test","mech":"plain","master_user":"Master"}"#,
    br#"{"user":"master","mech":"LOGIN","user":"a@x.test"}"#,
    br#"{"user":1,"mech":"PLAIN","handle":null}"#,
    br#"["a@x.test","PLAIN"]"#,
];

const NOW: UnixSeconds = UnixSeconds(1_000);
const MAILBOXES: [&str; 2] = ["a@x.test", "b@x.test"];

fn address(text: &str) -> MailboxAddress {
    MailboxAddress::parse(text).expect("an address")
}

/// A login is answered yes, and counted, only as the strict reading of the JSON says.
pub(crate) fn policy(bytes: &[u8]) {
    let (handles, store) = (Arc::new(Handles::new(30, 16)), Arc::new(Shelf::default()));
    let identity = IdNat::parse("899700000011").expect("an identity");
    let purpose = Purpose::Login { decision: DecisionId::random(), issuer: "https://psc.test".into(), identity };
    let entry = Entry { mailboxes: vec![address(MAILBOXES[0])], purpose };
    let handle = handles.issue(entry, NOW).expect("random bytes").to_string();
    let door = PolicyDoor::new(PolicyParts {
        settings: PolicySettings {
            other_mechanisms: vec!["PLAIN".to_owned()],
            uncounted_users: vec!["master".to_owned()],
        },
        handles,
        directory: directory(),
        certificates: CertificateJudge::new(|_| CertificateDecision {
            id: DecisionId::random(),
            outcome: DenyReason::CertificateUnknown.into(),
        }),
        store: store.clone(),
        witness: Witness::new(|answer| {
            let word = |text: &str| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(word(answer.mechanism) && word(answer.session));
        }),
        clock: Clock::manual(NOW),
    });
    let body = crate::replaced(bytes, b"HANDLE", handle.as_bytes());
    let (status, answer) = wait(door.allow(&body));
    let request = match serde_json::from_slice::<Map<String, Value>>(&body) {
        Ok(members) => Request::of(members),
        Err(error) if is_beyond_us(&error) => return,
        Err(_) => None,
    };
    match (status, request) {
        // A member that stands twice is malformed too, which the strict reading can't see.
        (400, _) => assert!(answer.is_empty() && store.recorded().is_empty()),
        (200, Some(request)) => {
            let (yes, counted) = request.is_good(&handle);
            let said: Value = serde_json::from_slice(&answer).expect("JSON");
            assert_eq!(said.get("status").and_then(Value::as_i64), Some(if yes { 0 } else { -1 }));
            assert_eq!(store.recorded(), counted.into_iter().collect::<Vec<_>>());
        }
        (other, _) => panic!("answered {other}"),
    }
    assert!(matches!(door.report(&body).0, 200 | 400));
}

/// JSON that the strict reading can't hold, and that one who passes over the member need not: half of a surrogate pair,
/// a number beyond a double, deep nesting.
fn is_beyond_us(error: &serde_json::Error) -> bool {
    let error = error.to_string();
    ["hex escape", "number out of range", "recursion limit"].iter().any(|limit| error.contains(limit))
}

fn directory() -> Directory {
    let directory = Directory::default();
    let mailbox = |name: &&str| Mailbox {
        address: address(name),
        kind: MailboxKind::App,
        persons: Vec::new(),
        aliases: Vec::new(),
        structures: Vec::new(),
        certificates: Arc::default(),
    };
    directory.publish(Snapshot::new(MAILBOXES.iter().map(mailbox).collect()));
    directory
}

/// The members that are read.
struct Request([String; 6]);

impl Request {
    /// `None`: one that must be there is not, or one is no text.
    fn of(mut members: Map<String, Value>) -> Option<Self> {
        for name in ["session_id", "remote"] {
            members.get(name).is_none_or(Value::is_string).then_some(())?;
        }
        let mut text = |name: &str| match (name, members.remove(name)) {
            (_, Some(Value::String(text))) => Some(text),
            ("user" | "mech", _) | (_, Some(_)) => None,
            (_, None) => Some(String::new()),
        };
        let [user, mech] = [text("user")?, text("mech")?];
        Some(Self([user, mech, text("handle")?, text("master_user")?, text("auth_user")?, text("login")?]))
    }

    /// Whether the login goes on, and what is counted.
    fn is_good(&self, handle: &str) -> (bool, Option<Authentication>) {
        let Self([user, mech, shown, master, auth_user, login]) = self;
        let mailbox = user.to_ascii_lowercase();
        let listed = MAILBOXES.contains(&mailbox.as_str());
        let count = |means| Authentication { mailbox: address(&mailbox), at: NOW, means };
        match mech.to_ascii_uppercase().as_str() {
            "XOAUTH2" | "OAUTHBEARER" => {
                let good = shown == handle && mailbox == MAILBOXES[0] && master.is_empty();
                (good, good.then(|| count(Means::Psc)))
            }
            "PLAIN" => {
                let own = [user, auth_user, login].iter().all(|name| !name.eq_ignore_ascii_case("master"));
                let counts = listed && own && master.is_empty();
                (true, counts.then(|| count(Means::Mechanism("PLAIN".to_owned()))))
            }
            _ => (false, None),
        }
    }
}

pub(crate) const INTROSPECTION_SEEDS: &[&[u8]] = &[
    b"token=eyJhbGciOiJSUzI1NiJ9.eyJ9.c2ln",
    b"client_id=a&client_secret=b&token=eyJ%2E%2e+%zz&token_type_hint=access_token",
    b"token=outage&&x",
    b"token=a&token=b",
    b"t%6fken=%ff%C3%A9",
    b"Token=a",
    b"token",
];

/// What is judged is the one `token` of the form, and no answer but an allow is active.
pub(crate) fn introspection(bytes: &[u8]) {
    let judged = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let into = Arc::clone(&judged);
    let judge = Judge::new(move |attempt: Attempt| {
        let Credentials::Bearer(token) = attempt.credentials else { panic!("not a bearer token") };
        let outage = token.expose().starts_with(b"outage");
        into.lock().expect("no panic").push(token.expose().to_vec());
        let outcome = if outage { UnavailableReason::KeysUnavailable.into() } else { DenyReason::TokenExpired.into() };
        std::future::ready(Decision { id: DecisionId::random(), outcome })
    });
    let door = IntrospectionDoor::new(judge, Arc::new(Handles::new(30, 16)), Clock::manual(NOW));
    let (status, answer) = wait(door.introspect(&HeaderMap::new(), bytes));
    let tokens: Vec<_> = bytes.split(|byte| *byte == b'&').filter_map(token).collect();
    let judged = std::mem::take(&mut *judged.lock().expect("no panic"));
    match tokens.as_slice() {
        [token] => {
            assert_eq!(judged, tokens);
            let expected = if token.starts_with(b"outage") { 503 } else { 200 };
            assert!(status == expected && (status == 503 || answer == INACTIVE));
        }
        _ => assert!(status == 400 && answer == INACTIVE && judged.is_empty()),
    }
    assert!(serde_json::from_slice::<Value>(&answer).is_ok() != (status == 503));
}

/// The value of a field `token`.
fn token(field: &[u8]) -> Option<Vec<u8>> {
    let mut halves = field.splitn(2, |byte| *byte == b'=');
    let (name, value) = (decoded(halves.next()?), decoded(halves.next().unwrap_or_default()));
    (name == "token").then(|| value.into_bytes())
}

/// `+` and `%XX` undone; a `%` that begins nothing stands for itself.
fn decoded(text: &[u8]) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| *first == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
