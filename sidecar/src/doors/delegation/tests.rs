use std::sync::Mutex;

use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use super::*;
use crate::clock::UnixSeconds;
use crate::doors::dovecot_policy::tests::Memory;
use crate::doors::streams::{StreamLimits, serve};
use crate::evidence::certificate::Fingerprint;
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::{CertificateDecision, DecisionId, Opened};

const NOW: UnixSeconds = UnixSeconds(1_000);
/// The certificate that opens `svc@x.test`.
const GOOD: &str = "abababababababababababababababababababababababababababababababab";
const DUNNO: &str = "action=DUNNO\n\n";

struct Bench {
    door: Arc<DelegationDoor>,
    joins: Arc<Joins>,
    asked: Arc<Mutex<Vec<Submission>>>,
    unjoined: Arc<Mutex<Vec<String>>>,
    store: Arc<Memory>,
}

fn bench() -> Bench {
    bench_with(Memory::default())
}

/// A judge that lets a login send as itself alone.
fn bench_with(store: Memory) -> Bench {
    let (joins, asked) = (Arc::new(Joins::new(16, 100)), Arc::<Mutex<Vec<Submission>>>::default());
    let seen = Arc::clone(&asked);
    let judge = SubmissionJudge::new(move |submission: Submission| {
        let own = submission.sender == submission.login.mailbox.as_str();
        seen.lock().unwrap().push(submission);
        async move { if own { SubmissionOutcome::Allow } else { SubmissionOutcome::Deny(SubmissionReason::SenderRefused) } }
    });
    let unjoined = Arc::<Mutex<Vec<String>>>::default();
    let into = Arc::clone(&unjoined);
    let witness = UnjoinedWitness::new(move |message| {
        let Unjoined { stage, sasl_username, sender, outcome, .. } = message;
        into.lock().unwrap().push(format!("{stage:?} {sasl_username} {sender} {outcome:?}"));
    });
    let certificates = CertificateJudge::new(|attempt| {
        let good = Shown::Fingerprint(Fingerprint::parse(GOOD).unwrap());
        let outcome = match (attempt.shown == good, attempt.mailbox.as_str()) {
            (true, "svc@x.test") => CertificateOutcome::Allow(Opened::example("svc@x.test", GOOD)),
            (true, "later@x.test") => UnavailableReason::RevocationUnavailable.into(),
            (true, _) => DenyReason::StructureRefused.into(),
            (false, _) => DenyReason::CertificateUnknown.into(),
        };
        CertificateDecision { id: DecisionId::example(), outcome }
    });
    let store = Arc::new(store);
    let (clock, joins) = (Clock::manual(NOW), Arc::clone(&joins));
    let parts =
        DelegationParts { judge, joins: Arc::clone(&joins), certificates, store: store.clone(), witness, clock };
    Bench { door: Arc::new(DelegationDoor::new(parts)), joins, asked, unjoined, store }
}

impl Bench {
    fn connect(&self, peer: Option<u32>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(256 * 1024);
        let door = Arc::clone(&self.door);
        let incoming = tokio_stream::once(Ok(server)).chain(tokio_stream::pending());
        tokio::spawn(serve(incoming, StreamLimits::default(), std::future::pending(), move |stream, draining| {
            let door = Arc::clone(&door);
            async move { door.converse(stream, peer, draining).await }
        }));
        client
    }

    fn log_in(&self, pid: u32, mailbox: &str) {
        let login = Login {
            mailbox: MailboxAddress::parse(mailbox).unwrap(),
            decision: DecisionId::example(),
            holder: Holder::Person {
                issuer: "https://psc.test".into(),
                identity: IdNat::parse("899700000011").unwrap(),
            },
            at: NOW,
        };
        self.joins.record(pid, login);
    }
}

fn question(state: &str, user: &str, sender: &str, instance: &str) -> String {
    format!(
        "request=smtpd_access_policy\nprotocol_state={state}\nsender={sender}\ninstance={instance}\n\
         sasl_username={user}\nencryption_protocol=TLSv1.3\n\n"
    )
}

