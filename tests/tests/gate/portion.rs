//! A release that decides for some persons: always the same ones, and recorded as what it is.

use std::collections::BTreeSet;

use octroi::evidence::directory::IdNat;
use octroi::gate::{Partial, Probation, Service, Share};
use octroi::policy::EMBEDDED;
use octroi::pseudonym::Pseudonyms;
use octroi_psc::{doctor_one, doctor_two};

use super::bench::{Bench, DEUX, UN, said};
use super::guests::guest;

const REFUSED: &str = "deny mechanism-unsupported";

async fn shared(percent: u8, listed: &[&str]) -> Bench {
    let bench = Bench::new(EMBEDDED, "off").await;
    let pseudonyms = Pseudonyms::from_key(b"tests");
    let listed: BTreeSet<_> = listed.iter().map(|id| pseudonyms.digest(&IdNat::parse(id).unwrap())).collect();
    let share = Share { percent, listed, pseudonyms };
    let release = bench.release(guest("refuse"), "off");
    let service = Service::clone(&bench.gate.service());
    let (told, _) = tokio::sync::mpsc::unbounded_channel();
    let probation = Probation::new(&release, None, bench.clock.now(), 3, told).into();
    bench.gate.put_in_service(Service { partial: Some(Partial { release, share, probation }), ..service });
    bench
}

async fn one(bench: &Bench) -> String {
    said(&bench.bearer(&bench.psc.token(&doctor_one()).mint(), Some(UN)).await)
}

async fn two(bench: &Bench) -> String {
    said(&bench.bearer(&bench.psc.token(&doctor_two()).mint(), Some(DEUX)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_person_is_judged_by_the_new_release_and_another_one_by_the_old() {
    let bench = shared(0, &["899700000011"]).await;
    for _ in 0..3 {
        assert_eq!((one(&bench).await.as_str(), two(&bench).await.as_str()), (REFUSED, DEUX));
    }
    // What names nobody is judged by the one in service.
    assert_eq!(said(&bench.bearer("a.b.c", None).await), "deny token-malformed");
    let service = bench.gate.service();
    let digests = [&service.partial.as_ref().unwrap().release, &service.release].map(|r| r.digest().to_owned());
    drop(service);
    let Bench { gate, trail, .. } = bench;
    drop(gate);
    let text = trail.text();
    let recorded = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["policy"].as_str().unwrap().to_owned(), line["outcome"].as_str().unwrap().to_owned())
    });
    let recorded: Vec<_> = recorded.collect();
    let expected = [(digests[0].clone(), "deny".to_owned()), (digests[1].clone(), "allow".to_owned())];
    assert_eq!(recorded[..6], [expected.clone(), expected.clone(), expected].concat());
    assert_eq!(recorded[6], (digests[1].clone(), "deny".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_grows_by_persons_and_nobody_changes_sides_twice() {
    let mut sides = Vec::new();
    for percent in [1, 25, 50, 75, 99] {
        let bench = shared(percent, &[]).await;
        let first = [one(&bench).await == REFUSED, two(&bench).await == REFUSED];
        let again = [one(&bench).await == REFUSED, two(&bench).await == REFUSED];
        assert_eq!(first, again, "{percent}");
        sides.push(first);
    }
    for person in [0, 1] {
        assert!(sides.windows(2).all(|pair| pair[1][person] || !pair[0][person]), "{sides:?}");
    }
}
