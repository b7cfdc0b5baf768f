//! What is remembered of answers, for how long, and who shares a question.

use std::time::Duration;

use tokio::time::advance;

use super::issuer::{Bench, NOW, active};
use crate::evidence::introspection::{Active, Introspected};

#[tokio::test(start_paused = true)]
async fn a_yes_is_remembered_for_a_while_and_never_beyond_exp() {
    let bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(bench.ask("token").await, "active");
    }
    assert_eq!(bench.issuer.asked(), 1);
    // Revoked meanwhile: noticed when the while is over.
    bench.issuer.say("token", Introspected::Inactive);
    assert_eq!(bench.ask("token").await, "active");
    advance(Duration::from_secs(11)).await;
    assert_eq!(bench.ask("token").await, "inactive");
    assert_eq!(bench.issuer.asked(), 2);

    assert_eq!(bench.ask_until("short", NOW.plus(3)).await, "active");
    bench.clock.set(NOW.plus(3));
    bench.issuer.say("short", Introspected::Inactive);
    assert_eq!(bench.ask_until("short", NOW.plus(3)).await, "inactive");
}

#[tokio::test(start_paused = true)]
async fn the_exp_of_the_answer_bounds_the_memory_too() {
    let bench = Bench::new();
    let expires_at = Some(NOW.plus(2));
    bench.issuer.say("token", Introspected::Active(Active { expires_at, ..Active::default() }));
    assert_eq!(bench.ask("token").await, "active");
    bench.issuer.say("token", Introspected::Inactive);
    assert_eq!(bench.ask("token").await, "active");
    bench.clock.set(NOW.plus(2));
    assert_eq!(bench.ask("token").await, "inactive");
}

#[tokio::test(start_paused = true)]
async fn a_no_is_remembered_apart_and_not_for_long() {
    let bench = Bench::new();
    bench.issuer.say("token", Introspected::Inactive);
    for _ in 0..5 {
        assert_eq!(bench.ask("token").await, "inactive");
    }
    assert_eq!(bench.issuer.asked(), 1);
    bench.issuer.say("token", active());
    advance(Duration::from_secs(31)).await;
    assert_eq!(bench.ask("token").await, "active");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_tokens_drives_no_good_one_out() {
    let bench = Bench::new();
    assert_eq!(bench.ask("good").await, "active");
    bench.issuer.say_of_all(Introspected::Inactive);
    for n in 0..6000 {
        assert_eq!(bench.ask(&format!("bad.{n}")).await, "inactive");
    }
    let asked = bench.issuer.asked();
    assert_eq!(bench.ask("good").await, "active");
    assert_eq!(bench.issuer.asked(), asked);
    assert!(bench.introspection.status().held_inactive <= 4096 + 256);
}

#[tokio::test(start_paused = true)]
async fn who_asks_about_one_token_at_once_shares_one_question() {
    let bench = Bench::new();
    bench.issuer.hang(true);
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.ask("token").await })
        })
        .collect();
    bench.issuer.waiting(1).await;
    bench.issuer.hang(false);
    for said in asking {
        assert_eq!(said.await.unwrap(), "active");
    }
    assert_eq!(bench.issuer.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_memory_switched_off_each_login_asks() {
    let bench = Bench::with(|settings| settings.remember_active = Duration::ZERO);
    assert_eq!(bench.ask("token").await, "active");
    bench.issuer.say("token", Introspected::Inactive);
    assert_eq!(bench.ask("token").await, "inactive");
    bench.issuer.say("token", active());
    assert_eq!(bench.ask("token").await, "active");
    assert_eq!(bench.issuer.asked(), 3);
}
