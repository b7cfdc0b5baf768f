use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use super::*;
use crate::clock::UnixSeconds;
use crate::doors::dovecot_policy::tests::Memory;
use crate::doors::streams::{StreamLimits, serve};
use crate::gate::{Decision, DecisionId};
use crate::rails::Permit;
use crate::reason::DenyReason;

/// A door before a gate that knows messages by their text.
struct Bench {
    door: Arc<SaslDoor>,
    store: Arc<Memory>,
    joins: Arc<Joins>,
    asked: Arc<Mutex<Vec<String>>>,
}

fn bench_with(store: Memory) -> Bench {
    bench_offering(store, Offer::Tokens)
}

fn bench_offering(store: Memory, offer: Offer) -> Bench {
    let (store, joins) = (Arc::new(store), Arc::new(Joins::new(16, 100)));
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&asked);
    let judge = Judge::new(move |attempt: Attempt| {
        let seen = Arc::clone(&seen);
        async move {
            let Credentials::Sasl { mechanism, response } = attempt.credentials else { panic!("not a SASL message") };
            let response = String::from_utf8(response.expose().to_vec()).unwrap();
            let outcome = match response.as_str() {
                "alice" => Outcome::Allow(Permit::example(&["alice@x.test"])),
                "bob" => Outcome::Allow(Permit::example(&["bob@x.test"])),
                "outage" => UnavailableReason::KeysUnavailable.into(),
                _ => DenyReason::TokenExpired.into(),
            };
            let client = attempt.client.map(|client| client.to_string()).unwrap_or_default();
            seen.lock().unwrap().push(format!("{mechanism} {response} {:?} {client}", attempt.protocol));
            Decision { id: DecisionId::example(), outcome }
        }
    });
    let clock = Clock::manual(UnixSeconds(1_000));
    let parts = SaslParts { judge, store: store.clone(), offer, joins: Arc::clone(&joins), clock };
    Bench { door: Arc::new(SaslDoor::new(parts)), store, joins, asked }
}

fn bench() -> Bench {
    bench_with(Memory::default())
}

/// A mail server's end of a connection.
struct Client(BufReader<DuplexStream>);

impl Bench {
    /// Connects, and reads the greeting.
    async fn connect(&self, peer: Option<u32>) -> Client {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let door = Arc::clone(&self.door);
        let incoming = tokio_stream::once(Ok(server)).chain(tokio_stream::pending());
        tokio::spawn(serve(incoming, StreamLimits::default(), std::future::pending(), move |stream, draining| {
            let door = Arc::clone(&door);
            async move { door.converse(stream, peer, draining).await }
        }));
        let mut client = Client(BufReader::new(client));
        let mut greeting = Vec::new();
        while greeting.last().is_none_or(|line| line != "DONE\n") {
            greeting.push(client.read().await.unwrap());
        }
        client
    }

    /// Connects and shakes hands as smtpd `pid`.
    async fn smtpd(&self, pid: u32) -> Client {
        let mut client = self.connect(None).await;
        client.send(&format!("VERSION\t1\t0\nCPID\t{pid}\n")).await;
        client
    }

    fn joined(&self, pid: u32, user: &str) -> bool {
        self.joins.find(pid, user, UnixSeconds(1_000)).is_some()
    }
}

impl Client {
    async fn send(&mut self, text: &str) {
        // A server that has closed is seen when reading.
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// The next line; `None` once the server has closed.
    async fn read(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line),
        }
    }

    async fn ask(&mut self, text: &str) -> Option<String> {
        self.send(text).await;
        self.read().await
    }
}

#[tokio::test]
async fn a_good_login_is_recorded_and_joined_before_it_is_told() {
    let bench = bench();
    let mut client = bench.smtpd(4711).await;
    let auth = "AUTH\t1\tXOAUTH2\tservice=smtp\tnologin\tlip=::1\trip=192.0.2.7\tsecured\tresp=alice\n";
    assert_eq!(client.ask(auth).await.unwrap(), "OK\t1\tuser=alice@x.test\n");
    assert_eq!(bench.store.recorded(), ["alice@x.test PSC 1000"]);
    assert!(bench.joined(4711, "alice@x.test"));
    assert_eq!(*bench.asked.lock().unwrap(), ["XOAUTH2 alice Smtp 192.0.2.7"]);
}

#[tokio::test]
async fn the_process_that_the_kernel_names_counts_and_not_the_one_that_the_client_names() {
    let bench = bench();
    let mut client = bench.connect(Some(99)).await;
    client.ask("VERSION\t1\t0\nCPID\t4711\nAUTH\t1\tXOAUTH2\tresp=alice\n").await.unwrap();
    assert!(bench.joined(99, "alice@x.test") && !bench.joined(4711, "alice@x.test"));
}

