use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::document::{
    CERTIFICATE_KEYS, DEFAULT_ACR, DEFAULT_ALGORITHMS, DEFAULT_LEEWAY, DEFAULT_RECIPIENTS, DEFAULT_STRUCTURE_TYPES,
    KEYS, MAX_LEEWAY, MAX_RECIPIENTS, MAX_SESSION, SUBMISSION_KEYS,
};
use super::*;
use crate::submission::Encryption;

fn minimal() -> Value {
    json!({ "issuers": [{ "issuer": "https://psc.example.test", "introspection": "required" }] })
}

/// The minimal document with one key more.
fn with(key: &str, value: Value) -> Value {
    let mut document = minimal();
    document[key] = value;
    document
}

fn pointers(document: &Value) -> Vec<String> {
    configure(&document.to_string()).err().unwrap_or_default().into_iter().map(|problem| problem.pointer).collect()
}

#[test]
fn defaults_are_what_the_documentation_says() {
    let prepared = configure(&minimal().to_string()).unwrap();
    let settings = Settings::prepared(&prepared).unwrap();
    assert_eq!(settings.issuers().collect::<Vec<_>>(), ["https://psc.example.test"]);
    assert_eq!(settings.issuers[0].introspect, Introspect::Must);
    assert_eq!(settings.algorithms, DEFAULT_ALGORITHMS);
    assert_eq!((settings.leeway, settings.session_max), (5, 14_400));
    assert_eq!(settings.acr, ["eidas1", "eidas2", "eidas3"]);
    assert!(settings.azp_allow.is_empty() && settings.azp_deny.is_empty() && settings.audience.is_empty());
    assert!(!settings.refuse_disagreement);
    let expected = Sending {
        as_person: false,
        plus_extension: false,
        null_sender: true,
        tls_min: Encryption::Tls12,
        recipients_max: 100,
        trust_space: false,
    };
    assert_eq!(settings.sending, expected);
}

#[test]
fn every_key_is_read() {
    let document = json!({
        "issuers": [
            { "issuer": "https://a.example.test/realms/x", "introspection": "off" },
            { "issuer": "http://127.0.0.1:8080/realms/x", "introspection": "preferred" },
        ],
        "algorithms": ["ES384"], "leeway_seconds": 30, "acr": [], "azp": { "allow": ["a"], "deny": ["b"] },
        "audience": ["c"], "session_max_seconds": 1, "identity_disagreement": "refuse",
        "submission": {
            "senders": "person", "plus_extension": true, "null_sender": false, "tls_min": "1.3", "recipients_max": 7,
            "recipient_domains": "trust-space",
        },
        "certificate": { "structure_types": ["0", "4"] },
    });
    assert_eq!(document["certificate"].as_object().unwrap().len(), CERTIFICATE_KEYS.len());
    assert_eq!(document["submission"].as_object().unwrap().len(), SUBMISSION_KEYS.len());
    assert_eq!(document.as_object().unwrap().len(), KEYS.len());
    let prepared = configure(&document.to_string()).unwrap();
    let settings = Settings::prepared(&prepared).unwrap();
    assert_eq!(settings.issuer("http://127.0.0.1:8080/realms/x").unwrap().introspect, Introspect::Prefer);
    assert!(settings.issuer("https://a.example.test/realms/X").is_none());
    assert_eq!(settings.algorithms, [Algorithm::Es384]);
    assert_eq!(settings.structures.types, 0b1_0001);
    assert_eq!((settings.leeway, settings.session_max), (30, 1));
    assert!(settings.acr.is_empty() && settings.refuse_disagreement);
    assert_eq!((settings.azp_allow, settings.azp_deny, settings.audience), (["a"].into(), ["b"].into(), ["c"].into()));
    let expected = Sending {
        as_person: true,
        plus_extension: true,
        null_sender: false,
        tls_min: Encryption::Tls13,
        recipients_max: 7,
        trust_space: true,
    };
    assert_eq!(settings.sending, expected);
}

