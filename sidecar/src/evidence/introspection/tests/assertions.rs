//! The sidecar's own signature as its credential.

use octroi_psc::{Algorithm, SigningKey};

use crate::clock::UnixSeconds;
use crate::evidence::introspection::{AssertionKey, AssertionKeyError};
use crate::secret::Secret;

#[test]
fn an_assertion_names_the_client_the_issuer_and_one_minute() {
    let key = SigningKey::generate("k", Algorithm::Rs256).unwrap();
    let pem = Secret::new(key.private_pem().unwrap());
    let key = AssertionKey::from_pem(&pem, Some("mine".into())).unwrap();
    let assertion = key.assertion("id", "https://issuer.example.test", UnixSeconds(1_800_000_000)).unwrap();
    let again = key.assertion("id", "https://issuer.example.test", UnixSeconds(1_800_000_000)).unwrap();
    assert_ne!(assertion, again);
    let token: jsonwebtoken::TokenData<serde_json::Value> =
        jsonwebtoken::dangerous::insecure_decode(assertion.expose()).unwrap();
    assert_eq!((token.header.alg, token.header.kid.as_deref()), (jsonwebtoken::Algorithm::RS256, Some("mine")));
    let claims = token.claims;
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("id"), Some("id")));
    assert_eq!(claims["aud"], "https://issuer.example.test");
    assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(1_800_000_000), Some(1_800_000_060)));
    assert_eq!(format!("{key:?}"), "AssertionKey(RS256)");
    let nothing = AssertionKey::from_pem(&Secret::new("no key"), None);
    assert_eq!(nothing.err(), Some(AssertionKeyError::Unreadable));
}
