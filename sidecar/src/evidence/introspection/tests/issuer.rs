//! An issuer that says of each token what a test tells it, counts who asks, and hangs when told to. No network:
//! simulated time passes only when a test lets it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use super::name;
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::introspection::{
    Active, AskError, AskIssuer, Asking, ClientAuthentication, Endpoint, Introspected, Introspection,
    IntrospectionSettings, Question,
};
use crate::http::HttpError;

pub(super) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const ISSUER: &str = "https://issuer.example.test";

/// Clones are the same issuer.
#[derive(Clone)]
pub(super) struct Issuer(Arc<State>);

struct State {
    of_all: Mutex<Result<Introspected, AskError>>,
    of_one: Mutex<HashMap<String, Introspected>>,
    asked: AtomicU64,
    waiting: watch::Sender<usize>,
    hangs: watch::Sender<bool>,
}

impl Issuer {
    /// Says this of every token that [`Self::say`] does not name.
    pub(super) fn say_of_all(&self, said: Introspected) {
        *self.0.of_all.lock().unwrap() = Ok(said);
    }

    pub(super) fn say(&self, token: &str, said: Introspected) {
        self.0.of_one.lock().unwrap().insert(token.to_owned(), said);
    }

    pub(super) fn fail(&self) {
        *self.0.of_all.lock().unwrap() = Err(AskError::Http(HttpError::Status(503)));
    }

    pub(super) fn answer(&self) {
        self.say_of_all(active());
    }

    pub(super) fn hang(&self, hangs: bool) {
        self.0.hangs.send_replace(hangs);
    }

    /// Until this many questions wait for an answer.
    pub(super) async fn waiting(&self, count: usize) {
        self.0.waiting.subscribe().wait_for(|waiting| *waiting >= count).await.unwrap();
    }

    pub(super) fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::SeqCst)
    }

    async fn put(&self, token: &str) -> Result<Introspected, AskError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        self.0.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
        let of_all = self.0.of_all.lock().unwrap().clone()?;
        Ok(self.0.of_one.lock().unwrap().get(token).cloned().unwrap_or(of_all))
    }
}

impl AskIssuer for Issuer {
    fn ask<'a>(&'a self, token: &'a str, _by: Instant, _now: UnixSeconds) -> Asking<'a> {
        Box::pin(self.put(token))
    }
}

pub(super) fn active() -> Introspected {
    Introspected::Active(Active::default())
}

/// An issuer and who asks it.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) issuer: Issuer,
    pub(super) clock: Clock,
    pub(super) introspection: Arc<Introspection>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(adjust: impl FnOnce(&mut IntrospectionSettings)) -> Self {
        let endpoint = Endpoint::Url(Url::parse(ISSUER).unwrap());
        let client = ClientAuthentication::Tls { id: "operator".into() };
        let mut settings = IntrospectionSettings::new(ISSUER, endpoint, client);
        adjust(&mut settings);
        let issuer = Issuer(Arc::new(State {
            of_all: Mutex::new(Ok(active())),
            of_one: Mutex::default(),
            asked: AtomicU64::new(0),
            waiting: watch::Sender::new(0),
            hangs: watch::Sender::new(false),
        }));
        let clock = Clock::manual(NOW);
        let introspection = Arc::new(Introspection::with(settings, Box::new(issuer.clone()), clock.clone()));
        Self { issuer, clock, introspection }
    }

    /// Asks about a token that lives for two minutes.
    pub(super) async fn ask(&self, token: &str) -> &'static str {
        self.ask_until(token, NOW.plus(120)).await
    }

    pub(super) async fn ask_until(&self, token: &str, expires_at: UnixSeconds) -> &'static str {
        let question = Question { token: token.as_bytes(), expires_at, authorized_party: Some("software") };
        name(&self.introspection.ask(question).await)
    }
}
