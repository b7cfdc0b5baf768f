use octroi_igc::DAY;

use super::server::{ROOT, Site};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::{Revocation, SUSPENSION_MAX, SuspensionError};

const DEGRADED: Revocation = Revocation::Good { degraded: true };

#[tokio::test]
async fn a_suspension_lets_pass_what_no_list_speaks_of_until_it_ends_by_itself() {
    let site = Site::new().await;
    let (good, bad) = (site.leaf(), site.leaf());
    site.igc.organisations().revoke(&bad);
    site.publish(6);
    site.pages.set(ROOT, "gone");
    let revocations = site.start().await;
    assert_eq!(site.verdict(&revocations, &good), Revocation::Unavailable);
    let now = site.clock.now();
    revocations.suspend(now.plus(DAY / 2), "IGC-Sante is down, ticket 7", "root").unwrap();
    assert_eq!(site.verdict(&revocations, &good), DEGRADED);
    assert_eq!(site.verdict(&revocations, &bad), Revocation::Revoked, "a held list names it");
    let suspended = revocations.suspended(site.clock.now()).unwrap();
    assert_eq!((suspended.since, suspended.until), (now, now.plus(DAY / 2)));
    assert_eq!(revocations.status(now).suspended, Some(suspended));
    drop(revocations);
    let revocations = site.start().await;
    assert_eq!(site.verdict(&revocations, &good), DEGRADED, "it survives a restart");
    site.pass(DAY / 2);
    assert_eq!(site.verdict(&revocations, &good), DEGRADED);
    site.pass(1);
    assert_eq!(site.verdict(&revocations, &good), Revocation::Unavailable);
    assert_eq!(revocations.suspended(site.clock.now()), None);
}

#[tokio::test]
async fn a_resumed_check_holds_also_after_a_restart() {
    let site = Site::new().await;
    site.pages.set(ROOT, "gone");
    let revocations = site.start().await;
    revocations.suspend(site.clock.now().plus(60), "drill", "root").unwrap();
    revocations.resume("root").unwrap();
    revocations.resume("root").unwrap();
    assert_eq!(site.verdict(&revocations, &site.leaf()), Revocation::Unavailable);
    drop(revocations);
    assert_eq!(site.start().await.suspended(site.clock.now()), None);
}

#[tokio::test]
async fn a_suspension_has_an_end_a_reason_and_a_name() {
    let site = Site::new().await;
    let revocations = site.start().await;
    let now = site.clock.now();
    let refused = |until, reason: &str, by: &str| revocations.suspend(until, reason, by).unwrap_err();
    assert_eq!(refused(now, "drill", "root"), SuspensionError::Past);
    assert_eq!(refused(now.plus(SUSPENSION_MAX + 1), "drill", "root"), SuspensionError::TooLong);
    assert_eq!(refused(now.plus(1), "", "root"), SuspensionError::Text);
    assert_eq!(refused(now.plus(1), "drill", "a\nb"), SuspensionError::Text);
    assert_eq!(refused(now.plus(1), &"x".repeat(201), "root"), SuspensionError::Text);
    assert_eq!(revocations.suspended(now), None);
    assert!(revocations.suspend(now.plus(SUSPENSION_MAX), "drill", "root").is_ok());
}

#[tokio::test]
async fn a_damaged_or_endless_suspension_on_disk_is_none() {
    let site = Site::new().await;
    drop(site.start().await);
    let file = site.copies().join("suspension.json");
    let endless = r#"{"since":0,"until":99999999999,"reason":"x","by":"x"}"#;
    for content in ["", "{", endless, r#"{"until":99999999999}"#] {
        std::fs::write(&file, content).unwrap();
        let revocations = site.start().await;
        assert_eq!(revocations.suspended(UnixSeconds(site.clock.now().0)), None, "{content}");
    }
}
