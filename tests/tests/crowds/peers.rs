//! A client of one of the sockets, on a connection of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{interval, timeout};

/// Longer than a door waits for anything that was begun.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The SASL server.
    Sasl,
    /// Policy delegation.
    Delegation,
    /// gRPC.
    Gate,
}

impl Door {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Sasl, Self::Delegation, Self::Gate];

    /// Its name in the sidecar's folder.
    pub(crate) const fn socket(self) -> &'static str {
        match self {
            Self::Sasl => "sasl.sock",
            Self::Delegation => "policy.sock",
            Self::Gate => "gate.sock",
        }
    }

    /// What no client may say: nonsense without an end, a NUL, a command out of order, and each of these after others
    /// that are good.
    pub(crate) fn broken(self, number: usize) -> Vec<u8> {
        let good: &[u8] = match self {
            Self::Sasl => b"VERSION\t1\t0\nCPID\t1\nAUTH\t1\tPLAIN\tresp=AA==\n",
            Self::Delegation => b"request=smtpd_access_policy\nprotocol_state=EHLO\n\n",
            Self::Gate => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        };
        let before = if number.is_multiple_of(2) { good } else { b"" };
        let bad: &[u8] = match number % 3 {
            0 => &[b'x'; 1 << 18],
            1 => b"AUTH\t1\0\n\n\n",
            _ => b"CPID\n\xff\n\n\n",
        };
        [before, bad].concat()
    }

    /// The beginning of something that a slow client never ends.
    pub(crate) const fn slowly(self) -> &'static [u8] {
        match self {
            Self::Sasl | Self::Gate => b"VERSION\t1\t00000000000000000000000000000000000000000000000000000000",
            Self::Delegation => b"request=smtpd_access_policy\nprotocol_state=CONNECT\nsender=aaaaaaaaaaaa",
        }
    }
}

/// A connection.
pub(crate) struct Peer(UnixStream);

impl Peer {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        Ok(Self(UnixStream::connect(socket).await?))
    }

    /// Sends a text and reads until what was said ends so.
    pub(crate) async fn ask(&mut self, text: &str, end: &str) -> Result<String> {
        self.0.write_all(text.as_bytes()).await?;
        let mut said = Vec::new();
        while !said.ends_with(end.as_bytes()) {
            let read = timeout(PATIENCE, self.0.read_buf(&mut said)).await.context("silence")??;
            ensure!(read > 0, "closed after {:?}", String::from_utf8_lossy(&said));
        }
        Ok(String::from_utf8(said)?)
    }

    /// Says what a server says first and something as long as a token, and comes to rest.
    pub(crate) async fn rest(&mut self, door: Door) -> Result<()> {
        match door {
            Door::Sasl => {
                self.ask("VERSION\t1\t0\nCPID\t1\n", "DONE\n").await?;
                self.goes_on(door, 12_000).await
            }
            Door::Delegation => self.goes_on(door, 60_000).await,
            Door::Gate => {
                // RFC 9113 section 3.4: the preface with empty SETTINGS; the server's own come back.
                self.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
                let mut head = [0; 9];
                timeout(PATIENCE, self.0.read_exact(&mut head)).await.context("silence")??;
                ensure!(head[3] == 4, "not SETTINGS: {head:?}");
                Ok(())
            }
        }
    }

    /// An exchange of so many bytes that leaves nothing behind.
    pub(crate) async fn goes_on(&mut self, door: Door, bytes: usize) -> Result<()> {
        let long = "A".repeat(bytes);
        let said = match door {
            Door::Sasl => self.ask(&format!("AUTH\t1\tPLAIN\tresp={long}\n"), "\n").await?,
            Door::Delegation | Door::Gate => {
                let question = format!("request=smtpd_access_policy\nprotocol_state=EHLO\nhelo_name={long}\n\n");
                self.ask(&question, "\n\n").await?
            }
        };
        ensure!(said.starts_with("FAIL\t1\t") || said == "action=DUNNO\n\n", "{said:?}");
        Ok(())
    }

    /// Sends what is broken; the end of what was said to it.
    pub(crate) async fn is_closed_after(&mut self, bytes: &[u8]) -> Result<String> {
        // A door that has closed meanwhile is seen when reading.
        let _ = self.0.write_all(bytes).await;
        let mut said = Vec::new();
        let closed = async { while let Ok(1..) = self.0.read_buf(&mut said).await {} };
        timeout(PATIENCE, closed).await.context("the door neither answers nor closes")?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Sends a byte a second, until the door closes.
    pub(crate) async fn writes_until_closed(self, bytes: &'static [u8]) -> Result<()> {
        let (mut from, mut into) = self.0.into_split();
        let writing = async {
            let mut seconds = interval(Duration::from_secs(1));
            for byte in bytes {
                seconds.tick().await;
                if into.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            std::future::pending().await
        };
        let mut said = Vec::new();
        let closed = async { while let Ok(1..) = from.read_buf(&mut said).await {} };
        let closed = async {
            tokio::select! {
                () = closed => {}
                () = writing => {}
            }
        };
        timeout(PATIENCE, closed).await.context("the door does not close")
    }
}
