//! Logging in as a mail client does: authorization code with PKCE, refresh, logout.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi_psc::{
    ACCESS_LIFETIME, Client, Clock, Endpoint, Identity, PUBLIC_CLIENT, Psc, REFRESH_LIFETIME, doctor_one,
};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use url::Url;

const VERIFIER: &str = "un-verifieur-assez-long-pour-la-norme-rfc-7636";
const BACK: &str = "http://127.0.0.1:4711/retour?a=b";

fn browser() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn challenge() -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}

/// The authorization request of a well-behaved client; `changes` replace parameters, an empty value removes one.
async fn authorize(psc: &Psc, changes: &[(&str, &str)]) -> Response {
    let challenge = challenge();
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", PUBLIC_CLIENT),
        ("redirect_uri", BACK),
        ("scope", "openid scope_all"),
        ("acr_values", "eidas1"),
        ("state", "l'état & c."),
        ("nonce", "n-1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("login_hint", "899700000011"),
    ];
    for (name, value) in changes {
        parameters.retain(|(existing, _)| existing != name);
        if !value.is_empty() {
            parameters.push((name, value));
        }
    }
    let url = Url::parse_with_params(&psc.url(Endpoint::Authorize), parameters).unwrap();
    browser().get(url).send().await.unwrap()
}

fn parameter(response: &Response, name: &str) -> Option<String> {
    let target = Url::parse(response.headers().get("location")?.to_str().ok()?).ok()?;
    target.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn post(psc: &Psc, endpoint: Endpoint, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let sent = browser().post(psc.url(endpoint)).body(body).send().await.unwrap();
    let status = sent.status();
    (status, serde_json::from_slice(&sent.bytes().await.unwrap()).unwrap_or_default())
}

async fn redeem(psc: &Psc, code: &str, verifier: &str) -> (StatusCode, Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", PUBLIC_CLIENT),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", verifier),
    ];
    post(psc, Endpoint::Token, &form).await
}

