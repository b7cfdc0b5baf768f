//! What follows from the proof.

use crate::samples::{IDENTITY, MAILBOX, NOW, decided, evidence, opened, per, plain_settings, settings, token};
use crate::{
    DenyReason, Evidence, Inquiry, Introspected, Introspection, Mailbox, MailboxKind, UnavailableReason, Verdict,
};
use proptest::prelude::*;
use serde_json::json;

const ORG: &str = "secretariat@bal.example.test";
const APP: &str = "automate@bal.example.test";

fn inquiry(mode: &str, mailbox: Option<&str>) -> Inquiry {
    let inquiry = opened(&settings(mode, json!({})), &token(json!({}))).unwrap();
    Inquiry { mailbox: mailbox.map(String::from), ..inquiry }
}

fn of_kind(address: &str, kind: MailboxKind, persons: u32) -> Mailbox {
    Mailbox { address: address.into(), kind, persons }
}

/// Addresses granted, or the reason.
fn granted(asked: Option<&str>, mailboxes: &[Mailbox]) -> Result<Vec<String>, DenyReason> {
    match decided(&plain_settings(), &inquiry("off", asked), &evidence(mailboxes), NOW) {
        Verdict::Allow(grant) => {
            assert_eq!(grant.identity, IDENTITY);
            assert!(!grant.degraded);
            Ok(grant.mailboxes)
        }
        Verdict::Deny(reason) => Err(reason),
        Verdict::Unavailable(_) => panic!("nothing was missing"),
    }
}

#[test]
fn a_person_opens_the_mailboxes_listed_for_them() {
    let listed = [per(MAILBOX), of_kind(ORG, MailboxKind::Org, 2)];
    assert_eq!(granted(None, &listed), Ok(Vec::from([MAILBOX.into(), ORG.into()])));
    assert_eq!(granted(Some(MAILBOX), &listed), Ok(Vec::from([MAILBOX.into()])));
    assert_eq!(granted(Some(ORG), &listed), Ok(Vec::from([ORG.into()])));
}

#[test]
fn somebody_else_s_mailbox_is_refused() {
    for asked in ["docteur.deux@bal.example.test", "docteur.un@bal.example.tes", "", "*"] {
        assert_eq!(granted(Some(asked), &[per(MAILBOX)]), Err(DenyReason::MailboxRefused), "{asked}");
    }
}

#[test]
fn an_application_s_mailbox_never_opens_by_token() {
    let app = of_kind(APP, MailboxKind::App, 1);
    assert_eq!(granted(Some(APP), std::slice::from_ref(&app)), Err(DenyReason::NoMailbox));
    assert_eq!(granted(Some(APP), &[per(MAILBOX), app.clone()]), Err(DenyReason::MailboxRefused));
    assert_eq!(granted(None, &[per(MAILBOX), app]), Ok(Vec::from([MAILBOX.into()])));
}

#[test]
fn a_personal_mailbox_of_several_persons_opens_for_none() {
    for persons in [0, 2, u32::MAX] {
        assert_eq!(granted(None, &[of_kind(MAILBOX, MailboxKind::Per, persons)]), Err(DenyReason::NoMailbox));
    }
    assert_eq!(granted(None, &[of_kind(ORG, MailboxKind::Org, 0)]), Err(DenyReason::NoMailbox));
}

#[test]
fn a_person_without_a_mailbox_has_no_login() {
    assert_eq!(granted(None, &[]), Err(DenyReason::NoMailbox));
    assert_eq!(granted(Some(MAILBOX), &[]), Err(DenyReason::NoMailbox));
}

#[test]
fn time_that_passed_during_the_proof_counts() {
    let (settings, inquiry, evidence) = (plain_settings(), inquiry("off", None), evidence(&[per(MAILBOX)]));
    let at = |now| decided(&settings, &inquiry, &evidence, now);
    assert!(matches!(at(NOW + 114), Verdict::Allow(_)));
    assert_eq!(at(NOW + 115), Verdict::Deny(DenyReason::TokenExpired));
    assert_eq!(at(NOW - 16), Verdict::Deny(DenyReason::TokenNotYetValid));
    assert_eq!(at(u64::MAX), Verdict::Deny(DenyReason::TokenExpired));
    let old =
        Inquiry { claims: crate::Claims { expires_at: NOW + 99_999, ..inquiry.claims.clone() }, ..inquiry.clone() };
    assert_eq!(decided(&settings, &old, &evidence, NOW - 600 + 14_400), Verdict::Deny(DenyReason::SessionExpired));
}

