//! Introspection against the stand-in provider, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use octroi_psc::{Algorithm, Endpoint as At, Fault, Psc, Said, Shown, SigningKey, Validity};
use serde_json::json;
use tokio::time::{Instant, advance};
use url::Url;

use super::*;
use crate::http::{HttpError, HttpSettings};
use crate::secret::Secret;

struct Bench {
    psc: Psc,
    clock: Clock,
    introspection: Arc<Introspection>,
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
        let introspection = Arc::new(Introspection::new(settings, http, clock.clone()));
        Self { psc, clock, introspection }
    }

    fn token(&self) -> String {
        self.psc.token(&octroi_psc::doctor_one()).mint()
    }

    fn question<'a>(&self, token: &'a str) -> Question<'a> {
        let expires_at = UnixSeconds(self.psc.now() + 120);
        Question { token: token.as_bytes(), expires_at, authorized_party: Some("software") }
    }

    async fn ask(&self, token: &str) -> &'static str {
        name(&self.introspection.ask(self.question(token)).await)
    }

    fn asked(&self) -> u64 {
        self.psc.calls(At::Introspect)
    }
}

fn name(said: &Introspected) -> &'static str {
    match said {
        Introspected::Active(_) => "active",
        Introspected::Inactive => "inactive",
        Introspected::Unavailable => "unavailable",
    }
}

