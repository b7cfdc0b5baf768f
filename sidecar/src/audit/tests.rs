use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::clock::UnixSeconds;
use crate::gate::{Attempt, Credentials, DecisionId, Door, Outcome, Protocol};
use crate::rails::Permit;
use crate::reason::{DenyReason, UnavailableReason};
use crate::secret::Token;

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap();
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn attempt(mailbox: Option<&str>) -> Attempt {
    Attempt {
        credentials: Credentials::Bearer(Token::new("planted-token")),
        mailbox: mailbox.map(str::to_owned),
        protocol: Protocol::Imap,
        door: Door::DovecotIntrospection,
        client: Some([192, 0, 2, 1].into()),
    }
}

fn judgement<'a>(attempt: &'a Attempt, outcome: &'a Outcome) -> Judgement<'a> {
    Judgement {
        id: DecisionId::example(),
        now: UnixSeconds(1_764_000_000),
        attempt,
        outcome,
        release: "abcd",
        issuer: Some("https://psc.example.test/realm"),
        key_id: Some("key-1"),
        key_generation: Some(7),
        identities_differ: false,
        took: Duration::from_micros(42),
    }
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::from_key(&[1; 32])
}

#[test]
fn every_decision_is_one_line_that_names_no_person_and_no_token() {
    let kept = Kept::default();
    let audit = Audit::to(kept.clone(), pseudonyms()).unwrap();
    let attempt = attempt(Some("A.B@x.test"));
    let permit = Permit::example(&["a.b@x.test"]);
    let digest = audit.pseudonyms().digest(permit.identity());
    for outcome in [Outcome::Allow(permit), DenyReason::TokenExpired.into(), UnavailableReason::KeysUnavailable.into()]
    {
        audit.judgement(&judgement(&attempt, &outcome));
    }
    let counts = audit.counts();
    drop(audit);
    let lines = kept.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["outcome"], "allow");
    assert_eq!(lines[0]["identity"], digest.as_str());
    assert_eq!(lines[0]["mailbox"], "a.b@x.test");
    assert_eq!(lines[0]["mailboxes"], 1);
    assert_eq!(lines[0]["time"], "2025-11-24T16:00:00Z");
    assert_eq!(lines[0]["micros"], 42);
    assert_eq!((&lines[1]["outcome"], &lines[1]["reason"]), (&"deny".into(), &"token-expired".into()));
    assert_eq!((&lines[2]["outcome"], &lines[2]["reason"]), (&"unavailable".into(), &"keys-unavailable".into()));
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("planted") && !text.contains("899700000011"), "{text}");
    for (name, count) in [("decisions_allowed", 1), ("decisions_denied_token_expired", 1), ("audit_records_lost", 0)] {
        assert!(counts.contains(&(name.to_owned(), count)), "{name} in {counts:?}");
    }
}

#[test]
fn a_mailbox_that_is_none_is_left_out() {
    let kept = Kept::default();
    let audit = Audit::to(kept.clone(), pseudonyms()).unwrap();
    audit.judgement(&judgement(&attempt(Some("eyJplanted.token")), &DenyReason::TokenMalformed.into()));
    drop(audit);
    assert_eq!(kept.lines()[0].get("mailbox"), None);
}

#[test]
fn an_after_auth_answer_joins_handle_session_and_decision() {
    let kept = Kept::default();
    let audit = Audit::to(kept.clone(), pseudonyms()).unwrap();
    audit.after_auth(&AfterAuth {
        decision: Some(DecisionId::example()),
        now: UnixSeconds(1_764_000_000),
        answer: "allow",
        handle: "h-00",
        session: "lBVpLxFh6NJ/AAAB",
        mailbox: "a@x.test",
        mechanism: "XOAUTH2",
        identity_digest: Some("0123456789abcdef"),
        counted: true,
    });
    drop(audit);
    let line = &kept.lines()[0];
    assert_eq!(line["decision"], DecisionId::example().to_string().as_str());
    assert_eq!((&line["handle"], &line["session"]), (&"h-00".into(), &"lBVpLxFh6NJ/AAAB".into()));
    assert_eq!(line["counted"], true);
}

