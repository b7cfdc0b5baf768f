//! What an operator sees of an issuer's introspection.

use std::time::Duration;

use tokio::time::Instant;

use super::breaker::BreakerState;
use super::client::AskError;
use super::entitlement::Entitlement;
use super::{Introspection, cache};

/// The picture.
#[derive(Clone, Debug)]
pub struct IntrospectionStatus {
    /// The issuer.
    pub issuer: String,
    /// Whether questions go out.
    pub breaker: BreakerState,
    /// For how long no answer has come although asked for. `None`: the last question was answered.
    pub degraded_for: Option<Duration>,
    /// Whether mode `preferred` may still do without answers.
    pub may_degrade: bool,
    /// Why the last question was not answered; `None` when it was.
    pub last_error: Option<AskError>,
    /// Questions sent since the start.
    pub asked: u64,
    /// Those of them that were not answered.
    pub failed: u64,
    /// Questions not sent because the breaker was open.
    pub spared: u64,
    /// Questions not sent because too many were out for too long.
    pub crowded: u64,
    /// Questions out now.
    pub in_flight: usize,
    /// Answers taken from memory.
    pub remembered: u64,
    /// Answers not found there.
    pub not_remembered: u64,
    /// `active: true` held now.
    pub held_active: u64,
    /// `active: false` held now.
    pub held_inactive: u64,
    /// The alarm "caller not entitled".
    pub entitlement: Entitlement,
}

#[derive(Default)]
pub(super) struct Health {
    failing_since: Option<Instant>,
    exhausted: bool,
    last_error: Option<AskError>,
    asked: u64,
    failed: u64,
    spared: u64,
    crowded: u64,
}

impl Health {
    /// One line at each change of state. `most`: how long mode `preferred` may do without answers.
    pub(super) fn learn(&mut self, issuer: &str, error: Option<AskError>, most: Duration) {
        if error == Some(AskError::Token) {
            return;
        }
        self.asked += 1;
        self.last_error = error;
        match (error, self.failing_since) {
            (Some(error), None) => {
                self.failed += 1;
                self.failing_since = Some(Instant::now());
                tracing::warn!(issuer, code = error.code(), "introspection gives no answer: {error}");
            }
            (Some(error), Some(since)) => {
                self.failed += 1;
                if !self.exhausted && since.elapsed() > most {
                    self.exhausted = true;
                    let code = error.code();
                    tracing::error!(
                        issuer,
                        code,
                        "introspection has given no answer for longer than it may be missing"
                    );
                }
            }
            (None, Some(since)) => {
                self.failing_since = None;
                self.exhausted = false;
                tracing::info!(issuer, after_seconds = since.elapsed().as_secs(), "introspection answers again");
            }
            (None, None) => {}
        }
    }

    /// Not sent: nobody was asked, so nothing is learnt about the issuer.
    pub(super) const fn spared(&mut self) {
        self.spared += 1;
    }

    pub(super) const fn crowded(&mut self) {
        self.crowded += 1;
    }

    pub(super) fn degraded_for(&self) -> Option<Duration> {
        self.failing_since.map(|since| since.elapsed())
    }
}

pub(super) fn of(introspection: &Introspection) -> IntrospectionStatus {
    let counts = introspection.cache.as_ref().map_or_else(cache::Counts::default, cache::Cache::counts);
    let settings = &introspection.settings;
    let may_degrade = introspection.may_degrade();
    let entitlement = introspection.parties().picture();
    let health = introspection.health();
    IntrospectionStatus {
        issuer: settings.issuer.clone(),
        breaker: introspection.breaker.picture(),
        degraded_for: health.degraded_for(),
        may_degrade,
        last_error: health.last_error,
        asked: health.asked,
        failed: health.failed,
        spared: health.spared,
        crowded: health.crowded,
        in_flight: settings.in_flight.saturating_sub(introspection.bulkhead.available_permits()),
        remembered: counts.hits,
        not_remembered: counts.misses,
        held_active: counts.active,
        held_inactive: counts.inactive,
        entitlement,
    }
}
