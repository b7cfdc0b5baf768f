//! An issuer that is away, slow, or blind to who asks.

use std::time::Duration;

use tokio::time::{Instant, advance};

use super::issuer::{Bench, NOW};
use crate::evidence::introspection::{BreakerState, Introspected};

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_costs_a_login_its_deadline_and_no_more() {
    let bench = Bench::new();
    bench.issuer.hang(true);
    let asked_at = Instant::now();
    assert_eq!(bench.ask("token").await, "unavailable");
    assert!(asked_at.elapsed() <= Duration::from_millis(1510), "{:?}", asked_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_more_questions_are_out_at_once_than_allowed() {
    let bench = Bench::with(|settings| settings.in_flight = 3);
    bench.issuer.hang(true);
    let asking: Vec<_> = (0..10)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.ask(&format!("token.{n}")).await })
        })
        .collect();
    bench.issuer.waiting(3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((bench.issuer.asked(), bench.introspection.status().in_flight), (3, 3));
    for said in asking {
        assert_eq!(said.await.unwrap(), "unavailable");
    }
    assert_eq!(bench.introspection.status().crowded, 7);
    assert_eq!(bench.introspection.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_is_spared_and_found_again_by_itself() {
    let bench = Bench::new();
    bench.issuer.fail();
    for n in 0..100 {
        assert_eq!(bench.ask(&format!("token.{n}")).await, "unavailable");
    }
    assert_eq!(bench.issuer.asked(), 5);
    assert!(matches!(bench.introspection.status().breaker, BreakerState::Open(_)));
    bench.issuer.answer();
    advance(Duration::from_secs(20)).await;
    assert_eq!(bench.ask("token").await, "active");
    assert_eq!(bench.introspection.status().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn doing_without_answers_is_allowed_for_four_hours_and_each_answer_begins_anew() {
    let bench = Bench::new();
    assert!(bench.introspection.may_degrade());
    bench.issuer.fail();
    for _ in 0..=(4 * 60) {
        assert_eq!(bench.ask("token").await, "unavailable");
        assert!(bench.introspection.may_degrade());
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(bench.ask("token").await, "unavailable");
    assert!(!bench.introspection.may_degrade());
    bench.issuer.answer();
    advance(Duration::from_secs(20)).await;
    assert_eq!(bench.ask("token").await, "active");
    assert!(bench.introspection.may_degrade());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_entitled_is_recognised_and_its_tokens_stay_refused() {
    let bench = Bench::new();
    bench.issuer.say_of_all(Introspected::Inactive);
    for n in 0..5 {
        assert_eq!(bench.ask(&format!("token.{n}")).await, "inactive");
    }
    let entitlement = bench.introspection.status().entitlement;
    assert!(entitlement.alarm_for.is_some());
    assert_eq!(entitlement.inactive, [("software".to_owned(), 5)]);
    bench.issuer.answer();
    assert_eq!(bench.ask("token").await, "active");
    assert_eq!(bench.introspection.status().entitlement.alarm_for, None);
}

#[tokio::test(start_paused = true)]
async fn expired_tokens_and_one_token_asked_again_and_again_raise_no_alarm() {
    let bench = Bench::new();
    bench.issuer.say_of_all(Introspected::Inactive);
    for n in 0..20 {
        assert_eq!(bench.ask("token").await, "inactive");
        assert_eq!(bench.ask_until(&format!("expired.{n}"), NOW).await, "inactive");
    }
    assert_eq!(bench.introspection.status().entitlement.alarm_for, None);
}