#[tokio::test]
async fn one_connection_serves_many_logins_and_survives_refusals() {
    let bench = bench();
    let mut client = bench.smtpd(1).await;
    for round in 0..50_u32 {
        let id = round * 3 + 1;
        let challenge = client.ask(&format!("AUTH\t{id}\tOAUTHBEARER\tresp=expired\n")).await.unwrap();
        let json = STANDARD.decode(challenge.trim_end().rsplit('\t').next().unwrap()).unwrap();
        assert_eq!(json, br#"{"status":"invalid_token","scope":"octroi"}"#);
        let fail = client.ask(&format!("CONT\t{id}\tAQ==\n")).await.unwrap();
        assert_eq!(fail, format!("FAIL\t{id}\treason={}\n", DenyReason::TokenExpired.message()));
        let id = id + 1;
        assert_eq!(client.ask(&format!("AUTH\t{id}\tXOAUTH2\n")).await.unwrap(), format!("CONT\t{id}\t\n"));
        let user = if round % 2 == 0 { "alice" } else { "bob" };
        let ok = client.ask(&format!("CONT\t{id}\t{user}\n")).await.unwrap();
        assert_eq!(ok, format!("OK\t{id}\tuser={user}@x.test\n"));
        assert!(client.ask(&format!("AUTH\t{}\tPLAIN\tresp=alice\n", id + 1)).await.unwrap().starts_with("FAIL"));
    }
    assert!(bench.joined(1, "bob@x.test") && !bench.joined(1, "alice@x.test"));
}

#[tokio::test]
async fn a_refusal_leaves_no_join_and_no_record() {
    let bench = bench();
    let mut client = bench.smtpd(1).await;
    client.ask("AUTH\t1\tXOAUTH2\tresp=expired\n").await.unwrap();
    client.ask("CONT\t1\t\n").await.unwrap();
    assert!(bench.joins.is_empty() && bench.store.recorded().is_empty());
}

#[tokio::test]
async fn an_outage_closes_the_socket_without_a_word() {
    let bench = bench();
    let mut client = bench.smtpd(1).await;
    assert_eq!(client.ask("AUTH\t1\tXOAUTH2\tresp=outage\n").await, None);
    let broken = bench_with(Memory::broken());
    let mut client = broken.smtpd(1).await;
    assert_eq!(client.ask("AUTH\t1\tXOAUTH2\tresp=alice\n").await, None);
    assert!(broken.joins.is_empty());
}

#[tokio::test]
async fn broken_lines_close_the_connection_and_ask_nobody() {
    let long = format!("AUTH\t1\tXOAUTH2\tresp={}\n", "a".repeat(LINES.bytes));
    let hostile = [
        "AUTH\t1\tXOAUTH2\tresp=alice\n",
        "VERSION\t2\t0\n",
        "VERSION\t1\t0\nVERSION\t1\t0\n",
        "CPID\t1\n",
        "VERSION\t1\t0\nCPID\t1\nAUTH\n",
        "VERSION\t1\t0\nCPID\t1\nCONT\t1\talice\n",
        "VERSION\t1\t0\nCPID\t1\nAUTH\t1\tX\0\n",
        "VERSION\t1\t0\nCPID\t1\nAUTH\t1\tXOAUTH2\tresp=\u{e9}\n",
        "VERSION\t1\t0\nCPID\t1\nCPID\t2\n",
    ];
    for text in hostile.iter().map(ToString::to_string).chain([format!("VERSION\t1\t0\nCPID\t1\n{long}")]) {
        let bench = bench();
        let mut client = bench.connect(None).await;
        let shown: String = text.chars().take(60).collect();
        assert_eq!(client.ask(&text).await, None, "{shown:?}");
        assert!(bench.asked.lock().unwrap().is_empty(), "{shown:?}");
    }
}

#[tokio::test]
async fn a_truncated_line_is_never_judged() {
    let bench = bench();
    let mut client = bench.smtpd(1).await;
    client.send("AUTH\t1\tXOAUTH2\tresp=alice").await;
    client.0.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty() && bench.asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_handshake_and_a_byte_a_second_are_cut_off() {
    let bench = bench();
    let begun = Instant::now();
    let mut client = bench.connect(None).await;
    assert_eq!(client.read().await, None);
    assert_eq!(begun.elapsed(), LINES.idle);
    let mut client = bench.smtpd(1).await;
    let begun = Instant::now();
    for byte in "AUTH\t1\tXOAUTH2\tresp=alice\n".chars() {
        client.send(&byte.to_string()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.read().await, None);
    assert!(begun.elapsed() >= LINES.frame && bench.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_a_login_out() {
    let bench = bench();
    let mut idle = Vec::new();
    for pid in 0..1_000 {
        idle.push(bench.smtpd(pid).await);
    }
    let mut client = bench.smtpd(5_000).await;
    assert_eq!(client.ask("AUTH\t1\tXOAUTH2\tresp=alice\n").await.unwrap(), "OK\t1\tuser=alice@x.test\n");
    assert_eq!(idle[999].ask("AUTH\t1\tXOAUTH2\tresp=bob\n").await.unwrap(), "OK\t1\tuser=bob@x.test\n");
}

#[tokio::test]
async fn a_socket_for_certificates_takes_external_alone_and_proves_nothing() {
    let bench = bench_offering(Memory::default(), Offer::Certificates);
    let mut smtpd = bench.smtpd(7).await;
    let mailbox = STANDARD.encode("SVC@x.test");
    smtpd.send(&format!("AUTH\t1\tEXTERNAL\tservice=smtp\tresp={mailbox}\n")).await;
    assert_eq!(smtpd.read().await.unwrap(), "OK\t1\tuser=svc@x.test\n");
    let claim = Joined::Claim { mailbox: MailboxAddress::parse("svc@x.test").unwrap(), at: UnixSeconds(1_000) };
    assert_eq!(bench.joins.find(7, "svc@x.test", UnixSeconds(1_000)), Some(claim));
    // In two steps, and in lower case.
    smtpd.send("AUTH\t2\texternal\tservice=smtp\n").await;
    assert_eq!(smtpd.read().await.unwrap(), "CONT\t2\t\n");
    smtpd.send(&format!("CONT\t2\t{mailbox}\n")).await;
    assert_eq!(smtpd.read().await.unwrap(), "OK\t2\tuser=svc@x.test\n");
    for (id, mechanism) in ["XOAUTH2", "OAUTHBEARER", "PLAIN", "EXTERNAL2"].iter().enumerate() {
        smtpd.send(&format!("AUTH\t1{id}\t{mechanism}\tservice=smtp\tresp=alice\n")).await;
        let said = smtpd.read().await.unwrap();
        assert!(said.starts_with(&format!("FAIL\t1{id}\t")), "{mechanism}: {said}");
    }
    assert!(bench.store.recorded().is_empty() && bench.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn external_without_a_mailbox_is_refused() {
    let bench = bench_offering(Memory::default(), Offer::Certificates);
    let mut smtpd = bench.smtpd(7).await;
    for (id, identity) in [
        "499700367909006",
        "a@x.test\0",
        "a@x.test\nUSER b",
        "a@x.test b",
        "*@x.test",
        "%u@x.test",
        "\u{e9}@x.test",
        "a@x y",
    ]
    .iter()
    .enumerate()
    {
        smtpd.send(&format!("AUTH\t{id}\tEXTERNAL\tservice=smtp\tresp={}\n", STANDARD.encode(identity))).await;
        let said = smtpd.read().await.unwrap();
        assert!(said.starts_with(&format!("FAIL\t{id}\treason=Adresse de boite invalide")), "{identity}: {said}");
    }
    smtpd.send("AUTH\t90\tEXTERNAL\tservice=smtp\tresp=\n").await;
    assert_eq!(smtpd.read().await.unwrap(), "CONT\t90\t\n");
    smtpd.send("CONT\t90\t\n").await;
    assert!(smtpd.read().await.unwrap().starts_with("FAIL\t90\t"));
    smtpd.send("AUTH\t91\tEXTERNAL\tservice=smtp\tresp=!!\n").await;
    assert!(smtpd.read().await.unwrap().starts_with("FAIL\t91\t"));
    assert!(bench.joins.is_empty());
}

#[tokio::test]
async fn a_socket_for_tokens_takes_no_certificate() {
    let bench = bench();
    let mut smtpd = bench.smtpd(7).await;
    let mailbox = STANDARD.encode("svc@x.test");
    for (id, line) in
        [format!("EXTERNAL\tservice=smtp\tresp={mailbox}"), "external\tservice=smtp".to_owned()].iter().enumerate()
    {
        smtpd.send(&format!("AUTH\t{id}\t{line}\n")).await;
        assert!(smtpd.read().await.unwrap().starts_with(&format!("FAIL\t{id}\t")), "{line}");
    }
    assert!(bench.joins.is_empty());
}
