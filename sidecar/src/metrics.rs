//! What a monitoring system reads, over HTTP on loopback: `/metrics`, `/healthz` and `/readyz`.
//!
//! Everything is drawn from the operator's overview at the moment it is asked for; nothing is counted twice. Labels are
//! issuers and closed lists, never a person, a token, a key or a client.

mod exposition;
mod lists;

use std::sync::Arc;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::exposition::Sheet;
use crate::doors::admin::Overview;
use crate::doors::http::{Answer, Door, answer};

/// OpenMetrics 1.0, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// The door.
#[derive(Debug)]
pub struct MetricsDoor {
    overview: Arc<Overview>,
    registry: Registry,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Every metric.
    Metrics,
    /// Whether the process lives: it does, if it answers.
    Liveness,
    /// Whether it can judge tokens, and why not.
    Readiness,
}

impl MetricsDoor {
    /// A door that shows `overview`.
    #[must_use]
    pub fn new(overview: Arc<Overview>) -> Self {
        let mut registry = Registry::with_prefix("octroi");
        registry.register_collector(Box::new(Sheet::new(Arc::clone(&overview))));
        Self { overview, registry }
    }

    fn metrics(&self) -> Answer {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => answer(StatusCode::OK, OPEN_METRICS, text),
            Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "the metrics can't be written\n"),
        }
    }

    fn readiness(&self) -> Answer {
        let status = self.overview.draw();
        let mut text = if status.ready { "ready\n".to_owned() } else { "not ready\n".to_owned() };
        for issuer in &status.issuers {
            let error = if issuer.keys_error.is_empty() { "no error" } else { &issuer.keys_error };
            text.push_str(&format!("{}: keys {} ({error})\n", issuer.issuer, issuer.keys_state));
        }
        answer(if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, TEXT, text)
    }
}

impl Door for MetricsDoor {
    type Purpose = Page;

    fn admit(&self, head: &Parts) -> Result<Page, Box<Answer>> {
        let page = match head.uri.path() {
            "/metrics" => Page::Metrics,
            "/healthz" => Page::Liveness,
            "/readyz" => Page::Readiness,
            _ => {
                let here = "here are /metrics, /healthz and /readyz\n";
                return Err(Box::new(answer(StatusCode::NOT_FOUND, TEXT, here)));
            }
        };
        if head.method != Method::GET {
            return Err(Box::new(answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "expected GET\n")));
        }
        Ok(page)
    }

    async fn answer(&self, page: Page, _head: Parts, _body: Bytes) -> Answer {
        match page {
            Page::Metrics => self.metrics(),
            Page::Liveness => answer(StatusCode::OK, TEXT, "alive\n"),
            Page::Readiness => self.readiness(),
        }
    }

    fn unreadable(&self, _page: Page, status: StatusCode) -> Answer {
        answer(status, TEXT, "expected a request without a body\n")
    }
}
