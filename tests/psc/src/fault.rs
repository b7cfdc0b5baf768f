//! Faults that a test switches on and off while the stand-in runs.
//!
//! Owns one fault per endpoint and the point at which requests are held. Nothing here sleeps unless a test asked for a
//! delay; a held request waits for the test, not for time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::watch;

use crate::endpoints::Endpoint;

/// What goes wrong at an endpoint.
#[derive(Clone)]
pub enum Fault {
    /// The answer comes this much later.
    Delay(Duration),
    /// The request is kept waiting; made by [`crate::Psc::hold`].
    Held(HoldingPoint),
    /// This HTTP status with an empty body.
    Status(u16),
    /// Status 200 with this body instead of the true one: HTML, half a document, another content type.
    Body {
        /// `Content-Type`.
        content_type: &'static str,
        /// The body.
        body: Bytes,
    },
    /// The true answer, then this many blanks: still JSON, only larger.
    Oversize(usize),
    /// The first half of the true answer, whose announced length is right, then the end of the connection.
    Truncated,
    /// The true answer under another `Content-Type`.
    ContentType(&'static str),
    /// The connection ends without an answer.
    Close,
    /// The connection is reset (RST) without an answer.
    Reset,
}

/// Where held requests wait. Clones are the same point.
#[derive(Clone)]
pub struct HoldingPoint {
    arrived: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl HoldingPoint {
    pub(crate) fn new() -> Self {
        Self { arrived: watch::Sender::new(0), released: watch::Sender::new(false) }
    }

    pub(crate) async fn wait(&self) {
        self.arrived.send_modify(|count| *count += 1);
        // The sender lives in `self`, so the only way out is the release.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }
}

/// Keeps requests waiting until it is released or dropped.
pub struct Hold(pub(crate) HoldingPoint);

impl Hold {
    /// Waits until at least `count` requests have come to the endpoint since the hold began.
    pub async fn arrived(&self, count: usize) {
        let _ = self.0.arrived.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// How many requests have come so far.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.arrived.borrow()
    }

    /// Lets the waiting requests go on, and every later one pass.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.released.send_replace(true);
    }
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<HashMap<Endpoint, Arc<Fault>>>);

impl Faults {
    pub(crate) fn set(&self, endpoint: Endpoint, fault: Option<Fault>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => table.insert(endpoint, Arc::new(fault)),
            None => table.remove(&endpoint),
        };
    }

    pub(crate) fn of(&self, endpoint: Endpoint) -> Option<Arc<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint).cloned()
    }
}
