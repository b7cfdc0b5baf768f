//! What must stand nowhere: plants tokens, secrets and identifiers, lets everything run, then searches every byte that
//! was written.
//!
//! Must never search less than is there: files are found by walking the folders, not by a list.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use octroi::proto::IssueProbeRequest;
use octroi::proto::gate_client::GateClient;
use octroi::proto::probe_client::ProbeClient;
use octroi_psc::{Deviation, Said, doctor_one, doctor_two, secretary, vendor};
use octroi_tests::dovecot::{Dovecot, PASSWORD, Version};
use octroi_tests::logins::{self, FORMS, Refusal};
use octroi_tests::sidecar::{INTROSPECTION_SECRET, POLICY_SECRET, Settings};
use octroi_tests::written;
use serde_json::{Value, json};

use crate::door::{authorization, introspect, last_word, post};
use crate::grpc::{bearer, channel};
use crate::stage::{DEUX, SECRETARIAT, Stage, UN, dovecot};

const CANARY: &str = "canari@bal.example.test";
const NON_MEMBER: &str = "intrus@bal.example.test";

/// What a Dovecot must hold.
const DOORS: [&str; 4] =
    ["the introspection secret", "the introspection credentials", "the policy secret", "the policy credentials"];

/// What is searched for, by name: the name may be shown.
#[derive(Default)]
struct Planted {
    /// Never anywhere.
    secrets: Vec<(String, String)>,
    /// In the directory alone.
    identities: Vec<(String, String)>,
}

impl Planted {
    fn secret(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 12, "{name} could be found by chance");
        self.secrets.push((name.to_owned(), secret.to_owned()));
        self.secrets.push((format!("{name} in base64"), STANDARD.encode(secret)));
    }

    /// A token, its parts, the messages that carry it, and what only its claims say.
    fn token(&mut self, name: &str, token: &str) {
        let mut parts = token.split('.').skip(1).filter(|part| part.len() >= 12);
        for (number, part) in parts.by_ref().enumerate() {
            self.secret(&format!("part {} of {name}", number + 2), part);
        }
        self.secret(name, token);
        for mailbox in [UN, DEUX, SECRETARIAT, CANARY] {
            self.secret(&format!("{name} in XOAUTH2"), &format!("user={mailbox}\x01auth=Bearer {token}\x01\x01"));
        }
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        for (claim, value) in claims.as_object().into_iter().flatten() {
            if let (false, Some(value)) = (matches!(claim.as_str(), "iss" | "scope"), value.as_str())
                && value.len() >= 12
            {
                self.identities.push((format!("{claim} of {name}"), value.to_owned()));
            }
        }
    }

    /// The names of what stands in these bytes.
    fn found_in(&self, bytes: &[u8], directory: bool) -> BTreeSet<String> {
        let text = String::from_utf8_lossy(bytes);
        let identities = self.identities.iter().filter(|_| !directory);
        let all = self.secrets.iter().chain(identities);
        all.filter(|(_, needle)| text.contains(needle.as_str())).map(|(name, _)| name.clone()).collect()
    }
}

async fn a_busy_day(stage: &Stage, servers: &[Dovecot], planted: &mut Planted) -> Result<()> {
    let good = stage.psc.token(&doctor_one()).mint();
    let slash = stage.psc.token(&secretary()).mint();
    let nobody = stage.psc.token(&vendor()).mint();
    let inactive = stage.psc.token(&doctor_two()).mint();
    stage.psc.say(&inactive, Said::Inactive);
    for (name, token) in [
        ("a good token", &good),
        ("the secretary's", &slash),
        ("the vendor's", &nobody),
        ("an inactive one", &inactive),
    ] {
        planted.token(name, token);
    }
    let mut bad = Vec::new();
    for deviation in Deviation::all() {
        let token = stage.psc.token(&doctor_one()).deviate(*deviation)?.mint();
        if !token.contains(['\n', '+']) {
            planted.token(&deviation.name(), &token);
            bad.push((*deviation, token));
        }
    }
    let mut client = GateClient::new(channel(&stage.sidecar, "gate.sock").await?);
    for (deviation, token) in &bad {
        introspect(&stage.sidecar.introspection(), token).await.with_context(|| deviation.name())?;
        // Either answer may come.
        let _ = client.authenticate(bearer(token, UN)).await;
    }
    // A token where a name, a mechanism, a handle belongs.
    let misplaced = json!({"user": good, "mech": good, "handle": good, "session_id": good, "remote": good});
    last_word(&stage.sidecar.policy(), &misplaced).await?;
    let lines = authorization(&good, &good) + &format!("X-Dovecot-Auth-Remote: {good}\r\n");
    post(stage.sidecar.introspection().port, &format!("/introspect?token={good}"), &lines, &good).await?;
    let _ = client.authenticate(bearer(&good, &good)).await;
    for server in servers {
        logins::opens(server, UN, &good).await?;
        logins::opens(server, SECRETARIAT, &slash).await?;
        logins::opens_in(
            server,
            logins::Form { mechanism: octroi_tests::imap::Mechanism::Plain, ..FORMS[0] },
            UN,
            PASSWORD,
        )
        .await?;
        logins::refuses(server, DEUX, &good, Refusal::NotAMember).await?;
        logins::refuses(server, DEUX, &inactive, Refusal::Denied).await?;
        logins::refuses(server, UN, &nobody, Refusal::Denied).await?;
        for (deviation, token) in bad.iter().filter(|(deviation, _)| MAILED.contains(deviation)) {
            logins::never_opens(server, UN, token).await.with_context(|| deviation.name())?;
        }
        let reply = ProbeClient::new(channel(&stage.sidecar, "admin.sock").await?).issue(IssueProbeRequest {}).await?;
        let probe = reply.into_inner().token;
        planted.token("a probe token", &probe);
        logins::opens_in(server, FORMS[0], CANARY, &probe).await?;
        let (imap, reply) = logins::attempt(server, FORMS[0], NON_MEMBER, &probe).await?;
        ensure!(!reply.accepted(), "{}", imap.transcript());
    }
    Ok(())
}

