//! Made-up attempts for the tests: shaped as Pro Santé Connect's, signed by nobody.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    Attempt, Credentials, DenyReason, Evidence, Inquiry, Introspection, Mailbox, MailboxKind, Protocol, Settings,
    Verdict, configure, decide, open,
};

/// The time at which the samples are good.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://psc.example.test/auth/realms/esante-wallet";
pub(crate) const IDENTITY: &str = "899700000011";
pub(crate) const MAILBOX: &str = "docteur.un@bal.example.test";

/// Settings with one issuer in the given introspection mode, and the given keys besides.
pub(crate) fn settings(introspection: &str, more: Value) -> Vec<u8> {
    let mut document = json!({ "issuers": [{ "issuer": ISSUER, "introspection": introspection }] });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    configure(&document.to_string()).unwrap()
}

/// Settings with all defaults, without introspection.
pub(crate) fn plain_settings() -> Vec<u8> {
    settings("off", json!({}))
}

pub(crate) fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" })
}

pub(crate) fn payload() -> Value {
    json!({
        "iss": ISSUER, "exp": NOW + 110, "iat": NOW - 10, "auth_time": NOW - 600, "jti": "1-2-3",
        "sub": format!("f:550dc1c8:{IDENTITY}"), "typ": "Bearer", "azp": "logiciel", "nonce": "",
        "session_state": "session-1", "sid": "session-1", "acr": "eidas1", "scope": "openid scope_all",
        "preferred_username": IDENTITY, "SubjectNameID": IDENTITY,
        "realm_access": { "roles": ["offline_access"] },
    })
}

/// The value with members replaced, and those that are `null` taken out.
pub(crate) fn with(mut value: Value, changes: Value) -> Value {
    let members = value.as_object_mut().unwrap();
    for (name, change) in changes.as_object().unwrap() {
        members.remove(name);
        if !change.is_null() {
            members.insert(name.clone(), change.clone());
        }
    }
    value
}

/// A compact token of those texts, with a signature that is none.
pub(crate) fn token_of(header: &str, payload: &str) -> String {
    let [header, payload, signature] =
        [header.as_bytes(), payload.as_bytes(), &[7; 256]].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.{signature}")
}

pub(crate) fn token(changes: Value) -> String {
    token_of(&header().to_string(), &with(payload(), changes).to_string())
}

pub(crate) fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

pub(crate) fn oauthbearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\u{1}host=imap.example.test\u{1}port=993\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

pub(crate) fn bearer(token: &str) -> Attempt<'_> {
    Attempt { credentials: Credentials::Bearer(token.as_bytes()), mailbox: None, protocol: Protocol::Imap }
}

pub(crate) fn sasl<'a>(mechanism: &'a str, response: &'a str) -> Attempt<'a> {
    let credentials = Credentials::Sasl { mechanism, response: response.as_bytes() };
    Attempt { credentials, mailbox: None, protocol: Protocol::Imap }
}

/// `open` on a bare token.
pub(crate) fn opened(settings: &[u8], token: &str) -> Result<Inquiry, DenyReason> {
    open(&Settings::prepared(settings).unwrap(), &bearer(token), NOW)
}

/// The same under default settings, for tokens that are to be refused.
pub(crate) fn refused(token: &str) -> Option<DenyReason> {
    opened(&plain_settings(), token).err()
}

pub(crate) fn per(address: &str) -> Mailbox {
    Mailbox { address: address.into(), kind: MailboxKind::Per, persons: 1 }
}

pub(crate) fn evidence(mailboxes: &[Mailbox]) -> Evidence {
    Evidence { introspection: Introspection::NotAsked, mailboxes: mailboxes.to_vec() }
}

pub(crate) fn decided(settings: &[u8], inquiry: &Inquiry, evidence: &Evidence, now: u64) -> Verdict {
    decide(&Settings::prepared(settings).unwrap(), inquiry.clone(), evidence.clone(), now)
}
