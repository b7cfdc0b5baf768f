//! A door of the submission side, and a peer that says to it what it is told to say.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use octroi::clock::UnixSeconds;
use octroi::doors::streams::{Conversing, StreamLimits, serve};
use octroi::evidence::certificate::Fingerprint;
use octroi::evidence::directory::Mailbox;
use octroi::evidence::trust_space::TrustList;
use octroi::store::{
    Authentication, LastAuthentication, Page, Store, StoreError, StoredCertificate, StoredCertificates,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_stream::StreamExt as _;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Runs a future to its end.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// What a door says on one connection whose peer sends these pieces, one after the other, and then ends its sending.
pub(crate) fn converse<D: Conversing>(door: D, pieces: &[&[u8]]) -> Vec<u8> {
    let said = Arc::<Mutex<Vec<u8>>>::default();
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    let peer = Peer { pieces, rested: false, said: Arc::clone(&said) };
    let (door, ended) = (Arc::new(door), Arc::new(Notify::new()));
    let end = Arc::clone(&ended);
    let incoming = tokio_stream::once(Ok(peer)).chain(tokio_stream::pending());
    wait(serve(incoming, StreamLimits::default(), async move { end.notified().await }, move |stream, draining| {
        let (door, ended) = (Arc::clone(&door), Arc::clone(&ended));
        async move {
            door.converse(stream, None, draining).await;
            ended.notify_one();
        }
    }));
    std::mem::take(&mut said.lock().expect("no panic"))
}

struct Peer {
    pieces: VecDeque<Vec<u8>>,
    /// Nothing came for a moment, as between two packets.
    rested: bool,
    said: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.rested, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = self.pieces.pop_front() else { return Poll::Ready(Ok(())) };
        let rest = piece.split_off(piece.len().min(into.remaining()));
        into.put_slice(&piece);
        if rest.is_empty() {
            self.rested = false;
        } else {
            self.pieces.push_front(rest);
        }
        // An empty piece would be the end.
        if piece.is_empty() { self.poll_read(cx, into) } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.said.lock().expect("no panic").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A store that keeps the authentications it is told, and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Vec<Authentication>>);

impl Shelf {
    pub(crate) fn recorded(&self) -> Vec<Authentication> {
        self.0.lock().expect("no panic").clone()
    }
}

#[async_trait::async_trait]
impl Store for Shelf {
    async fn load_directory(&self) -> Result<Vec<Mailbox>, StoreError> {
        Ok(Vec::new())
    }

    async fn replace_directory(&self, _: Vec<Mailbox>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_trust_space(&self) -> Result<Option<TrustList>, StoreError> {
        Ok(None)
    }

    async fn replace_trust_space(&self, _: TrustList) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load_certificates(&self) -> Result<StoredCertificates, StoreError> {
        Ok(StoredCertificates::default())
    }

    async fn enrol(&self, _: Vec<StoredCertificate>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn withdraw(&self, _: Fingerprint, _: UnixSeconds) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn record_authentication(&self, authentication: Authentication) -> Result<(), StoreError> {
        self.0.lock().expect("no panic").push(authentication);
        Ok(())
    }

    async fn last_authentications(&self, _: Page) -> Result<Vec<LastAuthentication>, StoreError> {
        Ok(Vec::new())
    }
}
