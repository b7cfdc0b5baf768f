//! The built components, run as a host would: what is embedded imports nothing, fits its limits and judges a login; the
//! hostile guests are what they say they are.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use octroi_embed::{GUESTS, MAX_POLICY_BYTES, Workspace, imports};
use serde_json::{Value, json};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, ResourceLimiter, Store};

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    wasmtime::component::bindgen!({ path: "../../wit", world: "policy" });
}

use bindings::Policy;
use bindings::exports::octroi::policy::login::{
    Attempt, Credentials, DenyReason, Evidence, Inquiry, Introspection, Mailbox, MailboxKind, Protocol, SaslMessage,
    Verdict,
};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://psc.example.test";
const MAILBOX: &str = "docteur.un@bal.example.test";

static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| {
    // Cargo gives integration tests `<target>/tmp`.
    Workspace::new(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder"))
});
static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);
static POLICY: LazyLock<Vec<u8>> = LazyLock::new(|| WORKSPACE.policy().unwrap());

/// Remembers the largest memory.
#[derive(Default)]
struct Watch {
    least: usize,
    most: usize,
}

impl ResourceLimiter for Watch {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if current == 0 {
            self.least = desired;
        }
        self.most = self.most.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

struct Guest {
    store: Store<Watch>,
    policy: Policy,
    settings: Vec<u8>,
}

impl Guest {
    fn new(component: &[u8]) -> Self {
        Self::try_new(component).unwrap()
    }

    /// Fails for a component that does not export the world.
    fn try_new(component: &[u8]) -> wasmtime::Result<Self> {
        let component = Component::new(&ENGINE, component)?;
        let mut store = Store::new(&ENGINE, Watch::default());
        store.limiter(|watch| watch);
        let policy = Policy::instantiate(&mut store, &component, &Linker::new(&ENGINE))?;
        Ok(Self { store, policy, settings: Vec::new() })
    }

    /// With settings prepared by an instance of its own, as a host does.
    fn configured(component: &[u8]) -> Self {
        let document = json!({ "issuers": [{ "issuer": ISSUER, "introspection": "off" }] }).to_string();
        let mut first = Self::new(component);
        let manifest = first.policy.octroi_policy_manifest();
        let settings =
            manifest.call_configure(&mut first.store, &document).unwrap().unwrap_or_else(|_| panic!("valid"));
        Self { settings, ..Self::new(component) }
    }

    fn open(&mut self, message: &str) -> Result<Inquiry, DenyReason> {
        let sasl = SaslMessage { mechanism: "XOAUTH2".into(), response: STANDARD.encode(message).into() };
        let attempt = Attempt { credentials: Credentials::Sasl(sasl), mailbox: None, protocol: Protocol::Imap };
        let login = self.policy.octroi_policy_login();
        login.call_open(&mut self.store, &self.settings, &attempt, NOW).unwrap().map_err(|refusal| refusal.reason)
    }

    fn decide(&mut self, inquiry: &Inquiry) -> Verdict {
        let mailbox = Mailbox { address: MAILBOX.into(), kind: MailboxKind::Per, persons: 1 };
        let evidence = Evidence { introspection: Introspection::NotAsked, mailboxes: vec![mailbox] };
        let login = self.policy.octroi_policy_login();
        login.call_decide(&mut self.store, &self.settings, inquiry, &evidence, NOW).unwrap()
    }
}

/// An XOAUTH2 message with a token whose payload has a member more.
fn message(name: &str, value: Value) -> String {
    let mut payload = json!({
        "iss": ISSUER, "exp": NOW + 120, "iat": NOW, "auth_time": NOW, "acr": "eidas1", "SubjectNameID": "899700000011",
    });
    payload[name] = value;
    let header = json!({ "alg": "RS256", "kid": "key-1" }).to_string();
    let [header, payload, signature] =
        [header.as_bytes(), payload.to_string().as_bytes(), &[7; 256]].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("user={MAILBOX}\x01auth=Bearer {header}.{payload}.{signature}\x01\x01")
}

#[test]
fn the_policy_imports_nothing_and_is_small() {
    assert_eq!(imports(&POLICY).unwrap(), Vec::<String>::new());
    let vectors = std::fs::read(WORKSPACE.root().join("plugin/vectors.json")).unwrap();
    assert!(POLICY.len() <= MAX_POLICY_BYTES + vectors.len() + 64, "{} bytes", POLICY.len());
    assert!(POLICY.ends_with(&vectors), "it carries its vectors");
    println!("the policy has {} bytes", POLICY.len());
}

#[test]
fn the_policy_says_nothing_of_the_machine_that_built_it() {
    let text = String::from_utf8_lossy(&POLICY);
    for place in [WORKSPACE.root().to_str().unwrap(), "/.cargo/", "/home/", "/root/"] {
        assert!(!text.contains(place), "{place}");
    }
}

#[test]
fn a_login_is_judged_in_the_memory_that_is_there_from_the_start() {
    let mut guest = Guest::configured(&POLICY);
    let largest = message("filler", json!("x".repeat(5_600)));
    assert!(largest.len() > 8_000);
    let inquiry = guest.open(&largest).unwrap_or_else(|reason| panic!("refused: {reason:?}"));
    let token = largest.trim_end_matches('\x01').rsplit_once(' ').unwrap().1;
    assert_eq!(&largest[inquiry.token.start as usize..][..inquiry.token.length as usize], token);
    assert_eq!((inquiry.identity.as_str(), inquiry.mailbox.as_deref()), ("899700000011", Some(MAILBOX)));
    let Verdict::Allow(grant) = guest.decide(&inquiry) else { panic!("refused") };
    assert_eq!(grant.mailboxes, [MAILBOX]);
    let Watch { least, most } = *guest.store.data();
    println!("{least} bytes of memory at start, {most} at the end");
    assert_eq!(most, least);
}

#[test]
fn nesting_ends_in_a_refusal_and_not_in_a_trap() {
    let mut nested = json!(1);
    for level in 0..100 {
        let message = message("nested", nested.clone());
        let refused = Guest::configured(&POLICY).open(&message).err();
        assert_eq!(refused, (level >= 12).then_some(DenyReason::TokenMalformed), "{level} levels");
        nested = json!({ "a": [nested] });
        nested = nested["a"].take();
    }
}

#[test]
fn settings_of_another_policy_trap() {
    let mut guest = Guest::new(&POLICY);
    let attempt = Attempt { credentials: Credentials::Bearer(vec![]), mailbox: None, protocol: Protocol::Imap };
    let login = guest.policy.octroi_policy_login();
    assert!(login.call_open(&mut guest.store, &[1, 2, 3], &attempt, NOW).is_err());
}

/// What a guest wants of a host, where it wants anything.
fn wanted(name: &str) -> &'static [&'static str] {
    match name {
        "wants_import" => &["hostile:clock/clock@0.1.0"],
        "wants_wasi" => &["wasi:random/random@0.2.0"],
        _ => &[],
    }
}

