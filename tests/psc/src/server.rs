//! The stand-in on the network: HTTP/1.1 on one address, with or without TLS.
//!
//! Owns connections and where faults act on answers. Requests are bounded; what they mean is the endpoints' business.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::encode::sha256;
use crate::endpoints::{Answer, Call, Endpoint, answer};
use crate::fault::Fault;
use crate::form::Form;
use crate::port::listen_on_a_free_port;
use crate::realm::Realm;

/// Bytes of a request body that are read at most.
const MOST_BODY: usize = 256 * 1024;

/// A listening stand-in. Dropping it ends the listener and every connection.
pub(crate) struct Serving {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    orders: watch::Sender<Orders>,
}

/// What was ordered of the connections that are open at the time, by count.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Orders {
    cuts: u64,
    halves: u64,
}

/// A connection, as the endpoints see it.
struct Wire {
    /// The socket under HTTP and TLS.
    socket: OwnedFd,
    /// SHA-256 of the certificate that the peer showed, its key proven.
    certificate: Option<Vec<u8>>,
}

impl Serving {
    pub(crate) fn start(listener: TcpListener, tls: Option<TlsAcceptor>, realm: Arc<Realm>) -> Self {
        let (stop, orders) = (watch::Sender::new(false), watch::Sender::new(Orders::default()));
        let task = tokio::spawn(accept(listener, tls, realm, stop.subscribe(), orders.clone()));
        Self { task, stop, orders }
    }

    /// Ends every connection that is open now; new ones are taken.
    pub(crate) fn cut_connections(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// Ends the writing half of every connection that is open now, and goes on reading.
    pub(crate) fn half_close_connections(&self) {
        self.orders.send_modify(|orders| orders.halves += 1);
    }

    /// Ends the listener and every connection, and waits until the address is free.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // It ends by itself; a panic in it has been reported by the runtime already.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let unheard = || format!("{address} can't be listened on");
    if address.port() != 0 {
        return TcpListener::bind(address).await.with_context(unheard);
    }
    let listener = listen_on_a_free_port(address.ip()).with_context(unheard)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).with_context(unheard)
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    realm: Arc<Realm>,
    mut stop: watch::Receiver<bool>,
    orders: watch::Sender<Orders>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, tls.clone(), realm.clone(), orders.subscribe()));
                }
                // Out of descriptors or aborted by the peer: others may still succeed.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    realm: Arc<Realm>,
    mut orders: watch::Receiver<Orders>,
) {
    // A second descriptor of the same socket: hyper keeps the first.
    let (Ok(socket), Ok(second)) = (stream.as_fd().try_clone_to_owned(), stream.as_fd().try_clone_to_owned()) else {
        return;
    };
    let serve = async {
        // Without it a reply in two writes waits for the peer's acknowledgement.
        let _ = stream.set_nodelay(true);
        match tls {
            None => serve(stream, realm, Wire { socket, certificate: None }).await,
            Some(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let certificate = shown.map(|certificate| sha256(certificate));
                    serve(stream, realm, Wire { socket, certificate }).await;
                }
            }
        }
    };
    tokio::pin!(serve);
    let mut seen = *orders.borrow_and_update();
    loop {
        tokio::select! {
            () = &mut serve => return,
            changed = orders.changed() => {
                let now = *orders.borrow_and_update();
                if changed.is_err() || now.cuts != seen.cuts {
                    return;
                }
                seen = now;
                // A peer that is gone already has what was ordered.
                let _ = rustix::net::shutdown(&second, rustix::net::Shutdown::Write);
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, realm: Arc<Realm>, wire: Wire) {
    let wire = Arc::new(wire);
    let service = service_fn(move |request| respond(realm.clone(), wire.clone(), request));
    // A connection that ends badly is the peer's affair, or the fault that was asked for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection ends here, on purpose.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("connection cut on purpose")
    }
}

impl std::error::Error for Cut {}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn respond(realm: Arc<Realm>, wire: Arc<Wire>, request: Request<Incoming>) -> Result<Response<Content>, Cut> {
    let Some(endpoint) = Endpoint::at(request.uri().path()) else {
        return render(Answer::empty(StatusCode::NOT_FOUND), None);
    };
    realm.count(endpoint);
    let fault = realm.faults.of(endpoint);
    match fault.as_deref() {
        Some(Fault::Held(point)) => point.wait().await,
        Some(Fault::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::Close) => return Err(Cut),
        Some(Fault::Reset) => {
            // Closing a socket that does not linger resets the connection.
            let _ = rustix::net::sockopt::set_socket_linger(&wire.socket, Some(Duration::ZERO));
            return Err(Cut);
        }
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return render(Answer::empty(status), None);
        }
        Some(Fault::Body { .. } | Fault::Oversize(_) | Fault::Truncated | Fault::ContentType(_)) | None => {}
    }
    let Some(call) = read(request, wire.certificate.clone()).await else {
        return render(Answer::empty(StatusCode::PAYLOAD_TOO_LARGE), None);
    };
    let answer = answer(&realm, endpoint, &call).unwrap_or_else(|_| Answer::empty(StatusCode::INTERNAL_SERVER_ERROR));
    render(answer, fault.as_deref())
}

async fn read(request: Request<Incoming>, certificate: Option<Vec<u8>>) -> Option<Call> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MOST_BODY).collect().await.ok()?.to_bytes();
    Some(Call {
        method: parts.method,
        headers: parts.headers,
        query: Form::parse(parts.uri.query().unwrap_or_default().as_bytes()),
        body: Form::parse(&body),
        certificate,
    })
}

fn render(answer: Answer, fault: Option<&Fault>) -> Result<Response<Content>, Cut> {
    let whole = |body: Bytes| Content { announced: body.len(), rest: Some(body), blanks: 0, flushed: false };
    let content = match fault {
        Some(Fault::Body { content_type, body }) => {
            let response = Response::builder().header(CONTENT_TYPE, *content_type).body(whole(body.clone()));
            return response.map_err(|_| Cut);
        }
        Some(Fault::Truncated) => Content {
            announced: answer.body.len(),
            rest: Some(answer.body.slice(..answer.body.len() / 2)),
            blanks: 0,
            flushed: false,
        },
        Some(Fault::Oversize(blanks)) => {
            Content { announced: answer.body.len() + blanks, rest: Some(answer.body), blanks: *blanks, flushed: false }
        }
        Some(
            Fault::Delay(_) | Fault::Held(_) | Fault::Status(_) | Fault::ContentType(_) | Fault::Close | Fault::Reset,
        )
        | None => whole(answer.body),
    };
    let mut response = Response::new(content);
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    if let Some(Fault::ContentType(other)) = fault {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(other));
    }
    Ok(response)
}

/// A body that may break its promise: it announces a length, sends what it has, then blanks, then ends or breaks off.
struct Content {
    announced: usize,
    rest: Option<Bytes>,
    blanks: usize,
    flushed: bool,
}

impl Body for Content {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        const BLANKS: &[u8] = &[b' '; 16 * 1024];
        let next = match self.rest.take().filter(|rest| !rest.is_empty()) {
            Some(rest) => rest,
            None if self.blanks > 0 => {
                let count = self.blanks.min(BLANKS.len());
                self.blanks -= count;
                Bytes::from_static(BLANKS).slice(..count)
            }
            // What was sent so far leaves the server's buffer before the connection breaks off.
            None if self.announced > 0 && !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            None if self.announced > 0 => return Poll::Ready(Some(Err(Cut))),
            None => return Poll::Ready(None),
        };
        self.announced = self.announced.saturating_sub(next.len());
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.announced == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced as u64)
    }
}
