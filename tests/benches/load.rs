//! The load: a closed loop over a fixed number of connections, on one thread.
//!
//! Every answer is read to its end and compared with what is expected; anything else counts as failed, and a figure
//! with a failed request is void. What is sent was serialised beforehand.

pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod lines;

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use crate::server::Server;

/// Connections in parallel.
pub(crate) const CONNECTIONS: usize = 16;

/// How long one run lasts.
pub(crate) const RUN: Duration = Duration::from_millis(1500);

/// One connection, with what it sends in turn.
pub(crate) trait Connection: 'static {
    /// Sends the request of this turn and reads the answer. `false` when the answer is not the expected one.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer of the protocol.
    fn exchange(&mut self, turn: usize) -> impl Future<Output = anyhow::Result<bool>>;
}

/// What one run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Server CPU a request, in microseconds.
    pub(crate) cpu: f64,
}

/// Drives a server over these connections for [`RUN`].
///
/// # Errors
/// A connection broke, or any answer was not the expected one.
pub(crate) async fn closed_loop<C: Connection>(server: &Server, connections: Vec<C>) -> anyhow::Result<Sample> {
    let local = LocalSet::new();
    let mut clients = JoinSet::new();
    let spacing = Rc::new(connections.len());
    let (cpu, begun) = (server.cpu()?, Instant::now());
    for (first, mut connection) in connections.into_iter().enumerate() {
        let spacing = spacing.clone();
        clients.spawn_local_on(
            async move {
                let (mut requests, mut failed) = (0_usize, 0_usize);
                while begun.elapsed() < RUN {
                    let expected = connection.exchange(first + requests * *spacing).await?;
                    requests += 1;
                    failed += usize::from(!expected);
                }
                anyhow::Ok((requests, failed))
            },
            &local,
        );
    }
    let (requests, failed) = local
        .run_until(async {
            let (mut requests, mut failed) = (0, 0);
            while let Some(client) = clients.join_next().await {
                let (sent, bad) = client??;
                requests += sent;
                failed += bad;
            }
            anyhow::Ok((requests, failed))
        })
        .await?;
    let (elapsed, cpu) = (begun.elapsed(), server.cpu()?.saturating_sub(cpu));
    anyhow::ensure!(failed == 0, "{failed} of {requests} answers of {} were not the expected one", server.name());
    let requests = f64::from(u32::try_from(requests)?);
    Ok(Sample { rate: requests / elapsed.as_secs_f64(), cpu: cpu.as_secs_f64() * 1e6 / requests })
}
