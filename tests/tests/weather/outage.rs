//! The provider away for hours.

use std::time::Duration;

use octroi::evidence::introspection::AskError;
use octroi::evidence::keys::{FetchError, KeysState};
use octroi::http::HttpError;
use tokio::time::Instant;

use super::sky::{Sky, login};

const FOUR_HOURS: Duration = Duration::from_secs(4 * 3600);

fn goes_away(sky: &Sky) {
    for provider in &sky.providers {
        provider.fetched(Some(Err(FetchError::Http(HttpError::Connect))));
        provider.answers(Err(AskError::Http(HttpError::Connect)));
    }
}

fn comes_back(sky: &Sky) {
    sky.providers.iter().for_each(super::provider::Provider::mend);
}

#[tokio::test(start_paused = true)]
async fn four_hours_without_the_provider_cost_no_good_token_a_refusal_and_all_is_well_again_by_itself() {
    // The outage begins right after the keys were read, between two reads, and when the next one is due.
    for since_read in [0, 300, 595] {
        let sky = Sky::new().await;
        sky.pass(since_read).await;
        assert_eq!(sky.logins().await, ["allow"; 3]);
        goes_away(&sky);
        let begun = Instant::now();
        loop {
            let expected = ["allow", "allow degraded", "unavailable introspection-unavailable"];
            let left = FOUR_HOURS.saturating_sub(begun.elapsed()).as_secs();
            assert_eq!(sky.logins().await, expected, "{since_read} s after the keys were read, {left} s left");
            if left < 2 {
                break;
            }
            sky.pass(left.min(61) - 1).await;
        }
        comes_back(&sky);
        for said in sky.clears_up(30).await {
            let [off, preferred, required] = said.each_ref().map(String::as_str);
            assert!(off == "allow" && preferred.starts_with("allow"), "{said:?}");
            assert!(!required.starts_with("deny"), "{said:?}");
        }
        sky.pass(120).await;
        assert!(sky.gate.issuers().iter().all(|issuer| issuer.keys.status().state == KeysState::Current));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_lets_nobody_in_who_would_not_get_in_without_one() {
    let sky = Sky::new().await;
    goes_away(&sky);
    for _ in 0..10 {
        for provider in &sky.providers {
            let expired = provider.token(sky.now()).issued_ago(200).mint();
            assert_eq!(login(&sky.gate, &expired).await, "deny token-expired");
            let forged = provider.token(sky.now()).seal(octroi_psc::Seal::Flipped).mint();
            // While the issuer is away nobody can say that it has no newer key of this name.
            assert_eq!(login(&sky.gate, &forged).await, "unavailable keys-unavailable");
        }
        sky.pass(600).await;
    }
}

#[tokio::test(start_paused = true)]
async fn past_what_was_settled_everybody_is_told_to_try_again_and_nobody_that_the_token_is_bad() {
    let sky = Sky::new().await;
    goes_away(&sky);
    let mut said = Vec::new();
    for _ in 0..5 * 60 {
        said.push(sky.logins().await);
        sky.pass(60).await;
    }
    assert!(said.iter().flatten().all(|said| !said.starts_with("deny")), "{said:?}");
    let last = said.last().unwrap();
    assert_eq!(*last, ["unavailable keys-unavailable"; 3]);
    comes_back(&sky);
    sky.clears_up(120).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_for_four_hours_costs_time_and_nobody_a_refusal() {
    let sky = Sky::new().await;
    sky.providers.iter().for_each(|provider| provider.hangs(true));
    for _ in 0..4 * 12 {
        let expected = ["allow", "allow degraded", "unavailable introspection-unavailable"];
        assert_eq!(sky.logins().await, expected);
        sky.pass(300).await;
    }
    sky.providers.iter().for_each(|provider| provider.hangs(false));
    for said in sky.clears_up(60).await {
        assert!(said[0] == "allow" && said[1].starts_with("allow") && !said[2].starts_with("deny"), "{said:?}");
    }
}
