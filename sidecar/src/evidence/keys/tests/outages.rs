//! A provider that is away, or that answers with what is no key set.

use std::time::Duration;

use serde_json::json;

use super::provider::{ALG, Provider, Signer, document, name, pass};
use crate::evidence::keys::{FetchError, Fetched, KeyError, KeysState, SetError};

#[tokio::test(start_paused = true)]
async fn keys_outlive_their_issuer_for_four_hours_then_nothing_can_be_said() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let keys = provider.keys().await;
    provider.fail();
    let mut states = vec![keys.status().state];
    // Ten minutes fresh, then four hours stale.
    for _ in 0..(10 + 4 * 60) {
        assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
        pass(59).await;
        // An unknown kid is never refused meanwhile: who could know?
        assert_eq!(name(&keys.find(Some("new"), ALG).await), "unavailable");
        pass(1).await;
        states.push(keys.status().state);
    }
    states.dedup();
    assert_eq!(states[..2], [KeysState::Current, KeysState::Stale]);
    pass(120).await;
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "unavailable");
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    assert_eq!(keys.status().state, KeysState::Unavailable);
    assert!(keys.status().failing_for.unwrap() > Duration::from_secs(3 * 3600));
    provider.publish(&[&signer]);
    pass(91).await;
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "found");
    assert_eq!((keys.status().state, keys.status().last_error), (KeysState::Current, None));
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_issuer_is_unavailable_and_heals_by_itself() {
    let signer = Signer::new("k1");
    let provider = Provider::answering(Err(FetchError::File));
    let keys = provider.keys().await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    assert_eq!(keys.status().state, KeysState::Unavailable);
    assert_eq!(keys.status().last_error, Some(KeyError::Fetch(FetchError::File)));
    provider.publish(&[&signer]);
    pass(61).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
}

#[tokio::test(start_paused = true)]
async fn a_login_at_the_very_start_waits_for_the_first_fetch() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    let settings = crate::evidence::keys::KeySettings::new("https://issuer.example.test");
    let keys = crate::evidence::keys::Keys::start_with(settings, Box::new(provider.clone()));
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_given_up() {
    let signer = Signer::new("k1");
    let provider = Provider::publishing(&[&signer]);
    provider.take(Duration::from_secs(100_000));
    let settings = crate::evidence::keys::KeySettings::new("https://issuer.example.test");
    let keys = crate::evidence::keys::Keys::start_with(settings, Box::new(provider.clone()));
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    provider.take(Duration::ZERO);
    pass(15 + 61).await;
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "found");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_no_key_set_never_takes_the_place_of_a_good_one() {
    let good = Signer::new("k1");
    let (twin, whole) = (Signer::new("k1"), document(&[&good]));
    let provider = Provider::publishing(&[&good]);
    let keys = provider.keys().await;
    let generation = keys.status().generation;
    let cases: [(&str, Vec<u8>, SetError); 8] = [
        ("empty answer", Vec::new(), SetError::NotASet),
        ("page", b"<html><body>maintenance</body></html>".to_vec(), SetError::NotASet),
        ("truncated", whole[..whole.len() / 2].to_vec(), SetError::NotASet),
        ("error object", b"{\"error\":\"temporarily_unavailable\"}".to_vec(), SetError::NotASet),
        ("no keys", b"{\"keys\":[]}".to_vec(), SetError::NoUsableKey),
        (
            "secrets only",
            json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}).to_string().into(),
            SetError::NoUsableKey,
        ),
        ("two keys of one kid", document(&[&good, &twin]), SetError::AmbiguousKid),
        ("a thousand keys", json!({"keys": vec![good.jwk(); 1000]}).to_string().into(), SetError::TooMany),
    ];
    for (case, body, error) in cases {
        provider.answer(Ok(Fetched::Document { body, etag: Some("\"bad\"".into()), fresh_for: None }));
        let asked = provider.asked();
        pass(601).await;
        assert!(provider.asked() > asked, "{case}");
        let status = keys.status();
        assert_eq!((status.last_error, status.generation), (Some(KeyError::Set(error)), generation), "{case}");
        assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found", "{case}");
    }
    // The entity tag of a document that was refused is never shown: it would fetch an "unchanged" that was never held.
    assert!(provider.etags().iter().all(Option::is_none));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_that_answers_nothing_held_is_a_failure() {
    let provider = Provider::answering(Ok(Fetched::Unchanged { fresh_for: None }));
    let keys = provider.keys().await;
    assert_eq!(keys.status().last_error, Some(KeyError::Set(SetError::NotASet)));
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
}