#[tokio::test(start_paused = true)]
async fn an_active_token_is_active_and_says_whose_it_is() {
    let bench = Bench::start().await;
    let token = bench.token();
    let Introspected::Active(active) = bench.introspection.ask(bench.question(&token)).await else { panic!() };
    assert!(active.subject.unwrap().ends_with(octroi_psc::doctor_one().id_nat.as_str()));
    assert!(active.session.is_some() && active.authorized_party.is_some() && active.expires_at.is_some());
    let call = bench.psc.last_introspection().unwrap();
    assert_eq!((call.shown, call.form.one("token")), (Shown::Basic, Some(token.as_str())));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_show_itself_in_the_form() {
    let bench = Bench::with(|settings| {
        let ClientAuthentication::Basic { id, secret } = settings.client.clone() else { panic!() };
        settings.client = ClientAuthentication::Post { id, secret };
    });
    let bench = bench.await;
    assert_eq!(bench.ask(&bench.token()).await, "active");
    assert_eq!(bench.psc.last_introspection().unwrap().shown, Shown::Post);
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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
        ("late", Fault::Delay(Duration::from_secs(2)), AskError::Http(HttpError::Deadline)),
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

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_costs_a_login_its_deadline_and_no_more() {
    let bench = Bench::start().await;
    let hold = bench.psc.hold(At::Introspect);
    let asked_at = Instant::now();
    assert_eq!(bench.ask(&bench.token()).await, "unavailable");
    assert!(asked_at.elapsed() <= Duration::from_millis(1510), "{:?}", asked_at.elapsed());
    drop(hold);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_is_an_outage_that_names_the_credential() {
    let bench = Bench::with(|settings| {
        let id = settings.client.id().to_owned();
        settings.client = ClientAuthentication::Basic { id, secret: Secret::new("wrong") };
    });
    let bench = bench.await;
    assert_eq!(bench.ask(&bench.token()).await, "unavailable");
    assert_eq!(bench.introspection.status().last_error, Some(AskError::CallerRefused));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_trusted_or_has_expired_is_an_outage() {
    for (validity, error) in
        [(Validity::Current, HttpError::Certificate), (Validity::Expired, HttpError::CertificateExpired)]
    {
        let certificate = octroi_psc::ServerCertificate::create(validity).unwrap();
        let key = SigningKey::generate("k", Algorithm::Es256).unwrap();
        let bench = Bench::on(Psc::builder().key(key).certificate(certificate.clone()).start().await.unwrap(), |_| {});
        let trusted = bench.introspection.client.http.clone();
        if validity == Validity::Current {
            assert_eq!(bench.ask(&bench.token()).await, "active");
        } else {
            assert_eq!(bench.ask(&bench.token()).await, "unavailable");
            assert_eq!(bench.introspection.status().last_error, Some(AskError::Http(error)));
            continue;
        }
        drop(trusted);
        let other = octroi_psc::ServerCertificate::create(Validity::Current).unwrap();
        let extra_roots = Some(other.ca_pem().as_bytes().to_vec());
        let http = HttpClient::new(&HttpSettings { extra_roots, ..HttpSettings::default() }).unwrap();
        let settings = bench.introspection.client.settings.clone();
        let stranger = Introspection::new(settings, http, bench.clock.clone());
        assert_eq!(name(&stranger.ask(bench.question(&bench.token())).await), "unavailable");
        assert_eq!(stranger.status().last_error, Some(AskError::Http(error)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_remembered_for_a_while_and_never_beyond_exp() {
    let bench = Bench::start().await;
    let token = bench.token();
    for _ in 0..3 {
        assert_eq!(bench.ask(&token).await, "active");
    }
    assert_eq!(bench.asked(), 1);
    // Revoked meanwhile: noticed when the while is over.
    bench.psc.say(&token, Said::Inactive);
    assert_eq!(bench.ask(&token).await, "active");
    advance(Duration::from_secs(11)).await;
    assert_eq!(bench.ask(&token).await, "inactive");
    assert_eq!(bench.asked(), 2);

    let short = bench.token();
    let question = Question { expires_at: UnixSeconds(bench.psc.now() + 3), ..bench.question(&short) };
    assert_eq!(name(&bench.introspection.ask(question).await), "active");
    bench.clock.set(UnixSeconds(bench.psc.now() + 3));
    bench.psc.say(&short, Said::Inactive);
    assert_eq!(name(&bench.introspection.ask(question).await), "inactive");
}

#[tokio::test(start_paused = true)]
async fn the_exp_of_the_answer_bounds_the_memory_too() {
    let bench = Bench::start().await;
    let token = bench.token();
    let exp = bench.psc.now() + 2;
    bench.psc.say(&token, Said::Answer(json!({"active": true, "exp": exp})));
    assert_eq!(bench.ask(&token).await, "active");
    bench.psc.say(&token, Said::Inactive);
    assert_eq!(bench.ask(&token).await, "active");
    bench.clock.set(UnixSeconds(exp));
    assert_eq!(bench.ask(&token).await, "inactive");
}

#[tokio::test(start_paused = true)]
async fn a_no_is_remembered_apart_and_not_for_long() {
    let bench = Bench::start().await;
    let token = bench.token();
    bench.psc.say(&token, Said::Inactive);
    for _ in 0..5 {
        assert_eq!(bench.ask(&token).await, "inactive");
    }
    assert_eq!(bench.asked(), 1);
    bench.psc.say(&token, Said::Answer(json!({"active": true})));
    advance(Duration::from_secs(31)).await;
    assert_eq!(bench.ask(&token).await, "active");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bad_tokens_drives_no_good_one_out() {
    let bench = Bench::start().await;
    let good = bench.token();
    assert_eq!(bench.ask(&good).await, "active");
    bench.psc.say_of_all(Some(Said::Inactive));
    for n in 0..6000 {
        assert_eq!(bench.ask(&format!("bad.{n}")).await, "inactive");
    }
    let asked = bench.asked();
    assert_eq!(bench.ask(&good).await, "active");
    assert_eq!(bench.asked(), asked);
    assert!(bench.introspection.status().held_inactive <= 4096 + 256);
}

#[tokio::test(start_paused = true)]
async fn who_asks_about_one_token_at_once_shares_one_question() {
    let bench = Bench::start().await;
    let token = bench.token();
    let hold = bench.psc.hold(At::Introspect);
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (introspection, token, expires_at) =
                (Arc::clone(&bench.introspection), token.clone(), UnixSeconds(bench.psc.now() + 120));
            tokio::spawn(async move {
                let question = Question { token: token.as_bytes(), expires_at, authorized_party: None };
                name(&introspection.ask(question).await)
            })
        })
        .collect();
    hold.arrived(1).await;
    hold.release();
    for said in asking {
        assert_eq!(said.await.unwrap(), "active");
    }
    assert_eq!(bench.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_memory_switched_off_each_login_asks() {
    let bench = Bench::with(|settings| settings.remember_active = Duration::ZERO).await;
    let token = bench.token();
    assert_eq!(bench.ask(&token).await, "active");
    bench.psc.say(&token, Said::Inactive);
    assert_eq!(bench.ask(&token).await, "inactive");
    bench.psc.say(&token, Said::Answer(json!({"active": true})));
    assert_eq!(bench.ask(&token).await, "active");
    assert_eq!(bench.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_more_questions_are_out_at_once_than_allowed() {
    let bench = Bench::with(|settings| settings.in_flight = 3).await;
    let hold = bench.psc.hold(At::Introspect);
    let asking: Vec<_> = (0..10)
        .map(|n| {
            let introspection = Arc::clone(&bench.introspection);
            let expires_at = UnixSeconds(bench.psc.now() + 120);
            tokio::spawn(async move {
                let token = format!("token.{n}");
                let question = Question { token: token.as_bytes(), expires_at, authorized_party: None };
                name(&introspection.ask(question).await)
            })
        })
        .collect();
    hold.arrived(3).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((hold.count(), bench.introspection.status().in_flight), (3, 3));
    for said in asking {
        assert_eq!(said.await.unwrap(), "unavailable");
    }
    assert_eq!(bench.introspection.status().crowded, 7);
    assert_eq!(bench.introspection.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_is_spared_and_found_again_by_itself() {
    let bench = Bench::start().await;
    bench.psc.spoil(At::Introspect, Fault::Status(503));
    for _ in 0..100 {
        assert_eq!(bench.ask(&bench.token()).await, "unavailable");
    }
    assert_eq!(bench.asked(), 5);
    assert!(matches!(bench.introspection.status().breaker, BreakerState::Open(_)));
    bench.psc.mend(At::Introspect);
    advance(Duration::from_secs(20)).await;
    assert_eq!(bench.ask(&bench.token()).await, "active");
    assert_eq!(bench.introspection.status().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn doing_without_answers_is_allowed_for_four_hours_and_each_answer_begins_anew() {
    let bench = Bench::start().await;
    assert!(bench.introspection.may_degrade());
    bench.psc.spoil(At::Introspect, Fault::Status(503));
    for _ in 0..(4 * 60) {
        assert_eq!(bench.ask(&bench.token()).await, "unavailable");
        assert!(bench.introspection.may_degrade());
        advance(Duration::from_secs(60)).await;
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.ask(&bench.token()).await, "unavailable");
    assert!(!bench.introspection.may_degrade());
    bench.psc.mend(At::Introspect);
    advance(Duration::from_secs(20)).await;
    assert_eq!(bench.ask(&bench.token()).await, "active");
    assert!(bench.introspection.may_degrade());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_is_not_entitled_is_recognised_and_its_tokens_stay_refused() {
    let bench = Bench::start().await;
    bench.psc.entitle(false);
    for _ in 0..5 {
        assert_eq!(bench.ask(&bench.token()).await, "inactive");
    }
    let entitlement = bench.introspection.status().entitlement;
    assert!(entitlement.alarm_for.is_some());
    assert_eq!(entitlement.inactive, [("software".to_owned(), 5)]);
    bench.psc.entitle(true);
    assert_eq!(bench.ask(&bench.token()).await, "active");
    assert_eq!(bench.introspection.status().entitlement.alarm_for, None);
}

#[tokio::test(start_paused = true)]
async fn expired_tokens_and_one_token_asked_again_and_again_raise_no_alarm() {
    let bench = Bench::start().await;
    bench.psc.entitle(false);
    let token = bench.token();
    for _ in 0..20 {
        assert_eq!(bench.ask(&token).await, "inactive");
        let expired = bench.token();
        let question = Question { expires_at: UnixSeconds(bench.psc.now()), ..bench.question(&expired) };
        assert_eq!(name(&bench.introspection.ask(question).await), "inactive");
    }
    assert_eq!(bench.introspection.status().entitlement.alarm_for, None);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_unseen_fails_no_login() {
    let bench = Bench::start().await;
    for _ in 0..20 {
        assert_eq!(bench.ask(&bench.token()).await, "active");
        bench.psc.cut_connections();
        assert_eq!(bench.ask(&bench.token()).await, "active");
    }
    assert_eq!(bench.introspection.status().failed, 0);
}

#[tokio::test(start_paused = true)]
async fn an_assertion_names_the_client_the_issuer_and_one_minute() {
    let key = SigningKey::generate("k", Algorithm::Rs256).unwrap();
    let pem = pem_of(&key.to_pkcs8().unwrap());
    let key = AssertionKey::from_pem(&Secret::new(pem), Some("mine".into())).unwrap();
    let assertion = key.assertion("id", "https://issuer.example.test", UnixSeconds(1_800_000_000)).unwrap();
    let again = key.assertion("id", "https://issuer.example.test", UnixSeconds(1_800_000_000)).unwrap();
    assert_ne!(assertion, again);
    let token: jsonwebtoken::TokenData<serde_json::Value> =
        jsonwebtoken::dangerous::insecure_decode(assertion.expose()).unwrap();
    assert_eq!((token.header.alg, token.header.kid.as_deref()), (jsonwebtoken::Algorithm::RS256, Some("mine")));
    let claims = token.claims;
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("id"), Some("id")));
    assert_eq!(claims["aud"], "https://issuer.example.test");
    assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(1_800_000_000), Some(1_800_000_060)));
    assert_eq!(format!("{key:?}"), "AssertionKey(RS256)");
    let nothing = AssertionKey::from_pem(&Secret::new("no key"), None);
    assert_eq!(nothing.err(), Some(AssertionKeyError::Unreadable));
}

fn pem_of(pkcs8: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(pkcs8);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
