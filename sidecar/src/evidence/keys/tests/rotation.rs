//! New keys, removed keys, unknown keys, and keys that change under their name.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::time::Instant;

use super::provider::{ALG, Provider, Signer, name, pass, settle};
use crate::evidence::keys::{AfterBadSignature, Fetched, KeySettings, KeysState, Lookup};

const FLOOR: u64 = 30;

#[tokio::test(start_paused = true)]
async fn a_known_key_is_found_without_a_wait() {
    let signer = Signer::new("k1");
    let keys = Provider::publishing(&[&signer]).keys().await;
    let Lookup::Found(key) = keys.lookup(Some("k1"), ALG) else { panic!() };
    assert!(key.holds(b"message", &signer.sign(b"message")));
    assert!(!key.holds(b"massage", &signer.sign(b"message")));
    assert_eq!(name(&keys.lookup(Some("k1"), Algorithm::RS256)), "unfit");
    assert_eq!(name(&keys.lookup(Some("k1"), Algorithm::HS256)), "unfit");
    assert_eq!(name(&keys.lookup(None, ALG)), "found");
    assert_eq!(name(&keys.lookup(None, Algorithm::RS256)), "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_by_all_who_wait_for_the_one_fetch() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.publish(&[&new, &old]);
    let asked = provider.asked();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let keys = keys.clone();
            tokio::spawn(async move { name(&keys.find(Some("new"), ALG).await) })
        })
        .collect();
    for found in waiting {
        assert_eq!(found.await.unwrap(), "found");
    }
    assert_eq!(provider.asked(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_kid_is_unavailable_inside_the_floor_and_refused_only_after_a_later_fetch() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    assert_eq!(name(&keys.find(Some("nobody"), ALG).await), "unavailable");
    pass(FLOOR - 1).await;
    assert_eq!(name(&keys.find(Some("nobody"), ALG).await), "unavailable");
    assert_eq!(provider.asked(), 1);
    pass(1).await;
    assert_eq!(name(&keys.find(Some("nobody"), ALG).await), "unknown");
    assert_eq!(provider.asked(), 2);
    // Shown absent: refused at once and without a fetch, until later news can be had.
    pass(FLOOR - 1).await;
    assert_eq!(name(&keys.find(Some("nobody"), ALG).await), "unknown");
    assert_eq!(provider.asked(), 2);
    // Another one is not refused on that ground.
    assert_eq!(name(&keys.find(Some("other"), ALG).await), "unavailable");
    pass(1).await;
    provider.take(Duration::from_secs(4));
    let other = tokio::spawn({
        let keys = keys.clone();
        async move { name(&keys.find(Some("other"), ALG).await) }
    });
    settle().await;
    // Joined a fetch that had begun before it was asked: not proof enough.
    let joined = tokio::spawn({
        let keys = keys.clone();
        async move { name(&keys.find(Some("third"), ALG).await) }
    });
    assert_eq!((other.await.unwrap(), joined.await.unwrap()), ("unavailable", "unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_key_asked_for_before_it_was_published_is_found_as_soon_as_keys_may_be_fetched_again() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    assert_eq!(name(&keys.find(Some("new"), ALG).await), "unknown");
    provider.publish(&[&new, &old]);
    pass(FLOOR).await;
    assert_eq!(name(&keys.find(Some("new"), ALG).await), "found");
    // And where that fetch fails, nobody can say: no refusal on old news.
    assert_eq!(name(&keys.find(Some("third"), ALG).await), "unavailable");
    pass(FLOOR).await;
    assert_eq!(name(&keys.find(Some("third"), ALG).await), "unknown");
    provider.fail();
    pass(FLOOR).await;
    for _ in 0..2 {
        assert_eq!(name(&keys.find(Some("third"), ALG).await), "unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_joins_a_fetch_begun_before_is_never_refused_by_it() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    let first = tokio::spawn({
        let keys = keys.clone();
        async move { name(&keys.find(Some("first"), ALG).await) }
    });
    settle().await;
    let second = name(&keys.find(Some("second"), ALG).await);
    assert_eq!((first.await.unwrap(), second), ("unknown", "unavailable"));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_arms_the_floor_too() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.fail();
    for _ in 0..20 {
        assert_eq!(name(&keys.find(Some("new"), ALG).await), "unavailable");
        pass(1).await;
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "found");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_random_kids_causes_one_fetch_per_floor_and_a_bounded_memory() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let start = Instant::now();
    for second in 0..1800 {
        for n in 0..5 {
            let keys = keys.clone();
            tokio::spawn(async move { keys.find(Some(&format!("random-{second}-{n}")), ALG).await });
        }
        pass(1).await;
        assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
    }
    let most = usize::try_from(start.elapsed().as_secs() / FLOOR + 1).unwrap();
    assert!(provider.asked() <= most + 1, "{} fetches, {most} allowed beside the first", provider.asked());
    assert!(keys.status().absent <= 128);
    let gaps: Vec<_> = provider.asked_at().windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(FLOOR)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_rotate_every_45_seconds_for_an_hour_cost_no_good_token_a_refusal() {
    let mut signer = Signer::new("k0");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    pass(45).await;
    for rotation in 1..=80 {
        let old = std::mem::replace(&mut signer, Signer::new(&format!("k{rotation}")));
        provider.publish(&[&signer, &old]);
        // Used the moment it is published, by many at once; then throughout its life.
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (keys, kid) = (keys.clone(), signer.kid.clone());
                tokio::spawn(async move { keys.find(Some(&kid), ALG).await })
            })
            .collect();
        for found in waiting {
            let Lookup::Found(key) = found.await.unwrap() else { panic!("rotation {rotation}") };
            assert!(key.holds(b"m", &signer.sign(b"m")));
        }
        for _ in 0..45 {
            assert_eq!(name(&keys.find(Some(&signer.kid), ALG).await), "found");
            assert_eq!(name(&keys.find(Some(&old.kid), ALG).await), "found");
            pass(1).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_stops_working_at_the_next_good_refresh() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    let first = keys.status().generation;
    provider.publish(&[&new]);
    pass(601).await;
    assert_eq!(name(&keys.lookup(Some("old"), ALG)), "unknown");
    assert_eq!(name(&keys.lookup(Some("new"), ALG)), "found");
    assert!(keys.status().generation > first);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_did_not_change_keeps_its_generation() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let first = keys.status().generation;
    pass(2000).await;
    assert!(provider.asked() >= 3);
    assert_eq!(keys.status().generation, first);
    assert_eq!(keys.status().state, KeysState::Current);
}

#[tokio::test(start_paused = true)]
async fn new_material_under_the_same_kid_is_found_after_one_bad_signature() {
    let (old, new) = (Signer::new("same"), Signer::new("same"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.publish(&[&new]);
    let Lookup::Found(held) = keys.find(Some("same"), ALG).await else { panic!() };
    assert!(!held.holds(b"m", &new.sign(b"m")));
    let AfterBadSignature::NewKey(fresh) = keys.refresh_after_bad_signature(&held, Duration::ZERO).await else {
        panic!()
    };
    assert!(fresh.holds(b"m", &new.sign(b"m")));
    // Who still holds the old one is told at once, without a fetch.
    let asked = provider.asked();
    assert!(matches!(keys.refresh_after_bad_signature(&held, Duration::ZERO).await, AfterBadSignature::NewKey(_)));
    assert_eq!(provider.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn forged_signatures_cause_one_fetch_per_floor() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let Lookup::Found(key) = keys.lookup(Some("k1"), ALG) else { panic!() };
    let now = Duration::ZERO;
    assert!(matches!(keys.refresh_after_bad_signature(&key, now).await, AfterBadSignature::Unchecked));
    pass(FLOOR).await;
    assert!(matches!(keys.refresh_after_bad_signature(&key, now).await, AfterBadSignature::Confirmed));
    for _ in 0..29 {
        assert!(matches!(keys.refresh_after_bad_signature(&key, now).await, AfterBadSignature::Unchecked));
        pass(1).await;
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_older_than_the_issuers_last_answer_is_refused_without_a_fetch() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let Lookup::Found(key) = keys.lookup(Some("k1"), ALG) else { panic!() };
    pass(10).await;
    let [older, younger] = [12, 9].map(Duration::from_secs);
    assert!(matches!(keys.refresh_after_bad_signature(&key, older).await, AfterBadSignature::Confirmed));
    assert!(matches!(keys.refresh_after_bad_signature(&key, younger).await, AfterBadSignature::Unchecked));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_one_fetch_are_told_whose_tokens_are_older_than_it() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let Lookup::Found(key) = keys.lookup(Some("k1"), ALG) else { panic!() };
    pass(FLOOR).await;
    provider.take(Duration::from_secs(1));
    let [older, younger] = [20, 0].map(Duration::from_secs);
    let (first, second, third) = tokio::join!(
        keys.refresh_after_bad_signature(&key, older),
        keys.refresh_after_bad_signature(&key, older),
        keys.refresh_after_bad_signature(&key, younger),
    );
    assert!(matches!(first, AfterBadSignature::Confirmed));
    assert!(matches!(second, AfterBadSignature::Confirmed), "it waited for a fetch that began before its question");
    assert!(
        matches!(third, AfterBadSignature::Unchecked),
        "it may be signed with a key that came after the fetch began"
    );
    assert_eq!(provider.asked(), 2);
}

/// A cache on the way may answer a scheduled fetch with what was published long before.
#[tokio::test(start_paused = true)]
async fn a_scheduled_fetch_proves_nothing_about_a_younger_token() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    let Lookup::Found(key) = keys.lookup(Some("k1"), ALG) else { panic!() };
    pass(601).await;
    assert_eq!(provider.asked(), 2);
    let two_minutes = Duration::from_secs(120);
    provider.fail();
    assert!(matches!(keys.refresh_after_bad_signature(&key, two_minutes).await, AfterBadSignature::Unchecked));
}

#[tokio::test(start_paused = true)]
async fn a_login_waits_no_longer_than_its_share_and_the_fetch_goes_on_for_the_next_one() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.publish(&[&new]);
    provider.take(Duration::from_secs(4));
    let asked_at = Instant::now();
    assert_eq!(name(&keys.find(Some("new"), ALG).await), "unavailable");
    assert_eq!(asked_at.elapsed().as_millis() / 100, 15);
    pass(4).await;
    assert_eq!(name(&keys.lookup(Some("new"), ALG)), "found");
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_goes_away_does_not_stop_the_fetch_it_began() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let provider = Provider::publishing(&[&old]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.publish(&[&new]);
    let gone = tokio::spawn({
        let keys = keys.clone();
        async move { keys.find(Some("new"), ALG).await }
    });
    settle().await;
    gone.abort();
    pass(1).await;
    assert_eq!(name(&keys.lookup(Some("new"), ALG)), "found");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_about_freshness_is_clamped() {
    for (said, least, most) in [(0, 54, 60), (300, 270, 300), (604_800, 3240, 3600)] {
        let signer = Signer::new("k1");
        let fresh_for = Some(Duration::from_secs(said));
        let body = super::provider::document(&[&signer]);
        let provider = Provider::answering(Ok(Fetched::Document { body, etag: Some("\"e\"".into()), fresh_for }));
        let keys = provider.keys().await;
        settle().await;
        let next = keys.status().next_refresh.unwrap().as_secs_f64();
        assert!((f64::from(least) - 1.0..=f64::from(most)).contains(&next), "{said}: {next}");
        provider.answer(Ok(Fetched::Unchanged { fresh_for }));
        pass(most.try_into().unwrap()).await;
        pass(1).await;
        assert_eq!(provider.etags(), [None, Some("\"e\"".to_owned())]);
        assert!(keys.status().age.unwrap() < Duration::from_secs(400));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_one_issuer_never_stands_in_anothers_set_though_the_kids_are_one() {
    let (ours, theirs) = (Signer::new("1"), Signer::new("1"));
    let one = Provider::publishing(&[&ours]).keys().await;
    let other = Provider::publishing(&[&theirs]).keys_with(KeySettings::new("https://other.example.test")).await;
    let (Lookup::Found(a), Lookup::Found(b)) = (one.lookup(Some("1"), ALG), other.lookup(Some("1"), ALG)) else {
        panic!()
    };
    assert!(a.holds(b"m", &ours.sign(b"m")) && !a.holds(b"m", &theirs.sign(b"m")));
    assert!(b.holds(b"m", &theirs.sign(b"m")) && !b.holds(b"m", &ours.sign(b"m")));
    assert_ne!(a.generation, b.generation);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_logins_wait_for_an_issuer_that_hangs() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    pass(FLOOR).await;
    provider.take(Duration::from_secs(10));
    let waiting: Vec<_> = (0..128)
        .map(|n| {
            let keys = keys.clone();
            tokio::spawn(async move { name(&keys.find(Some(&format!("random-{n}")), ALG).await) })
        })
        .collect();
    settle().await;
    let before = Instant::now();
    assert_eq!(name(&keys.find(Some("one more"), ALG).await), "unavailable");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
    for one in waiting {
        assert_eq!(one.await.unwrap(), "unavailable");
    }
    assert_eq!(provider.asked(), 2);
}