/// Those that go through the real servers too.
const MAILED: [Deviation; 5] = [
    Deviation::Expired,
    Deviation::OtherIssuer,
    Deviation::BadSignature,
    Deviation::AlgNone,
    Deviation::Hs256WithPublicKey,
];

#[tokio::test]
async fn no_token_no_secret_and_no_identity_is_ever_written() -> Result<()> {
    let more = format!("[check]\ncanary = \"{CANARY}\"\nnon_member = \"{NON_MEMBER}\"\n");
    let stage = Stage::start(&Settings { introspection: "required", more, ..Settings::default() })?;
    let mut servers = Vec::new();
    for version in [Version::V2_3, Version::V2_4] {
        servers.push(dovecot(version, &stage.sidecar, &[CANARY, NON_MEMBER])?);
    }
    let mut planted = Planted::default();
    planted.secret("the introspection secret", INTROSPECTION_SECRET);
    planted.secret("the policy secret", POLICY_SECRET);
    planted.secret("the client secret", stage.psc.operator_secret());
    planted.secret("the introspection credentials", &format!("introspection:{INTROSPECTION_SECRET}"));
    planted.secret("the policy credentials", &format!("policy:{POLICY_SECRET}"));
    planted.secret("the client credentials", &format!("{}:{}", stage.psc.operator().id, stage.psc.operator_secret()));
    for identity in octroi_psc::identities() {
        planted.identities.push((format!("idNat of {}", identity.family_name), identity.id_nat));
    }
    planted.identities.push(("synonym of DEUX".to_owned(), "0759900022".to_owned()));
    a_busy_day(&stage, &servers, &mut planted).await?;

    let mut leaks = Vec::new();
    let mut looked_at = BTreeSet::new();
    for (name, bytes) in written::below(stage.sidecar.folder())? {
        if name == "octroi.toml" || name.ends_with(".secret") {
            continue;
        }
        let directory = name == "directory.csv" || name.starts_with("state/store");
        for found in planted.found_in(&bytes, directory) {
            leaks.push(format!("{found} in {name}"));
        }
        looked_at.insert(name);
    }
    for server in &servers {
        for (name, bytes) in written::below(server.folder())? {
            // Its configuration, and what 2.4 compiles of it, hold the secrets of the doors, closed to others.
            let configuration = name.starts_with("etc/") || name == "run/dovecot.conf.binary";
            let mut found = planted.found_in(&bytes, false);
            if configuration && fs::metadata(server.folder().join(&name))?.permissions().mode() & 0o007 == 0 {
                found.retain(|name| !DOORS.contains(&name.as_str()));
            }
            for found in found {
                leaks.push(format!("{found} in {:?} {name}", server.version()));
            }
            looked_at.insert(name);
        }
    }
    let pid = stage.sidecar.pid().context("it is gone")?;
    for file in ["cmdline", "environ"] {
        for found in planted.found_in(&fs::read(format!("/proc/{pid}/{file}"))?, false) {
            leaks.push(format!("{found} in {file}"));
        }
    }
    for words in [&["status"][..], &["mailbox", "list"]] {
        let output = stage.sidecar.run(words)?;
        ensure!(output.status.success(), "{output:?}");
        for found in planted.found_in(&[output.stdout, output.stderr].concat(), false) {
            leaks.push(format!("{found} in octroi {words:?}"));
        }
    }
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
    for name in ["octroi.log", "state/audit.jsonl", "dovecot.log"] {
        ensure!(looked_at.contains(name), "{name} was not looked at: {looked_at:?}");
    }
    controls(&stage, &planted)
}

/// The search does find what is there.
fn controls(stage: &Stage, planted: &Planted) -> Result<()> {
    let folder = stage.sidecar.folder();
    let found = planted.found_in(&fs::read(folder.join("introspection.secret"))?, false);
    ensure!(found.contains("the introspection secret"), "{found:?}");
    let mut found = BTreeSet::new();
    for (name, bytes) in written::below(&folder.join("state"))? {
        if name.starts_with("store") {
            found.extend(planted.found_in(&bytes, false));
        }
    }
    ensure!(
        found.contains("idNat of UN") && found.contains("synonym of DEUX"),
        "the store holds the directory: {found:?}"
    );
    ensure!(stage.sidecar.trail().lines().count() > 100, "{}", stage.sidecar.trail());
    Ok(())
}
