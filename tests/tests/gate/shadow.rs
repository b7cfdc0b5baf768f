//! A release in the shadow: it sees what the one in service saw, is heard by nobody, and keeps nobody waiting.

use std::sync::Arc;
use std::time::Duration;

use octroi::gate::{Shadow, ShadowReport};
use octroi::policy::EMBEDDED;
use octroi_psc::{Deviation, doctor_one};
use tokio::time::Instant;

use super::bench::{Bench, DEUX, UN, said};
use super::guests::guest;

fn put(bench: &Bench, wasm: &[u8], mode: &str) -> Arc<Shadow> {
    let shadow = Shadow::start(bench.release(wasm, mode), &bench.gate).unwrap();
    bench.gate.put_in_shadow(Some(shadow));
    bench.gate.shadow().unwrap()
}

/// What it said once it has looked at everything.
fn settled(shadow: &Shadow) -> ShadowReport {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let report = shadow.report();
        if report.waiting == 0 {
            return report;
        }
        assert!(Instant::now() < deadline, "{report:?}");
        // It looks on at the lowest priority: whoever spins here takes its turn from it.
        #[expect(clippy::disallowed_methods, reason = "the shadow runs in real time, on a thread of its own")]
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Logins of every sort, good and bad.
async fn all_sorts(bench: &Bench) {
    let good = bench.psc.token(&doctor_one()).mint();
    let deviant = |deviation| bench.psc.token(&doctor_one()).deviate(deviation).unwrap().mint();
    for token in [&good, "a.b.c", "", &deviant(Deviation::BadSignature), &deviant(Deviation::Expired)] {
        for mailbox in [None, Some(UN), Some(DEUX)] {
            bench.bearer(token, mailbox).await;
        }
        bench.sasl("OAUTHBEARER", format!("n,a={UN},\x01auth=Bearer {token}\x01\x01").as_bytes()).await;
    }
    bench.sasl("PLAIN", b"\0user\0password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_policy_in_the_shadow_decides_the_same_whatever_comes() {
    for mode in ["off", "required"] {
        let bench = Bench::new(EMBEDDED, mode).await;
        let shadow = put(&bench, EMBEDDED, mode);
        all_sorts(&bench).await;
        let report = settled(&shadow);
        assert_eq!(report, ShadowReport { same: 21, ..ShadowReport::default() }, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_decided_otherwise_is_counted_by_reason_and_tells_nothing_of_the_person() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let shadow = put(&bench, guest("refuse"), "off");
    let token = bench.psc.token(&doctor_one()).mint();
    let decision = bench.bearer(&token, Some(UN)).await;
    assert_eq!(said(&decision), UN);
    bench.bearer(&token, Some(DEUX)).await;
    let report = settled(&shadow);
    let counted: Vec<_> = report.differences.iter().map(|(a, b, n)| (a.as_str(), b.as_str(), *n)).collect();
    let refused = "deny mechanism-unsupported";
    assert_eq!(counted, [("allow", refused, 1), ("deny mailbox-refused", refused, 1)]);
    assert_eq!(report.samples[0].decision, decision.id);
    let shown = format!("{report:?}");
    for secret in [UN, DEUX, "899700000011", token.as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_in_the_shadow_keeps_nobody_out() {
    for name in ["trap", "allow_everything"] {
        let bench = Bench::new(EMBEDDED, "off").await;
        let shadow = put(&bench, guest(name), "off");
        let token = bench.psc.token(&doctor_one()).mint();
        assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
        // What it grants beyond the rails is cut from it in the shadow too.
        assert_eq!(said(&bench.bearer(&token, Some(DEUX)).await), "deny mailbox-refused");
        let report = settled(&shadow);
        let kinds: Vec<_> = report.differences.iter().map(|(_, shadow, _)| shadow.as_str()).collect();
        let expected: &[&str] = match name {
            "trap" => &["unavailable policy-trapped", "unavailable policy-trapped"],
            _ => &["deny rail-mailbox"],
        };
        assert_eq!(kinds, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_asks_for_more_than_is_at_hand_is_not_guessed_at_and_asks_nobody() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let shadow = put(&bench, EMBEDDED, "required");
    let token = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
    assert_eq!(settled(&shadow), ShadowReport { unknown: 1, ..ShadowReport::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_shadow_loses_attempts_and_counts_them_and_no_login_waits_for_it() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let shadow = put(&bench, guest("spin_open"), "off");
    let token = bench.psc.token(&doctor_one()).mint();
    for _ in 0..400 {
        assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
    }
    let report = shadow.report();
    assert!(report.dropped >= 100, "{report:?}");
    bench.gate.put_in_shadow(None);
    assert!(bench.gate.shadow().is_none());
}
