//! Bad input at the doors for Postfix, over real sockets of both kinds: whatever comes, the answer is the protocol's
//! error or a closed connection, and nothing is let in.

mod crowds;
mod logins;
mod questions;

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
use super::ports::{CertificateJudge, Judge, SubmissionJudge, UnjoinedWitness};
use super::sasl::{Offer, SaslDoor, SaslParts};
use super::streams::{Conversing, StreamLimits, serve};
use super::unix::UnixDoor;
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::directory::{IdNat, MailboxAddress};
use crate::gate::{
    Attempt, CertificateDecision, Credentials, Decision, DecisionId, Holder, Login, Submission, SubmissionOutcome,
};
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
            offer: Offer::Tokens,
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
            certificates: CertificateJudge::new(|_| CertificateDecision {
                id: DecisionId::example(),
                outcome: DenyReason::CertificateUnknown.into(),
            }),
            store: store.clone(),
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
            holder: Holder::Person {
                issuer: "https://psc.test".into(),
                identity: IdNat::parse("899700000011").unwrap(),
            },
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
