//! Keys that change, under load.

use std::sync::Arc;
use std::time::Duration;

use octroi_psc::{Algorithm, Seal, SigningKey};
use tokio::time::Instant;

use super::provider::Provider;
use super::sky::{Sky, login};

/// Least time between two fetches that logins cause.
const FLOOR: Duration = Duration::from_secs(30);

/// Many logins at one moment with tokens of this provider.
async fn crowd(sky: &Sky, provider: &Provider, count: usize) -> Vec<String> {
    let waiting: Vec<_> = (0..count)
        .map(|_| {
            let (gate, token) = (Arc::clone(&sky.gate), provider.token(sky.now()).mint());
            tokio::spawn(async move { login(&gate, &token).await })
        })
        .collect();
    let mut said = Vec::new();
    for login in waiting {
        said.push(login.await.unwrap());
    }
    said
}

#[tokio::test(start_paused = true)]
async fn keys_used_the_moment_they_are_published_every_45_seconds_for_an_hour_cost_no_good_token_a_refusal() {
    let sky = Sky::new().await;
    let begun = Instant::now();
    sky.pass(45).await;
    for rotation in 1..=80 {
        for provider in &sky.providers {
            let old = provider.keys().signing();
            provider.keys().rotate(&format!("k{rotation}"), Algorithm::Es256).unwrap();
            // Two keys stay published, as providers have it.
            for gone in provider.keys().published().iter().rev().skip(2) {
                provider.keys().withdraw(gone.kid());
            }
            let said = crowd(&sky, provider, 8).await;
            assert!(said.iter().all(|said| said == "allow"), "rotation {rotation}: {said:?}");
            let before = provider.token(sky.now()).signed_by(&old).mint();
            assert_eq!(login(&sky.gate, &before).await, "allow", "signed a moment before rotation {rotation}");
        }
        for _ in 0..9 {
            assert_eq!(sky.logins().await, ["allow"; 3], "after rotation {rotation}");
            sky.pass(5).await;
        }
    }
    let most = usize::try_from(begun.elapsed().as_secs() / FLOOR.as_secs() + 2).unwrap();
    for provider in &sky.providers {
        let fetches = provider.fetches();
        assert!(fetches.len() <= most, "{} fetches", fetches.len());
        assert!(fetches.windows(2).all(|pair| pair[1] - pair[0] >= FLOOR));
    }
}

#[tokio::test(start_paused = true)]
async fn new_material_under_the_old_name_every_45_seconds_for_an_hour_costs_no_good_token_a_refusal() {
    let sky = Sky::new().await;
    let begun = Instant::now();
    sky.pass(45).await;
    for rotation in 1..=80 {
        for provider in &sky.providers {
            provider.keys().replace_same_kid().unwrap();
            let said = crowd(&sky, provider, 8).await;
            assert!(said.iter().all(|said| said == "allow"), "rotation {rotation}: {said:?}");
        }
        for _ in 0..9 {
            assert_eq!(sky.logins().await, ["allow"; 3], "after rotation {rotation}");
            sky.pass(5).await;
        }
    }
    let most = usize::try_from(begun.elapsed().as_secs() / FLOOR.as_secs() + 2).unwrap();
    assert!(sky.providers.iter().all(|provider| provider.fetches().len() <= most));
}

#[tokio::test(start_paused = true)]
async fn new_material_inside_the_floor_is_an_outage_to_its_end_while_forged_signatures_pour_in() {
    let sky = Sky::new().await;
    let provider = &sky.providers[0];
    sky.pass(31).await;
    let (mut waited, mut longest) = (0, 0);
    for second in 0..600 {
        if second % 20 == 0 {
            provider.keys().replace_same_kid().unwrap();
        }
        let forged = provider.token(sky.now()).seal(Seal::Flipped).mint();
        let said = login(&sky.gate, &forged).await;
        assert!(said == "unavailable keys-unavailable" || said == "deny signature-invalid", "{said}");
        waited = match login(&sky.gate, &provider.token(sky.now()).mint()).await.as_str() {
            "allow" => 0,
            "unavailable keys-unavailable" => waited + 1,
            other => panic!("{other}"),
        };
        longest = longest.max(waited);
        sky.pass(1).await;
    }
    assert!(longest <= FLOOR.as_secs(), "told to try again for {longest} s");
    let fetches = provider.fetches();
    assert!(fetches.windows(2).all(|pair| pair[1] - pair[0] >= FLOOR) && fetches.len() <= 22, "{}", fetches.len());
}

#[tokio::test(start_paused = true)]
async fn a_kid_nobody_knows_is_an_outage_inside_the_floor_and_a_refusal_once_a_later_fetch_has_shown_it_absent() {
    let sky = Sky::new().await;
    let stranger = Arc::new(SigningKey::generate("nobody", Algorithm::Es256).unwrap());
    for provider in &sky.providers {
        let token = |sky: &Sky| provider.token(sky.now()).signed_by(&stranger).mint();
        let fetched = provider.fetches().len();
        sky.pass(31).await;
        provider.keys().rotate("k1", Algorithm::Es256).unwrap();
        // The fetch for this one begins the floor.
        assert_eq!(crowd(&sky, provider, 3).await, ["allow"; 3]);
        for _ in 0..29 {
            assert_eq!(login(&sky.gate, &token(&sky)).await, "unavailable keys-unavailable");
            sky.pass(1).await;
        }
        sky.pass(2).await;
        assert_eq!(login(&sky.gate, &token(&sky)).await, "deny key-unknown");
        assert_eq!(provider.fetches().len(), fetched + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_kids_while_keys_rotate_never_turns_into_a_refusal_of_a_good_token() {
    let sky = Sky::new().await;
    let stranger = SigningKey::generate("stranger", Algorithm::Es256).unwrap();
    let stranger = Arc::new(stranger);
    let provider = &sky.providers[0];
    let (mut allowed, mut later) = (0, 0);
    for second in 0..600 {
        if second % 45 == 0 {
            provider.keys().rotate(&format!("r{second}"), Algorithm::Es256).unwrap();
        }
        for n in 0..3 {
            let made_up = provider.token(sky.now()).signed_by(&stranger).header("kid", format!("{second}-{n}")).mint();
            let said = login(&sky.gate, &made_up).await;
            assert!(said == "unavailable keys-unavailable" || said == "deny key-unknown", "{said}");
        }
        match login(&sky.gate, &provider.token(sky.now()).mint()).await.as_str() {
            "allow" => allowed += 1,
            "unavailable keys-unavailable" => later += 1,
            other => panic!("{other}"),
        }
        sky.pass(1).await;
    }
    // A rotation inside the floor waits for its end, and for no longer.
    assert!(allowed >= 300, "{allowed} allowed, {later} told to try again");
    let fetches = provider.fetches();
    assert!(fetches.windows(2).all(|pair| pair[1] - pair[0] >= FLOOR) && fetches.len() <= 22, "{}", fetches.len());
}
