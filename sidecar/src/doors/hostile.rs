//! Bad input at the doors for Postfix, over real sockets of both kinds: whatever comes, the answer is the protocol's error
//! or a closed connection, and nothing is let in.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_stream::Stream;

use super::delegation::{DelegationDoor, DelegationParts};
use super::dovecot_policy::tests::Memory;
use super::join::Joins;
use super::loopback::LoopbackDoor;
use super::ports::{Judge, SubmissionJudge, UnjoinedWitness};
use super::sasl::{SaslDoor, SaslParts};
use super::streams::{Conversing, StreamLimits, serve};
use super::unix::UnixDoor;
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::{Attempt, Credentials, Decision, DecisionId, Login, Submission, SubmissionOutcome};
use crate::rails::Permit;
use crate::reason::DenyReason;

const NOW: UnixSeconds = UnixSeconds(1_000);
/// A conversation that is not over by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both doors, each on a unix socket and on a loopback address, before a gate that knows one good message, `good`.
struct Doors {
    folder: tempfile::TempDir,
    tcp: [std::net::SocketAddr; 2],
    judged: Arc<Mutex<Vec<String>>>,
    messages: Arc<AtomicUsize>,
    store: Arc<Memory>,
    joins: Arc<Joins>,
}

/// Which door.
#[derive(Clone, Copy)]
enum Which {
    Sasl,
    Delegation,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

impl Doors {
    fn open() -> Self {
        let (judged, messages) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (store, joins) = (Arc::new(Memory::default()), Arc::new(Joins::new(4_096, 100)));
        let sasl = Arc::new(SaslDoor::new(SaslParts {
            judge: judge(&judged),
            store: store.clone(),
            joins: Arc::clone(&joins),
            clock: Clock::manual(NOW),
        }));
        let counting = Arc::clone(&messages);
        let delegation = Arc::new(DelegationDoor::new(DelegationParts {
            judge: SubmissionJudge::new(move |_: Submission| {
                counting.fetch_add(1, Ordering::SeqCst);
                std::future::ready(SubmissionOutcome::Allow)
            }),
            joins: Arc::clone(&joins),
            witness: UnjoinedWitness::new(|_| {}),
            clock: Clock::manual(NOW),
        }));
        let folder = tempfile::tempdir().unwrap();
        let tcp = [both(&folder.path().join("sasl"), &sasl), both(&folder.path().join("delegation"), &delegation)];
        Self { folder, tcp, judged, messages, store, joins }
    }

    /// A connection to each of a door's sockets.
    async fn connect(&self, which: Which) -> [Box<dyn Socket>; 2] {
        let (name, address) = match which {
            Which::Sasl => ("sasl", self.tcp[0]),
            Which::Delegation => ("delegation", self.tcp[1]),
        };
        let unix = UnixStream::connect(self.folder.path().join(name)).await.unwrap();
        [Box::new(unix), Box::new(TcpStream::connect(address).await.unwrap())]
    }

    /// What a door says to these bytes and the end of the connection, over both sockets: it must say the same.
    async fn said(&self, which: Which, bytes: &[u8]) -> String {
        let [unix, tcp] = self.connect(which).await;
        let (unix, tcp) = tokio::join!(dialogue(unix, bytes), dialogue(tcp, bytes));
        let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(200)).unwrap()).into_owned();
        let [unix, tcp] = [unix, tcp].map(|said| without_names(&said));
        assert_eq!(unix, tcp, "{shown:?}");
        unix
    }

    fn judged(&self) -> Vec<String> {
        std::mem::take(&mut self.judged.lock().unwrap())
    }

    fn nobody_was_let_in(&self) -> bool {
        self.store.recorded().is_empty() && self.joins.is_empty() && self.messages.load(Ordering::SeqCst) == 0
    }
}

