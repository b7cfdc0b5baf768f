//! A token seen before: its signature is not verified again, and everything else is judged as the first time.

use octroi::clock::UnixSeconds;
use octroi::policy::EMBEDDED;
use octroi_psc::{Algorithm, Said, doctor_one, doctor_two};

use super::bench::{Bench, DEUX, UN, said};

/// Signatures verified so far, and found in memory.
fn verified(bench: &Bench) -> (u64, u64) {
    let status = bench.gate.signatures();
    (status.misses, status.hits)
}

#[tokio::test]
async fn a_token_shown_again_costs_no_second_verification() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    for round in 0..4 {
        assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
        assert_eq!(verified(&bench), (1, round));
    }
    // However it is shown.
    assert_eq!(said(&bench.sasl("XOAUTH2", format!("user={UN}\x01auth=Bearer {token}\x01\x01").as_bytes()).await), UN);
    assert_eq!(verified(&bench), (1, 4));
}

#[tokio::test]
async fn claims_and_mailboxes_of_a_token_seen_before_are_judged_every_time() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
    assert_eq!(said(&bench.bearer(&token, Some(DEUX)).await), "deny mailbox-refused");
    bench.clock.set(UnixSeconds(bench.psc.now() + octroi_psc::ACCESS_LIFETIME + 5));
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), "deny token-expired");
}

#[tokio::test]
async fn a_token_seen_before_and_revoked_since_is_refused() {
    let bench = Bench::new(EMBEDDED, "required").await;
    let token = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
    bench.psc.say(&token, Said::Inactive);
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), "deny token-inactive");
    assert_eq!(verified(&bench), (1, 1));
}

#[tokio::test]
async fn another_payload_under_a_signature_seen_before_is_refused() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let [one, two] = [doctor_one(), doctor_two()].map(|identity| bench.psc.token(&identity).mint());
    assert_eq!(said(&bench.bearer(&one, Some(UN)).await), UN);
    let (signed, signature) = (two.rsplit_once('.').unwrap().0, one.rsplit_once('.').unwrap().1);
    assert_eq!(said(&bench.bearer(&format!("{signed}.{signature}"), Some(DEUX)).await), "deny signature-invalid");
}

#[tokio::test]
async fn another_set_of_keys_drops_what_was_verified_under_the_old_one() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let old = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&old, Some(UN)).await), UN);
    // A second key beside the old one: the old token is good, and verified anew.
    bench.psc.keys().rotate("second", Algorithm::Rs256).unwrap();
    let new = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&new, Some(UN)).await), UN);
    assert_eq!(said(&bench.bearer(&old, Some(UN)).await), UN);
    assert_eq!(verified(&bench), (3, 0));
    // The old key goes: a token of a third one makes the sidecar look, and the old token opens nothing any more.
    let first = bench.psc.keys().published().first().unwrap().kid().to_owned();
    bench.psc.keys().withdraw(&first);
    bench.psc.keys().rotate("third", Algorithm::Rs256).unwrap();
    let newest = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&newest, Some(UN)).await), UN);
    assert_eq!(said(&bench.bearer(&old, Some(UN)).await), "deny key-unknown");
}

#[tokio::test]
async fn another_key_under_the_same_name_drops_what_was_verified_under_the_old_one() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let old = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&old, Some(UN)).await), UN);
    bench.psc.keys().replace_same_kid().unwrap();
    let new = bench.psc.token(&doctor_one()).mint();
    assert_eq!(said(&bench.bearer(&new, Some(UN)).await), UN);
    assert_eq!(said(&bench.bearer(&old, Some(UN)).await), "deny signature-invalid");
}
