//! Questions on the wire, to the stand-in provider: what each of its bad days is called.

use std::time::Duration;

use octroi_psc::{Algorithm, Client, Endpoint as At, Fault, Psc, Shown, SigningKey, Validity};
use url::Url;

use super::name;
use crate::evidence::introspection::*;
use crate::evidence::keys::Discovery;
use crate::http::{HttpClient, HttpError, HttpSettings};
use crate::secret::Secret;

struct Bench {
    psc: Psc,
    clock: Clock,
    settings: IntrospectionSettings,
    introspection: Introspection,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut IntrospectionSettings)) -> Self {
        let key = SigningKey::generate("k", Algorithm::Es256).unwrap();
        Self::on(Psc::builder().key(key).start().await.unwrap(), adjust)
    }

    fn on(psc: Psc, adjust: impl FnOnce(&mut IntrospectionSettings)) -> Self {
        let (id, secret) = (psc.operator().id.clone(), Secret::new(psc.operator_secret()));
        let endpoint = Endpoint::Url(Url::parse(&psc.url(At::Introspect)).unwrap());
        let client = ClientAuthentication::Basic { id, secret };
        let mut settings = IntrospectionSettings::new(psc.issuer(), endpoint, client);
        adjust(&mut settings);
        let extra_roots = psc.ca_pem().map(|pem| pem.as_bytes().to_vec());
        let http = HttpClient::new(&HttpSettings { extra_roots, ..HttpSettings::default() }).unwrap();
        let clock = Clock::manual(UnixSeconds(psc.now()));
        let introspection = Introspection::new(settings.clone(), http, clock.clone());
        Self { psc, clock, settings, introspection }
    }

    fn token(&self) -> String {
        self.psc.token(&octroi_psc::doctor_one()).mint()
    }

    fn question<'a>(&self, token: &'a str) -> Question<'a> {
        let expires_at = UnixSeconds(self.psc.now() + 120);
        Question { token: token.as_bytes(), expires_at, authorized_party: Some("software") }
    }

    fn error(&self) -> Option<AskError> {
        self.introspection.status().last_error
    }

    async fn ask(&self, token: &str) -> &'static str {
        name(&self.introspection.ask(self.question(token)).await)
    }
}

#[tokio::test]
async fn an_active_token_is_active_and_says_whose_it_is() {
    let bench = Bench::start().await;
    let token = bench.token();
    let Introspected::Active(active) = bench.introspection.ask(bench.question(&token)).await else { panic!() };
    assert!(active.subject.unwrap().ends_with(octroi_psc::doctor_one().id_nat.as_str()));
    assert!(active.session.is_some() && active.authorized_party.is_some() && active.expires_at.is_some());
    let call = bench.psc.last_introspection().unwrap();
    assert_eq!((call.shown, call.form.one("token")), (Shown::Basic, Some(token.as_str())));
}

#[tokio::test]
async fn a_client_may_show_itself_in_the_form() {
    let bench = Bench::with(|settings| {
        let ClientAuthentication::Basic { id, secret } = settings.client.clone() else { panic!() };
        settings.client = ClientAuthentication::Post { id, secret };
    });
    let bench = bench.await;
    assert_eq!(bench.ask(&bench.token()).await, "active");
    assert_eq!(bench.psc.last_introspection().unwrap().shown, Shown::Post);
}

#[tokio::test]
async fn the_address_may_come_from_either_discovery_document() {
    for spoilt in [None, Some(At::WalletDiscovery)] {
        let bench = Bench::with(|_| {}).await;
        if let Some(at) = spoilt {
            bench.psc.spoil(at, Fault::Status(404));
        }
        let http = HttpClient::new(&HttpSettings::default()).unwrap();
        let addresses = Discovery::usual_addresses(bench.psc.issuer()).unwrap();
        let discovery = Discovery::new(bench.psc.issuer(), addresses, http).unwrap();
        let bench = Bench::on(bench.psc, |settings| settings.endpoint = Endpoint::Discovery(discovery));
        assert_eq!(bench.ask(&bench.token()).await, "active");
        bench.psc.spoil(At::WalletDiscovery, Fault::Status(500));
        assert_eq!(bench.ask(&bench.token()).await, "active");
    }
}

