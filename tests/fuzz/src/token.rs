//! The policy's reading of a token: its header, a line end, its payload; the encoding around them is made here.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi_rules::{
    Attempt, Credentials, DenyReason, Evidence, Inquiry, Introspection, Mailbox, MailboxKind, Protocol, Settings,
    Verdict, configure, decide, open,
};
use serde_json::{Map, Value};

/// The time at which the seeds are good, and the most by which clocks may differ.
pub(crate) const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;
const ISSUER: &str = "https://psc.example.test/auth/realms/esante-wallet";

pub(crate) const SEEDS: &[&[u8]] = &[
    b"{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"key-1\"}\n{\"iss\":\"https://psc.example.test/auth/realms/esante-wallet\",\
      \"exp\":1800000110,\"iat\":1799999990,\"auth_time\":1799999400,\"sub\":\"f:550dc1c8:899700000011\",\"typ\":\"Bearer\",\
      \"azp\":\"logiciel\",\"session_state\":\"s\",\"acr\":\"eidas1\",\"preferred_username\":\"899700000011\",\
      \"SubjectNameID\":\"899700000011\",\"realm_access\":{\"roles\":[\"offline_access\"]}}",
    b"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"crit\":[\"b64\"]}\n{}",
    b"{\"alg\":\"none\"}\n{\"iss\":null}",
    b"{\"alg\":\"PS256\"}\n{\"iss\":\"https://psc.example.test/auth/realms/esante-wallet\",\"exp\":1800000110,\"iat\":1799999990,\
      \"acr\":\"eidas1\",\"sub\":\"f:550dc1c8:500000000000017/CPAT00001\",\"a\":[[{\"b\":1.5e3}]],\"aud\":[\"x\"]}",
];

/// A compact token with a signature that is none.
fn compact(header: &[u8], payload: &[u8]) -> String {
    [header, payload, &[7; 256]].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

/// One that opens: the first seed.
pub(crate) static GOOD: LazyLock<String> = LazyLock::new(|| {
    let (header, payload) = parts(SEEDS[0]);
    compact(header, payload)
});

/// Header and payload.
fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
}

/// Settings with one issuer, without introspection.
pub(crate) fn settings() -> Settings<'static> {
    static PREPARED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let document = serde_json::json!({ "issuers": [{ "issuer": ISSUER, "introspection": "off" }] });
        configure(&document.to_string()).expect("settings")
    });
    Settings::prepared(&PREPARED).expect("settings")
}

fn opened(token: &str) -> Result<Inquiry, DenyReason> {
    let credentials = Credentials::Bearer(token.as_bytes());
    open(&settings(), &Attempt { credentials, mailbox: None, protocol: Protocol::Imap }, NOW)
}

/// What opens says what any other reader of JSON finds in it, and opens the same when it is written anew.
pub(crate) fn run(bytes: &[u8]) {
    let (header, payload) = parts(bytes);
    let token = compact(header, payload);
    let Ok(inquiry) = opened(&token) else { return };
    let [header, payload] =
        [header, payload].map(|part| serde_json::from_slice::<Map<String, Value>>(part).expect("an object"));
    assert!(!header.contains_key("crit") && text(&header, "alg") == Some(inquiry.algorithm.name()));
    assert!(text(&header, "kid") == inquiry.key_id.as_deref() && inquiry.issuer == ISSUER);
    assert!(text(&payload, "iss") == Some(ISSUER) && identity(&payload) == Some(inquiry.identity.as_str()));
    let signed = token.rfind('.').expect("two dots");
    let spans = [inquiry.token, inquiry.signed].map(|span| (span.start as usize, span.length as usize));
    assert_eq!(spans, [(0, token.len()), (0, signed)]);
    times(&payload, &inquiry);
    let [header, payload] = [header, payload].map(|part| serde_json::to_vec(&part).expect("JSON"));
    let again = opened(&compact(&header, &payload)).expect("the same token");
    assert!(again.claims == inquiry.claims && again.identity == inquiry.identity && again.key_id == inquiry.key_id);
    decided(inquiry);
}

fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str()
}

fn times(payload: &Map<String, Value>, inquiry: &Inquiry) {
    let date = |name: &str| payload.get(name).and_then(Value::as_u64);
    assert!(date("exp").is_some_and(|exp| exp + LEEWAY > NOW) && date("exp") == Some(inquiry.claims.expires_at));
    for early in ["nbf", "iat", "auth_time"].iter().filter_map(|name| date(name)) {
        assert!(early <= NOW + LEEWAY);
    }
}

/// The first that is there of the three claims that name the person.
fn identity(payload: &Map<String, Value>) -> Option<&str> {
    let named = ["SubjectNameID", "preferred_username"].iter().filter_map(|name| text(payload, name));
    let tail = text(payload, "sub").and_then(|sub| sub.strip_prefix("f:")?.rsplit_once(':').map(|(_, tail)| tail));
    named.chain(tail).find(|name| !name.is_empty())
}

/// Nothing is granted but what the directory lists.
fn decided(inquiry: Inquiry) {
    let identity = inquiry.identity.clone();
    let mailbox = Mailbox { address: "docteur.un@bal.example.test".into(), kind: MailboxKind::Per, persons: 1 };
    let evidence = Evidence { introspection: Introspection::NotAsked, mailboxes: vec![mailbox.clone()] };
    if let Verdict::Allow(grant) = decide(&settings(), inquiry, evidence, NOW) {
        assert!(grant.identity == identity && grant.mailboxes == [mailbox.address]);
    }
}
