//! The way to the running sidecar: its admin socket.

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    // Looked at first: what tonic says of a socket that is not there is not for people.
    let shown = socket.display();
    match std::os::unix::net::UnixStream::connect(socket).map_err(|error| error.kind()) {
        Ok(_) => {}
        Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            anyhow::bail!("no sidecar answers at {shown}; is it running? (octroi serve)")
        }
        Err(ErrorKind::PermissionDenied) => anyhow::bail!("this user may not open {shown}; ask as root"),
        Err(kind) => anyhow::bail!("{shown} can't be opened: {kind}"),
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let absolute = std::path::absolute(socket)?;
        let endpoint = Endpoint::new(format!("unix:{}", absolute.display()))?.timeout(DEADLINE);
        let channel = endpoint.connect().await.map_err(|_| closed())?;
        work(channel).await
    })
}

/// A refusal of the sidecar, told in its own words.
pub(super) fn refusal(status: &Status) -> anyhow::Error {
    match status.code() {
        Code::DeadlineExceeded => anyhow::anyhow!("the sidecar did not answer in time"),
        // A status with a source was made on this side, from a broken connection.
        _ if std::error::Error::source(status).is_some() => closed(),
        _ => anyhow::anyhow!("{}", status.message()),
    }
}

fn closed() -> anyhow::Error {
    anyhow::anyhow!("the sidecar closed the connection: is this user listed in [server] admin_uids?")
}
