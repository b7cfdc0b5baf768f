//! The issuer's word, in each mode, and what an issuer that hangs may cost.

use std::time::Duration;

use octroi::policy::EMBEDDED;
use octroi_psc::{Endpoint, Fault, Said, doctor_one};

use super::bench::{Bench, Setup, UN, said};

#[tokio::test]
async fn an_inactive_token_is_refused_in_every_mode_that_asks() {
    for (mode, expected) in [("off", UN), ("preferred", "deny token-inactive"), ("required", "deny token-inactive")] {
        let bench = Bench::new(EMBEDDED, mode).await;
        let token = bench.psc.token(&doctor_one()).mint();
        assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN, "{mode}");
        let token = bench.psc.token(&doctor_one()).mint();
        bench.psc.say(&token, Said::Inactive);
        assert_eq!(said(&bench.bearer(&token, Some(UN)).await), expected, "{mode}");
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_an_outage_where_its_word_is_required_and_a_mark_where_it_is_preferred() {
    for (mode, expected) in [("off", UN), ("preferred", UN), ("required", "unavailable introspection-unavailable")] {
        let bench = Bench::new(EMBEDDED, mode).await;
        bench.psc.spoil(Endpoint::Introspect, Fault::Status(500));
        let token = bench.psc.token(&doctor_one()).mint();
        let decision = bench.bearer(&token, Some(UN)).await;
        assert_eq!(said(&decision), expected, "{mode}");
        if let octroi::gate::Outcome::Allow(permit) = decision.outcome {
            assert_eq!(permit.degraded(), mode == "preferred");
        }
    }
}

#[tokio::test]
async fn without_answers_for_too_long_a_preferred_word_is_an_outage() {
    let bench = Bench::with(Setup { mode: "preferred", max_degraded: Duration::ZERO, ..Setup::default() }).await;
    let token = |bench: &Bench| bench.psc.token(&doctor_one()).mint();
    bench.psc.spoil(Endpoint::Introspect, Fault::Status(500));
    assert_eq!(said(&bench.bearer(&token(&bench), None).await), "unavailable introspection-unavailable");
    bench.psc.mend(Endpoint::Introspect);
    assert!(said(&bench.bearer(&token(&bench), None).await).contains(UN));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_introspection_hangs_no_instance_is_held_and_other_logins_go_on() {
    let bench = std::sync::Arc::new(Bench::new(EMBEDDED, "required").await);
    let hold = bench.psc.hold(Endpoint::Introspect);
    let hanging: Vec<_> = (0..16)
        .map(|_| {
            let bench = std::sync::Arc::clone(&bench);
            tokio::spawn(async move {
                let token = bench.psc.token(&doctor_one()).mint();
                said(&bench.bearer(&token, Some(UN)).await)
            })
        })
        .collect();
    // All of them: one on its way may still compute, and hold an instance while it does.
    hold.arrived(16).await;
    // The pool has 64 places: with sixteen logins waiting, all of them are free.
    let release = std::sync::Arc::clone(&bench.gate.service().release);
    let all_at_once: Result<Vec<_>, _> = (0..64).map(|_| release.instance()).collect();
    assert!(all_at_once.is_ok(), "an instance is held while an answer is awaited");
    drop(all_at_once);
    hold.release();
    for login in hanging {
        assert_eq!(login.await.unwrap(), UN);
    }
}
