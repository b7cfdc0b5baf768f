//! Each kind of bad day once over real connections, from three stand-ins with TLS, in real time.

use std::sync::Arc;
use std::time::Duration;

use octroi::clock::Clock;
use octroi::evidence::introspection::{ClientAuthentication, Endpoint, Introspection, IntrospectionSettings};
use octroi::evidence::keys::{KeySettings, KeySource, Keys};
use octroi::gate::Gate;
use octroi::http::{HttpClient, HttpSettings};
use octroi::secret::Secret;
use octroi_psc::{Algorithm, Endpoint as At, Fault, Psc, Said, SigningKey, Validity, doctor_one};
use tokio::time::{Instant, timeout};

use super::sky::{self, MODES, login};

/// By when all must be well again after a fault has ended: a fetch that hangs is given up first.
const WELL_AGAIN: Duration = Duration::from_secs(60);

struct Stage {
    providers: [Psc; 3],
    gate: Arc<Gate>,
}

impl Stage {
    async fn new() -> Self {
        let start = async || {
            let key = SigningKey::generate("k0", Algorithm::Es256).unwrap();
            let certificate = octroi_psc::ServerCertificate::create(Validity::Current).unwrap();
            Psc::builder().key(key).certificate(certificate).start().await.unwrap()
        };
        let providers = [start().await, start().await, start().await];
        let mut issuers = Vec::new();
        for (psc, mode) in providers.iter().zip(MODES) {
            let extra_roots = psc.ca_pem().map(|pem| pem.as_bytes().to_vec());
            let http = HttpClient::new(&HttpSettings { extra_roots, ..HttpSettings::default() }).unwrap();
            let source = KeySource::Url(psc.url(At::Certs).parse().unwrap());
            // No floor: in real time each login may ask for a fetch.
            let settings = KeySettings { floor: Duration::ZERO, ..KeySettings::new(psc.issuer()) };
            let keys = Keys::start(settings, source, http.clone());
            keys.tried().await;
            issuers.push(sky::issuer(psc.issuer(), keys, (mode != "off").then(|| introspection(psc, http))));
        }
        let names: Vec<&str> = providers.iter().map(Psc::issuer).collect();
        let gate = Arc::new(sky::gate(&names, issuers, Clock::system()));
        Self { providers, gate }
    }

    async fn logins(&self) -> [String; 3] {
        let [off, preferred, required] = self.providers.each_ref().map(|psc| psc.token(&doctor_one()).mint());
        let gate = &self.gate;
        let (off, preferred, required) =
            tokio::join!(login(gate, &off), login(gate, &preferred), login(gate, &required));
        [off, preferred, required]
    }

    /// Until all three modes say what they say on a fair day. Nobody is refused meanwhile.
    async fn clears_up(&self, case: &str) {
        let deadline = Instant::now() + WELL_AGAIN;
        loop {
            let said = self.logins().await;
            if said.iter().all(|said| said == "allow") {
                return;
            }
            assert!(said.iter().all(|said| !said.starts_with("deny")), "{case}: {said:?}");
            assert!(Instant::now() < deadline, "{case}: {said:?}");
            tokio::task::yield_now().await;
        }
    }
}

fn introspection(psc: &Psc, http: HttpClient) -> Introspection {
    let (id, secret) = (psc.operator().id.clone(), Secret::new(psc.operator_secret()));
    let endpoint = Endpoint::Url(psc.url(At::Introspect).parse().unwrap());
    let client = ClientAuthentication::Basic { id, secret };
    Introspection::new(IntrospectionSettings::new(psc.issuer(), endpoint, client), http, Clock::system())
}

fn faults() -> Vec<(&'static str, Fault)> {
    let page = |content_type| Fault::Body { content_type, body: "<html>maintenance</html>".into() };
    vec![
        ("an error", Fault::Status(500)),
        ("too many requests", Fault::Status(429)),
        ("a redirect", Fault::Status(302)),
        ("a page", page("text/html")),
        ("a page called JSON", page("application/json")),
        ("the truth under another content type", Fault::ContentType("text/plain")),
        ("half an answer", Fault::Truncated),
        ("an answer without end", Fault::Oversize(1 << 20)),
        ("no answer", Fault::Close),
        ("a reset", Fault::Reset),
        ("an answer that comes too late", Fault::Delay(Duration::from_secs(600))),
    ]
}

#[tokio::test]
async fn every_fault_of_introspection_does_to_each_mode_what_it_says_and_ends_by_itself() {
    let stage = Stage::new().await;
    for (case, fault) in faults() {
        stage.providers.iter().for_each(|psc| psc.spoil(At::Introspect, fault.clone()));
        let expected = ["allow", "allow degraded", "unavailable introspection-unavailable"];
        assert_eq!(stage.logins().await, expected, "{case}");
        stage.providers.iter().for_each(|psc| psc.mend(At::Introspect));
        stage.clears_up(case).await;
    }
    stage.providers.iter().for_each(|psc| psc.say_of_all(Some(Said::Inactive)));
    assert_eq!(stage.logins().await, ["allow", "deny token-inactive", "deny token-inactive"]);
}

#[tokio::test]
async fn every_fault_of_the_keys_leaves_the_good_ones_in_use_and_ends_by_itself() {
    let stage = Stage::new().await;
    for (number, (case, fault)) in faults().into_iter().enumerate() {
        stage.providers.iter().for_each(|psc| psc.spoil(At::Certs, fault.clone()));
        assert_eq!(stage.logins().await, ["allow"; 3], "{case}");
        for psc in &stage.providers {
            psc.keys().rotate(&format!("k{}", number + 1), Algorithm::Es256).unwrap();
        }
        assert_eq!(stage.logins().await, ["unavailable keys-unavailable"; 3], "{case}");
        stage.providers.iter().for_each(|psc| psc.mend(At::Certs));
        stage.clears_up(case).await;
    }
}

#[tokio::test]
async fn an_expired_certificate_and_a_provider_that_is_gone_are_outages_that_end_by_themselves() {
    let mut stage = Stage::new().await;
    for validity in [Some(Validity::Expired), None] {
        for psc in &mut stage.providers {
            psc.stop().await;
            if let Some(validity) = validity {
                psc.renew_certificate(validity).unwrap();
                psc.resume().await.unwrap();
            }
        }
        let expected = ["allow", "allow degraded", "unavailable introspection-unavailable"];
        assert_eq!(stage.logins().await, expected, "{validity:?}");
        for psc in &mut stage.providers {
            psc.stop().await;
            psc.renew_certificate(Validity::Current).unwrap();
            psc.resume().await.unwrap();
        }
        timeout(WELL_AGAIN, stage.clears_up("renewed")).await.unwrap();
    }
}
