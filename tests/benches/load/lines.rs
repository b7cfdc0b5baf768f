//! Line protocols over one kept connection: Postfix policy delegation and Dovecot's auth protocol.

use std::rc::Rc;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::{CONNECTIONS, Connection};
use crate::server::{Address, Server};

/// Largest answer that is read.
const LARGEST: usize = 64 << 10;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// How a conversation begins where the server speaks first.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    /// What ends the server's greeting.
    pub(crate) greeting: &'static [u8],
    /// What the client says then.
    pub(crate) hello: &'static [u8],
}

/// How the protocol's answers look.
#[derive(Clone, Copy)]
pub(crate) struct Grammar {
    /// What comes before the first request, if anything does.
    pub(crate) opening: Option<Opening>,
    /// What ends an answer.
    pub(crate) end: &'static [u8],
    /// Whether an answer, its end included, is the expected one to the request of that turn.
    pub(crate) expect: fn(answer: &[u8], turn: usize) -> bool,
}

/// One connection.
pub(crate) struct Lines {
    stream: Box<dyn Stream>,
    requests: Rc<[Vec<u8>]>,
    grammar: Grammar,
    buffer: Vec<u8>,
}

impl Lines {
    /// Opens [`CONNECTIONS`] connections, which send these requests in rotation.
    ///
    /// # Errors
    /// The server does not accept them all.
    pub(crate) async fn connect(server: &Server, requests: &[Vec<u8>], grammar: Grammar) -> anyhow::Result<Vec<Self>> {
        let requests: Rc<[Vec<u8>]> = requests.into();
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let stream: Box<dyn Stream> = match server.address() {
                Address::Tcp(port) => {
                    let stream = TcpStream::connect(("127.0.0.1", *port)).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            };
            let buffer = Vec::with_capacity(4096);
            let mut connection = Self { stream, requests: requests.clone(), grammar, buffer };
            if let Some(Opening { greeting, hello }) = grammar.opening {
                connection.read_to(greeting).await?;
                connection.stream.write_all(hello).await?;
            }
            connections.push(connection);
        }
        Ok(connections)
    }

    /// Reads an answer, up to its end.
    async fn read_to(&mut self, end: &[u8]) -> anyhow::Result<()> {
        self.buffer.clear();
        while !self.buffer.ends_with(end) {
            anyhow::ensure!(self.buffer.len() < LARGEST, "an answer without end");
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
        Ok(())
    }
}

impl Connection for Lines {
    async fn exchange(&mut self, turn: usize) -> anyhow::Result<bool> {
        let request = self.requests.get(turn % self.requests.len()).context("nothing to send")?;
        self.stream.write_all(request).await?;
        self.read_to(self.grammar.end).await?;
        Ok((self.grammar.expect)(&self.buffer, turn))
    }
}
