//! `Authenticate` over gRPC beside an echo of the same messages on the same kind of socket.

use octroi::proto::authenticate_request::Credentials as Shown;
use octroi::proto::{AuthenticateRequest, Protocol};

use crate::bench::Bench;
use crate::contest::{self, Asked, Contender};
use crate::credentials::{Credentials, MAILBOX};
use crate::echo::Echo;
use crate::figure::{Figure, Goal};
use crate::sidecar::{self, Options};

const VS_ECHO: &str = "grpc-vs-echo";
const SEEN_VS_ECHO: &str = "grpc-seen-vs-echo";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[VS_ECHO, SEEN_VS_ECHO];

/// Measures.
///
/// # Errors
/// A server can't be started, or answers what it should not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    let verifying = sidecar::start(bench, &credentials, &Options::VERIFYING).await?;
    let shipped = sidecar::start(bench, &credentials, &Options::SHIPPED).await?;
    let requests: Vec<_> = credentials.tokens().iter().map(|token| request(token)).collect();
    let asked = || Asked::Grpc(requests.clone(), vec![MAILBOX.to_owned()]);
    let ours = Contender { server: verifying.grpc(), asked: asked() };
    let seen = Contender { server: shipped.grpc(), asked: asked() };
    let echo = Contender { server: Echo::Grpc.start(bench.folder()).await?, asked: asked() };

    let [ours, seen, echo] = contest::alternate(bench.progress(), [&ours, &seen, &echo]).await?;
    let (against, goals) = (("tonic echo", echo.as_slice()), [Some(Goal::RatioAtLeast(0.4)), None]);
    let vs_echo = contest::pair(VS_ECHO, &ours, against, goals)?;
    Ok(vs_echo.into_iter().chain(contest::pair(SEEN_VS_ECHO, &seen, against, [None, None])?).collect())
}

fn request(token: &str) -> AuthenticateRequest {
    AuthenticateRequest {
        mailbox: MAILBOX.to_owned(),
        protocol: Protocol::Imap.into(),
        client_address: "192.0.2.7".to_owned(),
        credentials: Some(Shown::Bearer(token.as_bytes().to_vec())),
    }
}
