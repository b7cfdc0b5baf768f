//! Who gets in at a socket: connections of listed users alone, as the kernel tells whose they are.
//!
//! Others are closed before a byte is read, counted, and logged once per user.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Connections accepted and not yet taken up.
const WAITING: usize = 64;
/// Refused users that are remembered, so as to log each once.
const REMEMBERED: usize = 64;
/// Pause after the kernel refuses a connection (out of file descriptors): it would refuse the next at once, too.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket that is listened on.
pub(super) trait Listener: Send + Sync + 'static {
    /// A connection.
    type Stream: Send + Sync + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The user at its other end; `None` where nobody can tell.
    fn user(&self, stream: &Self::Stream) -> impl Future<Output = Option<u32>> + Send;

    /// Where it listens, for the log.
    fn place(&self) -> String;
}

/// The users who may connect.
#[derive(Debug)]
pub(super) struct Admission {
    uids: Vec<u32>,
    refused: Arc<AtomicU64>,
}

impl Admission {
    pub(super) fn new(uids: &[u32]) -> Self {
        Self { uids: uids.to_owned(), refused: Arc::default() }
    }

    /// Peers refused since the start.
    pub(super) fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// Connections of listed users, for as long as the stream is held.
    pub(super) fn incoming<L: Listener>(self, listener: L) -> ReceiverStream<io::Result<L::Stream>> {
        let (accepted, connections) = mpsc::channel(WAITING);
        tokio::spawn(self.accept_all(listener, accepted));
        ReceiverStream::new(connections)
    }

    async fn accept_all<L: Listener>(self, listener: L, accepted: mpsc::Sender<io::Result<L::Stream>>) {
        let mut logged = HashSet::new();
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream,
                () = accepted.closed() => return,
            };
            match stream {
                Ok(stream) => {
                    let user = listener.user(&stream).await;
                    if self.admits(user, &listener, &mut logged) && accepted.send(Ok(stream)).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, socket = listener.place(), "a connection can't be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn admits(&self, user: Option<u32>, listener: &impl Listener, logged: &mut HashSet<u32>) -> bool {
        // Without credentials nobody is known: refused like a stranger.
        if user.is_some_and(|uid| self.uids.contains(&uid)) {
            return true;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let uid = user.unwrap_or(u32::MAX);
        if logged.len() < REMEMBERED && logged.insert(uid) {
            tracing::warn!(uid, socket = listener.place(), "a user that is not listed was refused; told once");
        }
        false
    }
}
