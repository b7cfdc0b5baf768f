//! What an operator sees of the revocation lists: the picture that `octroi status` prints.

use std::sync::Arc;

use octroi::clock::UnixSeconds;
use octroi::doors::admin::Overview;
use octroi::evidence::certificate::Revocations;
use octroi::policy::EMBEDDED;
use octroi_igc::DAY;

use super::site::{NAME, NOW, STRUCTURE, Site};
use crate::bench::Bench;

fn overview(site: &Site, bench: &Bench, revocations: Option<Revocations>) -> Overview {
    Overview {
        gate: Arc::clone(&bench.gate),
        introspection: Vec::new(),
        directory: bench.directory.clone(),
        trust_space: bench.trust_space.clone(),
        enrolment: site.certificates().enrolment,
        revocations,
        counts: Vec::new(),
        clock: site.clock.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_each_list_what_is_wrong_with_it_and_a_suspension() {
    let site = Site::without_lists().await;
    let revoked = site.leaf(STRUCTURE, NAME);
    site.igc.organisations().revoke(&revoked);
    site.publish().await;
    let bench = site.gate(EMBEDDED, &revoked).await;
    let overview = overview(&site, &bench, Some(site.revocations.clone()));
    let picture = overview.draw().revocation.unwrap();
    let told: Vec<_> =
        picture.lists.iter().map(|list| (list.chain.as_str(), list.state.as_str(), list.entries)).collect();
    let current = [("igc-test", 1), ("igc-test", 0), ("igc", 0), ("igc", 0)];
    assert_eq!(told, current.map(|(chain, entries)| (chain, "current", entries)));
    assert!(picture.lists.iter().all(|list| list.next_update == NOW + DAY && list.error.is_empty()));
    assert!(picture.lists[0].authority.starts_with("CN=TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS,"));
    assert_eq!((picture.suspended, picture.dovecot_error.as_str()), (None, "reload-failed"));
    assert!(picture.enforced_by_dovecot.is_empty());

    site.let_dovecot_reload();
    site.revocations.settle().await;
    let picture = overview.draw().revocation.unwrap();
    assert_eq!(picture.enforced_by_dovecot, ["igc-test", "igc"]);
    assert_eq!(picture.dovecot_error, "");

    site.clock.set(UnixSeconds(NOW + DAY + 1));
    site.revocations.suspend(UnixSeconds(NOW + 2 * DAY), "no network", "uid 0").unwrap();
    let picture = overview.draw().revocation.unwrap();
    assert!(picture.lists.iter().all(|list| list.state == "unusable"));
    let suspension = picture.suspended.unwrap();
    assert_eq!((suspension.until, suspension.by.as_str()), (NOW + 2 * DAY, "uid 0"));
    assert_eq!(suspension.reason, "no network");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_chains_there_is_nothing_to_see() {
    let site = Site::without_lists().await;
    let bench = site.gate(EMBEDDED, &site.leaf(STRUCTURE, NAME)).await;
    assert_eq!(overview(&site, &bench, None).draw().revocation, None);
}
