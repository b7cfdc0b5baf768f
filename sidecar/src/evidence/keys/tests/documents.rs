//! Key documents, key by key.

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::provider::{ALG, Signer, name};
use crate::evidence::keys::jwk::parse;
use crate::evidence::keys::{KeySet, Lookup, SetError, Skip};

/// A modulus made as CVE-2017-15361 makes them: two primes k·M + (65537^a mod M), M the product of the first 126
/// primes; made for this test.
const ROCA: &str = "vJicZvaQNpZeB7U5eU2ONej7bRj5nsH1RtdlVCGImTXJeYUvpbtoJtQZTeqDI3paJ8d3LH4l2BZtgxBiL7oibDJ0Dy4-qbmSkuo_O6WC7QuqYngN6j3beBOiERKf6-VScI3mOK5WwZhLhi6of1PD4zay4VfDnEXGxtyZM0Uw23ZXwEZOZHiPBTOJyQFC2akwqZNl1qTEleeUjjBlNpNJrze6NAYUt2cYN1MryZgr5vOC6VtE1V94EsaKnSodOMwN71pG62BOpFl6DAO9puI8x_7fob7AbjIYP41qP0uolb4_M8YwbDunR0-KWTgRw-b4xIT7RUtRIweVBj6mnJHvFQ";

fn rsa(size: KeySize) -> (KeyPair, Value) {
    let pair = KeyPair::generate(size).unwrap();
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({
        "kty": "RSA", "kid": "rsa", "n": number(pair.public_key().modulus().big_endian_without_leading_zero()),
        "e": number(pair.public_key().exponent().big_endian_without_leading_zero()),
    });
    (pair, jwk)
}

fn with(mut jwk: Value, changes: Value) -> Value {
    for (member, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(member),
            value => jwk.as_object_mut().unwrap().insert(member.clone(), value.clone()),
        };
    }
    jwk
}

fn set(keys: &[Value]) -> Result<KeySet, SetError> {
    parse(json!({ "keys": keys }).to_string().as_bytes())
}

/// Reads a key beside a good one: the good one must always be left.
fn skipped(jwk: &Value) -> Option<Skip> {
    let good = Signer::new("good");
    let set = set(&[jwk.clone(), good.jwk()]).unwrap();
    assert_eq!(name(&set.lookup(Some("good"), ALG)), "found");
    set.skipped().first().map(|skipped| {
        assert_eq!(skipped.index, 0);
        skipped.reason
    })
}

