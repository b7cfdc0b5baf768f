//! What holds when the policy itself is the enemy. Every guest of `tests/guests` stands in one table: one that is
//! added without a row here fails.

use octroi::policy::{EMBEDDED, Engine, Fault, Limits, LoadError, Release};
use octroi_psc::{Deviation, doctor_one};

use super::bench::{Bench, DEUX, UN, said};

#[allow(unreachable_pub, reason = "written by the build script, for any place")]
mod built {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
}
use built::GUESTS;

const FAILED_AT_LOAD: &str =
    "at load: the policy failed while it described itself or read its settings: the policy trapped";

/// What each guest may reach with doctor one's token, who asks for the mailbox named, shown bare and by OAUTHBEARER.
///
/// `at load`: it never comes to serve.
const CONTAINED: &[(&str, &str, &str)] = &[
    ("allow_everything", DEUX, "deny rail-mailbox"),
    ("allow_everything", UN, UN),
    ("allow_everything", "automate@bal.example.test", "deny rail-mailbox"),
    ("allow_everything", "docteur.un@elsewhere.example.test", "deny rail-mailbox"),
    ("another_identity", DEUX, "deny rail-identity"),
    ("another_identity_granted", UN, "deny rail-identity"),
    // Both issuers publish a key of the same name: it is another key all the same.
    ("another_issuer", UN, "deny signature-invalid"),
    ("another_mailbox", UN, UN),
    ("bad_card", UN, "at load: the policy's card: expected a name and a version of 1 to 64 ASCII characters"),
    ("broken_text", UN, "unavailable policy-trapped"),
    ("expired_token", UN, UN),
    ("grow", UN, "unavailable policy-limit"),
    ("huge_answer", UN, UN),
    ("huge_inquiry", UN, "deny key-unknown"),
    ("old_session", UN, UN),
    ("open_everything", UN, UN),
    ("other_bytes", UN, "deny rail-token"),
    ("other_types", UN, "at load: the component does not export the world octroi:policy/policy@0.2.0"),
    ("other_world", UN, "at load: the component does not export the world octroi:policy/policy@0.2.0"),
    ("refuse", UN, "deny mechanism-unsupported"),
    ("recurse", UN, "unavailable policy-trapped"),
    ("spin_certificate", UN, UN),
    (
        "spin_configure",
        UN,
        "at load: the policy failed while it described itself or read its settings: the policy took too long",
    ),
    ("spin_decide", UN, "unavailable policy-timeout"),
    ("spin_judge", UN, UN),
    ("spin_open", UN, "unavailable policy-timeout"),
    ("trap", UN, "unavailable policy-trapped"),
    ("trap_certificate", UN, UN),
    ("trap_configure", UN, FAILED_AT_LOAD),
    ("trap_decide", UN, "unavailable policy-trapped"),
    ("trap_describe", UN, FAILED_AT_LOAD),
    ("trap_judge", UN, UN),
    ("wants_import", UN, "at load: a policy imports nothing"),
    ("wants_wasi", UN, "at load: a policy imports nothing, this component imports: wasi:random/random"),
    ("wild_spans", UN, "deny rail-token"),
];

pub(crate) fn guest(name: &str) -> &'static [u8] {
    GUESTS.iter().find(|(guest, _)| *guest == name).unwrap_or_else(|| panic!("no guest {name}")).1
}

pub(crate) fn load(wasm: &[u8]) -> Result<Release, LoadError> {
    load_within(wasm, Limits::default())
}