fn judge(judged: &Arc<Mutex<Vec<String>>>) -> Judge {
    let judged = Arc::clone(judged);
    Judge::new(move |attempt: Attempt| {
        let Credentials::Sasl { response, .. } = attempt.credentials else { panic!("not a SASL message") };
        let response = String::from_utf8(response.expose().to_vec()).unwrap();
        let good = response == "good";
        judged.lock().unwrap().push(response);
        let outcome = if good {
            crate::gate::Outcome::Allow(Permit::example(&["a@x.test"]))
        } else {
            DenyReason::TokenExpired.into()
        };
        std::future::ready(Decision { id: DecisionId::example(), outcome })
    })
}

/// Serves a door on a unix socket and on a loopback address, which it gives.
fn both<D: Conversing>(path: &Path, door: &Arc<D>) -> std::net::SocketAddr {
    let me = rustix::process::getuid().as_raw();
    let tcp = LoopbackDoor::bind(([127, 0, 0, 1], 0).into(), &[me]).unwrap();
    let address = tcp.address();
    run(UnixDoor::bind(path, &[me]).unwrap().incoming(), door, |stream: &UnixStream| {
        stream.peer_cred().unwrap().pid().and_then(|pid| u32::try_from(pid).ok())
    });
    run(tcp.incoming(), door, |_| None);
    address
}

fn run<S, D>(
    incoming: impl Stream<Item = std::io::Result<S>> + Send + 'static,
    door: &Arc<D>,
    peer: fn(&S) -> Option<u32>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Conversing,
{
    let door = Arc::clone(door);
    tokio::spawn(serve(incoming, StreamLimits::default(), std::future::pending(), move |stream, draining| {
        let (door, peer) = (Arc::clone(&door), peer(&stream));
        async move { door.converse(stream, peer, draining).await }
    }));
}

/// Sends everything, ends the sending, and reads to the end.
async fn dialogue(mut stream: Box<dyn Socket>, bytes: &[u8]) -> String {
    let whole = async {
        // A door that has closed meanwhile is seen when reading.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let mut chunk = [0; 4096];
        // A reset is a closed connection, too: the door left bytes unread.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            said.extend_from_slice(chunk.get(..read).unwrap());
        }
        said
    };
    let said = tokio::time::timeout(PATIENCE, whole).await.expect("the door neither answers nor closes");
    String::from_utf8(said).unwrap()
}

/// Without what differs from connection to connection.
fn without_names(said: &str) -> String {
    said.lines().filter(|line| !line.starts_with("CUID") && !line.starts_with("COOKIE")).collect::<Vec<_>>().join("\n")
}

/// What was said after the greeting.
fn after_greeting(said: &str) -> &str {
    said.split_once("DONE").map_or("", |(_, rest)| rest.trim_start())
}

/// Two logins: with an initial response, and without.
const LOGINS: [&[&str]; 2] = [
    &["VERSION\t1\t0", "CPID\t4711", "AUTH\t1\tXOAUTH2\tservice=smtp\tnologin\trip=192.0.2.7\tsecured\tresp=good"],
    &["VERSION\t1\t0", "CPID\t4711", "AUTH\t1\tXOAUTH2\tservice=smtp", "CONT\t1\tgood"],
];

const QUESTION: &[&str] = &[
    "request=smtpd_access_policy",
    "protocol_state=RCPT",
    "protocol_name=ESMTP",
    "client_address=192.0.2.7",
    "sender=a@x.test",
    "recipient=b@y.test",
    "recipient_count=0",
    "instance=1267.6b0654e8.7fe6e.0",
    "size=12",
    "sasl_method=XOAUTH2",
    "sasl_username=a@x.test",
    "encryption_protocol=TLSv1.3",
];