/// One question and its answer; empty where the door closed.
async fn ask(stream: &mut DuplexStream, question: &str) -> String {
    // A door that has closed is seen when reading.
    let _ = stream.write_all(question.as_bytes()).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\n\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(seen).unwrap()
}

fn refused(reason: SubmissionReason) -> String {
    delegation(SubmissionOutcome::Deny(reason))
}

fn unknown() -> String {
    delegation(SubmissionOutcome::Unavailable(UnavailableReason::LoginUnknown))
}

#[tokio::test]
async fn a_login_may_send_what_the_judge_allows() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    assert_eq!(ask(&mut smtpd, &question("CONNECT", "", "", "")).await, DUNNO);
    assert_eq!(ask(&mut smtpd, &question("EHLO", "", "", "")).await, DUNNO);
    bench.log_in(7, "a@x.test");
    for state in ["MAIL", "RCPT", "DATA", "END-OF-MESSAGE"] {
        assert_eq!(ask(&mut smtpd, &question(state, "a@x.test", "a@x.test", "7.1.1.0")).await, DUNNO, "{state}");
        let other = ask(&mut smtpd, &question(state, "a@x.test", "b@x.test", "7.1.1.0")).await;
        assert_eq!(other, refused(SubmissionReason::SenderRefused), "{state}");
    }
    assert_eq!(bench.asked.lock().unwrap().len(), 8);
}

#[tokio::test]
async fn one_smtpd_serves_two_clients_and_the_firsts_login_does_not_leak() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    ask(&mut smtpd, &question("CONNECT", "", "", "")).await;
    bench.log_in(7, "a@x.test");
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, DUNNO);
    // The second client does not log in.
    assert_eq!(ask(&mut smtpd, &question("CONNECT", "", "", "")).await, DUNNO);
    let silent = ask(&mut smtpd, &question("MAIL", "", "a@x.test", "")).await;
    assert_eq!(silent, refused(SubmissionReason::NotAuthenticated));
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, unknown());
    // Nor does one whom a trusted proxy names instead: for Postfix that is a new client as well.
    bench.log_in(7, "a@x.test");
    assert_eq!(ask(&mut smtpd, &question("XCLIENT", "a@x.test", "", "")).await, DUNNO);
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, unknown());
    // The third does, as somebody else.
    bench.log_in(7, "b@x.test");
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, unknown());
    assert_eq!(ask(&mut smtpd, &question("MAIL", "b@x.test", "b@x.test", "")).await, DUNNO);
}

#[tokio::test]
async fn a_login_without_a_new_connect_stage_does_not_leak_either() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    bench.log_in(7, "a@x.test");
    assert_eq!(ask(&mut smtpd, &question("RCPT", "a@x.test", "a@x.test", "7.1.1.0")).await, DUNNO);
    let next = ask(&mut smtpd, &question("RCPT", "", "a@x.test", "7.1.1.0")).await;
    assert_eq!(next, refused(SubmissionReason::NotAuthenticated));
}

#[tokio::test]
async fn a_message_without_a_known_login_is_recorded_by_the_door() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    for (state, user) in [("CONNECT", ""), ("EHLO", ""), ("MAIL", ""), ("RCPT", "a@x.test")] {
        ask(&mut smtpd, &question(state, user, "a@x.test", "")).await;
    }
    bench.log_in(7, "a@x.test");
    ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await;
    let expected = ["Mail  a@x.test Deny(NotAuthenticated)", "Rcpt a@x.test a@x.test Unavailable(LoginUnknown)"];
    assert_eq!(*bench.unjoined.lock().unwrap(), expected);
}

#[tokio::test]
async fn another_process_has_no_part_in_the_login() {
    let bench = bench();
    bench.log_in(7, "a@x.test");
    let mut other = bench.connect(Some(8));
    // Not even when it claims to be the other one: the kernel knows better.
    assert_eq!(ask(&mut other, &question("RCPT", "a@x.test", "a@x.test", "7.1.1.0")).await, unknown());
}

