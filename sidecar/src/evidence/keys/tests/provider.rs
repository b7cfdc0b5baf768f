//! A provider of keys that publishes, answers and fails as told, and counts who asks it when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};

use crate::evidence::keys::{FetchError, FetchKeys, Fetched, Fetching, KeySettings, Keys, Lookup};

pub(super) const ALG: Algorithm = Algorithm::ES256;

/// A signing key with a name.
pub(super) struct Signer {
    pub(super) kid: String,
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(super) fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }
}

pub(super) fn document(signers: &[&Signer]) -> Vec<u8> {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string().into_bytes()
}

#[derive(Clone)]
pub(super) struct Provider(Arc<Mutex<State>>);

struct State {
    answer: Result<Fetched, FetchError>,
    delay: Duration,
    began: Vec<Instant>,
    etags: Vec<Option<String>>,
}

impl Provider {
    pub(super) fn publishing(signers: &[&Signer]) -> Self {
        let provider = Self::answering(Err(FetchError::File));
        provider.publish(signers);
        provider
    }

    pub(super) fn answering(answer: Result<Fetched, FetchError>) -> Self {
        let state = State { answer, delay: Duration::from_millis(80), began: Vec::new(), etags: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn publish(&self, signers: &[&Signer]) {
        self.answer(Ok(Fetched::Document { body: document(signers), etag: None, fresh_for: None }));
    }

    pub(super) fn answer(&self, answer: Result<Fetched, FetchError>) {
        self.0.lock().unwrap().answer = answer;
    }

    pub(super) fn fail(&self) {
        self.answer(Err(FetchError::Http(crate::http::HttpError::Connect)));
    }

    pub(super) fn take(&self, delay: Duration) {
        self.0.lock().unwrap().delay = delay;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.lock().unwrap().began.len()
    }

    pub(super) fn asked_at(&self) -> Vec<Instant> {
        self.0.lock().unwrap().began.clone()
    }

    pub(super) fn etags(&self) -> Vec<Option<String>> {
        self.0.lock().unwrap().etags.clone()
    }

    /// Keys of this provider, after their first fetch.
    pub(super) async fn keys(&self) -> Keys {
        self.keys_with(KeySettings::new("https://issuer.example.test")).await
    }

    pub(super) async fn keys_with(&self, settings: KeySettings) -> Keys {
        let keys = Keys::start_with(settings, Box::new(self.clone()));
        keys.tried().await;
        keys
    }
}

impl FetchKeys for Provider {
    /// Answers, after the delay, with what was published when it was asked.
    fn fetch<'a>(&'a self, etag: Option<&'a str>, _revalidate: bool) -> Fetching<'a> {
        let (answer, delay) = {
            let mut state = self.0.lock().unwrap();
            state.began.push(Instant::now());
            state.etags.push(etag.map(str::to_owned));
            (state.answer.clone(), state.delay)
        };
        Box::pin(async move {
            sleep(delay).await;
            answer
        })
    }
}

/// Lets simulated time pass, second by second, so that every timer on the way fires when it is due.
pub(super) async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
}

/// Lets every task run that can.
pub(super) async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// A short name for what a lookup says.
pub(super) fn name(lookup: &Lookup) -> &'static str {
    match lookup {
        Lookup::Found(_) => "found",
        Lookup::Unknown => "unknown",
        Lookup::Unfit => "unfit",
        Lookup::Unavailable => "unavailable",
    }
}
