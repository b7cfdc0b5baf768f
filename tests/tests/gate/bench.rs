//! A gate with the stand-in provider's keys, its people's mailboxes and a chosen policy.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octroi::audit::Audit;
use octroi::clock::{Clock, UnixSeconds};
use octroi::evidence::certificate::Certificates;
use octroi::evidence::directory::{Directory, IdNat, Mailbox, MailboxAddress, MailboxKind, Person, Snapshot};
use octroi::evidence::introspection::{ClientAuthentication, Endpoint, Introspection, IntrospectionSettings};
use octroi::evidence::keys::{KeySettings, KeySource, Keys};
use octroi::evidence::signatures::Signatures;
use octroi::evidence::trust_space::TrustSpace;
use octroi::gate::{Attempt, Credentials, Decision, Door, Gate, Issuer, Outcome, Parts, Protocol};
use octroi::http::{HttpClient, HttpSettings};
use octroi::policy::{EMBEDDED, Engine, Limits, Release};
use octroi::pseudonym::Pseudonyms;
use octroi::rails::Rails;
use octroi::secret::{Secret, Token};
use octroi::throttle::{Allowance, Throttle};
use octroi_psc::{Endpoint as PscEndpoint, Psc};

pub(crate) const UN: &str = "docteur.un@bal.example.test";
pub(crate) const DEUX: &str = "docteur.deux@bal.example.test";
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";

/// A second issuer that the policy knows, whose keys are not the stand-in's.
pub(crate) const OTHER_ISSUER: &str = "https://other.example.test/realm";

/// What a bench is made with.
pub(crate) struct Setup {
    pub(crate) wasm: &'static [u8],
    /// `off`, `preferred`, `required`.
    pub(crate) mode: &'static str,
    pub(crate) allowance: Allowance,
    /// How long mode `preferred` may do without answers.
    pub(crate) max_degraded: Duration,
    /// The policy's settings of submission, as JSON.
    pub(crate) submission: &'static str,
    pub(crate) certificates: Certificates,
    /// The gate's, and the moment at which the stand-in stands. `None`: one of its own that stands at this moment.
    pub(crate) clock: Option<Clock>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            wasm: EMBEDDED,
            mode: "off",
            allowance: Allowance::default(),
            max_degraded: Duration::from_secs(4 * 3600),
            submission: "{}",
            certificates: Certificates::default(),
            clock: None,
        }
    }
}

/// The address from which attempts come that say nothing else.
pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The stand-in, and a gate that believes it.
pub(crate) struct Bench {
    pub(crate) psc: Psc,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Clock,
    pub(crate) directory: Directory,
    pub(crate) trail: Trail,
    pub(crate) trust_space: TrustSpace,
}

impl Bench {
    /// With this policy and this introspection mode (`off`, `preferred`, `required`).
    pub(crate) async fn new(wasm: &'static [u8], mode: &'static str) -> Self {
        Self::with(Setup { wasm, mode, ..Setup::default() }).await
    }

    /// The same with more of it settled.
    pub(crate) async fn with(setup: Setup) -> Self {
        let Setup { wasm, mode, allowance, max_degraded, submission, certificates, clock } = setup;
        // Neither moves unless a test moves it: a token minted late in a slow test is no token from the future.
        let now = clock.as_ref().map_or_else(|| octroi_psc::Clock::system().now(), |clock| clock.now().0);
        let clock = clock.unwrap_or_else(|| Clock::manual(UnixSeconds(now)));
        let psc = Psc::builder().clock(octroi_psc::Clock::standing_at(now)).start().await.unwrap();
        let other = Psc::start().await.unwrap();
        let http = HttpClient::new(&HttpSettings::default()).unwrap();
        let settings = settings(&psc, mode, submission);
        let release = Release::load(&Engine::new(Limits::default()).unwrap(), wasm, &settings).unwrap();
        let trail = Trail::default();
        let trust_space = TrustSpace::default();
        let directory = directory();
        let gate = Gate::new(Parts {
            release,
            issuers: vec![
                issuer(psc.issuer(), &psc, &http, (mode != "off").then(|| introspection(&psc, &http, max_degraded)))
                    .await,
                issuer(OTHER_ISSUER, &other, &http, None).await,
            ],
            directory: directory.clone(),
            trust_space: trust_space.clone(),
            certificates,
            rails: Rails { leeway: 5, session_max: 4 * 3600 },
            signatures: Signatures::new(1000),
            throttle: Throttle::new(&allowance),
            audit: Audit::to(trail.clone(), Pseudonyms::from_key(b"tests")).unwrap(),
            recorder: None,
            clock: clock.clone(),
            max_in_flight: 64,
        });
        let gate = Arc::new(gate);
        Self { psc, gate, clock, directory, trail, trust_space }
    }

