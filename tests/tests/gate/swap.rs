//! Another policy put into service while attempts are under way.

use std::sync::Arc;

use octroi::gate::Service;
use octroi::policy::EMBEDDED;
use octroi_psc::{Endpoint, doctor_one};

use super::bench::{Bench, UN, said};
use super::guests::{guest, load};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_ends_under_the_policy_that_it_began_with_and_is_recorded_so() {
    let bench = Bench::new(EMBEDDED, "required").await;
    let first = Arc::clone(&bench.gate.service().release);
    let refusing = load(guest("refuse")).unwrap();
    let token = bench.psc.token(&doctor_one()).mint();
    let hold = bench.psc.hold(Endpoint::Introspect);
    let (under_way, ()) = tokio::join!(bench.bearer(&token, Some(UN)), async {
        // It was opened by the first policy, and will be decided after the second one came.
        hold.arrived(1).await;
        bench.gate.put_in_service(Service::of(Arc::new(refusing)));
        let other = bench.psc.token(&doctor_one()).mint();
        assert_eq!(said(&bench.bearer(&other, Some(UN)).await), "deny mechanism-unsupported");
        drop(hold);
    });
    assert_eq!(said(&under_way), UN);
    let second = Arc::clone(&bench.gate.service().release);
    assert_ne!(first.digest(), second.digest());
    let Bench { gate, trail, .. } = bench;
    // With the last user of the trail everything is written.
    drop(gate);
    let lines = trail.text();
    let recorded = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["policy"].clone());
    assert_eq!(recorded.collect::<Vec<_>>(), [second.digest(), first.digest()]);
}
