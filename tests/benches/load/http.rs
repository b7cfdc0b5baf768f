//! HTTP/1.1 over one kept-alive TCP connection (RFC 9112).

use std::rc::Rc;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{CONNECTIONS, Connection};
use crate::server::{Address, Server};

/// Tells whether a body is the expected one.
pub(crate) type Expect = fn(&[u8]) -> bool;

/// Largest answer that is read.
const LARGEST: usize = 64 << 10;

/// One connection.
pub(crate) struct Http {
    stream: TcpStream,
    requests: Rc<[Vec<u8>]>,
    expect: Expect,
    buffer: Vec<u8>,
}

impl Http {
    /// Opens [`CONNECTIONS`] connections, which send these requests in rotation.
    ///
    /// # Errors
    /// The server does not accept them all.
    pub(crate) async fn connect(server: &Server, requests: &[Vec<u8>], expect: Expect) -> anyhow::Result<Vec<Self>> {
        let Address::Tcp(port) = *server.address() else { anyhow::bail!("{} is not on TCP", server.name()) };
        let requests: Rc<[Vec<u8>]> = requests.into();
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            connections.push(Self { stream, requests: requests.clone(), expect, buffer: Vec::with_capacity(4096) });
        }
        Ok(connections)
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.buffer.len() < LARGEST, "an answer without end");
        anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        Ok(())
    }

    /// Sends a request and gives status and body of the answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer of the protocol.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, head, length) = loop {
            match head(&self.buffer)? {
                Some(found) => break found,
                None => self.read().await?,
            }
        };
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        anyhow::ensure!(self.buffer.len() == head + length, "more bytes than the answer has");
        Ok((status, self.buffer.get(head..).context("no body")?))
    }
}

impl Connection for Http {
    async fn exchange(&mut self, turn: usize) -> anyhow::Result<bool> {
        let (requests, expect) = (self.requests.clone(), self.expect);
        let (status, body) = self.ask(requests.get(turn % requests.len()).context("nothing to send")?).await?;
        Ok(status == 200 && expect(body))
    }
}

/// Status, length of the head and length of the body, once the head is complete.
fn head(buffer: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(buffer.get(..end).context("no head")?)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let status = status.context("no status line of HTTP/1.1")?.parse()?;
    let length = length.context("an answer without content-length")?.parse()?;
    anyhow::ensure!(length < LARGEST, "an answer too large");
    Ok(Some((status, end + 4, length)))
}
