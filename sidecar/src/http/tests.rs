//! The client against a raw TCP server that answers, breaks off and goes away as told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;

const BOUNDS: Bounds = Bounds { deadline: Duration::from_millis(1500), body: 1024 };
const GET: Call<'static> = Call::Get { etag: None, revalidate: false };

/// What the server does with a connection.
#[derive(Clone)]
enum Act {
    /// Answers one request with these bytes, then reads the next one.
    Answer(&'static [u8]),
    /// Reads a request, then closes.
    Close,
    /// Reads a request, answers with these bytes, then closes.
    AnswerAndClose(&'static [u8]),
    /// Reads and says nothing.
    Silent,
}

struct Server {
    url: Url,
    connections: Arc<AtomicUsize>,
}

/// Serves the acts in their order, over as many connections as it takes; then repeats the last one.
async fn server(acts: Vec<Act>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/keys", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        let next = Arc::new(AtomicUsize::new(0));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, acts.clone(), Arc::clone(&next)));
        }
    });
    Server { url, connections }
}

async fn serve(mut stream: TcpStream, acts: Vec<Act>, next: Arc<AtomicUsize>) {
    while read_request(&mut stream).await {
        let at = next.fetch_add(1, Ordering::SeqCst).min(acts.len() - 1);
        match &acts[at] {
            Act::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
            Act::Close => return,
            Act::AnswerAndClose(bytes) => return stream.write_all(bytes).await.unwrap(),
            Act::Silent => std::future::pending().await,
        }
    }
}

/// Reads one request with its body; false at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse::<usize>().unwrap() {
            return true;
        }
    }
}

fn client() -> HttpClient {
    HttpClient::new(&HttpSettings::default()).unwrap()
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn body(answer: Result<Answer, HttpError>) -> Vec<u8> {
    match answer {
        Ok(Answer::Json { body, .. }) => body,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = server(vec![Act::Answer(GOOD)]).await;
    let client = client();
    for _ in 0..5 {
        assert_eq!(body(client.call(&server.url, &GET, BOUNDS).await), b"{}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kept_connection_that_closes_before_it_answers_costs_one_more_try_and_no_failure() {
    let server = server(vec![Act::Answer(GOOD), Act::Close, Act::Answer(GOOD)]).await;
    let client = client();
    let secret = Secret::new("token=t");
    let form = Call::Form { body: &secret, authorization: None };
    assert_eq!(body(client.call(&server.url, &form, BOUNDS).await), b"{}");
    assert_eq!(body(client.call(&server.url, &form, BOUNDS).await), b"{}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn there_is_one_more_try_and_not_two() {
    let server = server(vec![Act::Close]).await;
    assert_eq!(client().call(&server.url, &GET, BOUNDS).await, Err(HttpError::Closed));
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_that_broke_off_is_not_asked_for_again() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"half\":";
    let server = server(vec![Act::AnswerAndClose(half)]).await;
    assert_eq!(client().call(&server.url, &GET, BOUNDS).await, Err(HttpError::Truncated));
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_fault_has_its_name() {
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let leak = |text: String| -> &'static [u8] { Box::leak(text.into_bytes().into_boxed_slice()) };
    let cases = [
        ("status", Act::Answer(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), HttpError::Status(503)),
        (
            "redirect",
            Act::Answer(b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
            HttpError::Status(302),
        ),
        ("304 nobody asked for", Act::Answer(b"HTTP/1.1 304 Same\r\n\r\n"), HttpError::Status(304)),
        (
            "page",
            Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\n\r\n<"),
            HttpError::ContentType,
        ),
        ("no type", Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"), HttpError::ContentType),
        ("announced too large", Act::Answer(leak(format!("{json}content-length: 1025\r\n\r\n"))), HttpError::TooLarge),
        (
            "too large without saying so",
            Act::AnswerAndClose(leak(format!("{json}\r\n{}", "x".repeat(1025)))),
            HttpError::TooLarge,
        ),
        (
            "chunks without end",
            Act::Answer(leak(
                format!("{json}transfer-encoding: chunked\r\n\r\n{}", "100\r\n".to_owned() + &"y".repeat(256) + "\r\n")
                    .repeat(1)
                    + &format!("100\r\n{}\r\n", "y".repeat(256)).repeat(4),
            )),
            HttpError::TooLarge,
        ),
        ("another protocol", Act::AnswerAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), HttpError::Protocol),
    ];
    for (case, act, error) in cases {
        let server = server(vec![act]).await;
        assert_eq!(client().call(&server.url, &GET, BOUNDS).await, Err(error), "{case}");
    }
}

#[tokio::test]
async fn silence_and_a_body_that_never_ends_are_given_up_at_the_deadline() {
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let short = Bounds { deadline: Duration::from_millis(200), ..BOUNDS };
    for act in [Act::Silent, Act::Answer(begun)] {
        let server = server(vec![act]).await;
        let asked = Instant::now();
        assert_eq!(client().call(&server.url, &GET, short).await, Err(HttpError::Deadline));
        assert!(asked.elapsed() >= short.deadline);
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    assert_eq!(client().call(&url, &GET, BOUNDS).await, Err(HttpError::Connect));
}

#[tokio::test]
async fn a_document_at_its_limit_is_read_whole() {
    let exact: &'static [u8] = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1024\r\n\r\n{}",
            "x".repeat(1024)
        )
        .into_bytes()
        .into_boxed_slice(),
    );
    let server = server(vec![Act::Answer(exact)]).await;
    assert_eq!(body(client().call(&server.url, &GET, BOUNDS).await).len(), 1024);
}

#[tokio::test]
async fn an_unchanged_document_is_known_by_its_tag() {
    let server = server(vec![Act::Answer(b"HTTP/1.1 304 Same\r\ncache-control: max-age=60\r\n\r\n")]).await;
    let call = Call::Get { etag: Some("\"tag\""), revalidate: true };
    let fresh_for = Some(Duration::from_secs(60));
    assert_eq!(client().call(&server.url, &call, BOUNDS).await, Ok(Answer::NotModified { fresh_for }));
}

#[test]
fn only_https_and_loopback_for_a_loopback_issuer_may_be_asked() {
    let url = |text: &str| Url::parse(text).unwrap();
    let (remote, local) = (url("https://issuer.example.test"), url("http://127.0.0.1:8080/realm"));
    assert!(may_be_asked(&url("https://keys.example.test/jwks"), &remote));
    assert!(!may_be_asked(&url("http://keys.example.test/jwks"), &remote));
    assert!(!may_be_asked(&url("http://127.0.0.1/jwks"), &remote));
    assert!(may_be_asked(&url("http://[::1]:80/jwks"), &local));
    assert!(may_be_asked(&url("http://localhost/jwks"), &local));
    assert!(!may_be_asked(&url("http://localhost.example.test/jwks"), &local));
    assert!(!may_be_asked(&url("http://192.0.2.1/jwks"), &local));
    assert!(!may_be_asked(&url("file:///etc/passwd"), &local));
}

#[test]
fn roots_that_are_no_certificates_are_a_fault_of_the_configuration() {
    let with =
        |pem: &[u8]| HttpClient::new(&HttpSettings { extra_roots: Some(pem.to_vec()), ..HttpSettings::default() });
    assert_eq!(with(b"").err(), Some(HttpSetupError::ExtraRoots));
    assert_eq!(with(b"no certificate").err(), Some(HttpSetupError::ExtraRoots));
    let identity = Some(Secret::new("no key"));
    let refused = HttpClient::new(&HttpSettings { identity, ..HttpSettings::default() });
    assert_eq!(refused.err(), Some(HttpSetupError::Identity));
}
