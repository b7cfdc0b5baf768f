//! Keys fetched over HTTP from the stand-in provider, which rotates, hangs and answers nonsense as told.

use std::time::Duration;

use octroi_psc::{Algorithm as Kind, Endpoint, Fault, Psc, SigningKey};
use serde_json::json;
use url::Url;

use super::provider::{ALG, name};
use crate::evidence::keys::{
    AfterBadSignature, Discovery, DiscoveryError, FetchError, KeyError, KeySettings, KeySource, Keys, KeysState,
    Lookup, SetError,
};
use crate::http::{HttpClient, HttpError, HttpSettings};

async fn psc() -> Psc {
    Psc::builder().key(SigningKey::generate("k1", Kind::Es256).unwrap()).start().await.unwrap()
}

async fn keys(psc: &Psc) -> Keys {
    let http = HttpClient::new(&HttpSettings::default()).unwrap();
    let addresses = Discovery::usual_addresses(psc.issuer()).unwrap();
    let discovery = Discovery::new(psc.issuer(), addresses, http.clone()).unwrap();
    let keys = Keys::start(settings(psc), KeySource::Discovery(discovery), http);
    keys.tried().await;
    keys
}

/// No floor: in real time each login may ask for a fetch.
fn settings(psc: &Psc) -> KeySettings {
    KeySettings { floor: Duration::ZERO, ..KeySettings::new(psc.issuer()) }
}

fn error(keys: &Keys) -> Option<KeyError> {
    keys.status().last_error
}

/// Has the keys fetched, by asking for one that does not exist, and waits for the end of that fetch.
async fn refresh(keys: &Keys) {
    let before = keys.status().fetches;
    while keys.status().fetches == before {
        // Another name each time: one that was shown absent may be refused without a fetch, and without a wait.
        keys.find(Some(&format!("nobody-{before}")), ALG).await;
    }
}

#[tokio::test]
async fn keys_come_by_either_discovery_document() {
    let psc = psc().await;
    assert_eq!(name(&keys(&psc).await.lookup(Some("k1"), ALG)), "found");
    assert_eq!(psc.calls(Endpoint::Discovery), 0);
    psc.spoil(Endpoint::WalletDiscovery, Fault::Status(404));
    assert_eq!(name(&keys(&psc).await.lookup(Some("k1"), ALG)), "found");
    psc.spoil(Endpoint::Discovery, Fault::Status(404));
    let keys = keys(&psc).await;
    assert_eq!(error(&keys), Some(KeyError::Fetch(DiscoveryError::Http(HttpError::Status(404)).into())));
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
}

#[tokio::test]
async fn a_description_of_another_issuer_or_of_another_machine_is_not_followed() {
    let psc = psc().await;
    let good = psc.url(Endpoint::Certs);
    let cases = [
        (json!({"issuer": format!("{}/", psc.issuer()), "jwks_uri": good}), DiscoveryError::Issuer),
        (json!({"issuer": "https://issuer.example.test", "jwks_uri": good}), DiscoveryError::Issuer),
        (json!({"issuer": psc.issuer(), "jwks_uri": "http://keys.example.test/"}), DiscoveryError::Address),
        (json!({"issuer": psc.issuer(), "jwks_uri": "file:///etc/passwd"}), DiscoveryError::Address),
        (json!({"issuer": psc.issuer(), "jwks_uri": "keys"}), DiscoveryError::Address),
        (json!({"issuer": psc.issuer()}), DiscoveryError::Missing),
        (json!({"issuer": 7, "jwks_uri": good}), DiscoveryError::Malformed),
        (json!([]), DiscoveryError::Malformed),
    ];
    for (document, expected) in cases {
        for place in [Endpoint::WalletDiscovery, Endpoint::Discovery] {
            let body = document.to_string().into();
            psc.spoil(place, Fault::Body { content_type: "application/json", body });
        }
        let keys = keys(&psc).await;
        assert_eq!(error(&keys), Some(KeyError::Fetch(FetchError::Discovery(expected))), "{document}");
        assert_eq!(keys.status().state, KeysState::Unavailable);
    }
    assert_eq!(psc.calls(Endpoint::Certs), 0);
}