fn text(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

fn block(lines: &[&str]) -> Vec<u8> {
    [text(lines), b"\n".to_vec()].concat()
}

/// Remembers the login to which [`QUESTION`] belongs: at the process that `instance` names, and at this one.
fn log_in(doors: &Doors) {
    for pid in [0x1267, std::process::id()] {
        let login = Login {
            mailbox: MailboxAddress::parse("a@x.test").unwrap(),
            decision: DecisionId::example(),
            issuer: "https://psc.test".into(),
            identity: IdNat::parse("899700000011").unwrap(),
            at: NOW,
        };
        doors.joins.record(pid, login);
    }
}

/// `bytes` with `inserted` before the byte at `at`.
fn with(bytes: &[u8], at: usize, inserted: &[u8]) -> Vec<u8> {
    let (before, after) = bytes.split_at(at);
    [before, inserted, after].concat()
}

/// Every order of these lines.
fn orders<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let Some((first, rest)) = lines.split_first() else { return vec![vec![]] };
    let insert = |order: Vec<&'a str>| {
        (0..=order.len()).map(move |at| [order.get(..at).unwrap(), &[*first], order.get(at..).unwrap()].concat())
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

#[tokio::test]
async fn the_good_dialogues_are_good_over_both_sockets() {
    for login in LOGINS {
        let doors = Doors::open();
        assert!(doors.said(Which::Sasl, &text(login)).await.ends_with("OK\t1\tuser=a@x.test"));
        assert_eq!(doors.store.recorded().len(), 2);
        assert!(doors.joins.find(4711, "a@x.test", NOW).is_some(), "TCP: the process that the client names");
        assert!(doors.joins.find(std::process::id(), "a@x.test", NOW).is_some(), "unix: the one that the kernel names");
        let doors = Doors::open();
        log_in(&doors);
        assert_eq!(doors.said(Which::Delegation, &block(QUESTION)).await, "action=DUNNO\n");
    }
}

#[tokio::test]
async fn a_login_cut_off_anywhere_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        let whole = text(login);
        for length in 0..whole.len() {
            let said = doors.said(Which::Sasl, &whole[..length]).await;
            assert!(!said.contains("\nOK"), "{length}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_login_with_a_nul_or_a_byte_beyond_ascii_anywhere_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        let whole = text(login);
        for (at, strange) in (0..whole.len()).flat_map(|at| [(at, &b"\0"[..]), (at, b"\xc3\xa9"), (at, b"\xff")]) {
            let said = doors.said(Which::Sasl, &with(&whole, at, strange)).await;
            assert!(!said.contains("\nOK"), "{at}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn an_over_long_line_of_a_login_closes_the_connection() {
    let doors = Doors::open();
    let long = vec![b'a'; 64 * 1024];
    for login in LOGINS {
        let whole = text(login);
        for (end, _) in whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let said = doors.said(Which::Sasl, &with(&whole, end, &long)).await;
            assert!(!said.contains("\nOK"), "{end}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_login_in_any_other_order_is_never_judged() {
    let doors = Doors::open();
    for login in LOGINS {
        for order in orders(login).into_iter().filter(|order| order != login) {
            let said = doors.said(Which::Sasl, &text(&order)).await;
            assert!(!said.contains("\nOK"), "{order:?}: {said}");
        }
        for missing in 0..login.len() {
            let rest: Vec<&str> = [&login[..missing], &login[missing + 1..]].concat();
            let said = doors.said(Which::Sasl, &text(&rest)).await;
            assert!(!said.contains("\nOK"), "{rest:?}: {said}");
        }
    }
    assert!(doors.judged().is_empty() && doors.nobody_was_let_in());
}

#[tokio::test]
async fn a_duplicated_line_of_a_login_gives_it_nothing_more() {
    let doors = Doors::open();
    for login in LOGINS {
        for twice in 0..login.len() {
            let lines: Vec<&str> = [&login[..=twice], &login[twice..]].concat();
            let said = doors.said(Which::Sasl, &text(&lines)).await;
            let accepted = said.matches("\nOK").count();
            // Two sockets asked: each accept stands for one message that was judged, and was good.
            assert_eq!(doors.judged(), vec!["good"; 2 * accepted], "{lines:?}");
            let handshake = twice < 2;
            assert!(accepted == 0 || !handshake, "{lines:?}: {said}");
        }
    }
}

#[tokio::test]
async fn no_other_message_is_ever_accepted() {
    let doors = Doors::open();
    let [login, _] = LOGINS;
    let whole = text(login);
    // A line end anywhere cuts a line in two, each of which is then complete.
    for at in 0..whole.len() {
        let said = doors.said(Which::Sasl, &with(&whole, at, b"\n")).await;
        let judged = doors.judged();
        let accepted = after_greeting(&said).lines().filter(|line| line.starts_with("OK")).count();
        assert_eq!(judged.iter().filter(|message| *message == "good").count(), 2 * accepted, "{at}: {judged:?}");
    }
}

#[tokio::test]
async fn a_question_cut_off_anywhere_is_never_answered() {
    let doors = Doors::open();
    log_in(&doors);
    let whole = block(QUESTION);
    for length in 0..whole.len() {
        assert_eq!(doors.said(Which::Delegation, &whole[..length]).await, "", "{length}");
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_question_with_a_nul_anywhere_or_an_over_long_line_is_never_answered() {
    let doors = Doors::open();
    log_in(&doors);
    let (whole, long) = (block(QUESTION), vec![b'a'; 80 * 1024]);
    for at in 0..whole.len() {
        assert_eq!(doors.said(Which::Delegation, &with(&whole, at, b"\0")).await, "", "{at}");
        if whole[at] == b'\n' {
            assert_eq!(doors.said(Which::Delegation, &with(&whole, at, &long)).await, "", "{at}");
        }
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn attributes_may_come_in_any_order_and_those_that_are_read_only_once() {
    let doors = Doors::open();
    log_in(&doors);
    for first in 0..QUESTION.len() {
        let mut turned = QUESTION.to_vec();
        turned.rotate_left(first);
        assert_eq!(doors.said(Which::Delegation, &block(&turned)).await, "action=DUNNO\n", "{turned:?}");
    }
    let judged = doors.messages.swap(0, Ordering::SeqCst);
    assert_eq!(judged, 2 * QUESTION.len());
    for line in QUESTION {
        let twice = [QUESTION, &[*line]].concat();
        let is_read = !["protocol_name", "sasl_method"].iter().any(|name| line.starts_with(name));
        let expected = if is_read { "" } else { "action=DUNNO\n" };
        assert_eq!(doors.said(Which::Delegation, &block(&twice)).await, expected, "{line}");
    }
}

#[tokio::test]
async fn a_question_without_an_attribute_or_with_half_a_line_lets_nothing_through_that_it_should_not() {
    let doors = Doors::open();
    log_in(&doors);
    for missing in ["request", "protocol_state", "sasl_username"] {
        let rest: Vec<&str> = QUESTION.iter().copied().filter(|line| !line.starts_with(missing)).collect();
        let said = doors.said(Which::Delegation, &block(&rest)).await;
        assert!(!said.contains("DUNNO"), "{missing}: {said}");
    }
    for at in 0..QUESTION.len() {
        let (name, _) = QUESTION[at].split_once('=').unwrap();
        let mut half = QUESTION.to_vec();
        half[at] = name;
        assert_eq!(doors.said(Which::Delegation, &block(&half)).await, "", "{name}");
    }
    assert_eq!(doors.messages.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let doors = Doors::open();
    log_in(&doors);
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(doors.connect(Which::Sasl).await);
        idle.push(doors.connect(Which::Delegation).await);
    }
    let begun = tokio::time::Instant::now();
    assert!(doors.said(Which::Sasl, &text(LOGINS[0])).await.ends_with("OK\t1\tuser=a@x.test"));
    assert_eq!(doors.said(Which::Delegation, &block(QUESTION)).await, "action=DUNNO\n");
    assert!(begun.elapsed() < PATIENCE && idle.len() == 1_000);
}

#[tokio::test]
async fn floods_of_broken_connections_keep_nobody_out() {
    let doors = Arc::new(Doors::open());
    let mut flood = JoinSet::new();
    for number in 0..100 {
        let doors = Arc::clone(&doors);
        flood.spawn(async move {
            let which = if number % 2 == 0 { Which::Sasl } else { Which::Delegation };
            let said = doors.said(which, &vec![b'x'; 1 << 20]).await;
            assert!(!said.contains("\nOK") && !said.contains("DUNNO"), "{said}");
        });
    }
    let good = doors.said(Which::Sasl, &text(LOGINS[0])).await;
    assert!(good.ends_with("OK\t1\tuser=a@x.test"), "{good}");
    while let Some(ended) = flood.join_next().await {
        ended.unwrap();
    }
}
