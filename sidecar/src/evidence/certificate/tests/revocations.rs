use octroi_igc::crl::Draft;
use octroi_igc::{DAY, Igc, Names};

use super::server::{BELOW, ROOT, Site};
use super::{NOW, igc};
use crate::evidence::certificate::{ListState, Revocation};

const GOOD: Revocation = Revocation::Good { degraded: false };
const DEGRADED: Revocation = Revocation::Good { degraded: true };

#[tokio::test]
async fn the_lists_of_all_authorities_decide() {
    let site = Site::new().await;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    let revocations = site.start().await;
    assert_eq!(site.verdict(&revocations, &good), GOOD);
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked);
    site.igc.root().revoke_serial(site.igc.organisations().serial());
    site.publish(7);
    revocations.refresh().await;
    assert_eq!(site.verdict(&revocations, &good), Revocation::Revoked, "its authority is revoked");
    let status = revocations.status(site.clock.now());
    assert!(status.lists.iter().all(|list| list.state == ListState::Current && list.error.is_none()));
    let numbers: Vec<String> = status.lists.iter().map(|list| list.number.unwrap().to_string()).collect();
    assert_eq!(numbers, ["7", "7"]);
    assert!(status.sources.iter().all(|source| source.authority.is_some() && source.error.is_none()));
}

#[tokio::test]
async fn without_the_list_of_an_authority_nobody_is_known_to_be_good() {
    let site = Site::new().await;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    site.pages.set(ROOT, "<html>captive portal</html>");
    let revocations = site.start().await;
    assert_eq!(site.verdict(&revocations, &good), Revocation::Unavailable);
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked, "its own list is there");
    let status = revocations.status(site.clock.now());
    let missing: Vec<_> = status.lists.iter().filter(|list| list.state == ListState::Missing).collect();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].authority.contains("RACINE"));
    assert_eq!(status.sources[1].error, Some("html"));
}

#[tokio::test]
async fn a_bad_answer_is_told_and_keeps_the_last_good_list() {
    let site = Site::new().await;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    let revocations = site.start().await;
    let (impostor, foreign) = (igc(), Igc::at(Names::Foreign, NOW).unwrap());
    let of = |igc: &Igc, draft: Draft| draft.signed_by(igc.organisations()).unwrap();
    let newer = of(&site.igc, Draft::new(9, NOW - DAY));
    let cases = [
        (Vec::new(), "empty"),
        (b"<!DOCTYPE html>".to_vec(), "html"),
        (newer[..newer.len() - 9].to_vec(), "truncated"),
        ([&newer[..], b"\n"].concat(), "trailing-bytes"),
        (of(&impostor, Draft::new(9, NOW - DAY)), "signature"),
        (of(&foreign, Draft::new(9, NOW - DAY)), "issuer"),
        (of(&site.igc, Draft::new(9, NOW + DAY)), "future"),
        (of(&site.igc, Draft::new(5, NOW)), "older-number"),
        (of(&site.igc, Draft::new(6, NOW)), "same-number"),
        (of(&site.igc, Draft::new(7, NOW - 3 * DAY)), "older-date"),
        (of(&site.igc, Draft { number: None, ..Draft::new(9, NOW) }), "no-number"),
    ];
    let check = |expected: &str| {
        let status = revocations.status(site.clock.now());
        let list = status.lists.iter().find(|list| list.authority.contains("ORGANISATIONS")).unwrap();
        assert_eq!((list.error, list.number.unwrap().to_string().as_str()), (Some(expected), "6"));
        assert!(status.sources[0].message.as_ref().is_some_and(|message| !message.is_empty()));
        assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked, "{expected}");
        assert_eq!(site.verdict(&revocations, &good), GOOD, "{expected}");
    };
    for (body, expected) in cases {
        site.pages.set(BELOW, body);
        revocations.refresh().await;
        check(expected);
    }
    site.pages.answer(BELOW, ("302 Found", "location: /root.crl\r\n", Vec::new()));
    revocations.refresh().await;
    check("status");
    site.pages.set(BELOW, vec![0x30; (16 << 20) + 1]);
    revocations.refresh().await;
    check("too-large");
    site.pages.set(BELOW, newer);
    revocations.refresh().await;
    assert_eq!(site.verdict(&revocations, &bad), GOOD, "a newer list replaces it");
}

