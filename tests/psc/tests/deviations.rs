//! Every departure decodes to what its name says, and is otherwise the good token: a refusal then has one cause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

use std::sync::Arc;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use octroi_psc::{ACCESS_LIFETIME, Algorithm, Deviation, Form, Seal, SigningKey, Token, doctor_one};
use serde_json::Value;

const ISSUER: &str = "https://auth.example.test/auth/realms/esante-wallet";
const NOW: u64 = 1_800_000_000;

/// A token taken apart without any judgement.
struct Seen {
    text: String,
    parts: Vec<String>,
    header: Value,
    payload: Value,
    /// The published key made the signature over exactly these bytes.
    verifies: bool,
}

fn seen(key: &SigningKey, text: String) -> Seen {
    let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    let read = |at: usize| {
        let bytes = parts.get(at).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    let (header, payload) = (read(0), read(1));
    let verifies = text.rsplit_once('.').is_some_and(|(signed, signature)| verifies(key, signed, signature));
    Seen { text, parts, header, payload, verifies }
}

fn verifies(key: &SigningKey, signed: &str, signature: &str) -> bool {
    let jwk = serde_json::from_value(key.jwk().unwrap()).unwrap();
    let decoding = DecodingKey::from_jwk(&jwk).unwrap();
    let algorithm = key.algorithm().name().parse().unwrap();
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &decoding, algorithm).unwrap_or(false)
}

fn rsa() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate("k1", Algorithm::Rs256).unwrap())
}

fn good(key: &Arc<SigningKey>) -> Token {
    Token::new(key, ISSUER, &doctor_one(), NOW)
}