/// Fails until told otherwise.
struct Failing(Kept, Arc<std::sync::atomic::AtomicBool>);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_full_disk_loses_is_counted_and_the_next_line_is_whole() {
    let (kept, full) = (Kept::default(), Arc::new(std::sync::atomic::AtomicBool::new(true)));
    let audit = Audit::to(Failing(kept.clone(), Arc::clone(&full)), pseudonyms()).unwrap();
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenMalformed.into()));
    while audit.counts().iter().all(|(name, count)| name != "audit_records_lost" || *count == 0) {
        std::thread::yield_now();
    }
    full.store(false, std::sync::atomic::Ordering::SeqCst);
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenExpired.into()));
    drop(audit);
    assert_eq!(kept.lines().len(), 1);
    assert_eq!(kept.lines()[0]["reason"], "token-expired");
}

/// Takes this many bytes, and no more until told otherwise.
struct Short(Kept, Arc<std::sync::atomic::AtomicUsize>);

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use std::sync::atomic::Ordering::SeqCst;
        let count = bytes.len().min(self.1.load(SeqCst));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.fetch_sub(count, SeqCst);
        self.0.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_a_full_disk_cuts_does_not_spoil_the_next_one() {
    let (kept, room) = (Kept::default(), Arc::new(std::sync::atomic::AtomicUsize::new(40)));
    let audit = Audit::to(Short(kept.clone(), Arc::clone(&room)), pseudonyms()).unwrap();
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenMalformed.into()));
    while !audit.counts().contains(&("audit_records_lost".to_owned(), 1)) {
        std::thread::yield_now();
    }
    room.store(10_000, std::sync::atomic::Ordering::SeqCst);
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenExpired.into()));
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenMalformed.into()));
    assert!(audit.counts().contains(&("audit_records_lost".to_owned(), 1)));
    drop(audit);
    let bytes = kept.0.lock().unwrap();
    let lines: Vec<_> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let reason = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].clone();
    assert_eq!(
        (lines[0].len(), reason(lines[1]), reason(lines[2])),
        (40, "token-expired".into(), "token-malformed".into())
    );
}

/// Waits at each write until it is let go.
struct Held(Kept, std::sync::mpsc::Receiver<()>);

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An end that is gone holds nothing any more.
        let _ = self.1.recv();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_disk_that_hangs_can_not_take_is_bounded_and_counted() {
    let (kept, (go, held)) = (Kept::default(), std::sync::mpsc::channel());
    let audit = Audit::to(Held(kept.clone(), held), pseudonyms()).unwrap();
    let (attempt, outcome) = (attempt(None), DenyReason::TokenExpired.into());
    let lost = |audit: &Audit| audit.counts().iter().find(|(name, _)| name == "audit_records_lost").unwrap().1;
    let mut sent = 0_u64;
    while lost(&audit) < 100 && sent < 100_000 {
        audit.judgement(&judgement(&attempt, &outcome));
        sent += 1;
    }
    let lost = lost(&audit);
    drop(go);
    drop(audit);
    assert_eq!(lost, 100, "nothing bounds the buffer");
    assert_eq!(u64::try_from(kept.lines().len()).unwrap() + lost, sent);
}

#[test]
fn the_file_is_closed_to_others_and_a_rotated_one_is_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (file, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = Audit::open(&file, pseudonyms()).unwrap();
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenExpired.into()));
    std::fs::rename(&file, &rotated).unwrap();
    audit.reopen();
    audit.judgement(&judgement(&attempt(None), &DenyReason::TokenExpired.into()));
    drop(audit);
    for path in [&file, &rotated] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1);
    }
}
