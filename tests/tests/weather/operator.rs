//! What an operator and a monitoring system see of a bad day.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use octroi::config::IntrospectionMode;
use octroi::doors::admin::Overview;
use octroi::doors::http::Door as _;
use octroi::evidence::directory::Directory;
use octroi::evidence::introspection::{AskError, Introspected};
use octroi::evidence::keys::FetchError;
use octroi::evidence::trust_space::TrustSpace;
use octroi::http::HttpError;
use octroi::metrics::MetricsDoor;

use super::sky::Sky;

struct Desk {
    sky: Sky,
    door: MetricsDoor,
    overview: Arc<Overview>,
}

impl Desk {
    async fn new() -> Self {
        let sky = Sky::new().await;
        let modes = [IntrospectionMode::Off, IntrospectionMode::Preferred, IntrospectionMode::Required];
        let overview = Arc::new(Overview {
            gate: Arc::clone(&sky.gate),
            introspection: sky.providers.iter().map(|p| p.issuer().to_owned()).zip(modes).collect(),
            directory: Directory::default(),
            trust_space: TrustSpace::default(),
            enrolment: octroi::evidence::certificate::enrolled::Enrolment::default(),
            revocations: None,
            counts: vec![Box::new(|| vec![("decisions_allowed".to_owned(), 7)])],
            clock: octroi::clock::Clock::manual(sky.now()),
        });
        Self { door: MetricsDoor::new(Arc::clone(&overview)), sky, overview }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (head, _) = Request::get(path).body(Empty::<Bytes>::new()).unwrap().into_parts();
        let answer = match self.door.admit(&head) {
            Ok(page) => self.door.answer(page, head, Bytes::new()).await,
            Err(refusal) => *refusal,
        };
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The value of one metric, with its labels.
    async fn metric(&self, line: &str) -> String {
        let (_, text) = self.get("/metrics").await;
        let value = text.lines().find_map(|have| have.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {line} in\n{text}")).to_owned()
    }
}

fn goes_away(sky: &Sky) {
    for provider in &sky.providers {
        provider.fetched(Some(Err(FetchError::Http(HttpError::Connect))));
        provider.answers(Err(AskError::Http(HttpError::Connect)));
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_tells_why_not_and_liveness_does_not_depend_on_it() {
    let desk = Desk::new().await;
    assert_eq!(desk.get("/readyz").await.0, 200);
    goes_away(&desk.sky);
    desk.sky.pass(3600).await;
    let (status, text) = desk.get("/readyz").await;
    assert!(status == 200 && text.contains("https://off.example.test: keys stale (the keys can't be had"), "{text}");
    desk.sky.pass(4 * 3600).await;
    let (status, text) = desk.get("/readyz").await;
    assert!(status == 503 && text.starts_with("not ready\n") && text.contains("keys unavailable"), "{text}");
    assert_eq!(desk.get("/healthz").await, (200, "alive\n".to_owned()));
    let drawn = desk.overview.draw();
    assert!(!drawn.ready && drawn.not_ready.starts_with("no issuer has usable keys (https://off.example.test: "));
    // One provider back: its logins must not be kept out for the others' sake.
    desk.sky.providers[1].mend();
    desk.sky.pass(120).await;
    assert_eq!(desk.get("/readyz").await.0, 200);
    assert_eq!(desk.get("/").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_follow_an_outage_and_its_end() {
    let desk = Desk::new().await;
    let preferred = "{issuer=\"https://preferred.example.test\"";
    assert_eq!(desk.metric("octroi_ready").await, "1");
    assert_eq!(desk.metric("octroi_events_total{event=\"decisions_allowed\"}").await, "7");
    assert_eq!(desk.metric(&format!("octroi_keys_usable{preferred}}}")).await, "1");
    goes_away(&desk.sky);
    for _ in 0..6 {
        desk.sky.logins().await;
    }
    desk.sky.pass(1).await;
    assert_eq!(desk.metric(&format!("octroi_introspection_breaker{preferred},state=\"closed\"}}")).await, "0");
    assert_ne!(desk.metric(&format!("octroi_introspection_degraded_seconds{preferred}}}")).await, "0");
    assert_eq!(desk.metric(&format!("octroi_introspection_failures_total{preferred}}}")).await, "5");
    desk.sky.pass(900).await;
    assert_eq!(desk.metric(&format!("octroi_keys_stale{preferred}}}")).await, "1");
    desk.sky.providers.iter().for_each(super::provider::Provider::mend);
    desk.sky.clears_up(60).await;
    desk.sky.pass(120).await;
    assert_eq!(desk.metric(&format!("octroi_keys_stale{preferred}}}")).await, "0");
    assert_eq!(desk.metric(&format!("octroi_introspection_breaker{preferred},state=\"closed\"}}")).await, "1");
    desk.sky.providers.iter().for_each(|provider| provider.answers(Ok(Introspected::Inactive)));
    for _ in 0..5 {
        desk.sky.logins().await;
    }
    assert_eq!(desk.metric(&format!("octroi_introspection_not_entitled{preferred}}}")).await, "1");
}

#[tokio::test(start_paused = true)]
async fn the_metrics_are_as_many_after_a_thousand_logins_and_hold_nobodys_token_or_name() {
    let desk = Desk::new().await;
    let (status, before) = desk.get("/metrics").await;
    assert!(status == 200 && before.ends_with("# EOF\n"), "{before}");
    for _ in 0..1000 {
        desk.sky.logins().await;
    }
    let (_, after) = desk.get("/metrics").await;
    assert_eq!(after.lines().count(), before.lines().count());
    for secret in ["eyJ", "899700000011", "docteur", "lps-d-essai"] {
        assert!(!after.contains(secret), "{secret} in\n{after}");
    }
}
