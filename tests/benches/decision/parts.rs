//! Gates with everything at hand: the embedded policy, keys from a file, the directory in memory, a real audit file.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use octroi::audit::Audit;
use octroi::clock::{Clock, UnixSeconds};
use octroi::evidence::certificate::Certificates;
use octroi::evidence::directory::{Directory, IdNat, Mailbox, MailboxAddress, MailboxKind, Person, Snapshot};
use octroi::evidence::keys::{KeySettings, KeySource, Keys, Lookup, VerifyingKey};
use octroi::evidence::signatures::Signatures;
use octroi::evidence::trust_space::TrustSpace;
use octroi::gate::{Gate, Issuer, Parts as GateParts};
use octroi::http::{HttpClient, HttpSettings};
use octroi::policy::{EMBEDDED, Engine, Limits, Release};
use octroi::pseudonym::Pseudonyms;
use octroi::rails::Rails;
use octroi::throttle::Throttle;

use crate::credentials::{AUDIENCE, Credentials, ISSUER, MAILBOX};

/// The gates and what they are made of.
pub(super) struct Parts {
    gate: Gate,
    remembering: Gate,
    refusing: Release,
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
        let gate = |signatures: usize| -> anyhow::Result<Gate> {
            let audit = folder.join(format!("decision-{signatures}-audit.jsonl"));
            Ok(Gate::new(GateParts {
                recorder: None,
                release: Release::load(&engine, EMBEDDED, &settings).context("the policy")?,
                issuers: vec![Issuer {
                    name: ISSUER.into(),
                    mailbox_domains: vec![octroi_psc::MAILBOX_DOMAIN.to_owned()],
                    keys: keys.clone(),
                    introspection: None,
                }],
                directory: directory.clone(),
                trust_space: TrustSpace::default(),
                certificates: Certificates::default(),
                rails: Rails { leeway: 5, session_max: 14_400 },
                signatures: Signatures::new(signatures),
                throttle: Throttle::default(),
                audit: Audit::open(&audit, Pseudonyms::open(&folder.join("decision-state"))?)?,
                clock: clock.clone(),
                max_in_flight: 256,
            }))
        };
        let (gate, remembering) = (gate(0)?, gate(16_384)?);
        let refusing = Release::load(&engine, refusing()?, &settings).context("the guest that refuses")?;
        Ok(Self { gate, remembering, refusing, prepared, key, directory, clock })
    }

    /// The gate for which every token is new: it verifies each signature each time.
    pub(super) const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The gate as it is shipped.
    pub(super) const fn remembering(&self) -> &Gate {
        &self.remembering
    }

    /// A policy that refuses at once.
    pub(super) const fn refusing(&self) -> &Release {
        &self.refusing
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

/// The guest that reads nothing of what it is shown.
fn refusing() -> anyhow::Result<&'static [u8]> {
    let guest = built::GUESTS.iter().find(|(name, _)| *name == "refuse");
    guest.map(|(_, wasm)| *wasm).context("no guest refuses")
}

#[allow(unreachable_pub, dead_code, reason = "written by the build script, for any place")]
mod built {
    include!(concat!(env!("OUT_DIR"), "/guests.rs"));
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
        structures: Vec::new(),
        certificates: Arc::default(),
    }]));
    Ok(directory)
}
