//! The stand-in over HTTP, as relying parties and operators use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use anyhow::Result;
use jsonwebtoken::jwk::JwkSet;
use octroi_psc::{Client, Clock, Endpoint, Psc, Said, ServerCertificate, Shown, Validity, doctor_one, secretary};
use reqwest::StatusCode;
use serde_json::Value;

/// Sends a form and gives status and JSON (null for none).
async fn post(
    psc: &Psc,
    endpoint: Endpoint,
    basic: Option<(&str, &str)>,
    form: &[(&str, &str)],
) -> (StatusCode, Value) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = reqwest::Client::new()
        .post(psc.url(endpoint))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

async fn json(client: &reqwest::Client, url: &str) -> Value {
    serde_json::from_slice(&client.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap()
}

async fn introspect(psc: &Psc, token: &str) -> Value {
    let basic = Some((psc.operator().id.as_str(), psc.operator_secret()));
    let (status, answer) = post(psc, Endpoint::Introspect, basic, &[("token", token)]).await;
    assert_eq!(status, StatusCode::OK);
    answer
}

#[tokio::test]
async fn both_discovery_paths_give_the_same_document_and_its_endpoints_are_ours() -> Result<()> {
    let psc = Psc::start().await?;
    let client = reqwest::Client::new();
    let wallet = json(&client, &psc.url(Endpoint::WalletDiscovery)).await;
    assert_eq!(wallet, json(&client, &psc.url(Endpoint::Discovery)).await);
    assert_eq!(wallet["issuer"], psc.issuer());
    assert_eq!(wallet["jwks_uri"], psc.url(Endpoint::Certs));
    assert_eq!(wallet["introspection_endpoint"], psc.url(Endpoint::Introspect));
    assert_eq!((psc.calls(Endpoint::WalletDiscovery), psc.calls(Endpoint::Discovery)), (1, 1));
    Ok(())
}

#[tokio::test]
async fn the_key_set_is_one_that_jsonwebtoken_reads_and_verifies_with() -> Result<()> {
    let psc = Psc::start().await?;
    let set: JwkSet = serde_json::from_value(json(&reqwest::Client::new(), &psc.url(Endpoint::Certs)).await)?;
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(psc.keys().signing().kid()).expect("the kid is published"))?;
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_issuer(&[psc.issuer()]);
    let token = psc.token(&doctor_one()).mint();
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &rules)?.claims;
    assert_eq!(claims["SubjectNameID"], doctor_one().id_nat);
    assert!(jsonwebtoken::decode::<Value>(format!("{token}A"), &key, &rules).is_err());
    Ok(())
}