#[test]
fn each_unusable_key_is_left_out_with_its_reason_and_harms_no_other() {
    let (ec, (_, rsa)) = (Signer::new("k").jwk(), rsa(KeySize::Rsa2048));
    let bits = |bits: usize| URL_SAFE_NO_PAD.encode([&[0x80][..], &vec![0x55; bits / 8 - 1]].concat());
    let cases = [
        ("a text", json!("key"), Skip::NotAJwk),
        ("no kty", with(ec.clone(), json!({"kty": null})), Skip::NotAJwk),
        ("unknown kty", with(ec.clone(), json!({"kty": "AKP"})), Skip::KeyType),
        ("a secret", json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "s"}), Skip::Symmetric),
        ("a private EC key", with(ec.clone(), json!({"d": "AAAA"})), Skip::Private),
        ("a private RSA key", with(rsa.clone(), json!({"d": "AAAA"})), Skip::Private),
        ("use enc", with(ec.clone(), json!({"use": "enc"})), Skip::Use),
        ("use of another type", with(ec.clone(), json!({"use": ["sig"]})), Skip::Use),
        ("key_ops encrypt", with(ec.clone(), json!({"key_ops": ["encrypt"]})), Skip::Operations),
        ("key_ops of another type", with(ec.clone(), json!({"key_ops": "verify"})), Skip::Operations),
        ("alg none", with(rsa.clone(), json!({"alg": "none"})), Skip::Algorithm),
        ("alg HS256 on an RSA key", with(rsa.clone(), json!({"alg": "HS256"})), Skip::Algorithm),
        ("alg RSA-OAEP", with(rsa.clone(), json!({"alg": "RSA-OAEP"})), Skip::Algorithm),
        ("alg ES256 on an RSA key", with(rsa.clone(), json!({"alg": "ES256"})), Skip::Mismatch),
        ("alg RS256 on an EC key", with(ec.clone(), json!({"alg": "RS256"})), Skip::Mismatch),
        ("alg ES384 on P-256", with(ec.clone(), json!({"alg": "ES384"})), Skip::Mismatch),
        ("P-521", with(ec.clone(), json!({"crv": "P-521"})), Skip::Curve),
        ("secp256k1", with(ec.clone(), json!({"crv": "secp256k1"})), Skip::Curve),
        ("no curve", with(ec.clone(), json!({"crv": null})), Skip::Encoding),
        ("Ed448", json!({"kty": "OKP", "crv": "Ed448", "x": bits(456)}), Skip::Curve),
        ("no x", with(ec.clone(), json!({"x": null})), Skip::Encoding),
        ("a short x", with(ec.clone(), json!({"x": bits(248)})), Skip::Encoding),
        ("a long y", with(ec.clone(), json!({"y": bits(264)})), Skip::Encoding),
        ("a point off the curve", with(ec.clone(), json!({"y": bits(256)})), Skip::Invalid),
        (
            "the point at zero",
            with(ec.clone(), json!({"x": URL_SAFE_NO_PAD.encode([0; 32]), "y": URL_SAFE_NO_PAD.encode([0; 32])})),
            Skip::Invalid,
        ),
        ("padded base64", with(rsa.clone(), json!({"n": URL_SAFE.encode([0x91; 256])})), Skip::Encoding),
        ("plain base64", with(rsa.clone(), json!({"n": STANDARD.encode([0xff; 255])})), Skip::Encoding),
        ("an empty modulus", with(rsa.clone(), json!({"n": ""})), Skip::Encoding),
        ("a modulus of zeros", with(rsa.clone(), json!({"n": URL_SAFE_NO_PAD.encode([0; 256])})), Skip::Encoding),
        ("RSA 1024", with(rsa.clone(), json!({"n": bits(1024)})), Skip::RsaTooSmall),
        ("RSA 2047", with(rsa.clone(), json!({"n": URL_SAFE_NO_PAD.encode([0x7f; 256])})), Skip::RsaTooSmall),
        (
            "RSA 1024 filled up with zeros",
            with(rsa.clone(), json!({"n": URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0x91; 128]].concat())})),
            Skip::RsaTooSmall,
        ),
        ("RSA 16384", with(rsa.clone(), json!({"n": bits(16384)})), Skip::RsaTooLarge),
        ("e = 1", with(rsa.clone(), json!({"e": "AQ"})), Skip::Exponent),
        ("e = 65536", with(rsa.clone(), json!({"e": "AQAA"})), Skip::Exponent),
        ("e of 40 bits", with(rsa.clone(), json!({"e": "gQAAAAE"})), Skip::Exponent),
        ("a ROCA modulus", with(rsa.clone(), json!({"n": ROCA})), Skip::Roca),
        ("kid of a number", with(ec.clone(), json!({"kid": 7})), Skip::Kid),
        ("an empty kid", with(ec.clone(), json!({"kid": ""})), Skip::Kid),
        ("a kid with a line feed", with(ec.clone(), json!({"kid": "a\nb"})), Skip::Kid),
        ("a long kid", with(ec.clone(), json!({"kid": "k".repeat(257)})), Skip::Kid),
    ];
    for (case, jwk, reason) in &cases {
        assert_eq!(skipped(jwk), Some(*reason), "{case}");
    }
}

#[test]
fn a_key_of_each_kind_is_usable() {
    let (ec, (_, rsa)) = (Signer::new("k").jwk(), rsa(KeySize::Rsa2048));
    let ed = signature::Ed25519KeyPair::generate().unwrap();
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(ed.public_key().as_ref())});
    for jwk in [
        ec.clone(),
        rsa.clone(),
        ed.clone(),
        with(ed, json!({"alg": "EdDSA"})),
        with(ec, json!({"use": null, "alg": null})),
        with(rsa.clone(), json!({"key_ops": ["sign", "verify"], "alg": "PS512"})),
        with(rsa, json!({"x5c": ["MII"], "x5t": "AAAA"})),
    ] {
        assert_eq!(skipped(&jwk), None, "{jwk}");
    }
}

#[test]
fn an_rsa_key_without_alg_verifies_rs256_and_ps256_and_nothing_else() {
    use Algorithm::{ES256, HS256, PS256, PS384, RS256, RS384, RS512};
    let (pair, jwk) = rsa(KeySize::Rsa2048);
    let set = set(&[jwk]).unwrap();
    let sign = |encoding: &'static dyn signature::RsaEncoding| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &aws_lc_rs::rand::SystemRandom::new(), b"m", &mut signature).unwrap();
        signature
    };
    let (pkcs, pss) = (sign(&signature::RSA_PKCS1_SHA256), sign(&signature::RSA_PSS_SHA256));
    for (algorithm, good, bad) in [(RS256, &pkcs, &pss), (PS256, &pss, &pkcs)] {
        let Lookup::Found(key) = set.lookup(Some("rsa"), algorithm) else { panic!("{algorithm:?}") };
        assert!(key.holds(b"m", good) && !key.holds(b"m", bad) && !key.holds(b"n", good) && !key.holds(b"m", b""));
        let text = URL_SAFE_NO_PAD.encode(good);
        assert!(jsonwebtoken::crypto::verify(&text, b"m", &key.decoding, key.algorithm).unwrap());
    }
    for algorithm in [HS256, RS384, RS512, PS384, ES256] {
        assert_eq!(name(&set.lookup(Some("rsa"), algorithm)), "unfit", "{algorithm:?}");
    }
}

