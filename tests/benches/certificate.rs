//! A login by client certificate: what the decision costs within the process, and what it adds to Dovecot's question
//! over HTTP, from end to end.
//!
//! Over HTTP an allow is held against a `report` at the same door, which is answered without looking. An allow is also
//! written down before it is answered: a refusal, which is judged alike and not written, stands beside it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi::audit::Audit;
use octroi::clock::Clock;
use octroi::evidence::certificate::enrolled::{Enrolment, Set};
use octroi::evidence::certificate::{
    Certificates, Chain, ChainKind, Chains, DovecotFiles, RevocationSettings, Revocations, Shown, StructureId,
};
use octroi::evidence::directory::{Directory, Mailbox, MailboxAddress, MailboxKind, Snapshot};
use octroi::evidence::signatures::Signatures;
use octroi::evidence::trust_space::TrustSpace;
use octroi::gate::{CertificateAttempt, CertificateOutcome, Door, Gate, Parts, Protocol};
use octroi::http::{HttpClient, HttpSettings};
use octroi::policy::{EMBEDDED, Engine, Limits, Release};
use octroi::pseudonym::Pseudonyms;
use octroi::rails::Rails;
use octroi::store::{StoredCertificate, StoredCertificates};
use octroi::throttle::Throttle;
use octroi_igc::{DAY, Igc, Leaf, Names};
use octroi_tests::web::Pages;

use crate::bench::Bench;
use crate::contest::{self, Asked, Contender, ROUNDS};
use crate::cpu;
use crate::credentials::{Credentials, ISSUER};
use crate::figure::{Figure, Goal, Spread};
use crate::load::Sample;
use crate::sidecar::{self, Sidecar};

const GATE: &str = "certificate-decision-gate";
const DOOR: &str = "certificate-decision";
const REFUSED: &str = "certificate-decision-refused";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[GATE, DOOR, REFUSED];

/// Decisions a round within the process.
const BATCH: u32 = 1000;

const STRUCTURE: &str = "499700367909006";
const LISTEN: &str = "192.0.2.10";
/// Where the authorities' revocation lists are.
const BELOW: &str = "/below.crl";
const ROOT: &str = "/root.crl";
/// A mailbox of the structure, and one that no structure opens.
const MAILBOX: &str = "accueil@bal.example.test";
const CLOSED: &str = "secretariat@bal.example.test";

/// Measures.
///
/// # Errors
/// A part does not come to be, or a good certificate opens nothing, or opens what it may not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let igc = Igc::new(Names::Production)?;
    let leaf = igc.organisation(&[STRUCTURE], "CABINET", "DRIMbox")?;
    let (lists, this, next) = (Pages::serve()?, igc.now() - DAY, igc.now() + 30 * DAY);
    lists.put(BELOW, igc.organisations().crl(1, this, next)?.der);
    lists.put(ROOT, igc.root().crl(1, this, next)?.der);
    let gate = gate(bench, &igc, &leaf, &lists).await?;
    anyhow::ensure!(!opens(&gate, CLOSED)?, "a certificate opens a mailbox that is not its structure's");
    let mut costs = Vec::with_capacity(ROUNDS);
    bench.progress().set_message("CPU of one thread");
    for round in 0..=ROUNDS {
        let cost = batch(&gate)?;
        if round > 0 {
            costs.push(cost);
        }
    }
    let spread = Spread::of(costs).context("no rounds")?;
    let decision = Figure::alone(GATE, "us CPU", spread, None);
    Ok([decision].into_iter().chain(door(bench, &igc, &leaf, &lists).await?).collect())
}

/// Microseconds of this thread's CPU for one of [`BATCH`] decisions.
fn batch(gate: &Gate) -> anyhow::Result<f64> {
    let begun = cpu::of_thread();
    for _ in 0..BATCH {
        anyhow::ensure!(opens(gate, MAILBOX)?, "a good certificate opens nothing");
    }
    Ok((cpu::of_thread() - begun).as_secs_f64() * 1e6 / f64::from(BATCH))
}

