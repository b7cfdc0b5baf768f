//! Revocation lists on a web server of this process.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use octroi_igc::{DAY, Igc};

const BELOW: &str = "/below.crl";
const ROOT: &str = "/root.crl";
/// Largest request that is read, and how long a client may take.
const LARGEST: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// Where they are.
pub(super) struct Lists(u16);

impl Lists {
    /// Serves a list of each authority, on a thread of its own: this process also waits for programs that ask. Ends with
    /// the process.
    ///
    /// # Errors
    /// The lists can't be made, or there is no port.
    pub(super) fn serve(igc: &Igc) -> anyhow::Result<Self> {
        let (this, next) = (igc.now() - DAY, igc.now() + 30 * DAY);
        let below = igc.organisations().crl(1, this, next)?.der;
        let root = igc.root().crl(1, this, next)?.der;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever breaks off gets no list, and says so.
                let _ = answer(client, &below, &root);
            }
        });
        Ok(Self(port))
    }

    /// The addresses: of the authority for organisations, and of the root.
    pub(super) fn urls(&self) -> [String; 2] {
        [BELOW, ROOT].map(|path| format!("http://127.0.0.1:{}{path}", self.0))
    }
}

fn answer(mut client: TcpStream, below: &[u8], root: &[u8]) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let (mut request, mut part) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = client.read(&mut part)?;
        if read == 0 || request.len() > LARGEST {
            return Ok(());
        }
        request.extend(part.iter().take(read));
    }
    let body = if request.starts_with(format!("GET {ROOT} ").as_bytes()) { root } else { below };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    client.write_all(&[head.as_bytes(), body].concat())
}
