//! A provider without a network: it signs with real keys, publishes them and judges tokens, or fails as told. Simulated
//! time passes only when a test lets it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use octroi::clock::UnixSeconds;
use octroi::evidence::introspection::{Active, AskError, AskIssuer, Asking, Introspected};
use octroi::evidence::keys::{FetchError, FetchKeys, Fetched, Fetching};
use octroi_psc::{Algorithm, Keys, SigningKey, Token, doctor_one};
use tokio::time::{Instant, sleep};

/// Time that each answer takes.
const LATENCY: Duration = Duration::from_millis(80);

/// Clones are the same provider.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    keys: Keys,
    state: Mutex<State>,
}

struct State {
    fetch: Option<Result<Fetched, FetchError>>,
    answer: Result<Introspected, AskError>,
    hangs: bool,
    fetches: Vec<Instant>,
}

impl Provider {
    pub(crate) fn new(issuer: &str) -> Self {
        let state = State { fetch: None, answer: Ok(active()), hangs: false, fetches: Vec::new() };
        let keys = Keys::new(SigningKey::generate("k0", Algorithm::Es256).unwrap());
        Self(Arc::new(Inner { issuer: issuer.to_owned(), keys, state: Mutex::new(state) }))
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// A good token of doctor one, fresh.
    pub(crate) fn token(&self, now: UnixSeconds) -> Token {
        Token::new(&self.0.keys.signing(), &self.0.issuer, &doctor_one(), now.0)
    }

    /// What every fetch of keys brings; the truth again for none.
    pub(crate) fn fetched(&self, fetched: Option<Result<Fetched, FetchError>>) {
        self.0.state.lock().unwrap().fetch = fetched;
    }

    /// What every introspection says.
    pub(crate) fn answers(&self, answer: Result<Introspected, AskError>) {
        self.0.state.lock().unwrap().answer = answer;
    }

    /// Nothing comes back, ever.
    pub(crate) fn hangs(&self, hangs: bool) {
        self.0.state.lock().unwrap().hangs = hangs;
    }

    /// All is well again.
    pub(crate) fn mend(&self) {
        self.fetched(None);
        self.answers(Ok(active()));
        self.hangs(false);
    }

    /// When its keys were fetched.
    pub(crate) fn fetches(&self) -> Vec<Instant> {
        self.0.state.lock().unwrap().fetches.clone()
    }

    async fn take_time(&self) {
        let hangs = self.0.state.lock().unwrap().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
        sleep(LATENCY).await;
    }
}

pub(crate) fn active() -> Introspected {
    Introspected::Active(Active::default())
}

/// A key set as it comes over the network.
pub(crate) fn document(body: impl Into<Vec<u8>>) -> Fetched {
    Fetched::Document { body: body.into(), etag: None, fresh_for: None }
}

impl FetchKeys for Provider {
    /// Answers with what was published when it was asked.
    fn fetch<'a>(&'a self, _etag: Option<&'a str>, _revalidate: bool) -> Fetching<'a> {
        let told = {
            let mut state = self.0.state.lock().unwrap();
            state.fetches.push(Instant::now());
            state.fetch.clone()
        };
        let truth = document(self.0.keys.jwks().unwrap().to_string());
        Box::pin(async move {
            self.take_time().await;
            told.unwrap_or(Ok(truth))
        })
    }
}

impl AskIssuer for Provider {
    fn ask<'a>(&'a self, _token: &'a str, _by: Instant, _now: UnixSeconds) -> Asking<'a> {
        Box::pin(async move {
            self.take_time().await;
            self.0.state.lock().unwrap().answer.clone()
        })
    }
}
