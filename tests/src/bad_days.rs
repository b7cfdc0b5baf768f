//! The provider's bad days as a mail client sees them, the same through every mail server: a provider for each
//! introspection mode, a sidecar that believes all three, and one fault after the other.
//!
//! Owns providers and sidecar. Must never know which server stands before the sidecar: that is the caller's [`Client`].

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Algorithm, Deviation, Endpoint, Fault, Psc, Said, doctor_one};
use tokio::time::{Instant, sleep};

use crate::sidecar::{Settings, Sidecar};

/// How a login ends, in words that the server was pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client is in.
    In,
    /// It reads that its token is bad.
    Refused,
    /// It reads that it may try again.
    Outage,
}

/// Doctor one's mail client, before one server.
#[allow(async_fn_in_trait, reason = "every caller is a test of this workspace, and none sends the future elsewhere")]
pub trait Client {
    /// Logs in with `token` on a connection of its own. An answer that is none of the pinned three is an error.
    async fn log_in(&self, token: &str) -> Result<Ended>;
}

/// Providers and sidecar.
pub struct BadDays {
    off: Psc,
    preferred: Psc,
    required: Psc,
    /// The sidecar.
    pub sidecar: Sidecar,
}

/// Least time between two fetches of keys: as short as an operator may have it.
const KEYS: &str = "[keys]\nrefetch_floor_seconds = 5\n\n";
/// How long what has to come back by itself may take.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

impl BadDays {
    /// Starts them. `more` follows the sidecar's configuration. Needs a runtime with a thread to spare: a start blocks.
    pub async fn start(more: &str) -> Result<Self> {
        let off = Psc::start().await?;
        let operator = off.operator().clone();
        let preferred = Psc::builder().operator(operator.clone()).start().await?;
        let required = Psc::builder().operator(operator.clone()).start().await?;
        let issuer = |psc: &Psc, mode: &str| {
            let (issuer, domain, id) = (psc.issuer(), octroi_psc::MAILBOX_DOMAIN, &operator.id);
            format!(
                "[[issuer]]\nissuer = \"{issuer}\"\nmailbox_domains = [\"{domain}\"]\nintrospection = \"{mode}\"\n\
                 client_id = \"{id}\"\nclient_secret_file = \"client.secret\"\n\n"
            )
        };
        let more = format!("{more}\n{KEYS}{}{}", issuer(&preferred, "preferred"), issuer(&required, "required"));
        let sidecar = tokio::task::block_in_place(|| Sidecar::start(&off, &Settings { more, ..Settings::default() }))?;
        Ok(Self { off, preferred, required, sidecar })
    }

    /// Lives through all of them, with one sidecar that is never started anew.
    pub async fn pass(&self, client: &impl Client) -> Result<()> {
        let process = self.sidecar.pid();
        self.introspection_fails(client).await?;
        self.every_token_is_called_inactive(client).await?;
        self.keys_can_not_be_read(client).await?;
        self.keys_change(client).await?;
        ensure!(process.is_some() && self.sidecar.pid() == process, "the sidecar was started anew");
        Ok(())
    }

    async fn expect(&self, client: &impl Client, expected: [Ended; 3]) -> Result<()> {
        for (psc, expected) in [&self.off, &self.preferred, &self.required].into_iter().zip(expected) {
            let ended = client.log_in(&psc.token(&doctor_one()).mint()).await?;
            ensure!(ended == expected, "{ended:?}, expected {expected:?}\n{}", self.sidecar.log());
        }
        Ok(())
    }

    async fn introspection_fails(&self, client: &impl Client) -> Result<()> {
        let asked = [&self.preferred, &self.required];
        for (name, fault) in faults() {
            asked.iter().for_each(|psc| psc.spoil(Endpoint::Introspect, fault.clone()));
            self.expect(client, [Ended::In, Ended::In, Ended::Outage]).await.context(name)?;
            asked.iter().for_each(|psc| psc.mend(Endpoint::Introspect));
            self.expect(client, [Ended::In; 3]).await.with_context(|| format!("after {name}"))?;
        }
        let held = asked.map(|psc| psc.hold(Endpoint::Introspect));
        self.expect(client, [Ended::In, Ended::In, Ended::Outage]).await.context("no answer")?;
        drop(held);
        self.expect(client, [Ended::In; 3]).await.context("after no answer")
    }

