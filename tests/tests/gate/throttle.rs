//! The limits of what one client address can make the sidecar do for nothing: it is slowed, and no good token is
//! refused.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use octroi::gate::Decision;
use octroi::policy::EMBEDDED;
use octroi::throttle::{Allowance, Throttled, Work};
use octroi_psc::{Deviation, Endpoint, Fault, Said, doctor_one};
use tokio::time::Instant;

use super::bench::{Bench, Setup, UN, said};

const FLOODER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 66));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// One wasted check in ten seconds, after the burst: whoever is slowed stays so for a whole test.
fn strict(mode: &'static str) -> Setup {
    let few = NonZeroU32::new(6);
    let allowance = Allowance { bad_signatures: few, inactive_tokens: few, unknown_keys: few, exempt: Vec::new() };
    Setup { mode, allowance, ..Setup::default() }
}

fn good(bench: &Bench) -> String {
    bench.psc.token(&doctor_one()).mint()
}

fn bad(bench: &Bench) -> String {
    bench.psc.token(&doctor_one()).deviate(Deviation::BadSignature).unwrap().mint()
}

fn unknown(bench: &Bench, kid: &str) -> String {
    bench.psc.token(&doctor_one()).header("kid", kid).mint()
}

/// The decision where nothing has to be awaited for it.
fn at_once(decision: impl Future<Output = Decision>) -> Option<String> {
    match pin!(decision).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decision) => Some(said(&decision)),
        Poll::Pending => None,
    }
}

fn slowed(bench: &Bench) -> Vec<(String, Work)> {
    let lines = bench.gate.throttle().list().into_iter();
    lines
        .filter(|line| !line.slowed_for.is_zero())
        .map(|Throttled { origin, work, .. }| (origin.to_string(), work))
        .collect()
}

#[tokio::test]
async fn a_flood_of_bad_signatures_is_slowed_and_good_tokens_of_the_same_address_are_allowed() {
    let bench = Bench::with(strict("off")).await;
    let seen = good(&bench);
    assert!(said(&bench.bearer_from(FLOODER, &seen).await).contains(UN));
    for _ in 0..51 {
        assert_eq!(said(&bench.bearer_from(FLOODER, &bad(&bench)).await), "deny signature-invalid");
    }
    assert_eq!(slowed(&bench), [(FLOODER.to_string(), Work::Signature)]);
    // The next bad one waits, and is refused all the same.
    let begun = Instant::now();
    assert_eq!(said(&bench.bearer_from(FLOODER, &bad(&bench)).await), "deny signature-invalid");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    // A good one waits too, and is allowed; one seen before waits for nothing; nor does anybody else.
    let fresh = good(&bench);
    let begun = Instant::now();
    assert!(said(&bench.bearer_from(FLOODER, &fresh).await).contains(UN));
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    for known in [&seen, &fresh] {
        assert!(at_once(bench.bearer_from(FLOODER, known)).unwrap().contains(UN));
    }
    assert!(at_once(bench.bearer_from(OTHER, &good(&bench))).unwrap().contains(UN));
    // Until an operator forgets it.
    assert_eq!(bench.gate.throttle().clear(Some(FLOODER)), 1);
    assert!(at_once(bench.bearer_from(FLOODER, &good(&bench))).unwrap().contains(UN));
}

#[tokio::test]
async fn unknown_keys_cause_no_more_fetches_for_an_address_above_its_share() {
    let bench = Bench::with(strict("off")).await;
    for n in 0..6 {
        assert_eq!(
            said(&bench.bearer_from(FLOODER, &unknown(&bench, &format!("made-up-{n}"))).await),
            "deny key-unknown"
        );
    }
    // What is known to be absent is refused without a fetch. Known for five seconds: the last one comes at once.
    let fetches = bench.psc.calls(Endpoint::Certs);
    assert_eq!(said(&bench.bearer_from(FLOODER, &unknown(&bench, "made-up-5")).await), "deny key-unknown");
    assert_eq!(slowed(&bench), [(FLOODER.to_string(), Work::KeyFetch)]);
    let decision = bench.bearer_from(FLOODER, &unknown(&bench, "made-up-6")).await;
    assert_eq!(said(&decision), "unavailable keys-unavailable");
    // A key at hand needs no fetch.
    assert!(at_once(bench.bearer_from(FLOODER, &good(&bench))).unwrap().contains(UN));
    assert_eq!(bench.psc.calls(Endpoint::Certs), fetches);
    // Another address is another matter.
    assert_eq!(said(&bench.bearer_from(OTHER, &unknown(&bench, "made-up-7")).await), "deny key-unknown");
    assert_eq!(bench.psc.calls(Endpoint::Certs), fetches + 1);
}

#[tokio::test]
async fn a_new_key_that_others_made_known_serves_an_address_above_its_share() {
    let bench = Bench::with(strict("off")).await;
    for n in 0..6 {
        bench.bearer_from(FLOODER, &unknown(&bench, &format!("made-up-{n}"))).await;
    }
    bench.psc.keys().rotate("new", octroi_psc::Algorithm::Rs256).unwrap();
    assert!(said(&bench.bearer_from(OTHER, &good(&bench)).await).contains(UN));
    assert!(at_once(bench.bearer_from(FLOODER, &good(&bench))).unwrap().contains(UN));
}

#[tokio::test]
async fn questions_about_inactive_tokens_are_slowed_and_good_tokens_of_the_same_address_are_allowed() {
    let bench = Bench::with(strict("required")).await;
    for _ in 0..21 {
        let token = good(&bench);
        bench.psc.say(&token, Said::Inactive);
        assert_eq!(said(&bench.bearer_from(FLOODER, &token).await), "deny token-inactive");
    }
    assert_eq!(slowed(&bench), [(FLOODER.to_string(), Work::Introspection)]);
    let begun = Instant::now();
    assert!(said(&bench.bearer_from(FLOODER, &good(&bench)).await).contains(UN));
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_outage_is_charged_to_nobody() {
    let mut bench = Bench::with(strict("required")).await;
    bench.psc.spoil(Endpoint::Introspect, Fault::Status(500));
    for _ in 0..30 {
        let outcome = said(&bench.bearer_from(OTHER, &good(&bench)).await);
        assert_eq!(outcome, "unavailable introspection-unavailable");
    }
    bench.psc.stop().await;
    for n in 0..10 {
        let outcome = said(&bench.bearer_from(OTHER, &unknown(&bench, &format!("away-{n}"))).await);
        assert_eq!(outcome, "unavailable keys-unavailable");
    }
    assert_eq!(bench.gate.throttle().list(), []);
}

#[tokio::test]
async fn good_tokens_and_malformed_ones_are_charged_to_nobody() {
    let bench = Bench::new(EMBEDDED, "off").await;
    for _ in 0..3 {
        bench.bearer_from(OTHER, &good(&bench)).await;
        bench.bearer_from(OTHER, "a.b.c").await;
        let expired = bench.psc.token(&doctor_one()).deviate(Deviation::Expired).unwrap().mint();
        assert_eq!(said(&bench.bearer_from(OTHER, &expired).await), "deny token-expired");
    }
    assert_eq!(bench.gate.throttle().list(), []);
}