#[test]
fn a_key_with_alg_verifies_that_alone() {
    let (_, jwk) = rsa(KeySize::Rsa2048);
    let set = set(&[with(jwk, json!({"alg": "RS256"}))]).unwrap();
    assert_eq!(name(&set.lookup(Some("rsa"), Algorithm::RS256)), "found");
    assert_eq!(name(&set.lookup(Some("rsa"), Algorithm::PS256)), "unfit");
}

#[test]
fn a_token_without_kid_has_a_key_only_where_exactly_one_fits() {
    let (a, b) = (Signer::new("a"), Signer::new("b"));
    let (_, rsa) = rsa(KeySize::Rsa2048);
    let one = set(&[a.jwk(), rsa.clone()]).unwrap();
    assert_eq!(name(&one.lookup(None, ALG)), "found");
    assert_eq!(name(&one.lookup(None, Algorithm::RS256)), "found");
    assert_eq!(name(&one.lookup(None, Algorithm::ES384)), "unknown");
    let two = set(&[a.jwk(), b.jwk(), rsa]).unwrap();
    assert_eq!(name(&two.lookup(None, ALG)), "unfit");
    let unnamed = set(&[with(a.jwk(), json!({"kid": null}))]).unwrap();
    assert_eq!(name(&unnamed.lookup(None, ALG)), "found");
    assert_eq!(name(&unnamed.lookup(Some("a"), ALG)), "unknown");
}

#[test]
fn two_keys_of_one_kid_are_refused_whole_only_where_they_could_be_confused() {
    let (a, twin) = (Signer::new("k"), Signer::new("k"));
    let (_, rsa) = rsa(KeySize::Rsa2048);
    assert!(matches!(set(&[a.jwk(), twin.jwk()]), Err(SetError::AmbiguousKid)));
    // The same key twice is one key; an EC and an RSA key may share a name (RFC 7517 section 4.5).
    let twice = set(&[a.jwk(), a.jwk()]).unwrap();
    assert_eq!((twice.keys().len(), twice.skipped()[0].reason), (1, Skip::Repeated));
    let mixed = set(&[a.jwk(), with(rsa, json!({"kid": "k"}))]).unwrap();
    assert_eq!(name(&mixed.lookup(Some("k"), ALG)), "found");
    assert_eq!(name(&mixed.lookup(Some("k"), Algorithm::RS256)), "found");
    // A twin that is not usable confuses nobody.
    assert!(set(&[a.jwk(), with(twin.jwk(), json!({"use": "enc"}))]).is_ok());
}

#[test]
fn five_unusable_keys_beside_the_good_one_leave_the_good_one() {
    let (good, (_, rsa)) = (Signer::new("good"), rsa(KeySize::Rsa2048));
    let set = set(&[
        with(rsa.clone(), json!({"n": URL_SAFE_NO_PAD.encode([0x91; 128])})),
        with(rsa.clone(), json!({"e": "AQ"})),
        with(rsa.clone(), json!({"use": "enc"})),
        with(rsa, json!({"alg": "ES256"})),
        good.jwk(),
        json!({"kty": "future"}),
    ]);
    let set = set.unwrap();
    assert_eq!(name(&set.lookup(Some("good"), ALG)), "found");
    assert_eq!(set.keys().len(), 1);
    let places: Vec<_> = set.skipped().iter().map(|skipped| skipped.index).collect();
    assert_eq!(places, [0, 1, 2, 3, 5]);
}

#[test]
fn honest_moduli_are_not_taken_for_roca() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
        assert_eq!(skipped(&rsa(size).1), None);
    }
}

#[test]
fn a_document_of_any_bytes_never_panics() {
    proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512))| {
        let _ = parse(&bytes);
    });
    let whole = json!({"keys": [rsa(KeySize::Rsa2048).1, Signer::new("k").jwk()]}).to_string().into_bytes();
    proptest::proptest!(|(at in 0..whole.len(), byte in proptest::num::u8::ANY)| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let _ = parse(&bytes);
    });
}

#[test]
fn debug_of_a_key_shows_its_name_and_algorithm() {
    let set = set(&[Signer::new("k").jwk()]).unwrap();
    let shown = format!("{:?}", set.keys()[0]);
    assert!(shown.starts_with("VerifyingKey { kid: Some(\"k\"), algorithm: ES256"), "{shown}");
}
