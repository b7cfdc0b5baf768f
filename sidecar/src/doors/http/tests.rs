use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;

/// Admits POST, echoes the body, and says what it could not read.
struct Echo;

impl Door for Echo {
    type Purpose = ();

    fn admit(&self, head: &Parts) -> Result<(), Box<Answer>> {
        if head.method == Method::POST { Ok(()) } else { Err(answer(StatusCode::FORBIDDEN, "text/plain", "").into()) }
    }

    async fn answer(&self, (): (), _: Parts, body: Bytes) -> Answer {
        answer(StatusCode::OK, "text/plain", body)
    }

    fn unreadable(&self, (): (), status: StatusCode) -> Answer {
        answer(status, "text/plain", "unreadable")
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits) -> Server {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    Server { address, stop, task: tokio::spawn(serve(listener, Arc::new(Echo), limits, shutdown)) }
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(seen).unwrap()
}

const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok";

async fn respond_to<B>(method: Method, body: B) -> (StatusCode, Bytes)
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let request = Request::builder().method(method).body(body).unwrap();
    let answer = respond(&Echo, request, Limits::default(), &AtomicBool::new(false)).await;
    (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_byte_more_is_413() {
    let limit = Limits::default().bytes;
    assert_eq!(respond_to(Method::POST, Full::from(vec![b'x'; limit])).await.0, StatusCode::OK);
    let (status, body) = respond_to(Method::POST, Full::from(vec![b'x'; limit + 1])).await;
    assert_eq!((status, &body[..]), (StatusCode::PAYLOAD_TOO_LARGE, &b"unreadable"[..]));
}

/// A body that never ends.
fn endless() -> impl Body<Data = Bytes, Error = Infallible> + Send {
    StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408() {
    assert_eq!(respond_to(Method::POST, endless()).await.0, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refused_head_is_never_waited_for() {
    let begun = tokio::time::Instant::now();
    assert_eq!(respond_to(Method::GET, endless()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        assert!(exchange(&mut stream, POST).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn malformed_and_oversize_heads_get_an_http_answer() {
    let server = start(Limits::default()).await;
    let huge = format!("POST / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(40_000)).into_bytes();
    for (request, status) in [(b"\x16\x03\x01 hello\r\n\r\n".as_slice(), "400"), (huge.as_slice(), "431")] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may answer and close before all of an oversize head is written.
        let _ = stream.write_all(request).await;
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen).await;
        assert!(seen.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{}", String::from_utf8_lossy(&seen));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_shows_nothing_admissible_is_closed() {
    let server = start(Limits::default()).await;
    for sent in [b"".as_slice(), b"POST / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await.unwrap();
        assert!(!seen.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn one_connection_too_many_reads_503() {
    let server = start(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    assert!(exchange(&mut first, POST).await.starts_with("HTTP/1.1 200"));
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let mut seen = Vec::new();
    second.read_to_end(&mut seen).await.unwrap();
    assert!(seen.starts_with(b"HTTP/1.1 503"));
    assert!(exchange(&mut first, POST).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_ends() {
    let server = start(Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    exchange(&mut stream, POST).await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    assert!(matches!(listen("0.0.0.0:0".parse().unwrap()).await, Err(ListenError::NotLoopback(_))));
    assert!(listen("[::1]:0".parse().unwrap()).await.is_ok());
}
