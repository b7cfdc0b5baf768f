use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::samples::{header, payload, refused, token, token_of, with};

/// The reason for which a token with that header is refused.
fn refused_header(changes: serde_json::Value) -> Option<DenyReason> {
    refused(&token_of(&with(header(), changes).to_string(), &payload().to_string()))
}

#[test]
fn the_sample_is_good() {
    assert_eq!(refused(&token(json!({}))), None);
    assert_eq!(refused_header(json!({})), None);
}

/// CVE-2015-9235: a token that asks not to be verified.
#[test]
fn alg_none_is_refused_in_every_spelling() {
    for none in ["none", "None", "NONE", "nOnE", " none", ""] {
        assert_eq!(refused_header(json!({ "alg": none })), Some(DenyReason::AlgorithmRefused), "{none:?}");
    }
    let unsigned = token_of(&json!({ "alg": "none" }).to_string(), &payload().to_string());
    let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
    assert_eq!(refused(unsigned), Some(DenyReason::AlgorithmRefused));
}

/// CVE-2016-5431, CVE-2016-10555: the public key taken for a shared secret.
#[test]
fn symmetric_algorithms_are_refused() {
    for algorithm in ["HS256", "HS384", "HS512", "hs256"] {
        assert_eq!(refused_header(json!({ "alg": algorithm })), Some(DenyReason::AlgorithmRefused));
    }
}

#[test]
fn algorithms_outside_of_the_allow_list_are_refused() {
    for algorithm in ["RS384", "PS512", "ES384", "ES512", "ES256K", "EdDSA", "rs256", "RS256 ", "RSA-OAEP", "dir"] {
        assert_eq!(refused_header(json!({ "alg": algorithm })), Some(DenyReason::AlgorithmRefused));
    }
    for algorithm in ["PS256", "ES256"] {
        assert_eq!(refused_header(json!({ "alg": algorithm })), None);
    }
    for missing in [json!(null), json!(1), json!(["RS256"]), json!({ "RS256": 1 })] {
        assert_eq!(refused_header(json!({ "alg": missing })), Some(DenyReason::TokenMalformed));
    }
}

/// CVE-2018-0114, and the header injections of RFC 8725 section 2.8: keys that the token brings along.
#[test]
fn keys_in_the_header_are_not_looked_at() {
    let keys = json!({
        "jwk": { "kty": "RSA", "n": "AQAB", "e": "AQAB" }, "jku": "https://attacker.example.test/jwks",
        "x5u": "https://attacker.example.test/x5u", "x5c": ["MIIB"], "x5t": "AAAA",
    });
    let with_keys =
        read(token_of(&with(header(), keys).to_string(), "{}").as_bytes(), &[Algorithm::Rs256]).ok().unwrap();
    assert_eq!(with_keys.key_id.as_deref(), Some("key-1"));
    assert!(with_keys.algorithm == Algorithm::Rs256);
}

#[test]
fn critical_extensions_are_refused() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!("b64"), json!({}), json!(0)] {
        assert_eq!(refused_header(json!({ "crit": crit, "b64": false })), Some(DenyReason::CriticalHeader));
    }
    let null = token_of(r#"{"alg":"RS256","crit":null}"#, &payload().to_string());
    assert_eq!(refused(&null), Some(DenyReason::CriticalHeader));
}

#[test]
fn only_tokens_say_they_are_tokens() {
    for kind in ["JWT", "jwt", "at+jwt", "AT+JWT"] {
        assert_eq!(refused_header(json!({ "typ": kind })), None, "{kind}");
    }
    assert_eq!(refused_header(json!({ "typ": null })), None);
    for kind in ["", "JWE", "dpop+jwt", "logout+jwt", "secevent+jwt", "application/jwt", "JWT "] {
        assert_eq!(refused_header(json!({ "typ": kind })), Some(DenyReason::TokenType), "{kind}");
    }
    assert_eq!(refused_header(json!({ "typ": 1 })), Some(DenyReason::TokenMalformed));
}

/// CVE-2021-29157 is about such names reaching a file system. Here they stay names: the host looks them up in a set.
#[test]
fn a_key_is_named_or_not() {
    let key_id = |kid| {
        let token = token_of(&with(header(), json!({ "kid": kid })).to_string(), "{}");
        read(token.as_bytes(), &[Algorithm::Rs256]).map(|jws| jws.key_id)
    };
    assert_eq!(key_id(json!(null)), Ok(None));
    assert_eq!(key_id(json!("../../../dev/null")), Ok(Some("../../../dev/null".into())));
    for malformed in [json!(""), json!(7), json!(["key-1"]), json!("k".repeat(257))] {
        assert_eq!(key_id(malformed), Err(DenyReason::TokenMalformed));
    }
}

/// CVE-2022-23529 and its like live in JWE alone.
#[test]
fn encrypted_tokens_are_refused() {
    let five = format!("{}.AAAA.AAAA", token(json!({})));
    assert_eq!(refused(&five), Some(DenyReason::TokenEncrypted));
    assert_eq!(refused("eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA"), Some(DenyReason::TokenEncrypted));
    assert_eq!(refused("...."), Some(DenyReason::TokenEncrypted));
}

