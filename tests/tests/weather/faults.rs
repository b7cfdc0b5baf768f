//! Every fault, in every mode, in simulated time: what exactly is said, and that it ends by itself.

use octroi::evidence::introspection::{Active, AskError, Introspected};
use octroi::evidence::keys::{DiscoveryError, FetchError, Fetched, KeysState, Skip};
use octroi::http::HttpError;
use octroi_psc::{Algorithm, SigningKey};
use serde_json::json;

use super::provider::{Provider, document};
use super::sky::{Sky, login};

/// Everything that HTTP can do to a call.
const HTTP: [HttpError; 15] = [
    HttpError::Deadline,
    HttpError::Connect,
    HttpError::CertificateExpired,
    HttpError::Certificate,
    HttpError::Tls,
    HttpError::Closed,
    HttpError::Truncated,
    HttpError::Protocol,
    HttpError::Status(302),
    HttpError::Status(429),
    HttpError::Status(500),
    HttpError::Status(503),
    HttpError::ContentType,
    HttpError::TooLarge,
    HttpError::Request,
];

fn useless_fetches() -> Vec<(String, Result<Fetched, FetchError>)> {
    let mut all: Vec<_> = HTTP.iter().map(|error| (format!("keys: {error}"), Err((*error).into()))).collect();
    let discovery = [
        DiscoveryError::Http(HttpError::Connect),
        DiscoveryError::Malformed,
        DiscoveryError::Issuer,
        DiscoveryError::Address,
        DiscoveryError::Missing,
        DiscoveryError::TooSoon,
    ];
    all.extend(discovery.map(|error| (error.to_string(), Err(error.into()))));
    all.push(("a file that is gone".to_owned(), Err(FetchError::File)));
    all.push(("a file that is too large".to_owned(), Err(FetchError::FileTooLarge)));
    let twins = ["a", "b"].map(|_| SigningKey::generate("twin", Algorithm::Es256).unwrap().jwk().unwrap());
    let bodies = [
        ("nothing", String::new()),
        ("a page", "<html>maintenance</html>".to_owned()),
        ("half a set", "{\"keys\":[{\"kty\":\"EC\"".to_owned()),
        ("no keys", json!({"keys": []}).to_string()),
        ("no usable key", json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k0"}]}).to_string()),
        ("two keys of one kid", json!({ "keys": twins }).to_string()),
    ];
    all.extend(bodies.map(|(case, body)| (case.to_owned(), Ok(document(body)))));
    all.push(("unchanged, of what nobody holds".to_owned(), Ok(Fetched::Unchanged { fresh_for: None })));
    all
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_the_keys_the_last_good_ones_serve_and_new_ones_are_awaited() {
    let sky = Sky::new().await;
    for (number, (case, fetched)) in useless_fetches().into_iter().enumerate() {
        let harmless = matches!(fetched, Ok(Fetched::Unchanged { .. }));
        for provider in &sky.providers {
            provider.fetched(Some(fetched.clone()));
        }
        assert_eq!(sky.logins().await, ["allow"; 3], "{case}");
        sky.pass(61).await;
        // A key that came into use meanwhile: nobody can say whether it is the provider's.
        let old = sky.providers.each_ref().map(|provider| provider.keys().signing());
        for provider in &sky.providers {
            provider.keys().rotate(&format!("k{}", number + 1), Algorithm::Es256).unwrap();
        }
        let said = sky.logins().await;
        assert!(harmless || said.iter().all(|said| said == "unavailable keys-unavailable"), "{case}: {said:?}");
        for (provider, old) in sky.providers.iter().zip(&old) {
            assert_eq!(login(&sky.gate, &provider.token(sky.now()).signed_by(old).mint()).await, "allow", "{case}");
            provider.keys().withdraw(old.kid());
            provider.mend();
        }
        let meanwhile = sky.clears_up(60).await;
        let later =
            meanwhile.iter().flatten().all(|said| said == "allow" || said.starts_with("unavailable") || harmless);
        assert!(later, "{case}: {meanwhile:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_with_introspection_each_mode_does_what_it_says() {
    let sky = Sky::new().await;
    let mut cases: Vec<AskError> = HTTP.iter().map(|error| AskError::Http(*error)).collect();
    cases.extend([AskError::CallerRefused, AskError::Malformed, AskError::Assertion]);
    cases.push(AskError::Discovery(DiscoveryError::Missing));
    for error in cases {
        sky.providers.iter().for_each(|provider| provider.answers(Err(error)));
        for _ in 0..8 {
            let expected = ["allow", "allow degraded", "unavailable introspection-unavailable"];
            assert_eq!(sky.logins().await, expected, "{error}");
        }
        sky.providers.iter().for_each(Provider::mend);
        sky.clears_up(30).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_somebody_else_is_a_refusal_and_no_outage() {
    let sky = Sky::new().await;
    let other = Active { subject: Some("f:another:899700000099".into()), ..Active::default() };
    for (answer, reason) in
        [(Introspected::Inactive, "deny token-inactive"), (Introspected::Active(other), "deny introspection-mismatch")]
    {
        sky.providers.iter().for_each(|provider| provider.answers(Ok(answer.clone())));
        for _ in 0..5 {
            assert_eq!(sky.logins().await, ["allow", reason, reason]);
        }
        for (issuer, alarm) in sky.gate.issuers().iter().zip([false, true, true]) {
            let status = issuer.introspection.as_ref().map(|introspection| introspection.status());
            let raised = status.is_some_and(|status| status.entitlement.alarm_for.is_some());
            assert_eq!(raised, alarm && answer == Introspected::Inactive, "{}", issuer.name);
        }
        sky.providers.iter().for_each(Provider::mend);
        sky.clears_up(5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_is_refused_at_the_next_read_and_new_material_under_an_old_name_is_found() {
    let sky = Sky::new().await;
    sky.pass(31).await;
    for provider in &sky.providers {
        let old = provider.keys().signing();
        provider.keys().replace_same_kid().unwrap();
        assert_eq!(login(&sky.gate, &provider.token(sky.now()).mint()).await, "allow", "new material");
        let before = provider.token(sky.now()).signed_by(&old).issued_ago(60).mint();
        assert_eq!(login(&sky.gate, &before).await, "deny signature-invalid", "old material");
        provider.keys().rotate("k1", Algorithm::Es256).unwrap();
        provider.keys().withdraw("k0");
    }
    sky.pass(601).await;
    sky.pass(31).await;
    for provider in &sky.providers {
        let removed = provider.token(sky.now()).header("kid", "k0").mint();
        assert_eq!(login(&sky.gate, &removed).await, "deny key-unknown");
    }
    assert_eq!(sky.logins().await, ["allow"; 3]);
}

#[tokio::test(start_paused = true)]
async fn five_unusable_keys_are_left_out_each_with_its_reason_and_the_good_one_beside_them_serves() {
    let sky = Sky::new().await;
    let good = SigningKey::generate("good", Algorithm::Es256).unwrap().jwk().unwrap();
    let with = |member: &str, value: &str| {
        let mut jwk = good.clone();
        jwk[member] = json!(value);
        jwk["kid"] = json!(format!("bad-{member}"));
        jwk
    };
    let unusable = vec![
        with("use", "enc"),
        with("crv", "secp256k1"),
        with("alg", "ES384"),
        with("kty", "AKP"),
        json!({"kty": "RSA", "kid": "small", "n": "ALJicZvaQNpZeB7U5eU2ONej7bRj5nsH1RtdlVCGImTX", "e": "AQAB"}),
    ];
    for provider in &sky.providers {
        provider.keys().publish_also(unusable.clone());
    }
    sky.pass(601).await;
    assert_eq!(sky.logins().await, ["allow"; 3]);
    for issuer in sky.gate.issuers() {
        let status = issuer.keys.status();
        let reasons: Vec<Skip> = status.skipped.iter().map(|skipped| skipped.reason).collect();
        assert_eq!(reasons, [Skip::Use, Skip::Curve, Skip::Mismatch, Skip::KeyType, Skip::RsaTooSmall]);
        assert_eq!((status.state, status.last_error), (KeysState::Current, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_whose_clock_is_off_is_believed_within_the_leeway() {
    let sky = Sky::new().await;
    for (ahead, expected) in
        [(5, "allow"), (6, "deny token-not-yet-valid"), (-124, "allow"), (-125, "deny token-expired")]
    {
        for provider in &sky.providers {
            let token = provider.token(sky.now()).issued_ago(-ahead).mint();
            assert_eq!(login(&sky.gate, &token).await, expected, "{ahead} s ahead");
        }
    }
}
