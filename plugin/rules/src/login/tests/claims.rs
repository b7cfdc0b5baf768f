//! The claim rules, each through `open`.

use serde_json::{Value, json};

use crate::DenyReason;
use crate::samples::{ISSUER, NOW, opened, plain_settings, refused, settings, token};

/// The reason for which a token with those claims is refused under settings with those keys.
fn refused_under(more: Value, claims: Value) -> Option<DenyReason> {
    opened(&settings("off", more), &token(claims)).err()
}

#[track_caller]
fn table(cases: &[(Value, Option<DenyReason>)]) {
    for (claims, expected) in cases {
        assert_eq!(refused(&token(claims.clone())), *expected, "{claims}");
    }
}

#[test]
fn a_token_that_is_not_psc_s_is_refused() {
    table(&[
        (json!({ "iss": ISSUER }), None),
        (json!({ "iss": "https://login.example.test/realms/other" }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": format!("{ISSUER}/") }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": ISSUER.to_uppercase() }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": ISSUER.replace("https", "http") }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": format!(" {ISSUER}") }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": "" }), Some(DenyReason::IssuerUnknown)),
        (json!({ "iss": null }), Some(DenyReason::ClaimMissing)),
        (json!({ "iss": [ISSUER] }), Some(DenyReason::TokenMalformed)),
    ]);
}

#[test]
fn an_expired_token_is_refused() {
    table(&[
        (json!({ "exp": NOW + 1 }), None),
        (json!({ "exp": NOW - 4 }), None),
        (json!({ "exp": NOW - 5 }), Some(DenyReason::TokenExpired)),
        (json!({ "exp": NOW - 3600 }), Some(DenyReason::TokenExpired)),
        (json!({ "exp": 0 }), Some(DenyReason::TokenExpired)),
        (json!({ "exp": null }), Some(DenyReason::ClaimMissing)),
    ]);
    let strict = json!({ "leeway_seconds": 0 });
    assert_eq!(refused_under(strict.clone(), json!({ "exp": NOW + 1 })), None);
    assert_eq!(refused_under(strict, json!({ "exp": NOW })), Some(DenyReason::TokenExpired));
}

#[test]
fn dates_are_whole_numbers_within_reason() {
    let absurd = 1_u64 << 53;
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for date in
            [json!(-1), json!(1.5), json!("1800000100"), json!(true), json!([NOW]), json!(absurd), json!(u64::MAX)]
        {
            let refusal = refused(&token(json!({ name: date.clone() })));
            assert_eq!(refusal, Some(DenyReason::TokenMalformed), "{name} {date}");
        }
        let fraction = token(json!({ name: (NOW as f64) }));
        assert_eq!(refused(&fraction), Some(DenyReason::TokenMalformed), "{name} with a fraction of zero");
    }
    assert_eq!(refused(&token(json!({ "exp": absurd - 1 }))), None);
}

#[test]
fn a_token_from_the_future_is_refused() {
    for name in ["nbf", "iat", "auth_time"] {
        table(&[
            (json!({ name: NOW }), None),
            (json!({ name: NOW + 5 }), None),
            (json!({ name: NOW + 6 }), Some(DenyReason::TokenNotYetValid)),
        ]);
        assert_eq!(refused_under(json!({ "leeway_seconds": 30 }), json!({ name: NOW + 30 })), None);
        let beyond = refused_under(json!({ "leeway_seconds": 30 }), json!({ name: NOW + 31 }));
        assert_eq!(beyond, Some(DenyReason::TokenNotYetValid));
    }
    table(&[(json!({ "nbf": null }), None), (json!({ "iat": null }), None)]);
}

#[test]
fn a_session_ends_four_hours_after_authentication() {
    table(&[
        (json!({ "auth_time": NOW - 14_399 }), None),
        (json!({ "auth_time": NOW - 14_400 }), Some(DenyReason::SessionExpired)),
        (json!({ "auth_time": 0 }), Some(DenyReason::SessionExpired)),
        (json!({ "auth_time": null, "iat": NOW - 14_399 }), None),
        (json!({ "auth_time": null, "iat": NOW - 14_400 }), Some(DenyReason::SessionExpired)),
        (json!({ "auth_time": null, "iat": null }), Some(DenyReason::ClaimMissing)),
    ]);
    let shorter = json!({ "session_max_seconds": 600 });
    assert_eq!(refused_under(shorter.clone(), json!({ "auth_time": NOW - 599 })), None);
    assert_eq!(refused_under(shorter, json!({ "auth_time": NOW - 600 })), Some(DenyReason::SessionExpired));
}

#[test]
fn only_bearer_tokens_are_taken() {
    table(&[
        (json!({ "typ": "Bearer" }), None),
        (json!({ "typ": "bearer" }), None),
        (json!({ "typ": null }), None),
        (json!({ "typ": "ID" }), Some(DenyReason::TokenNotBearer)),
        (json!({ "typ": "Refresh" }), Some(DenyReason::TokenNotBearer)),
        (json!({ "typ": "Offline" }), Some(DenyReason::TokenNotBearer)),
        (json!({ "typ": "" }), Some(DenyReason::TokenNotBearer)),
        (json!({ "typ": 1 }), Some(DenyReason::TokenMalformed)),
    ]);
}