/// Asks the gate, with what Dovecot tells.
fn opens(gate: &Gate, mailbox: &str) -> anyhow::Result<bool> {
    let decision = gate.judge_certificate(&CertificateAttempt {
        shown: Shown::Structure { unit: STRUCTURE.to_owned(), listen: LISTEN.parse()? },
        mailbox: mailbox.to_owned(),
        protocol: Protocol::Imap,
        door: Door::DovecotPolicy,
        client: None,
    });
    match decision.outcome {
        CertificateOutcome::Allow(_) => Ok(true),
        CertificateOutcome::Deny(_) => Ok(false),
        CertificateOutcome::Unavailable(reason) => anyhow::bail!("no decision: {}", reason.code()),
    }
}

/// A gate with everything at hand: the embedded policy, one certificate, the lists of both its authorities, an audit
/// file.
async fn gate(bench: &Bench, igc: &Igc, leaf: &Leaf, lists: &Pages) -> anyhow::Result<Gate> {
    let folder = bench.folder().join("certificate");
    let domains = vec![octroi_psc::MAILBOX_DOMAIN.to_owned()];
    let files = [(PathBuf::from("bundle.pem"), igc.bundle().into_bytes())];
    let chain = Chain::new("igc", ChainKind::Production, domains, vec![LISTEN.parse()?], &files)?;
    let (chains, clock) = (Arc::new(Chains(vec![chain])), Clock::system());
    let settings = RevocationSettings {
        refresh: Duration::from_secs(3600),
        max_stale: Duration::ZERO,
        folder: folder.join("crl"),
        sources: [BELOW, ROOT].iter().map(|path| Ok((0, lists.url(path).parse()?))).collect::<anyhow::Result<_>>()?,
        // A Dovecot that is told of each list: else it is not known whether it looks at them.
        dovecot: Some(DovecotFiles {
            folder: folder.join("dovecot"),
            setting: "ssl_server_require_crl",
            reload: vec!["true".to_owned()],
        }),
    };
    let http = HttpClient::new(&HttpSettings::default())?;
    let revocations = Revocations::start(Arc::clone(&chains), settings, http, clock.clone());
    revocations.refresh().await;
    let enrolment = Enrolment::default();
    let stored = StoredCertificate { der: leaf.der.clone(), enrolled_at: clock.now(), withdrawn_at: None };
    enrolment.publish(Set::load(StoredCertificates { whole: vec![stored], damaged: Vec::new() }, &chains));
    let policy = serde_json::json!({"issuers": [{"issuer": ISSUER, "introspection": "off"}]}).to_string();
    let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let pseudonyms = Pseudonyms::open(&folder.join("state"))?;
    Ok(Gate::new(Parts {
        recorder: None,
        release: Release::load(&engine, EMBEDDED, &policy).context("the policy")?,
        issuers: Vec::new(),
        directory: directory()?,
        trust_space: TrustSpace::default(),
        certificates: Certificates { chains, enrolment, revocations: Some(revocations) },
        rails: Rails { leeway: 5, session_max: 14_400 },
        signatures: Signatures::new(0),
        throttle: Throttle::default(),
        audit: Audit::open(&folder.join("audit.jsonl"), pseudonyms)?,
        clock,
        max_in_flight: 256,
    }))
}

fn directory() -> anyhow::Result<Directory> {
    let mailbox = |address: &str, structures| -> anyhow::Result<Mailbox> {
        Ok(Mailbox {
            address: MailboxAddress::parse(address).map_err(anyhow::Error::msg)?,
            kind: MailboxKind::App,
            persons: Vec::new(),
            aliases: Vec::new(),
            structures,
            certificates: Arc::default(),
        })
    };
    let structure = StructureId::parse(STRUCTURE).map_err(anyhow::Error::msg)?;
    let directory = Directory::default();
    directory.publish(Snapshot::new(vec![mailbox(MAILBOX, vec![structure])?, mailbox(CLOSED, Vec::new())?]));
    Ok(directory)
}

