//! Vectors and how a policy does on them.

use serde_json::json;

use super::vectors::{Answer, Judgement, Login, VectorError, Vectors};
use super::{MAX_TOLD, SECTION, carried, login, run};
use crate::policy::{EMBEDDED, Engine, Limits, Release};
use crate::reason::{DenyReason, UnavailableReason};

fn embedded() -> Release {
    let settings = json!({ "issuers": [{ "issuer": "https://other.example.test", "introspection": "off" }] });
    Release::load(&Engine::new(Limits::default()).unwrap(), EMBEDDED, &settings.to_string()).unwrap()
}

fn own() -> Vectors {
    carried(EMBEDDED).unwrap().unwrap()
}

#[test]
fn the_default_policy_answers_the_vectors_that_it_carries() {
    let vectors = own();
    let report = run(&embedded(), &vectors).unwrap();
    assert_eq!((report.tried, report.differences), (vectors.count(), vec![]));
    assert!(vectors.logins.len() > 20 && vectors.submissions.len() > 5);
}

#[test]
fn other_answers_are_told_by_name_and_not_without_end() {
    let mut vectors = own();
    let name = vectors.logins[0].name.clone();
    vectors.logins[0].expect = Answer::Deny(DenyReason::TokenExpired);
    vectors.submissions[0].expect = Judgement::Unavailable(UnavailableReason::TrustSpaceUnavailable);
    let report = run(&embedded(), &vectors).unwrap();
    let told: Vec<String> = report.differences.iter().map(ToString::to_string).collect();
    assert_eq!(told[0], format!("{name}: expected deny token-expired, found allow docteur.un@bal.example.test"));
    assert_eq!(told.len(), 2);
    assert!(told[1].ends_with("expected unavailable trust-space-unavailable, found allow"), "{}", told[1]);
    let wrong = Login { expect: Answer::Allow(vec![]), ..vectors.logins[6].clone() };
    vectors.logins = vec![wrong; 2 * MAX_TOLD];
    let report = run(&embedded(), &vectors).unwrap();
    assert_eq!((report.tried, report.differences.len()), (MAX_TOLD, MAX_TOLD));
}

#[test]
fn without_settings_of_their_own_vectors_are_tried_under_those_of_the_release() {
    let vectors = Vectors { settings: None, ..own() };
    let course = login(&embedded(), &vectors.logins[0]).unwrap();
    assert_eq!(course.answer, Answer::Deny(DenyReason::IssuerUnknown));
    assert!(course.inquiry.is_none());
    let refused = Vectors { settings: Some(serde_json::Map::new()), ..own() };
    assert!(run(&embedded(), &refused).unwrap_err().to_string().contains("/issuers"));
}

#[test]
fn a_document_that_shows_nothing_or_too_much_is_refused() {
    let read = |login: serde_json::Value| Vectors::read(json!({ "logins": [login] }).to_string().as_bytes());
    let login = |more: serde_json::Value| {
        let mut login = json!({ "name": "x", "now": 1, "expect": { "deny": "too-large" } });
        login.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        login
    };
    for good in [
        json!({ "token": "a.b.c" }),
        json!({ "header": {}, "payload": {} }),
        json!({ "mechanism": "XOAUTH2", "message": "{token}", "token": "a.b.c" }),
        json!({ "mechanism": "XOAUTH2", "message": "no token" }),
        json!({ "mechanism": "PLAIN", "response": "AGE=" }),
    ] {
        assert!(read(login(good.clone())).is_ok(), "{good}");
    }
    for bad in [
        json!({}),
        json!({ "token": "a.b.c", "payload": {} }),
        json!({ "header": {} }),
        json!({ "mechanism": "XOAUTH2", "token": "a.b.c" }),
        json!({ "message": "m", "token": "a.b.c" }),
        json!({ "mechanism": "XOAUTH2", "message": "m", "response": "r" }),
        json!({ "mechanism": "XOAUTH2", "response": "r", "token": "a.b.c" }),
    ] {
        assert!(matches!(read(login(bad.clone())), Err(VectorError::Login(..))), "{bad}");
    }
    for bad in [json!({ "token": "a", "unknown": 1 }), json!({ "token": "a", "expect": { "deny": "no-such-reason" } })]
    {
        assert!(matches!(read(login(bad.clone())), Err(VectorError::Json(_))), "{bad}");
    }
    assert!(matches!(Vectors::read(b"[]"), Err(VectorError::Json(_))));
}

#[test]
fn a_component_without_vectors_carries_none_and_a_damaged_section_is_told() {
    let bare = [b"\0asm\x0d\0\x01\0".as_slice()].concat();
    assert_eq!(carried(&bare).unwrap(), None);
    let mut damaged = bare;
    let section = [&[u8::try_from(SECTION.len()).unwrap()], SECTION.as_bytes(), b"{"].concat();
    damaged.extend([&[0, u8::try_from(section.len()).unwrap()], section.as_slice()].concat());
    assert!(matches!(carried(&damaged), Err(VectorError::Json(_))));
}