    /// Another policy for the same issuers.
    pub(crate) fn release(&self, wasm: &[u8], mode: &str) -> Arc<Release> {
        let settings = settings(&self.psc, mode, "{}");
        Arc::new(Release::load(&Engine::new(Limits::default()).unwrap(), wasm, &settings).unwrap())
    }

    /// Shows a bare token, as Dovecot does.
    pub(crate) async fn bearer(&self, token: &str, mailbox: Option<&str>) -> Decision {
        self.attempt(Credentials::Bearer(Token::new(token)), mailbox, CLIENT).await
    }

    /// Shows a bare token from an address.
    pub(crate) async fn bearer_from(&self, client: IpAddr, token: &str) -> Decision {
        self.attempt(Credentials::Bearer(Token::new(token)), None, client).await
    }

    /// Shows a SASL message.
    pub(crate) async fn sasl(&self, mechanism: &str, message: &[u8]) -> Decision {
        use base64::Engine as _;
        let response = Token::new(base64::engine::general_purpose::STANDARD.encode(message));
        self.attempt(Credentials::Sasl { mechanism: mechanism.to_owned(), response }, None, CLIENT).await
    }

    async fn attempt(&self, credentials: Credentials, mailbox: Option<&str>, client: IpAddr) -> Decision {
        self.gate.authenticate(attempt(credentials, mailbox, client)).await
    }
}

fn settings(psc: &Psc, mode: &str, submission: &str) -> String {
    format!(
        r#"{{"issuers":[{{"issuer":"{}","introspection":"{mode}"}},{{"issuer":"{OTHER_ISSUER}","introspection":"off"}}],"submission":{submission}}}"#,
        psc.issuer()
    )
}

/// One attempt over IMAP.
pub(crate) fn attempt(credentials: Credentials, mailbox: Option<&str>, client: IpAddr) -> Attempt {
    Attempt {
        credentials,
        mailbox: mailbox.map(str::to_owned),
        protocol: Protocol::Imap,
        door: Door::Grpc,
        client: Some(client),
    }
}

/// One word for an outcome: the mailboxes, or the code of the reason.
pub(crate) fn said(decision: &Decision) -> String {
    word(&decision.outcome)
}

pub(crate) fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allow(permit) => permit.mailboxes().iter().map(MailboxAddress::as_str).collect::<Vec<_>>().join(" "),
        Outcome::Deny(reason) => format!("deny {}", reason.code()),
        Outcome::Unavailable(reason) => format!("unavailable {}", reason.code()),
    }
}

async fn issuer(name: &str, psc: &Psc, http: &HttpClient, introspection: Option<Introspection>) -> Issuer {
    let mut settings = KeySettings::new(name);
    settings.floor = Duration::ZERO;
    settings.wait = Duration::from_secs(60);
    let source = KeySource::Url(psc.url(PscEndpoint::Certs).parse().unwrap());
    let keys = Keys::start(settings, source, http.clone());
    keys.tried().await;
    Issuer { name: name.into(), mailbox_domains: vec!["bal.example.test".into()], keys, introspection }
}

fn introspection(psc: &Psc, http: &HttpClient, max_degraded: Duration) -> Introspection {
    let client =
        ClientAuthentication::Basic { id: psc.operator().id.clone(), secret: Secret::new(psc.operator_secret()) };
    let endpoint = Endpoint::Url(psc.url(PscEndpoint::Introspect).parse().unwrap());
    // No answer is remembered: each test asks for itself. No test waits for the deadline, and a busy machine meets it.
    let settings = IntrospectionSettings {
        remember_active: Duration::ZERO,
        deadline: Duration::from_secs(60),
        max_degraded,
        ..IntrospectionSettings::new(psc.issuer(), endpoint, client)
    };
    Introspection::new(settings, http.clone(), Clock::manual(UnixSeconds(psc.now())))
}

fn directory() -> Directory {
    let mailbox = |address: &str, kind, persons: &[&str]| Mailbox {
        address: MailboxAddress::parse(address).unwrap(),
        kind,
        persons: persons.iter().map(|id| Person { id: IdNat::parse(id).unwrap(), synonyms: vec![] }).collect(),
        aliases: vec![],
        structures: Vec::new(),
        certificates: Arc::default(),
    };
    let directory = Directory::default();
    directory.publish(Snapshot::new(vec![
        mailbox(UN, MailboxKind::Per, &["899700000011"]),
        mailbox(DEUX, MailboxKind::Per, &["899700000022"]),
        mailbox(SECRETARIAT, MailboxKind::Org, &["899700000011", "500000000000017/CPAT00001"]),
        mailbox("automate@bal.example.test", MailboxKind::App, &[]),
        mailbox("docteur.un@elsewhere.example.test", MailboxKind::Per, &["899700000011"]),
    ]));
    directory
}

/// Everything that the audit trail wrote.
#[derive(Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Vec<u8>>>);

impl Trail {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Trail {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
