//! The HTTP/1.1 server under the doors for Dovecot: loopback only, bounded in connections, sizes and times.
//!
//! It knows no path and no secret: a [`Door`] admits a request by its head, and only then is the body read. A
//! connection that shows no admissible request within seconds is closed; an admitted one may idle longer than
//! Dovecot's own keep-alive, so that it is never closed under a login.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// An answer, whole.
pub type Answer = Response<Full<Bytes>>;

/// A way in over HTTP.
pub trait Door: Send + Sync + 'static {
    /// What an admitted request is for.
    type Purpose: Send;

    /// Reads the head alone: path, method, secret. An `Err` is the answer, and the body is never looked at.
    ///
    /// # Errors
    /// The refusal to send.
    fn admit(&self, head: &Parts) -> Result<Self::Purpose, Box<Answer>>;

    /// Answers an admitted request.
    fn answer(&self, purpose: Self::Purpose, head: Parts, body: Bytes) -> impl Future<Output = Answer> + Send;

    /// Answers an admitted request whose body could not be read: too large (413), too slow (408), broken (400).
    fn unreadable(&self, purpose: Self::Purpose, status: StatusCode) -> Answer;
}

/// Sizes and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at one moment. Past it a newcomer reads 503 and is closed.
    pub connections: usize,
    /// Largest head and largest body, in bytes each. 16 KiB: twice Dovecot's largest authentication message.
    pub bytes: usize,
    /// Time for a body to arrive once its head was admitted.
    pub body: Duration,
    /// Time for a new connection to show its first admissible request.
    pub stranger: Duration,
    /// Time between two requests. Longer than the 60 s for which Dovecot keeps an idle connection.
    pub idle: Duration,
    /// Time for requests in flight to end at shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            bytes: 16 * 1024,
            body: Duration::from_secs(5),
            stranger: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            grace: Duration::from_secs(5),
        }
    }
}

/// The listener can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Requests carry tokens and secrets in clear.
    #[error("{0} is not a loopback address: this door speaks HTTP without TLS and listens on loopback only")]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("can't listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
}

/// Binds a loopback address; port 0 takes a free one.
///
/// # Errors
/// [`ListenError`]
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|error| ListenError::Bind(address, error))
}

/// Serves `door` until `shutdown` ends, then lets requests in flight end within the grace.
pub async fn serve<D: Door>(listener: TcpListener, door: Arc<D>, limits: Limits, shutdown: impl Future<Output = ()>) {
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= limits.connections => turn_away(&stream),
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&door), limits, draining.clone()));
                }
                Err(error) => {
                    // Out of descriptors, as a rule: accepting again at once would only spin.
                    tracing::warn!(%error, "the HTTP door can't accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    drain.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all).await.is_err() {
        connections.shutdown().await;
    }
}

/// Best effort: whoever is too many reads an outage, never a refusal of their credentials.
fn turn_away(stream: &TcpStream) {
    let _ = stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

async fn connection<D: Door>(stream: TcpStream, door: Arc<D>, limits: Limits, mut draining: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let known = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: Request<Incoming>| {
        let (door, known) = (Arc::clone(&door), Arc::clone(&known));
        async move { Ok::<_, Infallible>(respond(&*door, request, limits, &known).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let stranger = sleep(limits.stranger);
    tokio::pin!(stranger);
    let mut watched = true;
    let mut open = true;
    loop {
        tokio::select! {
            // A broken connection is the client's affair, and logging its bytes would log a token.
            _ = serving.as_mut() => return,
            () = stranger.as_mut(), if watched => {
                if !known.load(Ordering::Relaxed) {
                    return;
                }
                watched = false;
            }
            _ = draining.wait_for(|drain| *drain), if open => {
                open = false;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Admits, reads the body within the limits, answers.
pub(super) async fn respond<D, B>(door: &D, request: Request<B>, limits: Limits, known: &AtomicBool) -> Answer
where
    D: Door,
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let purpose = match door.admit(&head) {
        Ok(purpose) => purpose,
        Err(refusal) => return *refusal,
    };
    known.store(true, Ordering::Relaxed);
    match timeout(limits.body, Limited::new(body, limits.bytes).collect()).await {
        Ok(Ok(body)) => door.answer(purpose, head, body.to_bytes()).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => door.unreadable(purpose, StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => door.unreadable(purpose, StatusCode::BAD_REQUEST),
        Err(_) => door.unreadable(purpose, StatusCode::REQUEST_TIMEOUT),
    }
}

/// An answer with a status and a body.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    // RFC 7662 section 2.2 leaves caching to the server; a cached answer would outlive a revocation.
    headers.insert(hyper::header::CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests;