#[tokio::test]
async fn every_fault_of_the_issuer_is_an_outage_and_never_a_no() {
    let json = "application/json";
    let body = |content_type, body: &'static str| Fault::Body { content_type, body: body.into() };
    let cases = [
        ("status 500", Fault::Status(500), AskError::Http(HttpError::Status(500))),
        ("status 204", Fault::Status(204), AskError::Http(HttpError::Status(204))),
        ("status 302", Fault::Status(302), AskError::Http(HttpError::Status(302))),
        ("status 401", Fault::Status(401), AskError::CallerRefused),
        ("status 403", Fault::Status(403), AskError::CallerRefused),
        ("status 429", Fault::Status(429), AskError::Http(HttpError::Status(429))),
        ("page", body("text/html", "<html>maintenance</html>"), AskError::Http(HttpError::ContentType)),
        ("page called JSON", body(json, "<html>maintenance</html>"), AskError::Malformed),
        ("another type", body("text/plain", "{\"active\":true}"), AskError::Http(HttpError::ContentType)),
        ("empty", body(json, ""), AskError::Malformed),
        ("active as text", body(json, "{\"active\":\"true\"}"), AskError::Malformed),
        ("active twice", body(json, "{\"active\":false,\"active\":true}"), AskError::Malformed),
        ("oversize", Fault::Oversize(1 << 20), AskError::Http(HttpError::TooLarge)),
        ("truncated", Fault::Truncated, AskError::Http(HttpError::Truncated)),
        ("closed", Fault::Close, AskError::Http(HttpError::Closed)),
        ("late", Fault::Delay(Duration::from_secs(60)), AskError::Http(HttpError::Deadline)),
    ];
    let bench = Bench::start().await;
    for (case, fault, error) in cases {
        bench.psc.spoil(At::Introspect, fault);
        let token = bench.token();
        assert_eq!(bench.ask(&token).await, "unavailable", "{case}");
        let status = bench.introspection.status();
        assert_eq!(status.last_error, Some(error), "{case}");
        assert!(status.degraded_for.is_some(), "{case}");
        bench.psc.mend(At::Introspect);
        // The same token: an outage is never remembered.
        assert_eq!(bench.ask(&token).await, "active", "{case}");
        assert_eq!(bench.introspection.status().last_error, None, "{case}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_an_outage_that_names_the_credential() {
    let bench = Bench::with(|settings| {
        let id = settings.client.id().to_owned();
        settings.client = ClientAuthentication::Basic { id, secret: Secret::new("wrong") };
    });
    let bench = bench.await;
    assert_eq!(bench.ask(&bench.token()).await, "unavailable");
    assert_eq!(bench.error(), Some(AskError::CallerRefused));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_has_expired_is_an_outage() {
    let certified = async |validity| {
        let key = SigningKey::generate("k", Algorithm::Es256).unwrap();
        let certificate = octroi_psc::ServerCertificate::create(validity).unwrap();
        Bench::on(Psc::builder().key(key).certificate(certificate).start().await.unwrap(), |_| {})
    };
    let expired = certified(Validity::Expired).await;
    assert_eq!(expired.ask(&expired.token()).await, "unavailable");
    assert_eq!(expired.error(), Some(AskError::Http(HttpError::CertificateExpired)));

    let bench = certified(Validity::Current).await;
    assert_eq!(bench.ask(&bench.token()).await, "active");
    let other = octroi_psc::ServerCertificate::create(Validity::Current).unwrap();
    let extra_roots = Some(other.ca_pem().as_bytes().to_vec());
    let http = HttpClient::new(&HttpSettings { extra_roots, ..HttpSettings::default() }).unwrap();
    let stranger = Introspection::new(bench.settings.clone(), http, bench.clock.clone());
    assert_eq!(name(&stranger.ask(bench.question(&bench.token())).await), "unavailable");
    assert_eq!(stranger.status().last_error, Some(AskError::Http(HttpError::Certificate)));
}

#[tokio::test]
async fn a_connection_that_died_unseen_fails_no_login() {
    let bench = Bench::start().await;
    for _ in 0..20 {
        assert_eq!(bench.ask(&bench.token()).await, "active");
        bench.psc.cut_connections();
        assert_eq!(bench.ask(&bench.token()).await, "active");
    }
    assert_eq!(bench.introspection.status().failed, 0);
}

/// A bench whose issuer knows the operator by `client`, and whose sidecar shows itself by `authentication`.
async fn known_by(client: Client, authentication: ClientAuthentication) -> Bench {
    let bench = Bench::with(|settings| settings.client = authentication).await;
    bench.psc.register(Client { id: bench.psc.operator().id.clone(), ..client });
    bench
}

fn signed(key: &SigningKey) -> ClientAuthentication {
    let pem = Secret::new(key.private_pem().unwrap());
    let key = AssertionKey::from_pem(&pem, Some(key.kid().to_owned())).unwrap();
    ClientAuthentication::PrivateKeyJwt { id: octroi_psc::OPERATOR.to_owned(), key }
}

#[tokio::test]
async fn a_client_may_sign_who_it_is_and_each_signature_is_good_once_and_for_a_minute() {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let key = SigningKey::generate("mine", algorithm).unwrap();
        let client = Client { key: Some(key.jwk().unwrap()), ..Client::public("") };
        let bench = known_by(client.clone(), signed(&key)).await;
        for _ in 0..3 {
            assert_eq!(bench.ask(&bench.token()).await, "active");
        }
        let call = bench.psc.last_introspection().unwrap();
        assert_eq!((call.shown, call.form.one("client_secret")), (Shown::Assertion, None));
        // Made a minute and more ago, or further ahead than an assertion may live: the clocks differ too much.
        for now in [bench.psc.now() - 61, bench.psc.now() + 400] {
            bench.clock.set(UnixSeconds(now));
            let token = bench.token();
            assert_eq!(bench.ask(&token).await, "unavailable");
            assert_eq!(bench.error(), Some(AskError::CallerRefused));
        }
        let stranger = known_by(client, signed(&SigningKey::generate("mine", algorithm).unwrap())).await;
        assert_eq!(stranger.ask(&stranger.token()).await, "unavailable");
        assert_eq!(stranger.error(), Some(AskError::CallerRefused));
    }
}

#[tokio::test]
async fn a_client_may_show_a_certificate_at_the_address_that_is_meant_for_it() {
    let server = octroi_psc::ServerCertificate::create(Validity::Current).unwrap().asking();
    let (own, other) = (server.client("operator").unwrap(), server.client("another").unwrap());
    for (certificate, said) in [(Some(&own), "active"), (Some(&other), "unavailable"), (None, "unavailable")] {
        let key = SigningKey::generate("k", Algorithm::Es256).unwrap();
        let psc = Psc::builder().key(key).certificate(server.clone()).start().await.unwrap();
        let id = psc.operator().id.clone();
        psc.register(Client { certificate: Some(own.thumbprint.clone()), ..Client::public(&id) });
        let http = HttpClient::new(&HttpSettings {
            extra_roots: psc.ca_pem().map(|pem| pem.as_bytes().to_vec()),
            identity: certificate.map(|shown| Secret::new(format!("{}{}", shown.chain_pem, shown.key_pem))),
            proxy: None,
        })
        .unwrap();
        let addresses = Discovery::usual_addresses(psc.issuer()).unwrap();
        let discovery = Discovery::new(psc.issuer(), addresses, http.clone()).unwrap();
        let client = ClientAuthentication::Tls { id };
        let settings = IntrospectionSettings::new(psc.issuer(), Endpoint::Discovery(discovery), client);
        let clock = Clock::manual(UnixSeconds(psc.now()));
        let introspection = Introspection::new(settings.clone(), http, clock.clone());
        let bench = Bench { psc, clock, settings, introspection };
        assert_eq!(bench.ask(&bench.token()).await, said);
        if said == "active" {
            let call = bench.psc.last_introspection().unwrap();
            assert_eq!(call.shown, Shown::Certificate);
            assert!(call.host.starts_with("localhost:"), "{}", call.host);
        } else {
            assert_eq!(bench.error(), Some(AskError::CallerRefused));
        }
    }
}

#[tokio::test]
async fn a_connection_half_closed_by_the_other_end_fails_no_login() {
    for tls in [false, true] {
        let psc = if tls { Psc::start_tls().await } else { Psc::start().await };
        let bench = Bench::on(psc.unwrap(), |settings| settings.remember_active = Duration::ZERO);
        for _ in 0..20 {
            assert_eq!(bench.ask(&bench.token()).await, "active");
            bench.psc.half_close_connections();
            assert_eq!(bench.ask(&bench.token()).await, "active");
        }
        assert_eq!(bench.introspection.status().failed, 0);
    }
}