#[tokio::test]
async fn a_list_past_its_end_is_usable_for_the_configured_time_and_still_revokes_after_it() {
    let mut site = Site::new().await;
    site.max_stale = 100;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    let revocations = site.start().await;
    site.pass(DAY);
    assert_eq!(site.verdict(&revocations, &good), GOOD);
    site.pass(1);
    assert_eq!(site.verdict(&revocations, &good), DEGRADED);
    assert_eq!(revocations.status(site.clock.now()).lists[0].state, ListState::Stale);
    site.pass(99);
    assert_eq!(site.verdict(&revocations, &good), DEGRADED);
    site.pass(1);
    assert_eq!(site.verdict(&revocations, &good), Revocation::Unavailable);
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked);
    assert_eq!(revocations.status(site.clock.now()).lists[0].state, ListState::Unusable);
}

#[tokio::test]
async fn copies_serve_after_a_restart_and_never_give_way_to_older_lists() {
    let site = Site::new().await;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    drop(site.start().await);
    for path in [ROOT, BELOW] {
        site.pages.answer(path, ("503 Service Unavailable", "", Vec::new()));
    }
    let revocations = site.start().await;
    assert_eq!(site.verdict(&revocations, &good), GOOD);
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked);
    assert!(revocations.status(site.clock.now()).lists.iter().all(|list| list.fetched_at.is_some()));
    site.pages.set(BELOW, Draft::new(5, NOW).signed_by(site.igc.organisations()).unwrap());
    revocations.refresh().await;
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked);
    assert_eq!(revocations.status(site.clock.now()).sources[0].error, Some("older-number"));
}

#[tokio::test]
async fn a_damaged_copy_is_ignored() {
    let site = Site::new().await;
    drop(site.start().await);
    for path in [ROOT, BELOW] {
        site.pages.answer(path, ("503 Service Unavailable", "", Vec::new()));
    }
    let copies = copies(&site);
    let mut bytes = std::fs::read(&copies[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&copies[0], bytes).unwrap();
    let revocations = site.start().await;
    let states: Vec<_> = revocations.status(site.clock.now()).lists.iter().map(|list| list.state).collect();
    assert!(states.contains(&ListState::Missing) && states.contains(&ListState::Current), "{states:?}");
    assert_eq!(site.verdict(&revocations, &site.leaf()), Revocation::Unavailable);
}

fn copies(site: &Site) -> Vec<std::path::PathBuf> {
    let mut copies: Vec<_> = std::fs::read_dir(site.copies()).unwrap().map(|entry| entry.unwrap().path()).collect();
    copies.retain(|path| path.extension().is_some_and(|extension| extension == "crl"));
    assert_eq!(copies.len(), 2);
    copies
}

#[tokio::test]
async fn a_copy_that_could_not_be_written_is_written_at_the_next_fetch() {
    let site = Site::new().await;
    let bad = site.leaf();
    let revocations = site.start().await;
    let copies = copies(&site);
    for copy in &copies {
        // A folder that is not empty gives way to no file.
        std::fs::remove_file(copy).unwrap();
        std::fs::create_dir_all(copy.join("in-the-way")).unwrap();
    }
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    revocations.refresh().await;
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked, "what it revokes waits for no disk");
    assert_eq!(revocations.status(site.clock.now()).dovecot_error, Some("copy"));
    for copy in &copies {
        std::fs::remove_dir_all(copy).unwrap();
    }
    revocations.refresh().await;
    assert_eq!(revocations.status(site.clock.now()).dovecot_error, None);
    assert!(revocations.enforced_by_dovecot("igc-test", site.clock.now()));
    drop(revocations);
    for path in [ROOT, BELOW] {
        site.pages.answer(path, ("503 Service Unavailable", "", Vec::new()));
    }
    assert_eq!(site.verdict(&site.start().await, &bad), Revocation::Revoked, "no restart brings the old list back");
}
