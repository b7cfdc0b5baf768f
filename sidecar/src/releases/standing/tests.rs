//! The rules of each step.

use super::*;

fn mark() -> Mark {
    Mark { at: 1, uid: 0, reason: "test".to_owned() }
}

fn held(text: &str) -> Held {
    let release = Digest::of(text.as_bytes());
    Held {
        release,
        name: text.to_owned(),
        version: "1.0.0".to_owned(),
        origin: String::new(),
        signed_by: Vec::new(),
        staged: mark(),
        quarantine: None,
    }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn trial(text: &str, percent: u8, listed: &[&str]) -> Trial {
    let listed = listed.iter().map(|digest| (*digest).to_owned()).collect();
    Trial { release: digest(text), percent, listed, mark: mark() }
}

fn quarantine() -> Quarantine {
    Quarantine { at: 2, code: "policy-trapped".to_owned(), persons: 3 }
}

fn which(text: &str) -> Which {
    Which::Release(Digest::of(text.as_bytes()))
}

fn two() -> Standing {
    Standing::default().with(held("a")).unwrap().with(held("b")).unwrap()
}

#[test]
fn a_rollback_goes_back_once_and_never_forth() {
    let standing = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
    assert_eq!((standing.active, standing.previous), (which("b"), Some(which("a"))));
    let back = standing.rolled_back(mark()).unwrap();
    assert_eq!((back.active, back.previous), (which("a"), None));
    assert_eq!(back.clone().rolled_back(mark()), Err(Refusal::NothingBefore));
    let own = back.activated(Which::Configuration, mark()).unwrap();
    assert_eq!(own.previous, Some(which("a")));
    assert_eq!(Standing::default().rolled_back(mark()), Err(Refusal::NothingBefore));
}

#[test]
fn what_is_in_service_or_was_before_is_not_retired() {
    let standing = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
    for text in ["a", "b"] {
        assert_eq!(standing.clone().without(Digest::of(text.as_bytes())), Err(Refusal::InUse));
    }
    let standing = standing.with(held("c")).unwrap();
    assert_eq!(standing.clone().without(Digest::of(b"c")).unwrap().held.len(), 2);
    assert_eq!(standing.without(Digest::of(b"d")), Err(Refusal::Unknown));
}

#[test]
fn nothing_is_activated_that_is_not_kept_or_that_is_in_service() {
    assert_eq!(two().activated(which("c"), mark()), Err(Refusal::Unknown));
    assert_eq!(two().activated(Which::Configuration, mark()), Err(Refusal::Active));
    assert_eq!(two().with(held("a")), Err(Refusal::Staged));
    let full = (0..KEPT).try_fold(Standing::default(), |all, n| all.with(held(&n.to_string()))).unwrap();
    assert_eq!(full.with(held("one more")), Err(Refusal::Full));
}

#[test]
fn a_release_is_found_by_eight_digits_of_its_digest_or_more() {
    let standing = two();
    let digest = Digest::of(b"a").to_string();
    let digits = digest.strip_prefix("sha256:").unwrap();
    for name in [digest.as_str(), digits, digits.get(..8).unwrap(), digest.get(..15).unwrap()] {
        assert_eq!(standing.find(name).map(|held| held.name.as_str()), Ok("a"), "{name}");
    }
    for name in ["", "sha256:", digits.get(..7).unwrap(), "configuration", &format!("{digits}0")] {
        assert_eq!(standing.find(name), Err(Refusal::Unknown), "{name}");
    }
}

#[test]
fn a_share_is_taken_back_before_what_is_in_service() {
    let standing = two().activated(which("a"), mark()).unwrap().tried(trial("b", 10, &[])).unwrap();
    assert_eq!(standing.active, which("a"));
    assert_eq!(standing.clone().without(digest("b")), Err(Refusal::InUse));
    let back = standing.clone().rolled_back(mark()).unwrap();
    assert_eq!((back.active, back.partial, back.previous), (which("a"), None, Some(Which::Configuration)));
    let whole = standing.activated(which("b"), mark()).unwrap();
    assert_eq!((whole.active, whole.partial, whole.previous), (which("b"), None, Some(which("a"))));
    for (percent, listed, expected) in
        [(0, &[][..], Err(Refusal::Share)), (100, &[], Err(Refusal::Share)), (0, &["00"], Ok(())), (99, &[], Ok(()))]
    {
        assert_eq!(two().tried(trial("a", percent, listed)).map(|_| ()), expected, "{percent}");
    }
    let active = two().activated(which("a"), mark()).unwrap();
    assert_eq!(active.clone().tried(trial("a", 1, &[])), Err(Refusal::Active));
    assert_eq!(active.tried(trial("c", 1, &[])), Err(Refusal::Unknown));
}

#[test]
fn what_failed_is_taken_back_and_does_not_come_again() {
    let standing = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
    let back = standing.clone().quarantined(digest("b"), quarantine()).unwrap();
    assert_eq!((back.active, back.previous), (which("a"), None));
    assert_eq!(back.clone().activated(which("b"), mark()), Err(Refusal::Quarantined));
    assert_eq!(back.clone().tried(trial("b", 1, &[])), Err(Refusal::Quarantined));
    assert_eq!(back.clone().quarantined(digest("b"), quarantine()), Err(Refusal::Unknown));
    assert_eq!(back.without(digest("b")).unwrap().held.len(), 1);
    assert_eq!(standing.quarantined(digest("a"), quarantine()), Err(Refusal::Unknown), "it decides for nobody");
    let shared = two().tried(trial("a", 10, &[])).unwrap().quarantined(digest("a"), quarantine()).unwrap();
    assert_eq!((shared.active, shared.partial), (Which::Configuration, None));
    // What was before and fails on trial is nothing to go back to.
    let before = two().activated(which("a"), mark()).unwrap().activated(which("b"), mark()).unwrap();
    let before = before.tried(trial("a", 10, &[])).unwrap().quarantined(digest("a"), quarantine()).unwrap();
    assert_eq!((before.active, before.previous), (which("b"), None));
    assert_eq!(before.rolled_back(mark()), Err(Refusal::NothingBefore));
    let first = two().activated(which("a"), mark()).unwrap().rolled_back(mark()).unwrap();
    let first = first.activated(which("a"), mark()).unwrap().quarantined(digest("a"), quarantine()).unwrap();
    assert_eq!(first.active, Which::Configuration);
}

#[test]
fn the_shadow_is_kept_and_leaves_when_it_comes_into_service() {
    let standing = two().shadowed(Some(digest("a"))).unwrap();
    assert_eq!(standing.clone().without(digest("a")), Err(Refusal::InUse));
    assert_eq!(standing.clone().activated(which("b"), mark()).unwrap().shadow, Some(digest("a")));
    let active = standing.clone().activated(which("a"), mark()).unwrap();
    assert_eq!(active.shadow, None);
    assert_eq!(active.shadowed(Some(digest("a"))), Err(Refusal::Active));
    assert_eq!(standing.clone().shadowed(Some(digest("c"))), Err(Refusal::Unknown));
    assert_eq!(standing.shadowed(None).unwrap().shadow, None);
}

#[test]
fn what_an_earlier_version_wrote_is_read() {
    let text = r#"{"held":[],"active":"configuration","previous":null,"changed":null}"#;
    assert_eq!(serde_json::from_str::<Standing>(text).unwrap(), Standing::default());
}

#[test]
fn the_highest_version_in_service_outlives_its_release() {
    let versioned = |text: &str, version: &str| Held { version: version.to_owned(), ..held(text) };
    let standing = Standing::default().with(versioned("a", "1.0.0")).unwrap();
    let standing = standing.with(versioned("b", "1.2.0")).unwrap().with(versioned("c", "2.0.0")).unwrap();
    let standing = standing.activated(which("b"), mark()).unwrap().activated(which("a"), mark()).unwrap();
    assert_eq!(standing.highest.as_deref(), Some("1.2.0"));
    let standing = standing.activated(Which::Configuration, mark()).unwrap().without(Digest::of(b"b")).unwrap();
    assert_eq!(standing.highest.as_deref(), Some("1.2.0"));
    // On trial, and the configuration's own.
    let trial = two().tried(trial("a", 10, &[])).unwrap();
    assert_eq!(trial.highest.as_deref(), Some("1.0.0"));
    assert_eq!(trial.with_version("3.0.0").with_version("2.0.0").highest.as_deref(), Some("3.0.0"));
    // Written before the version was remembered.
    let older = two().activated(which("a"), mark()).unwrap();
    let older = Standing { highest: None, ..older }.rolled_back(mark()).unwrap();
    assert_eq!(older.highest.as_deref(), Some("1.0.0"));
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let standing = two().activated(which("a"), mark()).unwrap().tried(trial("b", 5, &["0011"])).unwrap();
    let standing = standing.quarantined(digest("b"), quarantine()).unwrap().shadowed(Some(digest("b"))).unwrap();
    let text = serde_json::to_string(&standing).unwrap();
    assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
}
