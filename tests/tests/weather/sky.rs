//! Three providers, one for each introspection mode, and one gate that believes all three.

use std::sync::Arc;
use std::time::Duration;

use octroi::audit::Audit;
use octroi::clock::{Clock, UnixSeconds};
use octroi::evidence::certificate::Certificates;
use octroi::evidence::directory::{Directory, IdNat, Mailbox, MailboxAddress, MailboxKind, Person, Snapshot};
use octroi::evidence::introspection::{ClientAuthentication, Endpoint, Introspection, IntrospectionSettings};
use octroi::evidence::keys::{KeySettings, Keys};
use octroi::evidence::signatures::Signatures;
use octroi::evidence::trust_space::TrustSpace;
use octroi::gate::{Attempt, Credentials, Door, Gate, Issuer, Outcome, Parts, Protocol};
use octroi::policy::{EMBEDDED, Engine, Limits, Release};
use octroi::pseudonym::Pseudonyms;
use octroi::rails::Rails;
use octroi::secret::Token;
use octroi::throttle::{Allowance, Throttle};
use tokio::time::advance;

use super::provider::Provider;

/// The modes, in the order of a sky's providers.
pub(crate) const MODES: [&str; 3] = ["off", "preferred", "required"];

/// What a login is answered, in the three modes.
pub(crate) type Said = [String; 3];

pub(crate) struct Sky {
    pub(crate) providers: [Provider; 3],
    pub(crate) gate: Arc<Gate>,
    clock: Clock,
}

impl Sky {
    /// Fair, with every setting at its default.
    pub(crate) async fn new() -> Self {
        let providers = MODES.map(|mode| Provider::new(&format!("https://{mode}.example.test")));
        let clock = Clock::manual(UnixSeconds(1_800_000_000));
        let mut issuers = Vec::new();
        for (provider, mode) in providers.iter().zip(MODES) {
            let name = provider.issuer();
            let keys = Keys::start_with(KeySettings::new(name), Box::new(provider.clone()));
            keys.tried().await;
            issuers.push(issuer(name, keys, (mode != "off").then(|| introspection(provider, &clock))));
        }
        let names: Vec<&str> = providers.iter().map(Provider::issuer).collect();
        let gate = Arc::new(gate(&names, issuers, clock.clone()));
        Self { providers, gate, clock }
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Lets simulated time pass, second by second, so that every timer on the way fires when it is due.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            advance(Duration::from_secs(1)).await;
            self.clock.set(self.clock.now().plus(1));
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// A login with a fresh, good token of each provider, all at once.
    pub(crate) async fn logins(&self) -> Said {
        let [off, preferred, required] = self.providers.each_ref().map(|p| p.token(self.now()).mint());
        let gate = &self.gate;
        let (off, preferred, required) =
            tokio::join!(login(gate, &off), login(gate, &preferred), login(gate, &required));
        [off, preferred, required]
    }

    /// Until all three modes say what they say on a fair day; at most `seconds`. What is said meanwhile is given back.
    pub(crate) async fn clears_up(&self, seconds: u64) -> Vec<Said> {
        let mut meanwhile = Vec::new();
        for _ in 0..seconds {
            let said = self.logins().await;
            if said.iter().all(|said| said == "allow") {
                return meanwhile;
            }
            meanwhile.push(said);
            self.pass(1).await;
        }
        panic!("no fair day again within {seconds} s: {:?}", meanwhile.last());
    }
}

/// What the gate says of a bare token.
pub(crate) async fn login(gate: &Gate, token: &str) -> String {
    let attempt = Attempt {
        credentials: Credentials::Bearer(Token::new(token)),
        mailbox: None,
        protocol: Protocol::Imap,
        door: Door::Grpc,
        client: None,
    };
    match gate.authenticate(attempt).await.outcome {
        Outcome::Allow(permit) if permit.degraded() => "allow degraded".to_owned(),
        Outcome::Allow(_) => "allow".to_owned(),
        Outcome::Deny(reason) => format!("deny {}", reason.code()),
        Outcome::Unavailable(reason) => format!("unavailable {}", reason.code()),
    }
}

pub(crate) fn issuer(name: &str, keys: Keys, introspection: Option<Introspection>) -> Issuer {
    Issuer { name: name.into(), mailbox_domains: vec!["bal.example.test".into()], keys, introspection }
}

/// A gate that believes these issuers, in the modes of [`MODES`].
pub(crate) fn gate(names: &[&str], issuers: Vec<Issuer>, clock: Clock) -> Gate {
    let listed: Vec<String> = names
        .iter()
        .zip(MODES)
        .map(|(name, mode)| format!(r#"{{"issuer":"{name}","introspection":"{mode}"}}"#))
        .collect();
    let settings = format!(r#"{{"issuers":[{}]}}"#, listed.join(","));
    Gate::new(Parts {
        release: Release::load(&Engine::new(Limits::default()).unwrap(), EMBEDDED, &settings).unwrap(),
        issuers,
        directory: directory(),
        trust_space: TrustSpace::default(),
        certificates: Certificates::default(),
        rails: Rails { leeway: 5, session_max: 4 * 3600 },
        signatures: Signatures::new(1000),
        throttle: Throttle::new(&Allowance::default()),
        audit: Audit::to(std::io::sink(), Pseudonyms::from_key(b"tests")).unwrap(),
        recorder: None,
        clock,
        max_in_flight: 256,
    })
}

fn introspection(provider: &Provider, clock: &Clock) -> Introspection {
    let endpoint = Endpoint::Url(provider.issuer().parse().unwrap());
    let client = ClientAuthentication::Tls { id: "operator".into() };
    let settings = IntrospectionSettings::new(provider.issuer(), endpoint, client);
    Introspection::with(settings, Box::new(provider.clone()), clock.clone())
}

/// Doctor one's mailbox.
fn directory() -> Directory {
    let directory = Directory::default();
    directory.publish(Snapshot::new(vec![Mailbox {
        address: MailboxAddress::parse("docteur.un@bal.example.test").unwrap(),
        kind: MailboxKind::Per,
        persons: vec![Person { id: IdNat::parse("899700000011").unwrap(), synonyms: vec![] }],
        aliases: vec![],
        structures: Vec::new(),
        certificates: Arc::default(),
    }]));
    directory
}
