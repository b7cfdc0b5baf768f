//! What is logged of a provider's bad day: one line at each change of state, none for a login.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, advance};
use url::Url;

use super::introspection::{
    Active, AskError, AskIssuer, Asking, ClientAuthentication, Endpoint, Introspected, Introspection,
    IntrospectionSettings, Question,
};
use super::keys::{FetchError, FetchKeys, Fetched, Fetching, KeySettings, Keys};
use crate::clock::{Clock, UnixSeconds};
use crate::http::HttpError;

const ISSUER: &str = "https://issuer.example.test";

/// Where a log goes.
#[derive(Clone, Default)]
pub(in crate::evidence) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// What was logged since the last look.
    pub(in crate::evidence) fn taken(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Clone)]
struct Provider {
    away: Arc<AtomicBool>,
    document: Vec<u8>,
}

impl FetchKeys for Provider {
    fn fetch<'a>(&'a self, _etag: Option<&'a str>, _revalidate: bool) -> Fetching<'a> {
        let document = Fetched::Document { body: self.document.clone(), etag: None, fresh_for: None };
        let away = self.away.load(Ordering::SeqCst);
        Box::pin(async move { if away { Err(FetchError::Http(HttpError::Connect)) } else { Ok(document) } })
    }
}

impl AskIssuer for Provider {
    fn ask<'a>(&'a self, _token: &'a str, _by: Instant, _now: UnixSeconds) -> Asking<'a> {
        let away = self.away.load(Ordering::SeqCst);
        let answer = Introspected::Active(Active::default());
        Box::pin(async move { if away { Err(AskError::Http(HttpError::Connect)) } else { Ok(answer) } })
    }
}

#[tokio::test(start_paused = true)]
async fn one_line_is_logged_at_each_change_of_state_and_none_for_a_login() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let key = octroi_psc::SigningKey::generate("k1", octroi_psc::Algorithm::Es256).unwrap();
    let document = octroi_psc::Keys::new(key).jwks().unwrap().to_string().into_bytes();
    let provider = Provider { away: Arc::default(), document };
    let keys = Keys::start_with(KeySettings::new(ISSUER), Box::new(provider.clone()));
    keys.tried().await;
    let (endpoint, clock) = (Endpoint::Url(Url::parse(ISSUER).unwrap()), Clock::manual(UnixSeconds(1_800_000_000)));
    let settings = IntrospectionSettings::new(ISSUER, endpoint, ClientAuthentication::Tls { id: "operator".into() });
    let introspection = Introspection::with(settings, Box::new(provider.clone()), clock.clone());
    // Logins for so many minutes, four a minute.
    let mut logins = 0;
    let mut log = async |minutes: u64| {
        for _ in 0..minutes * 4 {
            logins += 1;
            let token = format!("token.{logins}");
            let expires_at = clock.now().plus(120);
            introspection.ask(Question { token: token.as_bytes(), expires_at, authorized_party: None }).await;
            keys.find(Some("k1"), jsonwebtoken::Algorithm::ES256).await;
            for _ in 0..15 {
                advance(Duration::from_secs(1)).await;
                tokio::task::yield_now().await;
            }
        }
        lines.taken()
    };
    let expect = |told: Vec<String>, parts: &[&str]| {
        assert_eq!(told.len(), parts.len(), "{told:#?}");
        for part in parts {
            assert!(told.iter().any(|line| line.contains(part)), "{part} in {told:#?}");
        }
    };
    expect(log(1).await, &["signing keys changed", "signing keys are current"]);
    expect(log(60).await, &[]);
    provider.away.store(true, Ordering::SeqCst);
    expect(log(60).await, &["introspection gives no answer", "the last good ones stay in use"]);
    expect(log(120).await, &[]);
    expect(log(120).await, &["introspection has given no answer for longer", "no usable signing keys"]);
    provider.away.store(false, Ordering::SeqCst);
    expect(log(5).await, &["introspection answers again", "signing keys are current"]);
    expect(log(60).await, &[]);
}
