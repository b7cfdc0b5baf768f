//! Connections of the submission side's doors: accepted up to a number, told when the sidecar goes.
//!
//! A door says what it does with one connection; who may connect is settled by whoever makes the connections (a unix
//! socket with its list of users, a loopback listener).

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};

/// Tells a connection that the sidecar goes: to end at its next rest.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Waits until the sidecar goes.
    pub async fn begun(&mut self) {
        // An error means that whoever would tell is gone: the same.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

/// A door that speaks with its peer over one stream.
pub trait Conversing: Send + Sync + 'static {
    /// Serves one connection to its end. `peer` is the process at the other end where the kernel tells (SO_PEERCRED).
    fn converse<S>(&self, stream: S, peer: Option<u32>, draining: Draining) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send;
}

/// Bounds of one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Most connections at one moment; one more is closed at once, which a mail server takes for an outage.
    pub connections: usize,
    /// Time for exchanges in flight to end at shutdown.
    pub grace: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { connections: 4096, grace: Duration::from_secs(5) }
    }
}

/// Serves each connection of `incoming` with `handle` until `shutdown` ends, then lets exchanges in flight end within
/// the grace.
pub async fn serve<S, H, F>(
    incoming: impl Stream<Item = io::Result<S>>,
    limits: StreamLimits,
    shutdown: impl Future<Output = ()>,
    handle: H,
) where
    H: Fn(S, Draining) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    {
        let (mut incoming, mut shutdown) = (pin!(incoming), pin!(shutdown));
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                stream = incoming.next() => match stream {
                    Some(Ok(stream)) if connections.len() < limits.connections => {
                        connections.spawn(handle(stream, Draining(draining.clone())));
                    }
                    Some(Ok(_)) => tracing::warn!(limit = limits.connections, "a connection too many was closed"),
                    Some(Err(error)) => {
                        // Out of descriptors, as a rule: accepting again at once would only spin.
                        tracing::warn!(%error, "a connection can't be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    None => break,
                },
            }
        }
    }
    drain.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all).await.is_err() {
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_bounded_and_told_to_end() {
        let (served, told) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (serving, telling) = (Arc::clone(&served), Arc::clone(&told));
        let incoming = tokio_stream::iter((0..5).map(Ok)).chain(tokio_stream::pending());
        let shutdown = tokio::time::sleep(Duration::from_secs(1));
        let limits = StreamLimits { connections: 3, ..StreamLimits::default() };
        serve(incoming, limits, shutdown, move |_: u8, mut draining| {
            serving.fetch_add(1, Ordering::SeqCst);
            let telling = Arc::clone(&telling);
            async move {
                draining.begun().await;
                telling.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        assert_eq!((served.load(Ordering::SeqCst), told.load(Ordering::SeqCst)), (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_end_is_ended() {
        let begun = tokio::time::Instant::now();
        let shutdown = tokio::time::sleep(Duration::from_secs(1));
        let incoming = tokio_stream::once(Ok(())).chain(tokio_stream::pending());
        serve(incoming, StreamLimits::default(), shutdown, |(), _| std::future::pending()).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(6));
    }
}
