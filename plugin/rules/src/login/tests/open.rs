//! What `open` asks to be proven.

use crate::samples::{
    IDENTITY, ISSUER, MAILBOX, NOW, bearer, oauthbearer, plain_settings, sasl, settings, token, xoauth2,
};
use crate::{Algorithm, Attempt, Credentials, DenyReason, Inquiry, Introspect, Protocol, Settings, Span, open};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

fn asked(attempt: &Attempt<'_>) -> Result<Inquiry, DenyReason> {
    let settings = plain_settings();
    open(&Settings::prepared(&settings).unwrap(), attempt, NOW)
}

fn slice(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.length as usize]
}

/// The bytes that spans of an attempt point into.
fn bytes(attempt: &Attempt<'_>) -> Vec<u8> {
    match attempt.credentials {
        Credentials::Bearer(token) => token.to_vec(),
        Credentials::Sasl { response, .. } => STANDARD.decode(response).unwrap(),
    }
}

#[test]
fn the_inquiry_says_all_that_is_to_be_proven() {
    let token = token(json!({}));
    let inquiry = asked(&bearer(&token)).unwrap();
    assert_eq!(inquiry.issuer, ISSUER);
    assert_eq!(inquiry.key_id.as_deref(), Some("key-1"));
    assert_eq!(inquiry.algorithm, Algorithm::Rs256);
    assert_eq!(inquiry.identity, IDENTITY);
    assert!(!inquiry.identities_differ);
    assert_eq!(inquiry.mailbox, None);
    assert_eq!(inquiry.introspect, Introspect::Never);
    assert_eq!(inquiry.claims.subject.as_deref(), Some("f:550dc1c8:899700000011"));
    assert_eq!(inquiry.claims.session.as_deref(), Some("session-1"));
    assert_eq!(inquiry.claims.authorized_party.as_deref(), Some("logiciel"));
    assert_eq!(inquiry.claims.expires_at, NOW + 110);
    assert_eq!(inquiry.claims.not_before, None);
    assert_eq!(inquiry.claims.issued_at, Some(NOW - 10));
    assert_eq!(inquiry.claims.authenticated_at, Some(NOW - 600));
}

#[test]
fn introspection_is_asked_as_the_issuer_s_setting_says() {
    for (mode, expected) in
        [("off", Introspect::Never), ("preferred", Introspect::Prefer), ("required", Introspect::Must)]
    {
        let inquiry = crate::samples::opened(&settings(mode, json!({})), &token(json!({}))).unwrap();
        assert_eq!(inquiry.introspect, expected);
    }
}

#[test]
fn spans_delimit_the_token_and_its_signed_part() {
    let token = token(json!({}));
    let signed = &token[..token.rfind('.').unwrap()];
    let (xoauth2, oauthbearer) = (xoauth2(MAILBOX, &token), oauthbearer(MAILBOX, &token));
    for attempt in [bearer(&token), sasl("XOAUTH2", &xoauth2), sasl("OAUTHBEARER", &oauthbearer)] {
        let inquiry = asked(&attempt).unwrap();
        let bytes = bytes(&attempt);
        assert_eq!(slice(&bytes, inquiry.token), token.as_bytes());
        assert_eq!(slice(&bytes, inquiry.signed), signed.as_bytes());
    }
}

#[test]
fn the_mailbox_is_the_server_s_or_the_message_s() {
    let token = token(json!({}));
    let named = xoauth2("Docteur.UN@bal.example.test", &token);
    let nobody = STANDARD.encode(format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}"));
    let ask = |attempt: Attempt<'_>, mailbox| asked(&Attempt { mailbox, ..attempt }).map(|inquiry| inquiry.mailbox);
    let un = Some(MAILBOX.into());
    assert_eq!(ask(bearer(&token), None), Ok(None));
    assert_eq!(ask(bearer(&token), Some("Docteur.Un@BAL.example.test")), Ok(un.clone()));
    assert_eq!(ask(sasl("XOAUTH2", &named), None), Ok(un.clone()));
    assert_eq!(ask(sasl("XOAUTH2", &named), Some(MAILBOX)), Ok(un.clone()));
    assert_eq!(ask(sasl("OAUTHBEARER", &nobody), None), Ok(None));
    assert_eq!(ask(sasl("OAUTHBEARER", &nobody), Some(MAILBOX)), Ok(un));
    let other = Some("docteur.deux@bal.example.test");
    assert_eq!(ask(sasl("XOAUTH2", &named), other), Err(DenyReason::MailboxRefused));
    for malformed in ["", "docteur.un", "a@b", "docteur.un@bal.example.test\n", "*@bal.example.test "] {
        assert_eq!(ask(bearer(&token), Some(malformed)), Err(DenyReason::MailboxMalformed), "{malformed:?}");
    }
    let hostile = xoauth2("a|b@bal.example.test)$", &token);
    assert_eq!(ask(sasl("XOAUTH2", &hostile), None), Err(DenyReason::MailboxMalformed));
}

