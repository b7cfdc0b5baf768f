//! One sheet of metrics, written from one picture of the sidecar.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::doors::admin::Overview;
use crate::proto::{GetStatusResponse, IntrospectionStatus, IssuerStatus};

/// States of a breaker: the values of its label.
const BREAKER: [&str; 3] = ["closed", "open", "half-open"];

/// Draws the overview at each scrape.
#[derive(Debug)]
pub(super) struct Sheet(Arc<Overview>);

impl Sheet {
    pub(super) const fn new(overview: Arc<Overview>) -> Self {
        Self(overview)
    }
}

impl Collector for Sheet {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = self.0.draw();
        let mut pen = Pen(encoder);
        whole(&mut pen, &status)?;
        keys(&mut pen, &status.issuers)?;
        introspection(&mut pen, &status.issuers)?;
        let Some(revocations) = &self.0.revocations else { return Ok(()) };
        let now = self.0.clock.now();
        super::lists::write(&mut pen, &revocations.status(now), now)
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

pub(super) struct Pen<'a>(DescriptorEncoder<'a>);

impl Pen<'_> {
    /// Writes one metric: each row is its labels and its value.
    fn metric<'a>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            let mut family = encoder.encode_family(&labels)?;
            match kind {
                MetricType::Counter => family.encode_counter::<NoLabelSet, u64, u64>(&value, None)?,
                _ => family.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    pub(super) fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge, rows)
    }

    fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) -> fmt::Result {
        self.metric(name, help, MetricType::Counter, rows)
    }
}

fn whole(pen: &mut Pen<'_>, status: &GetStatusResponse) -> fmt::Result {
    let one = |value: u64| [(Labels::new(), value)];
    let build: Labels<'_> = vec![
        ("version", &status.version),
        ("policy", &status.policy_name),
        ("policy_version", &status.policy_version),
        ("policy_digest", &status.policy_digest),
    ];
    pen.gauge("build", "What is running; always 1", [(build, 1)])?;
    pen.gauge("ready", "1 while tokens of at least one issuer can be judged", one(u64::from(status.ready)))?;
    pen.gauge("mailboxes", "Mailboxes in the directory", one(status.mailboxes))?;
    if let Some(memory) = &status.signatures {
        pen.gauge("remembered_signatures", "Signatures held in memory", one(memory.held))?;
        let looked_up = [(vec![("found", "yes")], memory.hits), (vec![("found", "no")], memory.misses)];
        pen.counter("signature_lookups", "Signatures looked up in memory, and whether found", looked_up)?;
    }
    let mut events: Vec<_> = status.counters.iter().collect();
    events.sort();
    let events = events.into_iter().map(|(name, count)| (vec![("event", name.as_str())], *count));
    pen.counter("events", "Decisions, after-auth answers and records, by name", events)
}

fn keys(pen: &mut Pen<'_>, issuers: &[IssuerStatus]) -> fmt::Result {
    let of = |value: fn(&IssuerStatus) -> u64| {
        issuers.iter().map(move |issuer| (vec![("issuer", issuer.issuer.as_str())], value(issuer)))
    };
    pen.gauge("keys", "Signing keys in use", of(|issuer| issuer.key_ids.len() as u64))?;
    pen.gauge("keys_unused", "Published keys that are not used", of(|issuer| issuer.skipped.len() as u64))?;
    pen.gauge("keys_usable", "1 while the keys may be used", of(|i| u64::from(i.keys_state != "unavailable")))?;
    pen.gauge(
        "keys_stale",
        "1 while keys are used that can't be confirmed",
        of(|i| u64::from(i.keys_state == "stale")),
    )?;
    pen.gauge("keys_age_seconds", "Since the issuer confirmed its keys; absent before", {
        let had = issuers.iter().filter(|issuer| issuer.keys_read_at > 0);
        had.map(|issuer| (vec![("issuer", issuer.issuer.as_str())], issuer.keys_age_seconds))
    })?;
    pen.gauge("keys_failing_seconds", "For how long key fetches have failed", of(|i| i.keys_failing_seconds))?;
    pen.counter("key_fetches", "Key fetches", of(|issuer| issuer.key_fetches))?;
    pen.counter("key_fetch_failures", "Key fetches that brought no usable keys", of(|issuer| issuer.key_fetch_failures))
}

fn introspection(pen: &mut Pen<'_>, issuers: &[IssuerStatus]) -> fmt::Result {
    let asked = |issuer: &'_ IssuerStatus| issuer.introspection_status.clone();
    let of = |value: fn(&IntrospectionStatus) -> u64| {
        let with = issuers.iter().filter_map(move |issuer| Some((issuer, asked(issuer)?)));
        with.map(move |(issuer, status)| (vec![("issuer", issuer.issuer.as_str())], value(&status)))
    };
    let breaker = issuers.iter().filter_map(|issuer| Some((issuer, issuer.introspection_status.as_ref()?)));
    let breaker = breaker.flat_map(|(issuer, status)| {
        BREAKER.map(|state| {
            (vec![("issuer", issuer.issuer.as_str()), ("state", state)], u64::from(status.breaker == state))
        })
    });
    pen.gauge("introspection_breaker", "1 for the state that the breaker is in", breaker)?;
    pen.gauge(
        "introspection_degraded_seconds",
        "For how long no question has been answered",
        of(|status| status.degraded_seconds),
    )?;
    pen.gauge("introspection_in_flight", "Questions out now", of(|status| status.in_flight))?;
    pen.gauge(
        "introspection_not_entitled",
        "1 while every live token is called inactive: is this client entitled to ask?",
        of(|status| u64::from(status.not_entitled_seconds > 0)),
    )?;
    pen.counter("introspections", "Questions sent", of(|status| status.asked))?;
    pen.counter("introspection_failures", "Questions sent and not answered", of(|status| status.failed))?;
    pen.counter("introspections_spared", "Questions not sent while the breaker was open", of(|status| status.spared))?;
    pen.counter("introspections_crowded", "Questions not sent: too many were out", of(|status| status.crowded))?;
    pen.counter("introspection_memory_hits", "Answers found in memory", of(|status| status.remembered))?;
    pen.counter("introspection_memory_misses", "Answers not found in memory", of(|status| status.not_remembered))
}