/// The verdict on an inquiry in that mode and that outcome.
fn introspected(mode: &str, introspection: Introspection) -> Verdict {
    let evidence = Evidence { introspection, mailboxes: Vec::from([per(MAILBOX)]) };
    decided(&settings(mode, json!({})), &inquiry(mode, None), &evidence, NOW)
}

fn answer(
    subject: Option<&str>,
    session: Option<&str>,
    client: Option<&str>,
    expires_at: Option<u64>,
) -> Introspection {
    let [subject, session, authorized_party] = [subject, session, client].map(|text| text.map(String::from));
    Introspection::Active(Introspected { subject, session, authorized_party, expires_at })
}

fn is_allowed(verdict: &Verdict, degraded: bool) -> bool {
    matches!(verdict, Verdict::Allow(grant) if grant.degraded == degraded)
}

#[test]
fn an_inactive_token_is_refused_in_every_mode() {
    for mode in ["off", "preferred", "required"] {
        assert_eq!(introspected(mode, Introspection::Inactive), Verdict::Deny(DenyReason::TokenInactive), "{mode}");
    }
}

#[test]
fn a_missing_answer_counts_as_the_mode_says() {
    for missing in [Introspection::NotAsked, Introspection::Unavailable] {
        assert!(is_allowed(&introspected("off", missing.clone()), false));
        assert!(is_allowed(&introspected("preferred", missing.clone()), true));
        let unavailable = Verdict::Unavailable(UnavailableReason::IntrospectionUnavailable);
        assert_eq!(introspected("required", missing), unavailable);
    }
}

#[test]
fn an_active_token_is_the_one_that_was_shown() {
    let (sub, sid, azp) = (Some("f:550dc1c8:899700000011"), Some("session-1"), Some("logiciel"));
    for (outcome, expected) in [
        (answer(sub, sid, azp, Some(NOW + 110)), None),
        (answer(None, None, None, None), None),
        (answer(sub, None, None, Some(NOW - 4)), None),
        (answer(Some("f:550dc1c8:899700000022"), sid, azp, None), Some(DenyReason::IntrospectionMismatch)),
        (answer(sub, Some("session-2"), azp, None), Some(DenyReason::IntrospectionMismatch)),
        (answer(sub, sid, Some("autre"), None), Some(DenyReason::IntrospectionMismatch)),
        (answer(Some(""), sid, azp, None), Some(DenyReason::IntrospectionMismatch)),
        (answer(sub, sid, azp, Some(NOW - 5)), Some(DenyReason::TokenExpired)),
    ] {
        for mode in ["preferred", "required"] {
            let verdict = introspected(mode, outcome.clone());
            match expected {
                None => assert!(is_allowed(&verdict, false), "{verdict:?}"),
                Some(reason) => assert_eq!(verdict, Verdict::Deny(reason)),
            }
        }
    }
}

#[test]
fn what_only_one_side_names_is_no_disagreement() {
    let settings = settings("required", json!({}));
    let token = token(json!({ "sid": null, "session_state": null, "azp": null }));
    let inquiry = opened(&settings, &token).unwrap();
    let introspection = answer(None, Some("session-9"), Some("autre"), None);
    let evidence = Evidence { introspection, mailboxes: Vec::from([per(MAILBOX)]) };
    assert!(is_allowed(&decided(&settings, &inquiry, &evidence, NOW), false));
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let kind = prop_oneof![Just(MailboxKind::Per), Just(MailboxKind::Org), Just(MailboxKind::App)];
    ("[a-c]@bal\\.example\\.test", kind, 0..4_u32).prop_map(|(address, kind, persons)| of_kind(&address, kind, persons))
}

proptest! {
    #[test]
    fn nothing_is_granted_that_is_not_listed(
        listed in proptest::collection::vec(mailbox(), 0..6),
        asked in proptest::option::of("[a-d]@bal\\.example\\.test"),
    ) {
        if let Ok(granted) = granted(asked.as_deref(), &listed) {
            prop_assert!(!granted.is_empty());
            for address in granted {
                prop_assert!(asked.as_ref().is_none_or(|asked| *asked == address));
                prop_assert!(listed.iter().any(|mailbox| mailbox.address == address && mailbox.kind != MailboxKind::App));
            }
        }
    }
}