#[test]
fn the_protocol_changes_nothing() {
    let token = token(json!({}));
    let inquiries = [Protocol::Imap, Protocol::Smtp, Protocol::Other]
        .map(|protocol| asked(&Attempt { protocol, ..bearer(&token) }));
    assert!(inquiries.iter().all(|inquiry| *inquiry == inquiries[0] && inquiry.is_ok()));
}

#[test]
fn nothing_that_is_shown_is_ever_printed() {
    let token = token(json!({}));
    let attempt = bearer(&token);
    let printed = format!("{attempt:?} {:?}", asked(&attempt).unwrap());
    for secret in [token.as_str(), IDENTITY, ISSUER, "session-1", "key-1"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        mechanism in prop_oneof![Just("XOAUTH2"), Just("OAUTHBEARER"), Just("PLAIN")],
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        mailbox in proptest::option::of(".{0,30}"),
        now in any::<u64>(),
    ) {
        let settings = plain_settings();
        let settings = Settings::prepared(&settings).unwrap();
        let encoded = STANDARD.encode(&bytes);
        for credentials in [
            Credentials::Bearer(&bytes),
            Credentials::Sasl { mechanism, response: &bytes },
            Credentials::Sasl { mechanism, response: encoded.as_bytes() },
        ] {
            let attempt = Attempt { credentials, mailbox: mailbox.as_deref(), protocol: Protocol::Other };
            prop_assert!(open(&settings, &attempt, now).is_err());
        }
    }

    #[test]
    fn no_time_makes_it_panic(now in any::<u64>(), exp in 0..1_u64 << 53, iat in 0..1_u64 << 53, leeway in 0..=30_u64) {
        let settings = settings("off", json!({ "leeway_seconds": leeway }));
        let token = token(json!({ "exp": exp, "iat": iat, "auth_time": null }));
        let opened = open(&Settings::prepared(&settings).unwrap(), &bearer(&token), now);
        let lives = now < exp + leeway && iat <= now.saturating_add(leeway) && now < iat + 14_400;
        prop_assert_eq!(opened.is_ok(), lives);
    }

    #[test]
    fn a_damaged_token_never_names_another_person(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut damaged = token(json!({})).into_bytes();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let attempt = Attempt { credentials: Credentials::Bearer(&damaged), mailbox: None, protocol: Protocol::Imap };
        if let Ok(inquiry) = asked(&attempt) {
            // The signature covers every byte that can change an answer; what is asked to be proven is what was shown.
            prop_assert_eq!(slice(&damaged, inquiry.token), &damaged[..]);
            let last_dot = damaged.iter().rposition(|&byte| byte == b'.').unwrap();
            prop_assert_eq!(slice(&damaged, inquiry.signed), &damaged[..last_dot]);
        }
    }

    #[test]
    fn sasl_spans_delimit_the_token_whatever_stands_around_it(user in "[a-z0-9.]{1,20}", host in "[ -~]{0,40}") {
        prop_assume!(!user.starts_with('.') && !user.ends_with('.') && !user.contains(".."));
        let token = token(json!({}));
        let message = format!("n,a={user}@bal.example.test,\u{1}host={host}\u{1}auth=Bearer {token}\u{1}\u{1}");
        let response = STANDARD.encode(&message);
        let inquiry = asked(&sasl("OAUTHBEARER", &response)).unwrap();
        prop_assert_eq!(slice(message.as_bytes(), inquiry.token), token.as_bytes());
        prop_assert_eq!(inquiry.mailbox, Some(format!("{user}@bal.example.test")));
    }
}
