//! Releases of the policy while logins go on: swaps, a start with one in service, and one in the shadow.

mod cold;
mod shadow;
mod swap;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use octroi::policy::{Digest, EMBEDDED, Statement};
use octroi::proto::StagePolicyRequest;
use octroi::proto::policies_client::PoliciesClient;
use octroi_psc::Psc;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::bench::Bench;
use crate::figure::Figure;

const SWAP_FAILURES: &str = "swap-failures";
const SWAP_P99: &str = "swap-p99";
const COLD_START: &str = "cold-start";
const SHADOW_COST: &str = "shadow-cost";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[SWAP_FAILURES, SWAP_P99, COLD_START, SHADOW_COST];

/// Measures.
///
/// # Errors
/// A server can't be started, or answers what it should not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    bench.octroi()?;
    let mut figures = swap::run(bench).await?;
    figures.push(cold::run(bench).await?);
    figures.push(shadow::run(bench).await?);
    Ok(figures)
}

/// A provider on a runtime of its own: this program's one thread waits for programs that ask the provider.
async fn provider() -> anyhow::Result<Psc> {
    static RUNTIME: LazyLock<Option<Runtime>> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().ok());
    RUNTIME.as_ref().context("no runtime")?.spawn(Psc::start()).await?
}

/// A connection to a unix socket.
async fn channel(socket: PathBuf) -> anyhow::Result<Channel> {
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The address is a formality: the connector goes to the socket.
    Ok(Endpoint::from_static("http://octroi").connect_with_connector(connector).await?)
}

/// Stages the built-in component under settings of its own, and says under which digest.
async fn stage(admin: &Path, settings: &str) -> anyhow::Result<String> {
    let request = StagePolicyRequest {
        component: EMBEDDED.to_vec(),
        settings: Some(settings.to_owned()),
        origin: "bench".to_owned(),
        reason: "bench".to_owned(),
        ..StagePolicyRequest::default()
    };
    PoliciesClient::new(channel(admin.to_owned()).await?).stage(request).await?;
    let settings = Some(Digest::of(settings.as_bytes()));
    Ok(Statement { component: Digest::of(EMBEDDED), settings }.release().hex())
}
