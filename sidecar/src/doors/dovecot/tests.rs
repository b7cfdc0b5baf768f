use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, UnixSeconds};
use crate::doors::dovecot_policy::tests::{Memory, parts};
use crate::doors::handles::Handles;
use crate::doors::http::{Limits, respond};
use crate::doors::ports::Judge;
use crate::doors::probe::Probes;
use crate::evidence::directory::MailboxAddress;
use crate::gate::{Credentials, Decision, DecisionId, Outcome};
use crate::rails::Permit;
use crate::reason::{DenyReason, UnavailableReason};

/// Both doors before a gate that knows three tokens.
struct Bench {
    doors: DovecotDoors,
    store: Arc<Memory>,
    asked: Arc<AtomicUsize>,
    probes: Arc<Probes>,
}

fn outcome(token: &[u8]) -> Outcome {
    match token {
        b"alice" => Outcome::Allow(Permit::example(&["alice@x.test", "team@x.test"])),
        b"outage" => UnavailableReason::KeysUnavailable.into(),
        b"crowd" => {
            let many: Vec<String> = (0..65).map(|n| format!("m{n}@x.test")).collect();
            Outcome::Allow(Permit::example(&many.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => DenyReason::TokenExpired.into(),
    }
}

fn bench() -> Bench {
    let store = Arc::new(Memory::default());
    let clock = Clock::manual(UnixSeconds(1_000));
    let handles = Arc::new(Handles::new(30, 16));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let judge = Judge::new(move |attempt| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            let Credentials::Bearer(token) = attempt.credentials else { panic!("not a bearer token") };
            Decision { id: DecisionId::random(), outcome: outcome(token.expose()) }
        }
    });
    let address = |text| MailboxAddress::parse(text).unwrap();
    let probes = Arc::new(Probes::new(address("canary@x.test"), address("nobody@x.test")));
    let introspection =
        IntrospectionDoor::new(judge, Arc::clone(&handles), clock.clone()).with_probes(Arc::clone(&probes));
    let policy = PolicyDoor::new(parts(handles, store.clone(), clock));
    let doors = DovecotDoors::new(introspection, Secret::new("s-intro"), policy, Secret::new("s-policy"));
    Bench { doors, store, asked, probes }
}

const INTROSPECTION: &str = "introspection:s-intro";
const POLICY: &str = "policy:s-policy";

async fn send(bench: &Bench, method: &str, uri: &str, userinfo: &[&str], body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(uri);
    for userinfo in userinfo {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(userinfo)));
    }
    let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let answer = respond(&bench.doors, request, Limits::default(), &AtomicBool::new(false)).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn introspect(bench: &Bench, token: &str) -> (u16, Value) {
    send(bench, "POST", "/introspect", &[INTROSPECTION], &format!("token={token}&client_id=x")).await
}

async fn allow(bench: &Bench, user: &str, handle: &str) -> (u16, Value) {
    let body = json!({"user": user, "mech": "XOAUTH2", "handle": handle, "session_id": "s1", "remote": "192.0.2.1"});
    send(bench, "POST", "/policy?command=allow", &[POLICY], &body.to_string()).await
}

fn refused(reason: DenyReason) -> (u16, Value) {
    (200, json!({"status": -1, "msg": reason.message()}))
}

#[tokio::test]
async fn a_login_is_introspected_allowed_and_recorded_once() {
    let bench = bench();
    let (status, answer) = introspect(&bench, "alice").await;
    assert_eq!(status, 200);
    assert_eq!(answer["active"], json!(true));
    assert_eq!(answer["scope"], json!("octroi"));
    assert_eq!(answer["username"], json!("^(alice@x[.]test|team@x[.]test)$"));
    let handle = answer["handle"].as_str().unwrap();
    assert_eq!(allow(&bench, "alice@x.test", handle).await, (200, json!({"status": 0, "msg": ""})));
    assert_eq!(bench.store.recorded(), ["alice@x.test PSC 1000"]);
    assert_eq!(allow(&bench, "alice@x.test", handle).await, refused(DenyReason::HandleUsed));
    assert_eq!(bench.store.recorded().len(), 1);
}

#[tokio::test]
async fn a_denial_is_inactive_and_an_outage_503() {
    let bench = bench();
    assert_eq!(introspect(&bench, "expired").await, (200, json!({"active": false})));
    assert_eq!(introspect(&bench, "").await, (200, json!({"active": false})));
    assert_eq!(introspect(&bench, "outage").await, (503, Value::Null));
}