async fn logged_in(psc: &Psc) -> Value {
    let code = parameter(&authorize(psc, &[]).await, "code").expect("a code");
    let (status, tokens) = redeem(psc, &code, VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    tokens
}

async fn refresh(psc: &Psc, token: &str) -> (StatusCode, Value) {
    let form = [("grant_type", "refresh_token"), ("client_id", PUBLIC_CLIENT), ("refresh_token", token)];
    post(psc, Endpoint::Token, &form).await
}

async fn active(psc: &Psc, token: &str) -> bool {
    let form = [("client_id", psc.operator().id.as_str()), ("client_secret", psc.operator_secret()), ("token", token)];
    post(psc, Endpoint::Introspect, &form).await.1["active"].as_bool().expect("a verdict")
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[tokio::test]
async fn a_code_with_its_verifier_becomes_the_chosen_persons_tokens() -> Result<()> {
    let psc = Psc::start().await?;
    let response = authorize(&psc, &[]).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert!(response.headers()["location"].to_str()?.starts_with("http://127.0.0.1:4711/retour?a=b&code="));
    assert_eq!(parameter(&response, "state").as_deref(), Some("l'état & c."));

    let (status, tokens) = redeem(&psc, &parameter(&response, "code").expect("a code"), VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(tokens["expires_in"], ACCESS_LIFETIME);
    let access = claims(text(&tokens["access_token"]));
    assert_eq!(access["SubjectNameID"], "899700000011");
    assert_eq!((&access["azp"], &access["typ"]), (&Value::from(PUBLIC_CLIENT), &Value::from("Bearer")));
    assert_eq!(access["sid"], tokens["session_state"]);
    let id = claims(text(&tokens["id_token"]));
    assert_eq!((&id["typ"], &id["nonce"], &id["aud"]), (&"ID".into(), &"n-1".into(), &PUBLIC_CLIENT.into()));
    assert!(active(&psc, text(&tokens["access_token"])).await);
    Ok(())
}

#[tokio::test]
async fn the_page_lists_every_identity_with_a_link_that_logs_in() -> Result<()> {
    let psc = Psc::start().await?;
    let page = authorize(&psc, &[("login_hint", "")]).await.text().await?;
    let links: Vec<String> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(links.len(), 4);
    let third = browser().get(links[2].replace("&amp;", "&")).send().await?;
    let (_, tokens) = redeem(&psc, &parameter(&third, "code").expect("a code"), VERIFIER).await;
    assert_eq!(claims(text(&tokens["access_token"]))["SubjectNameID"], "500000000000017/CPAT00001");
    Ok(())
}

#[tokio::test]
async fn the_page_shows_names_and_requests_as_text_and_never_as_markup() -> Result<()> {
    let hostile = Identity { given_name: "<script>x</script>".to_owned(), ..Identity::of("8\"><script>y") };
    let psc = Psc::builder().identities(vec![hostile]).start().await?;
    let page = authorize(&psc, &[("login_hint", ""), ("state", "\"><script>z</script>")]).await.text().await?;
    assert!(page.contains("&lt;script&gt;x"));
    assert!(!page.contains("<script"));
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_for_one_attempt_and_one_verifier() -> Result<()> {
    let psc = Psc::start().await?;
    let code = parameter(&authorize(&psc, &[]).await, "code").expect("a code");
    assert_eq!(redeem(&psc, &code, "another verifier").await.1["error"], "invalid_grant");
    assert_eq!(redeem(&psc, &code, VERIFIER).await.1["error"], "invalid_grant");

    let code = parameter(&authorize(&psc, &[]).await, "code").expect("a code");
    assert_eq!(redeem(&psc, &code, VERIFIER).await.0, StatusCode::OK);
    assert_eq!(redeem(&psc, &code, VERIFIER).await.1["error"], "invalid_grant");
    Ok(())
}

#[tokio::test]
async fn a_code_is_stale_after_a_minute() -> Result<()> {
    let psc = Psc::builder().clock(Clock::standing_at(1_800_000_000)).start().await?;
    let code = parameter(&authorize(&psc, &[]).await, "code").expect("a code");
    psc.clock().advance(60);
    assert_eq!(redeem(&psc, &code, VERIFIER).await.1["error"], "invalid_grant");
    Ok(())
}

#[tokio::test]
async fn a_request_without_pkce_or_with_an_unknown_identity_goes_back_with_an_error() -> Result<()> {
    let psc = Psc::start().await?;
    for (changes, error) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("login_hint", "899700000099"), "access_denied"),
    ] {
        let response = authorize(&psc, &[changes]).await;
        assert_eq!(parameter(&response, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(parameter(&response, "code"), None);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_ever_sent_to_an_address_that_is_not_the_clients() -> Result<()> {
    let psc = Psc::start().await?;
    for uri in ["https://mail.example.test/", "http://127.0.0.1.example.test/", "javascript:alert(1)", "nonsense"] {
        let response = authorize(&psc, &[("redirect_uri", uri)]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{uri}");
        assert!(response.headers().get("location").is_none());
    }
    let client = Client { redirect_uris: vec!["https://mail.example.test/".to_owned()], ..Client::public("webmail") };
    psc.register(client);
    let known = [("redirect_uri", "https://mail.example.test/"), ("client_id", "webmail")];
    assert!(parameter(&authorize(&psc, &known).await, "code").is_some());
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_keeps_session_and_birth() -> Result<()> {
    let psc = Psc::builder().clock(Clock::standing_at(1_800_000_000)).start().await?;
    let first = logged_in(&psc).await;
    psc.clock().advance(1000);
    let (status, second) = refresh(&psc, text(&first["refresh_token"])).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let (before, after) = (claims(text(&first["access_token"])), claims(text(&second["access_token"])));
    assert_eq!((&before["sid"], &before["auth_time"]), (&after["sid"], &after["auth_time"]));
    assert_eq!(after["iat"], 1_800_001_000_u64);
    assert_eq!(refresh(&psc, text(&first["refresh_token"])).await.1["error"], "invalid_grant");
    assert_eq!(refresh(&psc, text(&second["refresh_token"])).await.0, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_dies_after_half_an_hour_and_a_session_after_four_hours() -> Result<()> {
    let psc = Psc::builder().clock(Clock::standing_at(1_800_000_000)).start().await?;
    let idle = logged_in(&psc).await;
    psc.clock().advance(i64::try_from(REFRESH_LIFETIME)?);
    assert_eq!(refresh(&psc, text(&idle["refresh_token"])).await.1["error"], "invalid_grant");

    let mut tokens = logged_in(&psc).await;
    let mut refreshed = 0;
    loop {
        psc.clock().advance(1700);
        let (status, next) = refresh(&psc, text(&tokens["refresh_token"])).await;
        if status != StatusCode::OK {
            break;
        }
        (tokens, refreshed) = (next, refreshed + 1);
    }
    assert_eq!(refreshed, 8, "8 times 1700 s are within 4 h, 9 times are not");
    Ok(())
}

#[tokio::test]
async fn one_clients_refresh_token_is_nothing_to_another_and_stays_good() -> Result<()> {
    let psc = Psc::start().await?;
    psc.register(Client::public("another"));
    let tokens = logged_in(&psc).await;
    let token = text(&tokens["refresh_token"]);
    let form = [("grant_type", "refresh_token"), ("client_id", "another"), ("refresh_token", token)];
    assert_eq!(post(&psc, Endpoint::Token, &form).await.1["error"], "invalid_grant");
    assert_eq!(refresh(&psc, token).await.0, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn other_grants_are_refused_and_a_wrong_secret_is_401() -> Result<()> {
    let psc = Psc::start().await?;
    let password = [("grant_type", "password"), ("client_id", PUBLIC_CLIENT)];
    assert_eq!(post(&psc, Endpoint::Token, &password).await.1["error"], "unsupported_grant_type");
    let wrong = [("grant_type", "refresh_token"), ("client_id", &psc.operator().id), ("client_secret", "wrong")];
    let (status, answer) = post(&psc, Endpoint::Token, &wrong).await;
    assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &Value::from("invalid_client")));
    Ok(())
}

#[tokio::test]
async fn logout_ends_the_session_for_every_token_of_it() -> Result<()> {
    let psc = Psc::start().await?;
    let (one, other) = (logged_in(&psc).await, logged_in(&psc).await);
    let form = [("client_id", PUBLIC_CLIENT), ("refresh_token", text(&one["refresh_token"]))];
    assert_eq!(post(&psc, Endpoint::Logout, &form).await.0, StatusCode::NO_CONTENT);
    assert!(!active(&psc, text(&one["access_token"])).await);
    assert_eq!(refresh(&psc, text(&one["refresh_token"])).await.1["error"], "invalid_grant");
    assert!(active(&psc, text(&other["access_token"])).await, "another session of the same person goes on");

    let hint = [("id_token_hint", text(&other["id_token"])), ("post_logout_redirect_uri", BACK), ("state", "s")];
    let gone = browser().get(Url::parse_with_params(&psc.url(Endpoint::Logout), hint)?).send().await?;
    assert_eq!(gone.headers()["location"], BACK);
    assert!(!active(&psc, text(&other["access_token"])).await);
    Ok(())
}

#[tokio::test]
async fn revocation_ends_a_token_and_answers_200_to_nonsense_too() -> Result<()> {
    let psc = Psc::start().await?;
    let tokens = logged_in(&psc).await;
    let access = text(&tokens["access_token"]);
    for token in [access, "nonsense"] {
        let form = [("client_id", PUBLIC_CLIENT), ("token", token)];
        assert_eq!(post(&psc, Endpoint::Revoke, &form).await.0, StatusCode::OK);
    }
    assert!(!active(&psc, access).await);
    assert!(active(&psc, &psc.token(&doctor_one()).mint()).await);
    Ok(())
}
