//! `octroi serve`: runs the sidecar until it is told to stop.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{Ground, Running};
use crate::clock::Clock;
use crate::config::Config;

pub(super) fn serve(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    log();
    take_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        // Before anything is opened: a signal meanwhile still ends it in order.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ground = Ground::build(&config, Clock::system()).await?;
        let running = Running::open(&config, ground).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        running.close().await;
        Ok(())
    })
}

/// Takes as many descriptors as this process may have: service managers start it with 1024 (systemd's soft limit), of
/// which each connection of a mail server takes one, and the doors hold thousands.
fn take_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, descriptors = limit.current, "the limit of open files can't be raised");
    }
}

/// Logs to the error output: lines for people on a terminal, JSON for a collector.
fn log() {
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(terminal);
    // A subscriber that is there already (a test's) stays.
    let _ = if terminal { builder.try_init() } else { builder.json().try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_of_descriptors_is_raised_to_what_is_allowed() {
        let before = getrlimit(Resource::Nofile);
        // Not below what tests beside this one may hold.
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum.map(|most| most - 1), ..before }).unwrap();
        take_descriptors();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
