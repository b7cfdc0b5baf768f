use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::doors::handles::Entry;
use crate::evidence::certificate::{Fingerprint, Shown};
use crate::evidence::directory::{CertificateLimits, IdNat, Mailbox, MailboxKind, Snapshot};
use crate::evidence::trust_space::TrustList;
use crate::gate::{CertificateDecision, Opened};
use crate::store::{LastAuthentication, Page, StoreError, StoredCertificate, StoredCertificates};

/// A store that remembers what it was told, or fails.
#[derive(Debug, Default)]
pub(in crate::doors) struct Memory {
    recorded: Mutex<Vec<String>>,
    broken: bool,
}

impl Memory {
    pub(in crate::doors) fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    pub(in crate::doors) fn recorded(&self) -> Vec<String> {
        self.recorded.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Store for Memory {
    async fn load_directory(&self) -> Result<Vec<Mailbox>, StoreError> {
        Ok(Vec::new())
    }

    async fn replace_directory(&self, _: Vec<Mailbox>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_trust_space(&self) -> Result<Option<TrustList>, StoreError> {
        Ok(None)
    }

    async fn replace_trust_space(&self, _: TrustList) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_certificates(&self) -> Result<StoredCertificates, StoreError> {
        Ok(StoredCertificates::default())
    }

    async fn enrol(&self, _: Vec<StoredCertificate>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn withdraw(&self, _: Fingerprint, _: UnixSeconds) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn record_authentication(&self, authentication: Authentication) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Overloaded);
        }
        let Authentication { mailbox, at, means } = authentication;
        self.recorded.lock().unwrap().push(format!("{mailbox} {} {}", means.code(), at.0));
        Ok(())
    }

    async fn last_authentications(&self, _: Page) -> Result<Vec<LastAuthentication>, StoreError> {
        Ok(Vec::new())
    }
}

pub(in crate::doors) fn parts(handles: Arc<Handles>, store: Arc<dyn Store>, clock: Clock) -> PolicyParts {
    let directory = Directory::default();
    let mailbox = |text: &str| Mailbox {
        address: address(text),
        kind: MailboxKind::App,
        persons: Vec::new(),
        aliases: Vec::new(),
        structures: Vec::new(),
        certificates: CertificateLimits::none(),
    };
    directory.publish(Snapshot::new(vec![mailbox("alice@x.test"), mailbox("app@x.test")]));
    PolicyParts {
        settings: PolicySettings {
            other_mechanisms: vec!["PLAIN".into(), "LOGIN".into()],
            uncounted_users: vec!["backup@x.test".into(), "app@x.test".into()],
        },
        handles,
        directory,
        certificates: CertificateJudge::new(|attempt| {
            let Shown::Structure { unit, listen } = &attempt.shown else { panic!("Dovecot tells no fingerprint") };
            let outcome = match (unit.as_str(), attempt.mailbox.as_str()) {
                ("499700367909006", "svc@x.test") if listen.is_loopback() => {
                    CertificateOutcome::Allow(Opened::example("svc@x.test", ""))
                }
                ("499700367909006", "later@x.test") => UnavailableReason::RevocationUnavailable.into(),
                _ => DenyReason::StructureRefused.into(),
            };
            CertificateDecision { id: DecisionId::example(), outcome }
        }),
        store,
        witness: Witness::new(|_| {}),
        clock,
    }
}

fn address(text: &str) -> MailboxAddress {
    MailboxAddress::parse(text).unwrap()
}

struct Bench {
    door: PolicyDoor,
    handles: Arc<Handles>,
    store: Arc<Memory>,
    clock: Clock,
    seen: Arc<Mutex<Vec<String>>>,
}

fn bench_with(store: Memory) -> Bench {
    let (handles, store) = (Arc::new(Handles::new(30, 16)), Arc::new(store));
    let clock = Clock::manual(UnixSeconds(1_000));
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let mut parts = parts(Arc::clone(&handles), store.clone(), clock.clone());
    let into = Arc::clone(&seen);
    parts.witness = Witness::new(move |answer| {
        let handle = answer.handle.map(|handle| handle.to_string()).unwrap_or_default();
        let mailbox = answer.mailbox.map(ToString::to_string).unwrap_or_default();
        into.lock().unwrap().push(format!("{} {mailbox} {handle} {:?}", answer.mechanism, answer.outcome));
    });
    Bench { door: PolicyDoor::new(parts), handles, store, clock, seen }
}

fn bench() -> Bench {
    bench_with(Memory::default())
}

impl Bench {
    fn handle(&self, mailboxes: &[&str]) -> Handle {
        let purpose = Purpose::Login {
            decision: DecisionId::random(),
            issuer: "https://psc.test".into(),
            identity: IdNat::parse("899700000011").unwrap(),
        };
        let mailboxes = mailboxes.iter().map(|text| address(text)).collect();
        self.handles.issue(Entry { mailboxes, purpose }, self.clock.now()).unwrap()
    }