#[tokio::test]
async fn more_mailboxes_than_an_answer_carries_is_a_denial() {
    assert_eq!(introspect(&bench(), "crowd").await, (200, json!({"active": false})));
}

#[tokio::test]
async fn a_malformed_form_is_400_with_a_body_that_can_never_pass() {
    let bench = bench();
    for body in ["", "tok=alice", "token=alice&token=alice"] {
        let answer = send(&bench, "POST", "/introspect", &[INTROSPECTION], body).await;
        assert_eq!(answer, (400, json!({"active": false})), "{body:?}");
    }
    let huge = format!("token={}", "x".repeat(Limits::default().bytes));
    let answer = send(&bench, "POST", "/introspect", &[INTROSPECTION], &huge).await;
    assert_eq!(answer, (413, json!({"active": false})));
    assert_eq!(bench.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_the_doors_own_secret_nobody_is_asked_and_nothing_is_said() {
    let bench = bench();
    let (_, answer) = introspect(&bench, "alice").await;
    let handle = answer["handle"].as_str().unwrap();
    let asked = bench.asked.load(Ordering::SeqCst);
    let wrong: [&[&str]; 8] = [
        &[],
        &["introspection:"],
        &["introspection:s-intr"],
        &["introspection:s-intro2"],
        &["policy:s-intro"],
        &["s-intro"],
        &["introspection:s-policy"],
        &[INTROSPECTION, INTROSPECTION],
    ];
    for userinfo in wrong {
        let answer = send(&bench, "POST", "/introspect", userinfo, "token=alice").await;
        assert_eq!(answer, (401, Value::Null), "{userinfo:?}");
    }
    let body = json!({"user": "alice@x.test", "mech": "XOAUTH2", "handle": handle}).to_string();
    for userinfo in [&[][..], &[INTROSPECTION], &["policy:s-intro"], &["policy:s-polic"]] {
        let answer = send(&bench, "POST", "/policy?command=allow", userinfo, &body).await;
        assert_eq!(answer, (401, Value::Null), "{userinfo:?}");
    }
    assert_eq!(bench.asked.load(Ordering::SeqCst), asked);
    assert!(bench.store.recorded().is_empty());
    assert_eq!(allow(&bench, "alice@x.test", handle).await.1["status"], json!(0), "the handle was burnt");
}

#[tokio::test]
async fn other_paths_methods_and_commands_are_refused() {
    let bench = bench();
    for (method, uri, userinfo, status) in [
        ("POST", "/", INTROSPECTION, 404),
        ("POST", "/introspect/", INTROSPECTION, 404),
        ("GET", "/introspect", INTROSPECTION, 405),
        ("PUT", "/policy?command=allow", POLICY, 405),
        ("POST", "/policy", POLICY, 400),
        ("POST", "/policy?command=drop", POLICY, 400),
    ] {
        let answer = send(&bench, method, uri, &[userinfo], "token=alice").await;
        assert_eq!((answer.0, bench.asked.load(Ordering::SeqCst)), (status, 0), "{method} {uri}");
    }
}

#[tokio::test]
async fn the_absolute_form_that_a_proxy_socket_brings_is_understood() {
    let uri = "http://127.0.0.1:9180/introspect";
    let answer = send(&bench(), "POST", uri, &[INTROSPECTION], "token=alice").await;
    assert_eq!((answer.0, &answer.1["active"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_probe_opens_the_canary_alone_is_not_judged_and_counts_as_none() {
    let bench = bench();
    let token = String::from_utf8(bench.probes.issue().unwrap().expose().to_vec()).unwrap();
    let (_, answer) = introspect(&bench, &token).await;
    assert_eq!(answer["username"], json!("^(canary@x[.]test)$"));
    let handle = answer["handle"].as_str().unwrap();
    assert_eq!(allow(&bench, "alice@x.test", handle).await, refused(DenyReason::HandleMailbox));
    assert_eq!(allow(&bench, "canary@x.test", handle).await, (200, json!({"status": 0, "msg": ""})));
    assert!(bench.store.recorded().is_empty());
    assert_eq!(introspect(&bench, &token).await.0, 200);
    assert_eq!(bench.asked.load(Ordering::SeqCst), 0);
    assert_eq!(introspect(&bench, &token).await, (200, json!({"active": false})), "shown a third time");
}