#[test]
fn the_assurance_level_is_in_the_set() {
    table(&[
        (json!({ "acr": "eidas1" }), None),
        (json!({ "acr": "eidas3" }), None),
        (json!({ "acr": "eidas0" }), Some(DenyReason::AssuranceRefused)),
        (json!({ "acr": "EIDAS1" }), Some(DenyReason::AssuranceRefused)),
        (json!({ "acr": "" }), Some(DenyReason::ClaimMissing)),
        (json!({ "acr": null }), Some(DenyReason::ClaimMissing)),
        (json!({ "acr": 1 }), Some(DenyReason::TokenMalformed)),
    ]);
    for level in [json!(null), json!("0")] {
        assert_eq!(refused_under(json!({ "acr": [] }), json!({ "acr": level })), None);
    }
    let only = json!({ "acr": ["eidas2"] });
    assert_eq!(refused_under(only, json!({ "acr": "eidas1" })), Some(DenyReason::AssuranceRefused));
}

#[test]
fn clients_are_allowed_and_denied_by_name() {
    let refused_client = |lists: Value, client: Value| refused_under(json!({ "azp": lists }), json!({ "azp": client }));
    let allow = json!({ "allow": ["logiciel"] });
    assert_eq!(refused_client(allow.clone(), json!("logiciel")), None);
    assert_eq!(refused_client(allow.clone(), json!("autre")), Some(DenyReason::ClientRefused));
    assert_eq!(refused_client(allow.clone(), json!("Logiciel")), Some(DenyReason::ClientRefused));
    assert_eq!(refused_client(allow.clone(), json!(null)), Some(DenyReason::ClaimMissing));
    assert_eq!(refused_client(allow, json!("")), Some(DenyReason::ClaimMissing));
    let deny = json!({ "deny": ["banni"] });
    assert_eq!(refused_client(deny.clone(), json!("logiciel")), None);
    assert_eq!(refused_client(deny.clone(), json!("banni")), Some(DenyReason::ClientRefused));
    assert_eq!(refused_client(deny, json!(null)), Some(DenyReason::ClaimMissing));
    assert_eq!(refused_client(json!({}), json!(null)), None);
}

#[test]
fn an_audience_is_asked_where_one_is_configured() {
    let asked = json!({ "audience": ["messagerie", "bal"] });
    for (aud, expected) in [
        (json!("messagerie"), None),
        (json!(["account", "bal"]), None),
        (json!("account"), Some(DenyReason::AudienceRefused)),
        (json!(["account"]), Some(DenyReason::AudienceRefused)),
        (json!([]), Some(DenyReason::AudienceRefused)),
        (json!(null), Some(DenyReason::ClaimMissing)),
        (json!(["bal", 1]), Some(DenyReason::TokenMalformed)),
        (json!({ "bal": 1 }), Some(DenyReason::TokenMalformed)),
    ] {
        assert_eq!(refused_under(asked.clone(), json!({ "aud": aud })), expected, "{aud}");
    }
    table(&[(json!({ "aud": null }), None), (json!({ "aud": "account" }), None)]);
}

#[test]
fn both_names_of_the_session_agree() {
    let session = |sid: Value, state: Value| {
        let token = token(json!({ "sid": sid, "session_state": state }));
        opened(&plain_settings(), &token).map(|inquiry| inquiry.claims.session)
    };
    assert_eq!(session(json!("a"), json!("a")), Ok(Some("a".into())));
    assert_eq!(session(json!("a"), json!(null)), Ok(Some("a".into())));
    assert_eq!(session(json!(null), json!("b")), Ok(Some("b".into())));
    assert_eq!(session(json!(""), json!("b")), Ok(Some("b".into())));
    assert_eq!(session(json!(null), json!(null)), Ok(None));
    assert_eq!(session(json!("a"), json!("b")), Err(DenyReason::SessionInconsistent));
    assert_eq!(session(json!("a"), json!(1)), Err(DenyReason::TokenMalformed));
}

#[test]
fn the_identity_is_the_first_that_the_token_names() {
    let identity = |name_id: Value, username: Value, sub: Value| {
        let claims = json!({ "SubjectNameID": name_id, "preferred_username": username, "sub": sub });
        opened(&plain_settings(), &token(claims)).map(|inquiry| (inquiry.identity, inquiry.identities_differ))
    };
    let sub = || json!("f:550dc1c8:899700000011");
    assert_eq!(identity(json!("8A"), json!("8A"), json!("f:x:8A")), Ok(("8A".into(), false)));
    assert_eq!(identity(json!("8A"), json!("8B"), sub()), Ok(("8A".into(), true)));
    assert_eq!(identity(json!(null), json!("8B"), json!(null)), Ok(("8B".into(), false)));
    let slash = "500000000000017/CPAT00001";
    assert_eq!(identity(json!(""), json!(null), json!(format!("f:x:{slash}"))), Ok((slash.into(), false)));
    assert_eq!(identity(json!(null), json!(null), json!("0e9c2d7c")), Err(DenyReason::IdentityMissing));
    assert_eq!(identity(json!("8 A"), json!("8A"), sub()), Err(DenyReason::IdentityMissing));
    assert_eq!(identity(json!(8), json!("8A"), sub()), Err(DenyReason::TokenMalformed));
}

#[test]
fn identities_that_disagree_are_refused_where_the_settings_say_so() {
    let differing = json!({ "preferred_username": "899700000022" });
    let refuse = json!({ "identity_disagreement": "refuse" });
    assert_eq!(refused_under(json!({ "identity_disagreement": "record" }), differing.clone()), None);
    assert_eq!(refused_under(refuse.clone(), differing), Some(DenyReason::IdentityInconsistent));
    assert_eq!(refused_under(refuse, json!({})), None);
}