#[tokio::test]
async fn over_tcp_the_process_is_known_from_rcpt_on_and_reset_at_the_next_connect() {
    let bench = bench();
    bench.log_in(0x4412, "a@x.test");
    let mut smtpd = bench.connect(None);
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, unknown());
    assert_eq!(ask(&mut smtpd, &question("RCPT", "a@x.test", "a@x.test", "4412.6b.7fe6e.0")).await, DUNNO);
    assert_eq!(ask(&mut smtpd, &question("MAIL", "a@x.test", "a@x.test", "")).await, DUNNO);
    assert_eq!(ask(&mut smtpd, &question("CONNECT", "", "", "")).await, DUNNO);
    assert_eq!(ask(&mut smtpd, &question("RCPT", "a@x.test", "a@x.test", "4412.6b.7fe6e.0")).await, unknown());
}

#[tokio::test]
async fn questions_that_cannot_be_read_get_no_answer_and_ask_nobody() {
    let good = question("MAIL", "a@x.test", "a@x.test", "");
    let long = format!("sender={}\n\n", "a".repeat(QUESTIONS.bytes));
    for hostile in [
        "\n\n",
        "request=smtpd_access_policy\n\n",
        "junk\n\n",
        &good.replace("MAIL", "mail"),
        &good.replace("sender=", "sender"),
        &good.replace("a@x.test\nins", "a\0@x.test\nins"),
        &format!("sasl_username=a@x.test\n{good}"),
        &long,
    ] {
        let bench = bench();
        bench.log_in(7, "a@x.test");
        let mut smtpd = bench.connect(Some(7));
        let shown: String = hostile.chars().take(60).collect();
        assert_eq!(ask(&mut smtpd, hostile).await, "", "{shown:?}");
        assert!(bench.asked.lock().unwrap().is_empty(), "{shown:?}");
    }
}