/// The raw text of a part: what a JSON library would hide.
fn raw(part: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn the_good_token_is_shaped_as_pro_sante_connects() {
    let key = rsa();
    let token = seen(&key, good(&key).mint());
    assert!(token.verifies);
    assert_eq!(raw(&token.parts[0]), r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#);
    let claims = &token.payload;
    assert_eq!((claims["iat"].as_u64(), claims["auth_time"].as_u64()), (Some(NOW), Some(NOW)));
    assert_eq!(claims["exp"], NOW + ACCESS_LIFETIME);
    assert_eq!(claims["sub"].as_str().unwrap().split(':').collect::<Vec<_>>().len(), 3);
    assert_eq!(
        (&claims["SubjectNameID"], &claims["preferred_username"]),
        (&"899700000011".into(), &"899700000011".into())
    );
    assert_eq!(claims["sid"], claims["session_state"]);
    assert!(claims.get("aud").is_none(), "the provider's samples have none");
    assert_ne!(claims["jti"], seen(&key, good(&key).mint()).payload["jti"]);
}

#[test]
fn every_departure_decodes_to_what_it_claims() -> Result<()> {
    let key = rsa();
    for deviation in Deviation::all() {
        let token = seen(&key, good(&key).deviate(*deviation)?.mint());
        assert!(is_what_it_claims(*deviation, &token), "{}: {}", deviation.name(), token.text);
        assert_eq!(token.verifies, !breaks_the_signature(*deviation), "signature of {}", deviation.name());
    }
    Ok(())
}

#[test]
fn every_departure_leaves_the_other_claims_as_they_were() -> Result<()> {
    let key = rsa();
    let fixed = |token: Token| token.claim("jti", "j").claim("sid", "s").claim("session_state", "s");
    let before = seen(&key, fixed(good(&key)).mint());
    for deviation in Deviation::all() {
        let after = seen(&key, fixed(good(&key)).deviate(*deviation)?.mint());
        let (Some(old), Some(new)) = (before.payload.as_object(), after.payload.as_object()) else { continue };
        let changed = old.iter().filter(|(name, value)| new.get(*name) != Some(value)).count();
        let many = [Deviation::Expired, Deviation::IssuedInFuture, Deviation::NoIdentity, Deviation::IdentityEmpty];
        assert!(
            changed <= if many.contains(deviation) { 3 } else { 2 },
            "{} changed {changed} claims",
            deviation.name()
        );
    }
    Ok(())
}

/// Where the signature is the fault, and where there is none to check.
fn breaks_the_signature(deviation: Deviation) -> bool {
    use Deviation as D;
    [
        D::BadSignature,
        D::NoSignature,
        D::StrangersKey,
        D::SignedOverOtherBytes,
        D::AlgNone,
        D::AlgNoneMixedCase,
        D::Hs256WithPublicKey,
        D::PsychicSignature,
        D::EmbeddedJwk,
        D::EmbeddedJku,
        D::EmbeddedX5u,
        D::EmbeddedX5c,
        D::TwoParts,
        D::FourParts,
        D::FiveParts,
        D::JsonSerialization,
        D::PaddedBase64,
        D::StandardBase64,
        D::TrailingBits,
        D::LineBreak,
        D::Truncated,
    ]
    .contains(&deviation)
}

fn is_what_it_claims(deviation: Deviation, token: &Seen) -> bool {
    use Deviation as D;
    let (h, p) = (&token.header, &token.payload);
    let parts = token.parts.len();
    let twice = |text: &str, what: &str| text.matches(what).count() == 2;
    let absent = |claim: &str| p.is_object() && p.get(claim).is_none();
    let number = |claim: &str| p[claim].as_u64().unwrap_or_default();
    match deviation {
        D::Expired => number("exp") == NOW - 600 && number("iat") == NOW - 720,
        D::ExpiryAsText => p["exp"].is_string(),
        D::ExpiryNegative => p["exp"] == -1,
        D::ExpiryHuge => raw(&token.parts[1]).contains(r#""exp":36893488147419103232,"#),
        D::NoExpiry => absent("exp"),
        D::NotYetValid => number("nbf") == NOW + 600,
        D::IssuedInFuture => number("iat") == NOW + 600 && number("exp") > NOW + 600,
        D::OtherIssuer => p["iss"] != ISSUER && p["iss"].is_string(),
        D::IssuerWithSlash => p["iss"] == format!("{ISSUER}/"),
        D::NoIssuer => absent("iss"),
        D::BadSignature | D::StrangersKey | D::SignedOverOtherBytes => {
            parts == 3 && token.parts[2].len() == 342 && h["alg"] == "RS256" && h["kid"] == "k1"
        }
        D::NoSignature => token.text.ends_with('.') && h["alg"] == "RS256",
        D::AlgNone => token.text.ends_with('.') && h["alg"] == "none",
        D::AlgNoneMixedCase => token.text.ends_with('.') && h["alg"] == "nOnE",
        D::NoAlg => h.is_object() && h.get("alg").is_none(),
        D::Hs256WithPublicKey => h["alg"] == "HS256" && token.parts[2].len() == 43,
        D::AlgOfAnotherScheme => h["alg"] == "PS256",
        D::PsychicSignature => h["alg"] == "ES256" && token.parts[2] == "A".repeat(86),
        D::UnknownKid => h["kid"].is_string() && h["kid"] != "k1",
        D::NoKid => h.is_object() && h.get("kid").is_none(),
        D::KidTraversal => h["kid"].as_str().is_some_and(|kid| kid.starts_with("../")),
        D::KidAsNumber => h["kid"].is_number(),
        D::TypAtJwt => h["typ"] == "at+jwt",
        D::NoHeaderTyp => h.is_object() && h.get("typ").is_none(),
        D::TypOther => h["typ"] == "logout+jwt",
        D::Crit => h["crit"][0] == "exp-at" && h["exp-at"] == NOW,
        D::CritEmpty => h["crit"] == Value::Array(Vec::new()),
        D::EmbeddedJwk => signed_by_its_own_jwk(token),
        D::EmbeddedJku => h["jku"].is_string() && h["kid"] == "stranger",
        D::EmbeddedX5u => h["x5u"].is_string() && h["kid"] == "stranger",
        D::EmbeddedX5c => h["x5c"].is_array() && h["kid"] == "stranger",
        D::DuplicateHeader => twice(&raw(&token.parts[0]), r#""alg":"#),
        D::DuplicateClaim => twice(&raw(&token.parts[1]), r#""SubjectNameID":"#),
        D::DuplicateNested => twice(&raw(&token.parts[1]), r#""roles":"#),
        D::DuplicateEscaped => raw(&token.parts[1]).contains(r#""\u0065xp":"#) && number("exp") == 32_503_680_000,
        D::TwoParts => parts == 2 && p["iss"] == ISSUER,
        D::FourParts => parts == 4 && token.text.ends_with('.'),
        D::FiveParts => parts == 5 && h["enc"] == "A256GCM",
        D::JsonSerialization => serde_json::from_str::<Value>(&token.text).is_ok_and(|jws| jws["payload"].is_string()),
        D::PaddedBase64 => token.text.contains('=') && token.parts.iter().all(|part| part.len() % 4 == 0),
        D::StandardBase64 => {
            token.text.contains(['+', '/']) && token.parts.iter().all(|part| STANDARD_NO_PAD.decode(part).is_ok())
        }
        D::TrailingBits => {
            parts == 3 && token.parts[2].len() == 342 && URL_SAFE_NO_PAD.decode(&token.parts[2]).is_err()
        }
        D::LineBreak => twice(&format!("{}\n", token.text), "\n"),
        D::Truncated => parts == 3 && token.parts[2].len() == 171,
        D::PayloadNotJson => raw(&token.parts[1]) == "exp=32503680000",
        D::PayloadArray => p.is_array(),
        D::PayloadTrailing => raw(&token.parts[1]).ends_with("}}") && p.is_null(),
        D::HeaderNotJson => raw(&token.parts[0]) == "alg=RS256",
        D::Deep => raw(&token.parts[1]).contains(&"[".repeat(600)),
        D::OldSession => number("auth_time") == NOW - 4 * 3600 - 60 && number("iat") == NOW,
        D::NoAuthTime => absent("auth_time") && number("iat") == NOW,
        D::NoIssuedAt => absent("iat") && absent("auth_time"),
        D::NoAcr => absent("acr"),
        D::AcrLow => p["acr"] == "0",
        D::NoAzp => absent("azp"),
        D::AzpOther => p["azp"] == "another-client",
        D::AudOther => p["aud"] == "another-service",
        D::AudList => p["aud"].as_array().is_some_and(|list| list.len() == 2),
        D::IdToken => p["typ"] == "ID",
        D::RefreshToken => p["typ"] == "Refresh",
        D::NoTyp => absent("typ"),
        D::NoSubject => absent("sub") && p["SubjectNameID"] == "899700000011",
        D::NoSubjectNameId => absent("SubjectNameID") && p["preferred_username"] == "899700000011",
        D::OnlySubject => absent("SubjectNameID") && absent("preferred_username") && p["sub"].is_string(),
        D::NoIdentity => absent("SubjectNameID") && absent("preferred_username") && absent("sub"),
        D::IdentityEmpty => p["SubjectNameID"] == "" && absent("preferred_username") && absent("sub"),
        D::IdentitiesDiffer => p["preferred_username"] != p["SubjectNameID"],
        D::SessionsDiffer => p["sid"].is_string() && p["session_state"].is_string() && p["sid"] != p["session_state"],
        D::NoSession => absent("sid") && absent("session_state"),
    }
}

fn signed_by_its_own_jwk(token: &Seen) -> bool {
    let jwk = serde_json::from_value(token.header["jwk"].clone()).unwrap();
    let (signed, signature) = token.text.rsplit_once('.').unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, jsonwebtoken::Algorithm::RS256).unwrap()
}

#[test]
fn hs256_is_keyed_with_the_public_key_as_anybody_can_write_it() -> Result<()> {
    let key = rsa();
    let token = good(&key).deviate(Deviation::Hs256WithPublicKey)?.mint();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let secret = DecodingKey::from_secret(key.public_pem()?.as_bytes());
    assert!(jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256)?);
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()?)?;
    let der = URL_SAFE_NO_PAD.decode(key.jwk()?["n"].as_str().unwrap())?;
    let pem: String = key.public_pem()?.lines().filter(|line| !line.starts_with('-')).collect();
    let spki = base64::engine::general_purpose::STANDARD.decode(pem)?;
    assert!(spki.windows(der.len()).any(|window| window == der), "the PEM holds the published modulus");
    assert_eq!(jwk.common.key_id.as_deref(), Some("k1"));
    Ok(())
}

#[test]
fn a_token_has_exactly_the_size_asked_for() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let key = Arc::new(SigningKey::generate("k1", algorithm).unwrap());
        for size in (1997..2003).chain([4000, 5000, 6000, 16_384]) {
            let token = seen(&key, good(&key).sized(size).mint());
            assert_eq!(token.text.len(), size);
            assert!(token.verifies && token.payload["filler"].is_string());
        }
        assert!(good(&key).sized(300).try_mint().is_err(), "below what the claims take");
    }
}

#[test]
fn every_algorithm_signs_what_its_published_key_verifies() {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256] {
        let key = Arc::new(SigningKey::generate("k2", algorithm).unwrap());
        let token = seen(&key, good(&rsa()).signed_by(&key).mint());
        assert_eq!((&token.header["alg"], &token.header["kid"]), (&algorithm.name().into(), &"k2".into()));
        assert!(token.verifies);
        assert!(!seen(&key, good(&key).seal(Seal::Flipped).mint()).verifies);
    }
}

#[test]
fn raw_bytes_are_signed_as_they_stand() {
    let key = rsa();
    let token = good(&key).raw_header("{\"alg\":\"RS256\" }").raw_payload([0xff, 0xfe]).mint();
    let token = seen(&key, token);
    assert!(token.verifies);
    assert_eq!(URL_SAFE_NO_PAD.decode(&token.parts[1]).unwrap(), [0xff, 0xfe]);
}

#[test]
fn forms_add_to_any_departure() -> Result<()> {
    let key = rsa();
    let token = seen(&key, good(&key).deviate(Deviation::Expired)?.form(Form::FourParts).mint());
    assert_eq!((token.parts.len(), token.payload["exp"].as_u64()), (4, Some(NOW - 600)));
    Ok(())
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let mut names: Vec<String> = Deviation::all().iter().map(|deviation| deviation.name()).collect();
    assert!(names.contains(&"alg-none".to_owned()) && names.contains(&"hs256-with-public-key".to_owned()));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), Deviation::all().len());
}
