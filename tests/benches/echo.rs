//! The echoes: servers that read a request of the protocol, look at nothing and answer what a good login gets. They are
//! what the protocol itself costs, and run as processes of their own (this program, started again).

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use octroi::proto::authenticate_response::Outcome;
use octroi::proto::gate_server::{Gate, GateServer};
use octroi::proto::{
    Allowed, AuthenticateRequest, AuthenticateResponse, IssueTicketRequest, IssueTicketResponse, RedeemTicketRequest,
    RedeemTicketResponse,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;

use crate::server::{Address, Server};

/// The argument by which this program knows that it is to be an echo.
pub(crate) const ARGUMENT: &str = "--echo";

/// What the HTTP echo answers: as long as the introspection door's answer for one mailbox.
pub(crate) const HTTP_BODY: &str = concat!(
    r#"{"active":true,"scope":"octroi","username":"^(docteur[.]deux@bal[.]example[.]test)$","#,
    r#""handle":"h-00000000000000000000000000000000"}"#
);

/// What the SASL echo answers, and the SASL door to a good login.
pub(crate) const SASL_ANSWER: &str = "OK\t1\tuser=docteur.deux@bal.example.test\n";

/// Which protocol an echo speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Echo {
    /// HTTP/1.1 on a loopback port.
    Http,
    /// The gRPC service of the gate on a unix socket.
    Grpc,
    /// Postfix policy delegation on a unix socket.
    Delegation,
    /// Dovecot's auth protocol on a unix socket.
    Sasl,
}

impl Echo {
    const fn code(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Delegation => "delegation",
            Self::Sasl => "sasl",
        }
    }

    /// Starts an echo in a process of its own, with one thread.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) async fn start(self, folder: &Path) -> anyhow::Result<Server> {
        let program = std::env::current_exe()?;
        let (address, place) = match self {
            Self::Http => {
                let port = Address::free_port().await?;
                (Address::Tcp(port), port.to_string())
            }
            Self::Grpc | Self::Delegation | Self::Sasl => {
                let path = folder.join(format!("echo-{}.sock", self.code()));
                (Address::Unix(path.clone()), path.display().to_string())
            }
        };
        let name = format!("{} echo", self.code());
        let log = folder.join(format!("echo-{}.log", self.code()));
        Server::start(&name, &program, &[ARGUMENT, self.code(), &place], &[], address, &log).await
    }
}

/// Is an echo until the process is ended.
///
/// # Errors
/// The arguments name none, or the address is taken.
pub(crate) async fn serve(arguments: &[String]) -> anyhow::Result<()> {
    match arguments {
        [code, port] if code == Echo::Http.code() => http(port.parse()?).await,
        [code, path] if code == Echo::Grpc.code() => grpc(PathBuf::from(path)).await,
        [code, path] if code == Echo::Delegation.code() => {
            lines(PathBuf::from(path), Dialogue { greeting: b"", end: b"\n\n", answer: b"action=DUNNO\n\n" }).await
        }
        [code, path] if code == Echo::Sasl.code() => lines(PathBuf::from(path), SASL).await,
        _ => anyhow::bail!("{ARGUMENT} takes a protocol and an address"),
    }
}

async fn http(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let answer = |request: Request<Incoming>| async move {
        // Read to the end, as a door must; what it says does not matter.
        let _ = request.into_body().collect().await;
        let mut response = Response::new(Full::new(Bytes::from_static(HTTP_BODY.as_bytes())));
        response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
        Ok::<_, Infallible>(response)
    };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer)),
        );
    }
}

struct Yes;

#[tonic::async_trait]
impl Gate for Yes {
    async fn authenticate(
        &self,
        _request: tonic::Request<AuthenticateRequest>,
    ) -> Result<tonic::Response<AuthenticateResponse>, Status> {
        let allowed = Allowed {
            mailboxes: vec![crate::credentials::MAILBOX.to_owned()],
            expires_at: 4_000_000_000,
            identity_digest: "0".repeat(16),
            degraded: false,
        };
        let outcome = Some(Outcome::Allowed(allowed));
        Ok(tonic::Response::new(AuthenticateResponse { decision_id: "0".repeat(32), outcome }))
    }

    async fn issue_ticket(
        &self,
        _request: tonic::Request<IssueTicketRequest>,
    ) -> Result<tonic::Response<IssueTicketResponse>, Status> {
        Err(Status::unimplemented("only logins are measured"))
    }

    async fn redeem_ticket(
        &self,
        _request: tonic::Request<RedeemTicketRequest>,
    ) -> Result<tonic::Response<RedeemTicketResponse>, Status> {
        Err(Status::unimplemented("only logins are measured"))
    }
}

async fn grpc(path: PathBuf) -> anyhow::Result<()> {
    let listener = UnixListenerStream::new(UnixListener::bind(path)?);
    tonic::transport::Server::builder().add_service(GateServer::new(Yes)).serve_with_incoming(listener).await?;
    Ok(())
}

/// A line protocol, as far as an echo knows it.
#[derive(Clone, Copy)]
struct Dialogue {
    /// What it says first; a client then shakes hands, which is not answered.
    greeting: &'static [u8],
    /// What ends a request.
    end: &'static [u8],
    answer: &'static [u8],
}

const SASL: Dialogue = Dialogue {
    greeting: b"VERSION\t1\t1\nMECH\tXOAUTH2\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n",
    end: b"\n",
    answer: SASL_ANSWER.as_bytes(),
};

async fn lines(path: PathBuf, Dialogue { greeting, end, answer }: Dialogue) -> anyhow::Result<()> {
    let listener = UnixListener::bind(path)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(4096);
            stream.write_all(greeting).await?;
            while stream.read_buf(&mut buffer).await? > 0 {
                if buffer.ends_with(end) {
                    // The handshake comes once, by itself or together with the first request.
                    let hello = buffer.starts_with(b"VERSION\t");
                    if !hello || buffer.windows(6).any(|six| six == b"\nAUTH\t") {
                        stream.write_all(answer).await?;
                    }
                    buffer.clear();
                }
            }
            std::io::Result::Ok(())
        });
    }
}
