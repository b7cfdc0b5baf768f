//! Asking the issuer whether a token is still good (RFC 7662). The answer is read strictly: what is not exactly an
//! answer is an outage, never a yes and never a no.
//!
//! Around the question: a short memory of answers, one question for all who ask about a token at once, a limit of
//! questions in flight, and a breaker that spares logins the wait for an issuer that is away.

mod answer;
mod assertion;
mod breaker;
mod cache;
mod client;
mod entitlement;
mod status;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use answer::{Active, Introspected};
pub use assertion::{AssertionKey, AssertionKeyError};
pub use breaker::BreakerState;
pub use client::{AskError, AskIssuer, Asking, ClientAuthentication};
pub use entitlement::Entitlement;
pub use status::IntrospectionStatus;

use super::keys::Discovery;
use crate::clock::{Clock, UnixSeconds};
use crate::http::{HttpClient, HttpError};
use breaker::{Breaker, LONGEST_PAUSE};
use cache::{Cache, Key};
use client::Client;
use entitlement::Parties;
use status::Health;

/// Where the issuer answers.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// At this address.
    Url(Url),
    /// Where its own description says.
    Discovery(Discovery),
}

/// How one issuer is asked.
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// The issuer, as in `iss`.
    pub issuer: String,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// As whom the sidecar asks.
    pub client: ClientAuthentication,
    /// One question, from waiting for its turn to the last byte of the answer.
    ///
    /// # Defaults
    /// 1.5 s: below what Dovecot waits.
    pub deadline: Duration,
    /// Most questions in flight.
    ///
    /// # Defaults
    /// 32.
    pub in_flight: usize,
    /// How long `active: true` is remembered, never beyond `exp`. Zero: no answer is ever remembered or shared.
    ///
    /// # Defaults
    /// 10 s: the several connections that a mail client opens at once (RFC 7662 section 4 weighs it against a token
    /// revoked meanwhile).
    pub remember_active: Duration,
    /// How long `active: false` is remembered.
    ///
    /// # Defaults
    /// 30 s.
    pub remember_inactive: Duration,
    /// How long mode `preferred` may do without answers, since the first question that got none. A little longer (less
    /// than half a minute), until the next question has had its time: an outage of exactly this length refuses nobody.
    /// Zero: not at all.
    ///
    /// # Defaults
    /// 4 h.
    pub max_degraded: Duration,
}

impl IntrospectionSettings {
    /// The defaults, for an issuer.
    #[must_use]
    pub fn new(issuer: impl Into<String>, endpoint: Endpoint, client: ClientAuthentication) -> Self {
        Self {
            issuer: issuer.into(),
            endpoint,
            client,
            deadline: Duration::from_millis(1500),
            in_flight: 32,
            remember_active: Duration::from_secs(10),
            remember_inactive: Duration::from_secs(30),
            max_degraded: Duration::from_secs(4 * 3600),
        }
    }
}

/// A question about one token whose signature holds.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The token, as presented.
    pub token: &'a [u8],
    /// Its `exp`.
    pub expires_at: UnixSeconds,
    /// Its `azp`: whose tokens the alarm "caller not entitled" counts.
    pub authorized_party: Option<&'a str>,
}

/// The introspection of one issuer. Share it by `Arc`.
pub struct Introspection {
    settings: IntrospectionSettings,
    asker: Box<dyn AskIssuer>,
    clock: Clock,
    cache: Option<Cache>,
    breaker: Breaker,
    bulkhead: Semaphore,
    health: Mutex<Health>,
    parties: Mutex<Parties>,
}

impl Introspection {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(settings: IntrospectionSettings, http: HttpClient, clock: Clock) -> Self {
        let client = Client { settings: settings.clone(), http };
        Self::with(settings, Box::new(client), clock)
    }

    /// The same with another way to ask.
    #[must_use]
    pub fn with(settings: IntrospectionSettings, asker: Box<dyn AskIssuer>, clock: Clock) -> Self {
        Self {
            cache: Cache::new(settings.remember_active, settings.remember_inactive),
            breaker: Breaker::new(),
            bulkhead: Semaphore::new(settings.in_flight),
            health: Mutex::default(),
            parties: Mutex::default(),
            settings,
            asker,
            clock,
        }
    }

    /// What the issuer says about a token, or said a moment ago.
    pub async fn ask(&self, question: Question<'_>) -> Introspected {
        match &self.cache {
            Some(cache) => {
                let key = Key::of(&self.settings.issuer, self.settings.client.id(), question.token);
                cache.answer(key, question.expires_at, &self.clock, self.ask_issuer(question)).await
            }
            None => self.ask_issuer(question).await,
        }
    }

    /// Whether mode `preferred` may still let a token in on its signature alone. Ask after an `Unavailable`; such a
    /// decision is to be marked as degraded.
    #[must_use]
    pub fn may_degrade(&self) -> bool {
        let degraded_for = self.health().degraded_for();
        !self.settings.max_degraded.is_zero() && degraded_for.is_none_or(|degraded| degraded <= self.most_degraded())
    }

    fn most_degraded(&self) -> Duration {
        self.settings.max_degraded.saturating_add(LONGEST_PAUSE).saturating_add(self.settings.deadline)
    }

    /// A picture for the operator.
    #[must_use]
    pub fn status(&self) -> IntrospectionStatus {
        status::of(self)
    }

    async fn ask_issuer(&self, question: Question<'_>) -> Introspected {
        let by = Instant::now() + self.settings.deadline;
        let turn = timeout_at(by, self.bulkhead.acquire()).await;
        // A turn that comes with no time left would say of the issuer what is true of the queue.
        let Some(_turn) = turn.ok().and_then(Result::ok).filter(|_| Instant::now() < by) else {
            self.health().crowded();
            return Introspected::Unavailable;
        };
        let Some(permit) = self.breaker.permit() else {
            self.health().spared();
            return Introspected::Unavailable;
        };
        let asked = self.put(question.token, by).await;
        match &asked {
            Ok(_) => permit.succeeded(),
            // Nothing was asked: it says nothing about the issuer.
            Err(AskError::Token) => drop(permit),
            Err(_) => permit.failed(),
        }
        self.learn(&asked, question);
        asked.unwrap_or(Introspected::Unavailable)
    }

    /// Puts a question, and has the answer by `by` or none.
    async fn put(&self, token: &[u8], by: Instant) -> Result<Introspected, AskError> {
        let token = std::str::from_utf8(token).map_err(|_| AskError::Token)?;
        let asking = self.asker.ask(token, by, self.clock.now());
        timeout_at(by, asking).await.unwrap_or(Err(AskError::Http(HttpError::Deadline)))
    }

    fn learn(&self, asked: &Result<Introspected, AskError>, question: Question<'_>) {
        let issuer = &self.settings.issuer;
        self.health().learn(issuer, asked.as_ref().err().copied(), self.most_degraded());
        let live = question.expires_at > self.clock.now();
        match asked {
            Ok(Introspected::Active(_)) => self.parties().active(issuer, question.authorized_party),
            Ok(Introspected::Inactive) if live => self.parties().inactive(issuer, question.authorized_party),
            Ok(Introspected::Inactive | Introspected::Unavailable) | Err(_) => {}
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parties(&self) -> MutexGuard<'_, Parties> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