fn load_within(wasm: &[u8], limits: Limits) -> Result<Release, LoadError> {
    let settings = r#"{"issuers":[{"issuer":"https://psc.example.test","introspection":"off"}]}"#;
    Release::load(&Engine::new(limits).unwrap(), wasm, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_policy_opens_more_than_the_proven_persons_own_mailboxes() {
    for (name, mailbox, expected) in CONTAINED {
        let wasm = guest(name);
        if let Some(expected) = expected.strip_prefix("at load: ") {
            let error = load(wasm).expect_err(name).to_string();
            assert!(error.starts_with(expected), "{name}: {error}");
            continue;
        }
        let bench = Bench::new(wasm, "off").await;
        // Older than what is known of the keys: no issuer can have a newer one for it.
        let token = bench.psc.token(&doctor_one()).issued_ago(60).mint();
        assert_eq!(said(&bench.bearer(&token, Some(mailbox)).await), *expected, "{name}, bare");
        let message = format!("n,a={mailbox},\x01auth=Bearer {token}\x01\x01");
        assert_eq!(said(&bench.sasl("OAUTHBEARER", message.as_bytes()).await), *expected, "{name}, OAUTHBEARER");
    }
}

#[test]
fn every_guest_has_a_test() {
    for (name, _) in GUESTS {
        assert!(CONTAINED.iter().any(|(guest, ..)| guest == name), "the guest {name} is in no row of CONTAINED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_names_no_mailbox_is_granted_none_but_the_persons_own() {
    let bench = Bench::new(guest("allow_everything"), "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    let own = "docteur.un@bal.example.test secretariat@bal.example.test";
    assert_eq!(said(&bench.bearer(&token, None).await), own);
    let bench = Bench::new(guest("another_mailbox"), "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&token, None).await), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_ignores_expiry_accepts_no_expired_token() {
    let bench = Bench::new(guest("expired_token"), "off").await;
    let token = bench.psc.token(&doctor_one()).deviate(Deviation::Expired).unwrap().mint();
    assert_eq!(said(&bench.bearer(&token, None).await), "deny rail-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_ignores_the_session_opens_no_old_one() {
    let bench = Bench::new(guest("old_session"), "off").await;
    let token = bench.psc.token(&doctor_one()).deviate(Deviation::OldSession).unwrap().mint();
    assert_eq!(said(&bench.bearer(&token, None).await), "deny rail-session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_can_not_have_a_second_token_verified_in_place_of_the_first() {
    let bench = Bench::new(guest("other_bytes"), "off").await;
    let good = bench.psc.token(&doctor_one()).mint();
    let forged = bench.psc.token(&octroi_psc::doctor_two()).deviate(Deviation::BadSignature).unwrap().mint();
    let message = format!("n,a={DEUX},\x01host={good}\x01auth=Bearer {forged}\x01\x01");
    assert_eq!(said(&bench.sasl("OAUTHBEARER", message.as_bytes()).await), "deny rail-token");
}

/// What becomes of a login for which the policy never answers.
fn open(release: &Release) -> Fault {
    let attempt = octroi::policy::wit::login::Attempt {
        credentials: octroi::policy::wit::login::Credentials::Bearer(b"a.b.c".to_vec()),
        mailbox: None,
        protocol: octroi::policy::wit::login::Protocol::Imap,
    };
    release.instance().unwrap().open(&attempt, octroi::clock::UnixSeconds(0)).unwrap_err()
}

#[test]
fn a_login_after_a_spinning_one_still_has_its_time() {
    let release = load(guest("spin_open")).unwrap();
    for _ in 0..3 {
        assert_eq!(open(&release), Fault::Timeout);
    }
}

#[test]
fn in_the_background_a_policy_has_its_time_however_long_its_thread_is_kept_waiting() {
    let limits = Limits { ticks: 20, ..Limits::default() };
    let release = load_within(guest("spin_open"), limits).unwrap().in_background();
    let over = std::sync::atomic::AtomicBool::new(false);
    let spent = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
    };
    std::thread::scope(|scope| {
        // Everybody else's share of the machine is larger.
        for _ in 0..2 * std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let begun = spent();
        let fault = open(&release);
        let spent = spent() - begun;
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(fault, Fault::Timeout);
        assert!(spent >= 20 * Limits::TICK, "{spent:?}");
    });
}

#[test]
fn settings_that_the_policy_refuses_are_all_listed() {
    let settings = r#"{"issuers":[],"leeway_seconds":31,"algorithms":["HS256"]}"#;
    let error = Release::load(&Engine::new(Limits::default()).unwrap(), EMBEDDED, settings).unwrap_err();
    let LoadError::Settings(problems) = error else { panic!("{error}") };
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/issuers", "/algorithms/0", "/leeway_seconds"]);
}

#[test]
fn bytes_that_are_no_component_are_refused() {
    for wasm in [&b""[..], b"\0asm\x01\0\0\0", &EMBEDDED[..EMBEDDED.len() / 2]] {
        assert!(matches!(load(wasm), Err(LoadError::Invalid(_) | LoadError::World(_))));
    }
}
