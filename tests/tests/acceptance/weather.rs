//! A stage for bad days: three providers, one for each introspection mode, a sidecar that believes all, and one server.
//!
//! Owns one stage a version, lent to one test at a time and mended before it is lent. Must never be used by two at
//! once.

use std::sync::LazyLock;

use anyhow::Result;
use octroi::proto::gate_client::GateClient;
use octroi_psc::Psc;
use octroi_tests::dovecot::{Dovecot, Version};
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::grpc::{bearer, channel};
use crate::stage::{UN, dovecot, provider};

pub(crate) struct Weather {
    /// Issuer whose tokens are never asked about.
    pub(crate) off: Psc,
    /// Issuer that is asked, if it answers.
    pub(crate) preferred: Psc,
    /// Issuer without whose answer nothing is decided.
    pub(crate) required: Psc,
    pub(crate) sidecar: Sidecar,
    pub(crate) server: Dovecot,
}

impl Weather {
    fn start(version: Version) -> Result<Self> {
        let off = provider(Psc::start())?;
        let operator = off.operator().clone();
        let preferred = provider(Psc::builder().operator(operator.clone()).start())?;
        let required = provider(Psc::builder().operator(operator.clone()).start())?;
        let issuer = |psc: &Psc, mode: &str| {
            let (issuer, domain, id) = (psc.issuer(), octroi_psc::MAILBOX_DOMAIN, &operator.id);
            format!(
                "[[issuer]]\nissuer = \"{issuer}\"\nmailbox_domains = [\"{domain}\"]\nintrospection = \"{mode}\"\n\
                 client_id = \"{id}\"\nclient_secret_file = \"client.secret\"\n\n"
            )
        };
        let more = issuer(&preferred, "preferred") + &issuer(&required, "required");
        let sidecar = Sidecar::start(&off, &Settings { more, ..Settings::default() })?;
        let server = dovecot(version, &sidecar, &[])?;
        Ok(Self { off, preferred, required, sidecar, server })
    }

    /// Everything up, for this test alone.
    pub(crate) async fn fair(version: Version) -> Result<MutexGuard<'static, Self>> {
        static V2_3: LazyLock<Mutex<Weather>> = LazyLock::new(|| Weather::start(Version::V2_3).unwrap().into());
        static V2_4: LazyLock<Mutex<Weather>> = LazyLock::new(|| Weather::start(Version::V2_4).unwrap().into());
        let stage = match version {
            Version::V2_3 => &V2_3,
            Version::V2_4 => &V2_4,
        };
        let mut weather = stage.lock().await;
        weather.providers_come_back()?;
        if weather.sidecar.pid().is_none() {
            weather.sidecar.resume()?;
        }
        weather.has_written().await?;
        Ok(weather)
    }

    /// Until the trail holds a decision that is made now: with it all those before, so that none of another test's
    /// comes later.
    async fn has_written(&self) -> Result<()> {
        let mut client = GateClient::new(channel(&self.sidecar, "gate.sock").await?);
        let reply = client.authenticate(bearer("no-token", UN)).await?.into_inner();
        let made = |record: &Value| record["decision"] == reply.decision_id.as_str();
        self.sidecar.recorded(0, |records| records.iter().any(made)).await.map(drop)
    }

    pub(crate) fn providers_go_away(&mut self) {
        provider(async {
            self.off.stop().await;
            self.preferred.stop().await;
            self.required.stop().await;
        });
    }

    pub(crate) fn providers_come_back(&mut self) -> Result<()> {
        provider(async {
            self.off.resume().await?;
            self.preferred.resume().await?;
            self.required.resume().await
        })
    }
}