#[test]
fn every_mistake_is_found_at_its_place() {
    for (document, expected) in [
        (json!({}), "/issuers"),
        (json!({ "issuers": [] }), "/issuers"),
        (json!({ "issuers": {} }), "/issuers"),
        (json!({ "issuers": ["https://psc.example.test"] }), "/issuers/0"),
        (json!({ "issuers": [{ "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "psc.example.test", "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "https://", "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "https://a.test?x", "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "https://a.test b", "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "ldap://a.test", "introspection": "off" }] }), "/issuers/0/issuer"),
        (json!({ "issuers": [{ "issuer": "https://a.test" }] }), "/issuers/0/introspection"),
        (json!({ "issuers": [{ "issuer": "https://a.test", "introspection": "on" }] }), "/issuers/0/introspection"),
        (
            json!({ "issuers": [{ "issuer": "https://a.test", "introspection": "off", "a/b~c": 1 }] }),
            "/issuers/0/a~1b~0c",
        ),
        (with("algorithms", json!([])), "/algorithms"),
        (with("algorithms", json!("RS256")), "/algorithms"),
        (with("algorithms", json!(["RS256", "none"])), "/algorithms/1"),
        (with("algorithms", json!(["HS256"])), "/algorithms/0"),
        (with("algorithms", json!(["RS256", "RS256"])), "/algorithms/1"),
        (with("leeway_seconds", json!(31)), "/leeway_seconds"),
        (with("leeway_seconds", json!(-1)), "/leeway_seconds"),
        (with("leeway_seconds", json!("5")), "/leeway_seconds"),
        (with("leeway_seconds", json!(5.5)), "/leeway_seconds"),
        (with("acr", json!(null)), "/acr"),
        (with("acr", json!([1])), "/acr/0"),
        (with("acr", json!([""])), "/acr/0"),
        (with("azp", json!([])), "/azp"),
        (with("azp", json!({ "allow": "a" })), "/azp/allow"),
        (with("azp", json!({ "refuse": [] })), "/azp/refuse"),
        (with("azp", json!({ "allow": ["a"], "deny": ["a"] })), "/azp/deny"),
        (with("audience", json!(["a\n"])), "/audience/0"),
        (with("audience", json!(vec!["x"; 65])), "/audience"),
        (with("session_max_seconds", json!(0)), "/session_max_seconds"),
        (with("session_max_seconds", json!(14_401)), "/session_max_seconds"),
        (with("identity_disagreement", json!(true)), "/identity_disagreement"),
        (with("submission", json!([])), "/submission"),
        (with("submission", json!({ "sender": "login" })), "/submission/sender"),
        (with("submission", json!({ "senders": "all" })), "/submission/senders"),
        (with("submission", json!({ "plus_extension": "yes" })), "/submission/plus_extension"),
        (with("submission", json!({ "null_sender": null })), "/submission/null_sender"),
        (with("submission", json!({ "tls_min": "1.1" })), "/submission/tls_min"),
        (with("submission", json!({ "tls_min": 1.2 })), "/submission/tls_min"),
        (with("submission", json!({ "recipients_max": 0 })), "/submission/recipients_max"),
        (with("submission", json!({ "recipients_max": 1_001 })), "/submission/recipients_max"),
        (with("submission", json!({ "recipient_domains": "trust" })), "/submission/recipient_domains"),
        (with("leeway", json!(5)), "/leeway"),
    ] {
        assert_eq!(pointers(&document), [expected], "{document}");
    }
    let twice = json!({ "issuers": vec![minimal()["issuers"][0].clone(); 2] });
    assert_eq!(pointers(&twice), ["/issuers/1/issuer"]);
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let document = json!({
        "issuers": [{ "issuer": "x", "introspection": "x" }], "algorithms": ["none"], "leeway_seconds": 99, "x": 1,
        "identity_disagreement": "x",
    });
    let found: BTreeSet<_> = pointers(&document).into_iter().collect();
    let expected = [
        "/issuers/0/issuer",
        "/issuers/0/introspection",
        "/algorithms/0",
        "/leeway_seconds",
        "/x",
        "/identity_disagreement",
    ];
    assert_eq!(found, expected.map(String::from).into());
}

#[test]
fn a_document_that_is_no_object_is_one_problem() {
    let twice = r#"{"issuers":[],"issuers":[{"issuer":"https://a.test","introspection":"off"}]}"#;
    for document in ["", "null", "[]", "{", "{} {}", "\u{feff}{}", twice] {
        let problems = configure(document).unwrap_err();
        assert_eq!(problems.len(), 1, "{document}");
        assert_eq!(problems[0].pointer, "", "{document}");
    }
}

#[test]
fn a_problem_says_what_to_do_and_repeats_no_value() {
    let secret = "s3cr3t-value";
    let document =
        json!({ "issuers": [{ "issuer": secret, "introspection": secret }], "acr": secret, "azp": [secret] });
    for problem in configure(&document.to_string()).unwrap_err() {
        assert!(problem.message.contains("expected") && problem.message.contains(';'), "{}", problem.message);
        assert!(!problem.message.contains(secret), "{}", problem.message);
    }
}

#[test]
fn only_bytes_of_this_version_are_read_back() {
    let prepared = configure(&minimal().to_string()).unwrap();
    assert!(Settings::prepared(&prepared).is_some());
    assert!(Settings::prepared(&[]).is_none());
    assert!(Settings::prepared(&prepared[..prepared.len() - 1]).is_none());
    assert!(Settings::prepared(&[&prepared[..], &[0]].concat()).is_none());
    let mut other = prepared;
    other[0] ^= 1;
    assert!(Settings::prepared(&other).is_none());
}

#[test]
fn the_schema_has_the_same_keys_defaults_and_bounds() {
    let schema: Value = serde_json::from_str(crate::SETTINGS_SCHEMA).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let keys: BTreeSet<_> = properties.keys().map(String::as_str).collect();
    assert_eq!(keys, KEYS.into());
    assert_eq!(schema["required"], json!(["issuers"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(properties["algorithms"]["default"], json!(DEFAULT_ALGORITHMS.map(Algorithm::name)));
    assert_eq!(properties["algorithms"]["items"]["enum"], json!(Algorithm::ALL.map(Algorithm::name)));
    assert_eq!(properties["leeway_seconds"]["default"], json!(DEFAULT_LEEWAY));
    assert_eq!(properties["leeway_seconds"]["maximum"], json!(MAX_LEEWAY));
    assert_eq!(properties["acr"]["default"], json!(DEFAULT_ACR));
    assert_eq!(properties["session_max_seconds"]["default"], json!(MAX_SESSION));
    assert_eq!(properties["session_max_seconds"]["maximum"], json!(MAX_SESSION));
    let submission = &properties["submission"];
    let keys: BTreeSet<_> = submission["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, SUBMISSION_KEYS.into());
    for (key, property) in submission["properties"].as_object().unwrap() {
        assert_eq!(property["default"], submission["default"][key], "{key}");
    }
    assert_eq!(submission["default"]["recipients_max"], json!(DEFAULT_RECIPIENTS));
    assert_eq!(submission["properties"]["recipients_max"]["maximum"], json!(MAX_RECIPIENTS));

    let types = &properties["certificate"]["properties"]["structure_types"];
    assert_eq!(types["default"], json!(DEFAULT_STRUCTURE_TYPES));
    assert_eq!(properties["certificate"]["default"]["structure_types"], types["default"]);
    assert!(pointers(&with("certificate", json!({ "structure_types": types["items"]["enum"] }))).is_empty());
    let stranger = with("certificate", json!({ "structure_types": ["4", "5"] }));
    assert_eq!(pointers(&stranger), ["/certificate/structure_types/1"]);

    // The defaults, spelled out, configure what leaving them out configures.
    let mut document = minimal();
    for (key, property) in properties.iter().filter(|(key, _)| *key != "issuers") {
        document[key] = property["default"].clone();
    }
    assert_eq!(configure(&document.to_string()).unwrap(), configure(&minimal().to_string()).unwrap());
}

#[test]
fn what_the_schema_enumerates_is_accepted() {
    let schema: Value = serde_json::from_str(crate::SETTINGS_SCHEMA).unwrap();
    for mode in schema["properties"]["issuers"]["items"]["properties"]["introspection"]["enum"].as_array().unwrap() {
        let document = json!({ "issuers": [{ "issuer": "https://a.test", "introspection": mode }] });
        assert!(pointers(&document).is_empty(), "{mode}");
    }
    for choice in schema["properties"]["identity_disagreement"]["enum"].as_array().unwrap() {
        assert!(pointers(&with("identity_disagreement", choice.clone())).is_empty(), "{choice}");
    }
    for (key, property) in schema["properties"]["submission"]["properties"].as_object().unwrap() {
        for choice in property["enum"].as_array().into_iter().flatten() {
            assert!(pointers(&with("submission", json!({ key: choice }))).is_empty(), "{key} {choice}");
        }
    }
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(text in ".{0,200}", json in "[\\[\\]{}\":,a-z0-9 ]{0,100}") {
        let _ = configure(&text);
        let _ = configure(&json);
    }

    #[test]
    fn no_bytes_make_reading_back_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let _ = Settings::prepared(&bytes);
        let mut prepared = configure(&minimal().to_string()).unwrap();
        let at = at.index(prepared.len());
        prepared.truncate(at);
        prepared.extend_from_slice(&bytes);
        let _ = Settings::prepared(&prepared);
    }

    #[test]
    fn what_is_configured_is_what_is_read_back(leeway in 0..=30_u64, session in 1..=14_400_u64, names in proptest::collection::btree_set("[a-z]{1,12}", 0..6)) {
        let names: Vec<_> = names.into_iter().collect();
        let document = json!({
            "issuers": minimal()["issuers"], "leeway_seconds": leeway, "session_max_seconds": session,
            "acr": names, "audience": names, "azp": { "deny": names },
        });
        let prepared = configure(&document.to_string()).unwrap();
        let settings = Settings::prepared(&prepared).unwrap();
        prop_assert_eq!((settings.leeway, settings.session_max), (leeway, session));
        prop_assert_eq!(&settings.acr, &names);
        prop_assert_eq!(&settings.audience, &names);
        prop_assert_eq!(&settings.azp_deny, &names);
    }
}
