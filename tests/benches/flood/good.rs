//! Good logins that arrive at a steady rate.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::introspect;
use crate::load::http::Http;
use crate::load::{CONNECTIONS, Connection as _};
use crate::server::Server;

/// Logins a second: 720 000 in an hour.
const RATE: u32 = 200;

/// Logins under way.
pub(super) struct Arrivals {
    granted: Rc<Cell<u32>>,
    begun: Instant,
    clients: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Arrivals {
    /// Lets logins arrive. One that is late by a whole turn of its connection is lost, not made up for.
    ///
    /// # Errors
    /// The server does not accept the connections.
    pub(super) async fn start(local: &LocalSet, server: &Server, requests: &[Vec<u8>]) -> anyhow::Result<Self> {
        let granted = Rc::new(Cell::new(0));
        let turn = Duration::from_secs(1) * u32::try_from(CONNECTIONS)? / RATE;
        let connections = Http::connect(server, requests, introspect::is_granted).await?;
        let begun = Instant::now();
        let client = |(first, mut connection): (usize, Http)| {
            let granted = granted.clone();
            local.spawn_local(async move {
                let mut ticks = interval(turn);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                for turn in 0.. {
                    ticks.tick().await;
                    anyhow::ensure!(connection.exchange(first + turn * CONNECTIONS).await?, "a good login is refused");
                    granted.set(granted.get() + 1);
                }
                Ok(())
            })
        };
        let clients = connections.into_iter().enumerate().map(client).collect();
        Ok(Self { granted, begun, clients })
    }

    /// Ends them. Gives the logins granted a second.
    ///
    /// # Errors
    /// One was refused, or its connection broke.
    pub(super) async fn rate(self) -> anyhow::Result<f64> {
        let rate = f64::from(self.granted.get()) / self.begun.elapsed().as_secs_f64();
        for client in self.clients {
            client.abort();
            match client.await {
                Ok(ended) => ended?,
                Err(error) if error.is_cancelled() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rate)
    }
}