#[tokio::test]
async fn an_unchanged_key_set_is_not_sent_again() -> Result<()> {
    let psc = Psc::start().await?;
    psc.certs_cache_control(Some("max-age=60"));
    let client = reqwest::Client::new();
    let first = client.get(psc.url(Endpoint::Certs)).send().await?;
    assert_eq!(first.headers()["cache-control"], "max-age=60");
    let tag = first.headers()["etag"].clone();
    let again = client.get(psc.url(Endpoint::Certs)).header("if-none-match", tag.clone()).send().await?;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    psc.keys().replace_same_kid()?;
    let changed = client.get(psc.url(Endpoint::Certs)).header("if-none-match", tag).send().await?;
    assert_eq!(changed.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn over_tls_only_its_own_authority_vouches_for_it() -> Result<()> {
    let psc = Psc::start_tls().await?;
    assert!(psc.issuer().starts_with("https://127.0.0.1:"));
    let authority = reqwest::Certificate::from_pem(psc.ca_pem().expect("an authority").as_bytes())?;
    let trusting = reqwest::Client::builder().tls_certs_only([authority]).build()?;
    assert_eq!(json(&trusting, &psc.url(Endpoint::Discovery)).await["issuer"], psc.issuer());

    let other = ServerCertificate::create(Validity::Current)?;
    let strange = reqwest::Certificate::from_pem(other.ca_pem().as_bytes())?;
    let distrusting = reqwest::Client::builder().tls_certs_only([strange]).build()?;
    assert!(distrusting.get(psc.url(Endpoint::Discovery)).send().await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_a_client_that_trusts_the_authority() -> Result<()> {
    let psc = Psc::builder().certificate(ServerCertificate::create(Validity::Expired)?).start().await?;
    let authority = reqwest::Certificate::from_pem(psc.ca_pem().expect("an authority").as_bytes())?;
    let trusting = reqwest::Client::builder().tls_certs_only([authority]).build()?;
    assert!(trusting.get(psc.url(Endpoint::Discovery)).send().await.is_err());
    Ok(())
}

#[tokio::test]
async fn introspection_tells_an_authenticated_client_the_claims() -> Result<()> {
    let psc = Psc::start().await?;
    let token = psc.token(&secretary()).mint();
    assert!(!psc.was_asked_about(&token));
    let answer = introspect(&psc, &token).await;
    assert!(psc.was_asked_about(&token) && !psc.was_asked_about("another"));
    assert_eq!(answer["active"], true);
    assert_eq!(answer["SubjectNameID"], "500000000000017/CPAT00001");
    assert_eq!(answer["client_id"], answer["azp"]);
    let seen = psc.last_introspection().expect("a call");
    assert_eq!((seen.shown, seen.form.one("token")), (Shown::Basic, Some(token.as_str())));

    let form = [("client_id", psc.operator().id.as_str()), ("client_secret", psc.operator_secret()), ("token", &token)];
    let (_, posted) = post(&psc, Endpoint::Introspect, None, &form).await;
    assert_eq!(posted, answer);
    assert_eq!(psc.last_introspection().expect("a call").shown, Shown::Post);
    Ok(())
}

#[tokio::test]
async fn introspection_without_the_clients_secret_is_401_and_tells_nothing() -> Result<()> {
    let psc = Psc::start().await?;
    let token = psc.token(&doctor_one()).mint();
    let (id, secret) = (psc.operator().id.as_str(), psc.operator_secret());
    let wrong = [
        (None, vec![]),
        (Some((id, "wrong")), vec![]),
        (Some(("nobody", secret)), vec![]),
        (None, vec![("client_id", id), ("client_secret", "wrong")]),
        (None, vec![("client_id", id)]),
        (None, vec![("client_id", octroi_psc::PUBLIC_CLIENT)]),
    ];
    for (basic, mut form) in wrong {
        form.push(("token", &token));
        let (status, answer) = post(&psc, Endpoint::Introspect, basic, &form).await;
        assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &Value::from("invalid_client")));
        assert!(answer.get("active").is_none());
    }
    assert!(psc.last_introspection().is_none() && !psc.was_asked_about(&token));
    Ok(())
}

#[tokio::test]
async fn introspection_calls_inactive_what_is_expired_ended_foreign_or_meant_to_be() -> Result<()> {
    let clock = Clock::standing_at(1_800_000_000);
    let psc = Psc::builder().clock(clock.clone()).start().await?;
    let (other, one) = (Psc::start().await?, doctor_one());
    let inactive = serde_json::json!({"active": false});

    let token = psc.token(&one).claim("sid", "session-1").mint();
    clock.advance(119);
    assert_eq!(introspect(&psc, &token).await["active"], true);
    clock.advance(1);
    assert_eq!(introspect(&psc, &token).await, inactive);

    let ended = psc.token(&one).claim("sid", "session-2").mint();
    assert_eq!(introspect(&psc, &ended).await["active"], true);
    psc.end_session("session-2");
    assert_eq!(introspect(&psc, &ended).await, inactive);

    assert_eq!(introspect(&psc, &other.token(&one).claim("iss", psc.issuer()).mint()).await, inactive);
    assert_eq!(introspect(&psc, "opaque").await, inactive);

    let named = psc.token(&one).mint();
    psc.say(&named, Said::Inactive);
    assert_eq!(introspect(&psc, &named).await, inactive);
    psc.say_of_all(Some(Said::Answer(serde_json::json!({"active": true, "sub": "another"}))));
    assert_eq!(introspect(&psc, &psc.token(&one).mint()).await["sub"], "another");
    assert_eq!(introspect(&psc, &named).await, inactive);
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_not_entitled_reads_inactive_of_every_token() -> Result<()> {
    let psc = Psc::start().await?;
    let token = psc.token(&doctor_one()).mint();
    psc.entitle(false);
    assert_eq!(introspect(&psc, &token).await, serde_json::json!({"active": false}));
    psc.entitle(true);
    assert_eq!(introspect(&psc, &token).await["active"], true);
    Ok(())
}

#[tokio::test]
async fn basic_credentials_are_form_decoded() -> Result<()> {
    let psc = Psc::start().await?;
    let secret = "a+b c:d%é";
    psc.register(Client { secret: Some(secret.to_owned()), ..Client::public("essai") });
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let token = psc.token(&doctor_one()).mint();
    let (status, answer) = post(&psc, Endpoint::Introspect, Some(("essai", &encoded)), &[("token", &token)]).await;
    assert_eq!((status, &answer["active"]), (StatusCode::OK, &Value::Bool(true)));
    Ok(())
}

#[tokio::test]
async fn userinfo_is_shaped_as_pro_sante_connects() -> Result<()> {
    let psc = Psc::start().await?;
    let client = reqwest::Client::new();
    let token = psc.token(&doctor_one()).mint();
    let response = client.get(psc.url(Endpoint::Userinfo)).bearer_auth(&token).send().await?;
    let info: Value = serde_json::from_slice(&response.bytes().await?)?;
    assert_eq!(info["SubjectNameID"], "899700000011");
    assert_eq!(info["otherIds"][0]["identifiant"], "899700000011");
    assert_eq!(info["SubjectRefPro"]["exercices"][0]["codeProfession"], "10");
    assert!(info["sub"].as_str().is_some_and(|sub| sub.ends_with(":899700000011")));
    let without = client.get(psc.url(Endpoint::Userinfo)).send().await?;
    assert_eq!(without.status(), StatusCode::UNAUTHORIZED);
    let expired = psc.token(&doctor_one()).issued_ago(500).mint();
    let refused = client.get(psc.url(Endpoint::Userinfo)).bearer_auth(expired).send().await?;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() -> Result<()> {
    let psc = Psc::start().await?;
    let client = reqwest::Client::new();
    let unknown = client.get(format!("{}/protocol", psc.issuer())).send().await?;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let method = client.get(psc.url(Endpoint::Introspect)).send().await?;
    assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test]
async fn rotation_adds_a_key_and_withdrawal_ends_the_old_ones_tokens() -> Result<()> {
    let psc = Psc::start().await?;
    let old = psc.token(&doctor_one()).mint();
    let first = psc.keys().signing();
    let second = psc.keys().rotate("second", octroi_psc::Algorithm::Es256)?;
    let new = psc.token(&doctor_one()).mint();
    assert_eq!(jsonwebtoken::decode_header(&new)?.kid.as_deref(), Some(second.kid()));
    assert_eq!(introspect(&psc, &old).await["active"], true);
    assert_eq!(introspect(&psc, &new).await["active"], true);
    psc.keys().withdraw(first.kid());
    assert_eq!(introspect(&psc, &old).await["active"], false);
    assert_eq!(introspect(&psc, &new).await["active"], true);
    psc.keys().replace_same_kid()?;
    assert_eq!(introspect(&psc, &new).await["active"], false);
    Ok(())
}
