//! A gate with everything at hand: the embedded policy, keys from a file, the directory in memory, a real audit file.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use octroi::audit::Audit;
use octroi::clock::{Clock, UnixSeconds};
use octroi::evidence::directory::{Directory, IdNat, Mailbox, MailboxAddress, MailboxKind, Person, Snapshot};
use octroi::evidence::keys::{KeySettings, KeySource, Keys, Lookup, VerifyingKey};
use octroi::gate::{Gate, Issuer, Parts as GateParts};
use octroi::http::{HttpClient, HttpSettings};
use octroi::policy::{EMBEDDED, Engine, Limits, Release};
use octroi::pseudonym::Pseudonyms;
use octroi::rails::Rails;

use crate::credentials::{AUDIENCE, Credentials, ISSUER, MAILBOX};

/// The gate and what it is made of.
pub(super) struct Parts {
    gate: Gate,
    prepared: Vec<u8>,
    key: Arc<VerifyingKey>,
    directory: Directory,
    clock: Clock,
}

impl Parts {
    /// Builds it.
    ///
    /// # Errors
    /// A part does not come to be.
    pub(super) async fn new(folder: &Path, credentials: &Credentials) -> anyhow::Result<Self> {
        let settings = serde_json::json!({
            "issuers": [{"issuer": ISSUER, "introspection": "off"}],
            "audience": [AUDIENCE],
        })
        .to_string();
        let prepared = octroi_rules::configure(&settings).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let file = folder.join("decision-jwks.json");
        std::fs::write(&file, credentials.jwks()?)?;
        let http = HttpClient::new(&HttpSettings::default())?;
        let keys = Keys::start(KeySettings::new(ISSUER), KeySource::File(file), http);
        keys.tried().await;
        let Lookup::Found(key) = keys.lookup(Some("bench-1"), jsonwebtoken::Algorithm::RS256) else {
            anyhow::bail!("the key is not found");
        };
        let (directory, clock) = (directory()?, Clock::system());
        let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let gate = Gate::new(GateParts {
            release: Release::load(&engine, EMBEDDED, &settings).context("the policy")?,
            issuers: vec![Issuer {
                name: ISSUER.into(),
                mailbox_domains: vec![octroi_psc::MAILBOX_DOMAIN.to_owned()],
                keys,
                introspection: None,
            }],
            directory: directory.clone(),
            rails: Rails { leeway: 5, session_max: 14_400 },
            audit: Audit::open(
                &folder.join("decision-audit.jsonl"),
                Pseudonyms::open(&folder.join("decision-state"))?,
            )?,
            clock: clock.clone(),
            max_in_flight: 256,
        });
        Ok(Self { gate, prepared, key, directory, clock })
    }

    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn prepared(&self) -> &[u8] {
        &self.prepared
    }

    pub(super) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }
}

/// One mailbox of one person.
fn directory() -> anyhow::Result<Directory> {
    let id = IdNat::parse(&octroi_psc::doctor_two().id_nat).map_err(anyhow::Error::msg)?;
    let directory = Directory::default();
    directory.publish(Snapshot::new(vec![Mailbox {
        address: MailboxAddress::parse(MAILBOX).map_err(anyhow::Error::msg)?,
        kind: MailboxKind::Per,
        persons: vec![Person { id, synonyms: Vec::new() }],
        aliases: Vec::new(),
    }]));
    Ok(directory)
}
