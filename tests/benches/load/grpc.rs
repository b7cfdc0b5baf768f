//! `octroi.v1.Gate/Authenticate` over one HTTP/2 connection on a unix socket.

use std::rc::Rc;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_client::GateClient;
use octroi::proto::{AuthenticateRequest, AuthenticateResponse};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{CONNECTIONS, Connection};
use crate::server::{Address, Server};

/// One connection.
pub(crate) struct Grpc {
    client: GateClient<Channel>,
    requests: Rc<[AuthenticateRequest]>,
    expected: Rc<[String]>,
}

impl Grpc {
    /// Opens [`CONNECTIONS`] connections, which send these requests in rotation. Every answer must allow exactly the
    /// expected mailboxes.
    ///
    /// # Errors
    /// The server does not accept them all.
    pub(crate) async fn connect(
        server: &Server,
        requests: &[AuthenticateRequest],
        expected: &[String],
    ) -> anyhow::Result<Vec<Self>> {
        let Address::Unix(path) = server.address() else { anyhow::bail!("{} is not on a socket", server.name()) };
        let (requests, expected): (Rc<[_]>, Rc<[_]>) = (requests.into(), expected.into());
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let path = path.clone();
            let connector = tower::service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The address is a formality: the connector goes to the socket.
            let channel = Endpoint::from_static("http://gate").connect_with_connector(connector).await?;
            let client = GateClient::new(channel);
            connections.push(Self { client, requests: requests.clone(), expected: expected.clone() });
        }
        Ok(connections)
    }

    fn expects(&self, answer: &AuthenticateResponse) -> bool {
        match &answer.outcome {
            Some(Outcome::Allowed(allowed)) => allowed.mailboxes == *self.expected,
            Some(Outcome::Denied(_)) | None => false,
        }
    }
}

impl Connection for Grpc {
    async fn exchange(&mut self, turn: usize) -> anyhow::Result<bool> {
        let request = self.requests.get(turn % self.requests.len()).context("nothing to send")?.clone();
        let answer = self.client.authenticate(request).await?.into_inner();
        Ok(self.expects(&answer))
    }
}
