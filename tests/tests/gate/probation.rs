//! A release that fails shortly after it came: taken back for what professionals meet, never for what anybody can send.

use std::collections::BTreeSet;

use octroi::evidence::directory::IdNat;
use octroi::gate::{Failed, Holder, Login, Partial, Probation, Service, Share, Submission, SubmissionOutcome};
use octroi::policy::EMBEDDED;
use octroi::pseudonym::Pseudonyms;
use octroi::reason::UnavailableReason;
use octroi_psc::{Algorithm, Deviation, Endpoint, Identity, doctor_one, doctor_two, secretary};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::bench::{Bench, UN, said};
use super::guests::guest;
use super::submission::submission;

const WINDOW: u64 = 900;

/// A bench in which a guest came into service a moment ago, after the embedded policy. It may fail two persons.
async fn watched(name: &str) -> (Bench, UnboundedReceiver<Failed>) {
    let bench = Bench::new(EMBEDDED, "off").await;
    let (told, failed) = unbounded_channel();
    let before = bench.gate.service().release.clone();
    let release = bench.release(guest(name), "off");
    let until = bench.clock.now().plus(WINDOW);
    let probation = Some(Probation::new(&release, Some(before), until, 3, told).into());
    bench.gate.put_in_service(Service { release, partial: None, probation });
    (bench, failed)
}

async fn good(bench: &Bench) -> String {
    good_of(bench, &doctor_one()).await
}

async fn good_of(bench: &Bench, person: &Identity) -> String {
    let token = bench.psc.token(person).mint();
    said(&bench.bearer(&token, Some(UN)).await)
}

/// One of three.
fn person(number: usize) -> Identity {
    [doctor_one(), doctor_two(), secretary()][number].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_person_whom_it_fails_takes_a_release_back_and_is_told_once() {
    for (name, said, code) in [
        ("trap", "unavailable policy-trapped", "policy-trapped"),
        ("trap_decide", "unavailable policy-trapped", "policy-trapped"),
        ("grow", "unavailable policy-limit", "policy-limit"),
        ("spin_open", "unavailable policy-timeout", "policy-timeout"),
        ("another_identity", "deny rail-identity", "rail-identity"),
        ("wild_spans", "deny rail-token", "rail-token"),
    ] {
        let (bench, mut failed) = watched(name).await;
        // One person counts once, whatever they show.
        for _ in 0..4 {
            assert_eq!(good(&bench).await, said, "{name}");
        }
        good_of(&bench, &person(1)).await;
        assert!(failed.try_recv().is_err(), "{name} is taken back too early");
        for _ in 0..2 {
            good_of(&bench, &person(2)).await;
            good(&bench).await;
        }
        let release = bench.gate.service().release.digest().to_owned();
        assert_eq!(failed.try_recv().unwrap(), Failed { release, code, persons: 3 }, "{name}");
        assert!(failed.try_recv().is_err(), "{name} is told twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_anybody_can_send_brings_no_earlier_policy_back() {
    for name in ["trap", "wild_spans"] {
        let (bench, mut failed) = watched(name).await;
        let forged = bench.psc.token(&doctor_one()).deviate(Deviation::BadSignature).unwrap().mint();
        let expired = bench.psc.token(&doctor_one()).deviate(Deviation::Expired).unwrap().mint();
        let good = bench.psc.token(&doctor_one()).mint();
        let cut = good.get(..good.len() - 8).unwrap();
        for _ in 0..5 {
            for shown in ["", "x", "a.b.c", "a.b.c.d.e", &forged, &expired, cut] {
                bench.bearer(shown, Some(UN)).await;
                bench.sasl("XOAUTH2", format!("user={UN}\x01auth=Bearer {shown}\x01\x01").as_bytes()).await;
            }
            bench.sasl("XOAUTH2", &[0xff; 300]).await;
        }
        assert!(failed.try_recv().is_err(), "{name} is taken back by what anybody can send");
        let failures = bench.gate.service().probation.as_ref().unwrap().failures();
        assert!(failures >= 10, "{name}: only {failures} failures");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_window_a_release_that_fails_is_an_outage_and_is_not_taken_back() {
    let (bench, mut failed) = watched("trap").await;
    good(&bench).await;
    good_of(&bench, &person(1)).await;
    bench.clock.set(bench.clock.now().plus(WINDOW + 1));
    bench.psc.clock().advance(901);
    for number in [0, 1, 2, 2, 2] {
        assert_eq!(good_of(&bench, &person(number)).await, "unavailable policy-trapped");
    }
    assert!(failed.try_recv().is_err());
    assert_eq!(bench.gate.service().probation.as_ref().unwrap().failures(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_on_messages_is_taken_back_as_well() {
    let (bench, mut failed) = watched("trap_judge").await;
    let message = submission(&bench, UN).await;
    for identity in ["899700000011", "899700000011", "899700000022", "899700000033"] {
        assert!(failed.try_recv().is_err());
        let identity = IdNat::parse(identity).unwrap();
        let holder = Holder::Person { issuer: bench.psc.issuer().into(), identity };
        let login = Login { holder, ..message.login.clone() };
        let outcome = bench.gate.judge_submission(&Submission { login, ..message.clone() });
        assert_eq!(outcome, SubmissionOutcome::Unavailable(UnavailableReason::PolicyTrapped));
    }
    assert_eq!(failed.try_recv().unwrap().persons, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_a_provider_that_is_away_are_no_failures_of_a_policy() {
    let (bench, mut failed) = watched("refuse").await;
    for _ in 0..5 {
        assert_eq!(good(&bench).await, "deny mechanism-unsupported");
    }
    assert!(failed.try_recv().is_err());
    assert_eq!(bench.gate.service().probation.as_ref().unwrap().failures(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_while_its_key_is_fetched_is_an_expired_one_and_no_failure_of_the_policy() {
    let (bench, mut failed) = watched("trap_judge").await;
    for person in [doctor_one(), doctor_two(), secretary()] {
        let key = bench.psc.keys().rotate(&format!("new-{}", person.id_nat), Algorithm::Rs256).unwrap();
        bench.psc.keys().sign_with(&key);
        let token = bench.psc.token_at(&person, bench.clock.now().0).mint();
        let hold = bench.psc.hold(Endpoint::Certs);
        let (decision, ()) = tokio::join!(bench.bearer(&token, None), async {
            hold.arrived(1).await;
            bench.clock.set(bench.clock.now().plus(200));
            drop(hold);
        });
        assert_eq!(said(&decision), "deny token-expired");
    }
    assert!(failed.try_recv().is_err());
    assert_eq!(bench.gate.service().probation.as_ref().unwrap().failures(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_on_trial_leaves_the_watch_over_the_one_in_service_as_it_is() {
    let (bench, mut failed) = watched("trap").await;
    let tried = bench.release(EMBEDDED, "off");
    let (told, _) = unbounded_channel();
    let probation = Probation::new(&tried, None, bench.clock.now(), 3, told).into();
    let share = Share { percent: 0, listed: BTreeSet::new(), pseudonyms: Pseudonyms::from_key(b"tests") };
    let service = Service::clone(&bench.gate.service());
    bench.gate.put_in_service(Service { partial: Some(Partial { release: tried, share, probation }), ..service });
    for number in 0..3 {
        assert_eq!(good_of(&bench, &person(number)).await, "unavailable policy-trapped");
    }
    assert_eq!(failed.try_recv().unwrap().persons, 3);
}