#[test]
fn hostile_guests_are_components_and_two_of_them_want_something() {
    let guests = WORKSPACE.guests().unwrap();
    assert_eq!(guests.iter().map(|(name, _)| *name).collect::<Vec<_>>(), GUESTS);
    for (name, component) in guests {
        assert_eq!(imports(&component).unwrap(), wanted(name), "{name}");
        if !wanted(name).is_empty() {
            continue;
        }
        let guest = Guest::try_new(&component);
        if matches!(name, "other_types" | "other_world") {
            assert!(guest.is_err(), "{name} is of the world");
            continue;
        }
        let mut guest = guest.unwrap();
        let card = guest.policy.octroi_policy_manifest().call_describe(&mut guest.store);
        if name == "trap_describe" {
            assert!(card.is_err(), "{name} does not trap");
            continue;
        }
        let expected = if name == "bad_card" { "\u{1b}[2Jtrusted" } else { "pro-sante-connect" };
        assert_eq!(card.unwrap().name, expected, "{name}");
    }
}

/// Each lie is told to a host without rails, to show that it is one.
#[test]
fn hostile_guests_lie() {
    let good = message("typ", json!("Bearer"));
    let guests: std::collections::BTreeMap<_, _> = WORKSPACE.guests().unwrap().into_iter().collect();
    let run = |name: &str, message: &str| {
        let mut guest = Guest::configured(&guests[name]);
        let inquiry = guest.open(message).unwrap_or_else(|reason| panic!("{name} refused: {reason:?}"));
        let Verdict::Allow(grant) = guest.decide(&inquiry) else { panic!("{name} did not grant") };
        (inquiry, grant)
    };
    let honest = Guest::configured(&POLICY).open(&good).unwrap_or_else(|reason| panic!("refused: {reason:?}"));

    let other = good.replace(MAILBOX, "docteur.deux@bal.example.test");
    assert_eq!(run("allow_everything", &other).1.mailboxes, ["docteur.deux@bal.example.test"]);
    assert_eq!(run("another_identity", &good).0.identity, "899700000022");
    assert_eq!(run("another_identity_granted", &good).1.identity, "899700000022");
    assert!(run("another_mailbox", &good).1.mailboxes.contains(&"docteur.deux@bal.example.test".into()));
    assert_ne!(run("another_issuer", &good).0.issuer, ISSUER);
    assert_ne!(run("other_bytes", &good).0.signed.length, honest.signed.length);
    assert_eq!(run("wild_spans", &good).0.token.start, u32::MAX);
    assert_eq!(run("huge_answer", &good).1.mailboxes.len(), 16_001);
    assert_eq!(run("huge_inquiry", &good).0.key_id.unwrap().len(), 1 << 20);

    let expired = message("exp", json!(NOW - 3_600));
    assert_eq!(Guest::configured(&POLICY).open(&expired).err(), Some(DenyReason::TokenExpired));
    assert_eq!(run("expired_token", &expired).0.claims.expires_at, NOW + 60);
    let old = message("auth_time", json!(NOW - 20_000));
    assert_eq!(Guest::configured(&POLICY).open(&old).err(), Some(DenyReason::SessionExpired));
    assert_eq!(run("old_session", &old).0.claims.authenticated_at, Some(NOW));
}
