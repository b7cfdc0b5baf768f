//! Asking the issuer whether a token is still good (RFC 7662). The answer is read strictly: what is not exactly an
//! answer is an outage, never a yes and never a no.

mod answer;
mod client;

use std::time::Duration;

use url::Url;

pub use answer::{Active, Introspected};
pub use client::ClientAuthentication;

use super::keys::Discovery;
use crate::clock::UnixSeconds;
use crate::http::HttpClient;
use client::Client;

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
    /// One question, from the first byte to the last.
    ///
    /// # Defaults
    /// 1.5 s: below what Dovecot waits.
    pub deadline: Duration,
}

impl IntrospectionSettings {
    /// The defaults, for an issuer.
    #[must_use]
    pub fn new(issuer: impl Into<String>, endpoint: Endpoint, client: ClientAuthentication) -> Self {
        Self { issuer: issuer.into(), endpoint, client, deadline: Duration::from_millis(1500) }
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

/// The introspection of one issuer.
#[derive(Debug)]
pub struct Introspection {
    client: Client,
}

impl Introspection {
    /// Asks nothing yet.
    #[must_use]
    pub const fn new(settings: IntrospectionSettings, http: HttpClient) -> Self {
        Self { client: Client { settings, http } }
    }

    /// Asks.
    pub async fn ask(&self, question: Question<'_>) -> Introspected {
        self.client.ask(question.token).await.unwrap_or(Introspected::Unavailable)
    }
}