    async fn every_token_is_called_inactive(&self, client: &impl Client) -> Result<()> {
        let asked = [&self.preferred, &self.required];
        asked.iter().for_each(|psc| psc.say_of_all(Some(Said::Inactive)));
        self.expect(client, [Ended::In, Ended::Refused, Ended::Refused]).await.context("inactive")?;
        asked.iter().for_each(|psc| psc.say_of_all(None));
        self.expect(client, [Ended::In; 3]).await.context("active again")
    }

    async fn keys_can_not_be_read(&self, client: &impl Client) -> Result<()> {
        for (name, fault) in faults() {
            self.off.spoil(Endpoint::Certs, fault);
            self.a_fetch_ends(client).await.context(name)?;
            self.expect(client, [Ended::In; 3]).await.context(name)?;
            self.off.mend(Endpoint::Certs);
        }
        let held = self.off.hold(Endpoint::Certs);
        self.a_fetch_ends(client).await.context("no answer")?;
        self.expect(client, [Ended::In; 3]).await.context("no answer")?;
        drop(held);
        Ok(())
    }

    /// Has the keys of `off` read once more, by a token whose key nobody has. It is an outage as long as they can't be.
    async fn a_fetch_ends(&self, client: &impl Client) -> Result<()> {
        let (before, begun) = (self.off.calls(Endpoint::Certs), Instant::now());
        while self.off.calls(Endpoint::Certs) == before {
            let token = self.off.token(&doctor_one()).deviate(Deviation::UnknownKid)?.mint();
            let ended = client.log_in(&token).await?;
            ensure!(ended == Ended::Outage, "{ended:?} for a key that may exist");
            ensure!(begun.elapsed() < PATIENCE, "keys are not read");
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn keys_change(&self, client: &impl Client) -> Result<()> {
        let old = self.off.keys().signing();
        let before = self.off.token(&doctor_one()).mint();
        self.off.keys().rotate("next", Algorithm::Es256)?;
        // A token of the new key waits for the keys to be read, and is never called bad.
        self.until(client, Ended::In, Ended::Outage, || Ok(self.off.token(&doctor_one()).mint())).await?;
        ensure!(client.log_in(&before).await? == Ended::In, "the old key is still published");
        self.off.keys().withdraw(old.kid());
        let read = self.off.calls(Endpoint::Certs);
        self.until(client, Ended::Refused, Ended::Outage, || {
            Ok(self.off.token(&doctor_one()).deviate(Deviation::UnknownKid)?.mint())
        })
        .await?;
        ensure!(self.off.calls(Endpoint::Certs) > read, "refused without a look");
        let removed = || Ok(self.off.token(&doctor_one()).signed_by(&old).mint());
        self.until(client, Ended::Refused, Ended::Outage, removed).await?;
        self.expect(client, [Ended::In; 3]).await
    }

    /// Logs in until it ends as `last`; `meanwhile` is the only other end there may be.
    async fn until(
        &self,
        client: &impl Client,
        last: Ended,
        meanwhile: Ended,
        token: impl Fn() -> Result<String>,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ended = client.log_in(&token()?).await?;
            if ended == last {
                return Ok(());
            }
            ensure!(ended == meanwhile && begun.elapsed() < PATIENCE, "{ended:?}, expected {last:?}");
            sleep(PAUSE).await;
        }
    }
}

/// What can come in the place of an answer.
fn faults() -> [(&'static str, Fault); 4] {
    let body = "<html><title>Maintenance</title></html>".into();
    let half = Fault::Body { content_type: "application/json", body: "{\"keys\":[{\"kty\":".into() };
    [
        ("status 500", Fault::Status(500)),
        ("HTML", Fault::Body { content_type: "text/html", body }),
        ("half a document", half),
        ("a reset", Fault::Reset),
    ]
}