    async fn allow(&self, request: Value) -> (u16, Value) {
        let (status, body) = self.door.allow(request.to_string().as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

fn token(user: &str, handle: &str) -> Value {
    json!({"user": user, "login": user, "auth_user": user, "mech": "OAUTHBEARER", "handle": handle})
}

fn yes() -> (u16, Value) {
    (200, json!({"status": 0, "msg": ""}))
}

fn no(reason: DenyReason) -> (u16, Value) {
    (200, json!({"status": -1, "msg": reason.message()}))
}

#[tokio::test]
async fn a_token_login_needs_a_fresh_handle_of_that_mailbox() {
    let bench = bench();
    let handle = bench.handle(&["alice@x.test"]).to_string();
    let stranger = Handle::random().unwrap().to_string();
    // The text of a plain refusal: 2.4 asks for non-members too.
    assert_eq!(bench.allow(token("alice@x.test", "")).await, (200, json!({"status": -1, "msg": ""})));
    assert_eq!(bench.allow(token("alice@x.test", "h-1")).await, no(DenyReason::HandleUnknown));
    assert_eq!(bench.allow(token("alice@x.test", &stranger)).await, no(DenyReason::HandleUnknown));
    assert_eq!(bench.allow(token("mallory@x.test", &handle)).await, no(DenyReason::HandleMailbox));
    assert_eq!(bench.allow(token("*", &handle)).await, no(DenyReason::HandleMailbox));
    assert!(bench.store.recorded().is_empty());
    assert_eq!(bench.allow(token("alice@x.test", &handle)).await, yes());
    assert_eq!(bench.store.recorded(), ["alice@x.test PSC 1000"]);
    assert_eq!(bench.allow(token("alice@x.test", &handle)).await, no(DenyReason::HandleUsed));
    assert_eq!(bench.store.recorded().len(), 1);
}

#[tokio::test]
async fn a_stale_handle_opens_nothing() {
    let bench = bench();
    let handle = bench.handle(&["alice@x.test"]).to_string();
    bench.clock.set(UnixSeconds(1_030));
    assert_eq!(bench.allow(token("alice@x.test", &handle)).await, no(DenyReason::HandleStale));
    assert!(bench.store.recorded().is_empty());
}

#[tokio::test]
async fn a_master_user_with_a_token_is_refused() {
    let bench = bench();
    let mut request = token("alice@x.test", &bench.handle(&["alice@x.test"]).to_string());
    request["master_user"] = json!("root");
    assert_eq!(bench.allow(request).await, no(DenyReason::MechanismRefused));
    assert!(bench.store.recorded().is_empty());
}

#[tokio::test]
async fn a_login_that_cannot_be_recorded_is_an_outage_and_its_handle_is_spent() {
    let bench = bench_with(Memory::broken());
    let handle = bench.handle(&["alice@x.test"]).to_string();
    assert_eq!(bench.allow(token("alice@x.test", &handle)).await.0, 503);
    assert_eq!(bench.allow(token("alice@x.test", &handle)).await, no(DenyReason::HandleUsed));
}

#[tokio::test]
async fn a_probe_is_answered_like_a_login_and_counts_as_none() {
    let bench = bench();
    let entry = Entry { mailboxes: vec![address("canary@x.test")], purpose: Purpose::Probe };
    let handle = bench.handles.issue(entry, bench.clock.now()).unwrap().to_string();
    assert_eq!(bench.allow(token("canary@x.test", &handle)).await, yes());
    assert!(bench.store.recorded().is_empty());
}

#[tokio::test]
async fn listed_mechanisms_count_for_known_mailboxes_alone() {
    let bench = bench();
    let plain = |user: &str| json!({"user": user, "login": user, "auth_user": user, "mech": "plain"});
    for user in ["alice@x.test", "gone@x.test", "backup@x.test", "app@x.test", "system"] {
        assert_eq!(bench.allow(plain(user)).await, yes(), "{user}");
    }
    assert_eq!(bench.store.recorded(), ["alice@x.test PLAIN 1000"]);
}

#[tokio::test]
async fn whoever_comes_in_anothers_place_is_not_counted() {
    let bench = bench();
    for (member, value) in [("master_user", "root"), ("auth_user", "Backup@x.test"), ("login", "backup@x.test")] {
        let mut request = json!({"user": "alice@x.test", "mech": "PLAIN"});
        request[member] = json!(value);
        assert_eq!(bench.allow(request).await, yes(), "{member}");
    }
    assert!(bench.store.recorded().is_empty());
}

#[tokio::test]
async fn unlisted_mechanisms_are_refused() {
    let bench = bench();
    for mech in ["GSSAPI", "XOAUTH2X", "", "PLAIN "] {
        let answer = bench.allow(json!({"user": "alice@x.test", "mech": mech, "cert": "valid"})).await;
        assert_eq!(answer, no(DenyReason::MechanismRefused), "{mech:?}");
    }
    assert!(bench.store.recorded().is_empty());
}

#[tokio::test]
async fn malformed_questions_are_400_and_change_nothing() {
    let bench = bench();
    for body in ["", "{}", "[]", "{\"user\":\"alice@x.test\"}", "\u{0}", "{\"user\":\"a\",\"mech\":\"PLAIN\""] {
        assert_eq!(bench.door.allow(body.as_bytes()).await, (400, Vec::new()), "{body:?}");
    }
    assert!(bench.store.recorded().is_empty() && bench.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_report_changes_counters_and_nothing_else() {
    let bench = bench();
    let handle = bench.handle(&["alice@x.test"]);
    let report = |success, rejected| {
        json!({"user": "alice@x.test", "mech": "XOAUTH2", "handle": handle.to_string(), "success": success,
            "policy_reject": rejected})
    };
    for report in [report(true, false), report(false, false), report(false, true), report(true, false)] {
        assert_eq!(bench.door.report(report.to_string().as_bytes()).0, 200);
    }
    let tally = bench.door.counters().tallies().next().unwrap();
    assert_eq!((tally.succeeded, tally.failed, tally.rejected, tally.counted), (2, 1, 1, 0));
    assert!(bench.store.recorded().is_empty() && bench.seen.lock().unwrap().is_empty());
    assert_eq!(bench.allow(token("alice@x.test", &handle.to_string())).await, yes(), "the handle was burnt");
}

#[tokio::test]
async fn every_answer_is_witnessed_with_what_was_shown() {
    let bench = bench();
    let handle = bench.handle(&["alice@x.test"]).to_string();
    bench.allow(token("alice@x.test", &handle)).await;
    bench.allow(json!({"user": "alice@x.test", "mech": "EXTERNAL"})).await;
    let expected = [
        format!("OAUTHBEARER alice@x.test {handle} Allowed {{ counted: true }}"),
        "EXTERNAL alice@x.test  Denied(CertificateMissing)".to_owned(),
    ];
    assert_eq!(*bench.seen.lock().unwrap(), expected);
}

/// A login by certificate, as Dovecot asks about it.
fn external(user: &str) -> Value {
    json!({
        "mech": "EXTERNAL", "cert": "valid", "cert_id": "499700367909006", "auth_user": "499700367909006",
        "master_user": "499700367909006", "user": user, "login": user, "lip": "192.0.2.99", "real_lip": "127.0.0.2", "session_id": "s",
    })
}

async fn allowed(bench: &Bench, request: &Value) -> (u16, Value) {
    let (status, body) = bench.door.allow(request.to_string().as_bytes()).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_login_by_certificate_counts_once_its_judge_says_yes() {
    let bench = bench();
    assert_eq!(allowed(&bench, &external("svc@x.test")).await.1["status"], 0);
    assert_eq!(bench.store.recorded(), ["svc@x.test AUTH_CLI 1000"]);
    let (_, refused) = allowed(&bench, &external("alice@x.test")).await;
    assert_eq!((&refused["status"], &refused["msg"]), (&json!(-1), &json!(DenyReason::StructureRefused.message())));
    assert_eq!(allowed(&bench, &external("later@x.test")).await.0, 503);
    assert_eq!(bench.store.recorded().len(), 1);
}

#[tokio::test]
async fn whoever_is_not_the_certificates_structure_is_refused_before_any_judge() {
    let bench = bench();
    for (member, value) in [
        ("cert", json!("")),
        ("cert", json!("invalid")),
        ("cert_id", json!("")),
        ("cert_id", json!("499700999999999")),
        ("master_user", json!("")),
        ("master_user", json!("backup@x.test")),
        ("auth_user", json!("svc@x.test")),
        ("real_lip", json!("")),
        ("real_lip", json!("mail.example.test")),
    ] {
        let mut request = external("svc@x.test");
        request[member] = value.clone();
        let (status, refused) = allowed(&bench, &request).await;
        assert_eq!((status, &refused["status"]), (200, &json!(-1)), "{member} {value}");
        assert_eq!(refused["msg"], json!(DenyReason::CertificateMissing.message()), "{member} {value}");
    }
    for missing in ["cert", "cert_id", "master_user", "auth_user", "real_lip"] {
        let mut request = external("svc@x.test");
        request.as_object_mut().unwrap().remove(missing);
        assert_eq!(allowed(&bench, &request).await.1["status"], -1, "{missing}");
    }
    assert!(bench.store.recorded().is_empty());
}