#[test]
fn other_numbers_of_parts_are_refused() {
    let good = token(json!({}));
    for parts in
        ["", "a", "a.b", ".", "..", "...", ".....", &format!("{good}."), &format!("{good}.a"), &format!(".{good}")]
    {
        assert_eq!(refused(parts), Some(DenyReason::TokenMalformed), "{parts}");
    }
    let (header_and_payload, _) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(header_and_payload), Some(DenyReason::TokenMalformed));
    assert_eq!(refused(&format!("{header_and_payload}.")), Some(DenyReason::TokenMalformed));
}

#[test]
fn json_serialization_is_refused() {
    let good = token(json!({}));
    let [header, payload, signature] = *good.split('.').collect::<Vec<_>>() else { unreachable!() };
    let flattened = json!({ "payload": payload, "protected": header, "signature": signature });
    assert_eq!(refused(&flattened.to_string()), Some(DenyReason::TokenMalformed));
    let general = json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] });
    assert_eq!(refused(&general.to_string()), Some(DenyReason::TokenMalformed));
}

#[test]
fn base64url_has_one_spelling() {
    let good = token(json!({}));
    let parts: Vec<_> = good.split('.').collect();
    for part in 0..3 {
        for spoil in [
            |text: &str| format!("{text}="),
            |text: &str| format!("{text}=="),
            |text: &str| format!("{text}\n"),
            |text: &str| format!(" {text}"),
            |text: &str| format!("+{}", &text[1..]),
            |text: &str| format!("/{}", &text[1..]),
            // One character more than whole bytes.
            |text: &str| format!("{text}{}", "A".repeat((5 - text.len() % 4) % 4)),
        ] {
            let mut spoiled: Vec<_> = parts.iter().map(|part| String::from(*part)).collect();
            spoiled[part] = spoil(&spoiled[part]);
            assert_eq!(refused(&spoiled.join(".")), Some(DenyReason::TokenMalformed), "part {part}");
        }
    }
    // 256 bytes end in two characters of which the last holds four bits that must be zero.
    let mut bits = good;
    assert!(bits.ends_with("Bw"));
    bits.replace_range(bits.len() - 1.., "x");
    assert_eq!(refused(&bits), Some(DenyReason::TokenMalformed));
}

#[test]
fn members_named_twice_are_refused() {
    let claims = payload().to_string();
    for header in [
        r#"{"alg":"RS256","alg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"RS256","x":{"y":1,"y":1}}"#,
        r#"{"alg":"RS256","\u0061lg":"none"}"#,
    ] {
        assert_eq!(refused(&token_of(header, &claims)), Some(DenyReason::TokenMalformed), "{header}");
    }
    let header = header().to_string();
    let inside = &claims[1..claims.len() - 1];
    for payload in [
        format!(r#"{{{inside},"exp":9999999999}}"#),
        format!(r#"{{{inside},"SubjectNameID":"899700000022"}}"#),
        format!(r#"{{{inside},"\u0053ubjectNameID":"899700000022"}}"#),
        format!(r#"{{{inside},"deep":[{{"a":1,"a":2}}]}}"#),
    ] {
        assert_eq!(refused(&token_of(&header, &payload)), Some(DenyReason::TokenMalformed), "{payload}");
    }
}

#[test]
fn headers_that_are_no_json_object_are_refused() {
    let claims = payload().to_string();
    for header in
        ["[]", "null", "\"RS256\"", "{", "{\"alg\":\"RS256\"}{}", "{\"alg\":\"RS256\",}", "\u{feff}{\"alg\":\"RS256\"}"]
    {
        assert_eq!(refused(&token_of(header, &claims)), Some(DenyReason::TokenMalformed), "{header}");
    }
    let depth = |levels: usize| format!(r#"{{"alg":"RS256","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(refused(&token_of(&depth(11), &claims)), None);
    assert_eq!(refused(&token_of(&depth(12), &claims)), Some(DenyReason::TokenMalformed));
}

#[test]
fn sizes_are_bounded() {
    let of = |filler: usize| token(json!({ "filler": "x".repeat(filler) }));
    let base = of(0).len();
    let filler = (MAX_TOKEN - base) / 4 * 3;
    assert!(of(filler).len() <= MAX_TOKEN);
    assert_eq!(refused(&of(filler)), None);
    assert_eq!(refused(&of(filler + 6)), Some(DenyReason::TooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), parts in "[A-Za-z0-9_.=-]{0,200}") {
        let _ = read(&bytes, &Algorithm::ALL);
        let _ = read(parts.as_bytes(), &Algorithm::ALL);
    }

    #[test]
    fn the_signed_part_ends_before_the_last_dot(header in "\\{\"alg\":\"RS256\"(,\"[a-z]{4}\":[1-9][0-9]{0,2})?\\}", payload in ".{1,60}") {
        let token = token_of(&header, &payload);
        let jws = read(token.as_bytes(), &[Algorithm::Rs256]).ok().unwrap();
        prop_assert_eq!(jws.signed, token.rfind('.').unwrap());
        prop_assert_eq!(jws.payload, payload.as_bytes());
    }
}