#[tokio::test]
async fn every_fault_of_the_issuer_leaves_the_good_keys_in_use() {
    let psc = psc().await;
    let keys = keys(&psc).await;
    let page = |content_type| Fault::Body { content_type, body: "<html>maintenance</html>".into() };
    let http = |error| KeyError::Fetch(FetchError::Http(error));
    let cases = [
        ("status 500", Fault::Status(500), http(HttpError::Status(500))),
        ("page", page("text/html"), http(HttpError::ContentType)),
        ("page called JSON", page("application/json"), KeyError::Set(SetError::NotASet)),
        ("oversize", Fault::Oversize(300 << 10), http(HttpError::TooLarge)),
        ("truncated", Fault::Truncated, http(HttpError::Truncated)),
        ("closed", Fault::Close, http(HttpError::Closed)),
        ("slow", Fault::Delay(Duration::from_secs(60)), http(HttpError::Deadline)),
    ];
    for (case, fault, expected) in cases {
        let generation = keys.status().generation;
        // Something new to send: the stand-in answers 304 to a tag that is still good, and a 304 has no body to spoil.
        psc.keys().publish(SigningKey::generate(case, Kind::Es256).unwrap());
        psc.spoil(Endpoint::Certs, fault);
        refresh(&keys).await;
        assert_eq!(error(&keys), Some(expected), "{case}");
        assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found", "{case}");
        assert_eq!((keys.status().state, keys.status().generation), (KeysState::Stale, generation), "{case}");
        psc.mend(Endpoint::Certs);
        refresh(&keys).await;
        assert_eq!((error(&keys), keys.status().state), (None, KeysState::Current), "{case}");
        assert_eq!(name(&keys.lookup(Some(case), ALG)), "found", "{case}");
    }
}

#[tokio::test]
async fn rotation_withdrawal_and_a_replaced_key_are_followed() {
    let psc = psc().await;
    let keys = keys(&psc).await;
    let Lookup::Found(first) = keys.lookup(Some("k1"), ALG) else { panic!() };
    psc.keys().rotate("k2", Kind::Es256).unwrap();
    assert_eq!(name(&keys.find(Some("k2"), ALG).await), "found");
    psc.keys().withdraw("k1");
    assert_eq!(name(&keys.find(Some("nobody"), ALG).await), "unknown");
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "unknown");
    let Lookup::Found(second) = keys.lookup(Some("k2"), ALG) else { panic!() };
    psc.keys().replace_same_kid().unwrap();
    assert!(matches!(keys.refresh_after_bad_signature(&second, Duration::ZERO).await, AfterBadSignature::NewKey(_)));
    // A key that is gone has no successor: what it signed stays refused.
    assert!(matches!(keys.refresh_after_bad_signature(&first, Duration::ZERO).await, AfterBadSignature::Confirmed));
}

#[tokio::test]
async fn an_issuer_that_goes_away_at_the_start_is_found_when_it_comes_back() {
    let psc = psc().await;
    psc.spoil(Endpoint::Certs, Fault::Close);
    let keys = keys(&psc).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    psc.mend(Endpoint::Certs);
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
}

#[tokio::test]
async fn keys_come_from_a_file_that_is_read_again() {
    let (psc, folder) = (psc().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("keys.json");
    let write = || std::fs::write(&path, psc.keys().jwks().unwrap().to_string()).unwrap();
    write();
    let http = HttpClient::new(&HttpSettings::default()).unwrap();
    let keys = Keys::start(settings(&psc), KeySource::File(path.clone()), http.clone());
    keys.tried().await;
    assert_eq!(name(&keys.lookup(Some("k1"), ALG)), "found");
    psc.keys().rotate("k2", Kind::Es256).unwrap();
    write();
    assert_eq!(name(&keys.find(Some("k2"), ALG).await), "found");
    std::fs::write(&path, vec![b' '; 300 << 10]).unwrap();
    assert_eq!(name(&keys.find(Some("k3"), ALG).await), "unavailable");
    assert_eq!(error(&keys), Some(KeyError::Fetch(FetchError::FileTooLarge)));
    let address = Url::parse(&psc.url(Endpoint::Certs)).unwrap();
    let by_address = Keys::start(settings(&psc), KeySource::Url(address), http);
    by_address.tried().await;
    assert_eq!(name(&by_address.lookup(Some("k1"), ALG)), "found");
}