/// The same over HTTP, with a sidecar of its own.
async fn door(bench: &Bench, igc: &Igc, leaf: &Leaf, lists: &Pages) -> anyhow::Result<[Figure; 2]> {
    let credentials = Credentials::generate()?;
    let bundle = bench.folder().join("certificate-authorities.pem");
    std::fs::write(&bundle, igc.bundle())?;
    let [below, root] = [BELOW, ROOT].map(|path| lists.url(path));
    let chain = format!(
        "[[chain]]\nname = \"igc\"\nca_files = [\"{}\"]\nmailbox_domains = [\"{}\"]\nimap_listen = [\"{LISTEN}\"]\n\
         crl_urls = [\"{below}\", \"{root}\"]\n[crl]\ndovecot_folder = \"dovecot\"\ndovecot_version = \"2.4\"\n\
         dovecot_reload = [\"true\"]\n",
        bundle.display(),
        octroi_psc::MAILBOX_DOMAIN,
    );
    let options = sidecar::Options { more: Some(chain), ..sidecar::Options::SHIPPED };
    let sidecar = sidecar::start(bench, &credentials, &options).await?;
    enrol(bench, &sidecar, leaf)?;

    let allowed = |body: &[u8]| body.starts_with(br#"{"status":0,"#);
    let asked = |command, mailbox, expect| Asked::Http(vec![request(command, mailbox)], expect);
    let allow = Contender { server: sidecar.http(), asked: asked("allow", MAILBOX, allowed) };
    let refuse = Contender {
        server: sidecar.http(),
        asked: asked("allow", CLOSED, |body| body.starts_with(br#"{"status":-1,"#)),
    };
    let report = Contender { server: sidecar.http(), asked: asked("report", MAILBOX, allowed) };
    let [allow, refuse, report] = contest::alternate(bench.progress(), [&allow, &refuse, &report]).await?;
    let goal = Some(Goal::ValueAtMost(20.0));
    Ok([more(DOOR, &allow, &report, goal)?, more(REFUSED, &refuse, &report, None)?])
}

/// Server CPU that a login takes beyond an answer without looking.
fn more(id: &str, ours: &[Sample], report: &[Sample], goal: Option<Goal>) -> anyhow::Result<Figure> {
    let more = ours.iter().zip(report).map(|(ours, report)| ours.cpu - report.cpu);
    let mut figure = Figure::alone(id, "us CPU more/login", Spread::of(more).context("no rounds")?, goal);
    figure.against = Some("a report at the same door".to_owned());
    Ok(figure)
}

/// Enrols the certificate, gives its structure a mailbox, and has the lists fetched.
fn enrol(bench: &Bench, sidecar: &Sidecar, leaf: &Leaf) -> anyhow::Result<()> {
    let [certificate, csv] = ["certificate.pem", "certificate.csv"].map(|name| bench.folder().join(name));
    std::fs::write(&certificate, &leaf.certificate_pem)?;
    let mut mailboxes =
        octroi_psc::directory_csv().replace('\n', ",,\n").replacen(",,\n", ",structures,certificates\n", 1);
    mailboxes.push_str(&format!("{MAILBOX},APP,,,{STRUCTURE},\n"));
    std::fs::write(&csv, mailboxes)?;
    let [certificate, csv] = [&certificate, &csv].map(|path| path.to_str().context("a folder in ASCII"));
    for arguments in
        [&["mailbox", "import", csv?][..], &["certificate", "import", certificate?], &["certificate", "crl", "fetch"]]
    {
        let output =
            Command::new(bench.octroi()?).args(arguments).arg("--config").arg(sidecar.configuration()).output()?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// What Dovecot asks of its policy server.
fn request(command: &str, mailbox: &str) -> Vec<u8> {
    let basic = STANDARD.encode(format!("policy:{}", sidecar::POLICY_SECRET));
    let body = serde_json::json!({
        "user": mailbox, "login": mailbox, "mech": "EXTERNAL", "handle": "", "master_user": STRUCTURE,
        "auth_user": STRUCTURE, "cert": "valid", "cert_id": STRUCTURE, "real_lip": LISTEN, "remote": "192.0.2.7",
        "session_id": "J6rXq8QtXsDAAAIH", "success": true, "policy_reject": false,
    })
    .to_string();
    format!(
        "POST /policy?command={command} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
