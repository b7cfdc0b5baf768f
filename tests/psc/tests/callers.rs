//! Callers that show themselves by a signature: what the stand-in believes, and what it does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi_psc::{Algorithm, Client, Endpoint, Psc, Shown, SigningKey, doctor_one};
use serde_json::{Value, json};

fn signed(key: &SigningKey, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": key.algorithm().name(), "kid": key.kid()});
    let signed = format!("{}.{}", encode(&header), encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap()))
}

/// Status of an introspection by this assertion.
async fn shown(psc: &Psc, assertion: &str) -> u16 {
    let token = psc.token(&doctor_one()).mint();
    let form = [
        ("token", token.as_str()),
        ("client_id", "essai"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = reqwest::Client::new().post(psc.url(Endpoint::Introspect));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_assertion_counts_once_in_time_for_this_issuer_and_by_the_registered_key() {
    let psc = Psc::start().await.unwrap();
    let (key, other) =
        (SigningKey::generate("k", Algorithm::Es256).unwrap(), SigningKey::generate("k", Algorithm::Es256).unwrap());
    psc.register(Client { key: Some(key.jwk().unwrap()), ..Client::public("essai") });
    let now = psc.now();
    let good = json!({
        "iss": "essai", "sub": "essai", "aud": psc.issuer(), "jti": "1", "iat": now, "exp": now + 60,
    });
    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        claims["jti"] = if member == "jti" { claims["jti"].clone() } else { json!(member) };
        claims
    };
    let first = signed(&key, &good);
    assert_eq!(shown(&psc, &first).await, 200);
    assert_eq!(psc.last_introspection().unwrap().shown, Shown::Assertion);
    assert_eq!(shown(&psc, &first).await, 401, "a second time");
    assert_eq!(shown(&psc, &signed(&key, &with("aud", json!([psc.issuer()])))).await, 200, "a list of one");
    for (member, value) in [
        ("iss", json!("another")),
        ("sub", json!("another")),
        ("aud", json!("https://another.example.test")),
        ("aud", json!([psc.issuer(), "https://another.example.test"])),
        ("aud", Value::Null),
        ("exp", json!(now)),
        ("exp", json!(now + 3600)),
        ("exp", Value::Null),
        ("iat", json!(now + 100)),
        ("jti", json!("")),
        ("jti", Value::Null),
    ] {
        let claims = with(member, value);
        assert_eq!(shown(&psc, &signed(&key, &claims)).await, 401, "{claims}");
    }
    assert_eq!(shown(&psc, &signed(&other, &with("kid", json!("k")))).await, 401, "a stranger's signature");
    assert_eq!(shown(&psc, "a.b.c").await, 401);
}
