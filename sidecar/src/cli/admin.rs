//! The way to the running sidecar: its admin socket.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::config::Config;

/// How long the sidecar may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which sidecar to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Socket {
    /// Admin socket of the sidecar. Default: the one of the configuration.
    #[arg(long, global = true, value_name = "SOCKET")]
    socket: Option<PathBuf>,
}

impl Socket {
    /// The socket: as named, else as configured.
    pub(super) fn find(self, config: &Path) -> anyhow::Result<PathBuf> {
        match self.socket {
            Some(socket) => Ok(socket),
            None => Ok(Config::admin_socket(config)?),
        }
    }
}

/// Connects to the sidecar and does `work` with it.
pub(super) fn ask<T, F>(socket: &Path, work: impl FnOnce(Channel) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let absolute = std::path::absolute(socket)?;
        // The path goes as it is: tonic takes everything behind the scheme.
        let endpoint = Endpoint::new(format!("unix:{}", absolute.display()))?.timeout(DEADLINE);
        let channel = endpoint.connect().await.with_context(|| {
            format!("no sidecar answers at {}; is it running? (systemctl status octroi)", socket.display())
        })?;
        work(channel).await
    })
}

/// A refusal of the sidecar, told in its own words.
pub(super) fn refusal(status: &Status) -> anyhow::Error {
    match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::ResourceExhausted | Code::DataLoss => {
            anyhow::anyhow!("{}", status.message())
        }
        Code::Unavailable | Code::Unknown | Code::Cancelled if status.get_ref_io() => {
            anyhow::anyhow!("the sidecar closed the connection: is this user listed in [server] admin_uids?")
        }
        Code::DeadlineExceeded | Code::Cancelled => anyhow::anyhow!("the sidecar did not answer in time"),
        code => anyhow::anyhow!("the sidecar answered {code:?}: {}", status.message()),
    }
}

/// Whether a status was made on this side, from a broken connection.
trait FromTransport {
    fn get_ref_io(&self) -> bool;
}

impl FromTransport for Status {
    fn get_ref_io(&self) -> bool {
        std::error::Error::source(self).is_some()
    }
}
