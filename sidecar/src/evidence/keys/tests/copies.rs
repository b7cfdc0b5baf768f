//! The copy on disk: what starts a sidecar without its provider, and what must not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::provider::{ALG, Provider, Signer, name, settle};
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::keys::{CopyError, KeyCopy, KeySettings, Keys, KeysState, Origin};

const ISSUER: &str = "https://issuer.example.test";
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn settings(issuer: &str, folder: &Path, clock: &Clock) -> KeySettings {
    let copy = Some(KeyCopy { folder: folder.to_owned(), clock: clock.clone() });
    KeySettings { copy, ..KeySettings::new(issuer) }
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Keys that were fetched once and copied.
async fn copied(folder: &Path, clock: &Clock, signer: &Signer) {
    let provider = Provider::publishing(&[signer]);
    let keys = provider.keys_with(settings(ISSUER, folder, clock)).await;
    let is_there = || {
        fs::read_dir(folder)
            .is_ok_and(|mut files| files.any(|file| file.unwrap().path().extension().is_some_and(|e| e == "json")))
    };
    // Written by a thread of its own: waited for in real time, twenty seconds.
    for _ in 0..4000 {
        if is_there() {
            break;
        }
        settle().await;
        #[expect(clippy::disallowed_methods, reason = "the disk takes no part in simulated time")]
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(is_there(), "no copy was written");
    assert_eq!(keys.status().origin, Some(Origin::Issuer));
}

async fn restarted(issuer: &str, folder: &Path, clock: &Clock) -> Keys {
    let away = Provider::publishing(&[]);
    away.fail();
    away.keys_with(settings(issuer, folder, clock)).await
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_starts_from_its_copy_while_the_issuer_is_away() {
    let (folder, clock, signer) = (tempfile::tempdir().unwrap(), Clock::manual(NOW), Signer::new("k1"));
    let folder = folder.path().join("keys");
    copied(&folder, &clock, &signer).await;
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(only_file(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
    clock.set(NOW.plus(3600));
    let keys = restarted(ISSUER, &folder, &clock).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
    let status = keys.status();
    assert_eq!((status.state, status.origin), (KeysState::Stale, Some(Origin::Disk)));
    assert!(status.age.unwrap().as_secs() >= 3600);
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_no_younger_for_having_been_read_again() {
    let (folder, clock, signer) = (tempfile::tempdir().unwrap(), Clock::manual(NOW), Signer::new("k1"));
    copied(folder.path(), &clock, &signer).await;
    clock.set(NOW.plus(600 + 4 * 3600));
    let keys = restarted(ISSUER, folder.path(), &clock).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "found");
    clock.set(NOW.plus(600 + 4 * 3600 + 106));
    let keys = restarted(ISSUER, folder.path(), &clock).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    assert_eq!(keys.status().state, KeysState::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_damaged_foreign_or_from_the_future_is_not_used() {
    let (folder, clock, signer) = (tempfile::tempdir().unwrap(), Clock::manual(NOW), Signer::new("k1"));
    copied(folder.path(), &clock, &signer).await;
    let file = only_file(folder.path());
    let whole = fs::read(&file).unwrap();
    let altered = |from: &str, to: &str| {
        let text = String::from_utf8(whole.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    };
    let cases = [
        ("truncated", whole[..whole.len() - 20].to_vec(), CopyError::Damaged),
        ("empty", Vec::new(), CopyError::Damaged),
        ("other key name", altered("k1", "k2"), CopyError::Damaged),
        ("other issuer inside", altered("issuer.example", "issuer.exemple"), CopyError::Damaged),
        ("younger by the file", altered("1800000000", "1800000001"), CopyError::Damaged),
    ];
    for (case, bytes, error) in cases {
        fs::write(&file, bytes).unwrap();
        let keys = restarted(ISSUER, folder.path(), &clock).await;
        assert_eq!(keys.status().copy_error, Some(error), "{case}");
        assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable", "{case}");
    }
    fs::write(&file, &whole).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
    assert_eq!(restarted(ISSUER, folder.path(), &clock).await.status().copy_error, Some(CopyError::Permissions));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    clock.set(UnixSeconds(NOW.0 - 301));
    assert_eq!(restarted(ISSUER, folder.path(), &clock).await.status().copy_error, Some(CopyError::Future));
}

#[tokio::test(start_paused = true)]
async fn a_copy_serves_its_own_issuer_alone() {
    let (folder, clock, signer) = (tempfile::tempdir().unwrap(), Clock::manual(NOW), Signer::new("k1"));
    copied(folder.path(), &clock, &signer).await;
    let other = "https://other.example.test";
    let keys = restarted(other, folder.path(), &clock).await;
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
    // Nor when the file is put in the other's place.
    let copy = KeyCopy { folder: folder.path().to_owned(), clock: clock.clone() };
    let theirs = copy.path(other);
    fs::rename(only_file(folder.path()), theirs).unwrap();
    let keys = restarted(other, folder.path(), &clock).await;
    assert_eq!(keys.status().copy_error, Some(CopyError::Issuer));
    assert_eq!(name(&keys.find(Some("k1"), ALG).await), "unavailable");
}