#[tokio::test]
async fn a_truncated_question_is_never_answered() {
    let bench = bench();
    bench.log_in(7, "a@x.test");
    let mut smtpd = bench.connect(Some(7));
    let whole = question("MAIL", "a@x.test", "a@x.test", "");
    smtpd.write_all(whole.strip_suffix('\n').unwrap().as_bytes()).await.unwrap();
    smtpd.shutdown().await.unwrap();
    let mut rest = Vec::new();
    smtpd.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty() && bench.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_is_cut_off_and_a_resting_smtpd_is_not() {
    let bench = bench();
    let mut slow = bench.connect(Some(8));
    let begun = Instant::now();
    for byte in question("CONNECT", "", "", "").chars().take(30) {
        let _ = slow.write_all(byte.to_string().as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(slow.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(begun.elapsed() >= QUESTIONS.frame);
    let mut smtpd = bench.connect(Some(7));
    assert_eq!(ask(&mut smtpd, &question("CONNECT", "", "", "")).await, DUNNO);
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    assert_eq!(ask(&mut smtpd, &question("CONNECT", "", "", "")).await, DUNNO);
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_delay_an_answer() {
    let bench = bench();
    let mut idle: Vec<_> = (0..1_000).map(|pid| bench.connect(Some(pid))).collect();
    for smtpd in &mut idle {
        assert_eq!(ask(smtpd, &question("EHLO", "", "", "")).await, DUNNO);
    }
    assert_eq!(ask(&mut idle[0], &question("EHLO", "", "", "")).await, DUNNO);
}

/// A question with a client certificate, which Postfix verified where it has a subject.
fn certified(state: &str, user: &str, subject: &str, fingerprint: &str) -> String {
    question(state, user, user, "").replace(
        "sasl_username=",
        &format!("sasl_method=EXTERNAL\nccert_subject={subject}\nccert_fingerprint={fingerprint}\nsasl_username="),
    )
}

fn shut_out(reason: DenyReason) -> String {
    delegation(SubmissionOutcome::ShutOut(reason))
}

impl Bench {
    /// What the SASL door remembers of a client that named a mailbox with EXTERNAL.
    fn claim(&self, pid: u32, mailbox: &str) {
        let mailbox = MailboxAddress::parse(mailbox).unwrap();
        self.joins.record(pid, Joined::Claim { mailbox, at: NOW });
    }
}

#[tokio::test]
async fn a_claim_becomes_a_login_by_the_certificate_that_postfix_verified() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    bench.claim(7, "svc@x.test");
    let print = GOOD.to_uppercase();
    for state in ["MAIL", "RCPT", "DATA", "END-OF-MESSAGE"] {
        assert_eq!(ask(&mut smtpd, &certified(state, "svc@x.test", "DRIMbox", &print)).await, DUNNO, "{state}");
    }
    assert_eq!(bench.store.recorded(), ["svc@x.test AUTH_CLI 1000"]);
    let asked = bench.asked.lock().unwrap();
    let holder =
        Holder::Structure { structure: "499700367909006".to_owned(), certificate: Fingerprint::parse(GOOD).unwrap() };
    assert!(asked.len() == 4 && asked.iter().all(|submission| submission.login.holder == holder));
}

#[tokio::test]
async fn a_claim_without_a_verified_and_fitting_certificate_sends_nothing() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    for (mailbox, subject, fingerprint, reason) in [
        ("svc@x.test", "", GOOD, DenyReason::CertificateMissing),
        ("svc@x.test", "", "", DenyReason::CertificateMissing),
        ("svc@x.test", "DRIMbox", "", DenyReason::CertificateUnknown),
        ("svc@x.test", "DRIMbox", &"cd".repeat(32), DenyReason::CertificateUnknown),
        ("svc@x.test", "DRIMbox", &"ab".repeat(20), DenyReason::CertificateUnknown),
        ("alice@x.test", "DRIMbox", GOOD, DenyReason::StructureRefused),
    ] {
        bench.claim(7, mailbox);
        let answer = ask(&mut smtpd, &certified("MAIL", mailbox, subject, fingerprint)).await;
        assert_eq!(answer, shut_out(reason), "{mailbox} {subject} {fingerprint}");
    }
    bench.claim(7, "later@x.test");
    let answer = ask(&mut smtpd, &certified("MAIL", "later@x.test", "DRIMbox", GOOD)).await;
    assert!(answer.starts_with("action=DEFER_IF_PERMIT 4.3.0 "), "{answer}");
    // The certificate is not what makes a token's login, nor the other way round.
    bench.claim(7, "svc@x.test");
    let other = certified("MAIL", "svc@x.test", "DRIMbox", GOOD).replace("EXTERNAL", "XOAUTH2");
    assert_eq!(ask(&mut smtpd, &other).await, shut_out(DenyReason::MechanismRefused));
    assert!(bench.asked.lock().unwrap().is_empty() && bench.store.recorded().is_empty());
}

#[tokio::test]
async fn the_next_client_of_a_process_needs_a_certificate_of_its_own() {
    let bench = bench();
    let mut smtpd = bench.connect(Some(7));
    bench.claim(7, "svc@x.test");
    assert_eq!(ask(&mut smtpd, &certified("MAIL", "svc@x.test", "DRIMbox", GOOD)).await, DUNNO);
    let another = certified("RCPT", "svc@x.test", "DRIMbox", &"cd".repeat(32));
    assert_eq!(ask(&mut smtpd, &another).await, shut_out(DenyReason::CertificateMissing));
    ask(&mut smtpd, &question("CONNECT", "", "", "")).await;
    assert_eq!(ask(&mut smtpd, &certified("MAIL", "svc@x.test", "DRIMbox", GOOD)).await, unknown());
}

#[tokio::test]
async fn a_login_by_certificate_that_can_not_be_recorded_is_no_login() {
    let bench = bench_with(Memory::broken());
    let mut smtpd = bench.connect(Some(7));
    bench.claim(7, "svc@x.test");
    let answer = ask(&mut smtpd, &certified("MAIL", "svc@x.test", "DRIMbox", GOOD)).await;
    assert_eq!(answer, delegation(SubmissionOutcome::Unavailable(UnavailableReason::StoreUnavailable)));
    assert!(bench.asked.lock().unwrap().is_empty());
}
