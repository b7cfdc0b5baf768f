//! The whole chain, one for each test: none is shared, so that any of it may be stopped.

use anyhow::Result;
use octroi_psc::{Deviation, Identity, Psc};
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::sidecar::{Settings, Sidecar};

pub(crate) const UN: &str = "docteur.un@bal.example.test";
pub(crate) const DEUX: &str = "docteur.deux@bal.example.test";
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";

pub(crate) struct Stage {
    pub(crate) psc: Psc,
    pub(crate) sidecar: Sidecar,
    pub(crate) server: Dovecot,
}

impl Stage {
    /// With this introspection mode.
    pub(crate) async fn start(version: Version, introspection: &'static str) -> Result<Self> {
        let psc = Psc::start_tls().await?;
        let sidecar = Sidecar::start(&psc, &Settings { introspection, ..Settings::default() })?;
        let mailboxes = [UN, DEUX, SECRETARIAT];
        let server = Dovecot::start(&Setup::new(version, sidecar.introspection(), sidecar.policy(), &mailboxes))?;
        Ok(Self { psc, sidecar, server })
    }

    pub(crate) fn token(&self, identity: &Identity) -> String {
        self.psc.token(identity).mint()
    }

    pub(crate) fn deviant(&self, identity: &Identity, deviation: Deviation) -> Result<String> {
        Ok(self.psc.token(identity).deviate(deviation)?.mint())
    }
}
