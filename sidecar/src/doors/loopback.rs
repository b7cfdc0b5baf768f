//! A TCP socket on loopback whose peers are known by user, though not by process: the kernel's table of sockets tells
//! to whom the other end of a connection belongs (`/proc/self/net/tcp`, proc(5)), and only listed users get in.
//!
//! Nobody but this machine reaches a loopback address, so both ends stand in that table. What a unix socket tells
//! beside the user, the process, it does not.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::ReceiverStream;

use super::admission::{Admission, Listener};

/// A loopback address that is listened on.
#[derive(Debug)]
pub struct LoopbackDoor {
    listener: TcpListener,
    address: SocketAddr,
    admission: Admission,
}

impl LoopbackDoor {
    /// Binds `address` for the users in `uids`; port 0 takes a free one. Within a runtime.
    ///
    /// # Errors
    /// It is not a loopback address, or somebody listens there already.
    pub fn bind(address: SocketAddr, uids: &[u32]) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a loopback address"));
        }
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, admission: Admission::new(uids) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Peers refused since the start.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicU64> {
        self.admission.refused()
    }

    /// Connections of listed users, for as long as the stream is held.
    #[must_use]
    pub fn incoming(self) -> ReceiverStream<io::Result<TcpStream>> {
        self.admission.incoming(Loopback { listener: self.listener, address: self.address })
    }
}

struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener for Loopback {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        // Answers are small, and their reader waits for each.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn user(&self, stream: &TcpStream) -> Option<u32> {
        let (theirs, ours) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
        match tokio::task::spawn_blocking(move || owner(theirs, ours)).await {
            Ok(Ok(owner)) => owner,
            Ok(Err(error)) => {
                tracing::error!(%error, socket = self.place(), "/proc/self/net can't be read: nobody gets in over TCP");
                None
            }
            Err(_) => None,
        }
    }

    fn place(&self) -> String {
        self.address.to_string()
    }
}

/// The user whose socket at `theirs` is connected to `ours`, on this machine.
fn owner(theirs: SocketAddr, ours: SocketAddr) -> io::Result<Option<u32>> {
    // A program may have reached an IPv4 address through an IPv6 socket: that one stands in the other table.
    let tables = [("/proc/self/net/tcp", [theirs, ours]), ("/proc/self/net/tcp6", [mapped(theirs), mapped(ours)])];
    for (table, [theirs, ours]) in tables.into_iter().skip(usize::from(theirs.is_ipv6())) {
        let row = row(theirs, ours);
        let file = match File::open(table) {
            Ok(file) => file,
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table.ends_with('6') => continue,
            Err(error) => return Err(error),
        };
        for line in BufReader::new(file).lines() {
            if let Some(uid) = uid(&line?, &row) {
                return Ok(Some(uid));
            }
        }
    }
    Ok(None)
}

/// The user of a line of the table, if it is that of `row` and of a socket that somebody holds: what is left of a
/// closed one has no inode, and the kernel then says root.
fn uid(line: &str, [local, remote]: &[String; 2]) -> Option<u32> {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != local || fields.next()? != remote {
        return None;
    }
    let mut fields = fields.skip(4);
    let uid = fields.next()?.parse().ok()?;
    let inode: u64 = fields.nth(1)?.parse().ok()?;
    (inode != 0).then_some(uid)
}

/// How the socket at `local`, connected to `remote`, stands in the table.
fn row(local: SocketAddr, remote: SocketAddr) -> [String; 2] {
    [local, remote].map(|address| {
        let mut text = String::with_capacity(37);
        let words: Vec<[u8; 4]> = match address.ip() {
            IpAddr::V4(ip) => vec![ip.octets()],
            IpAddr::V6(ip) => ip.octets().chunks_exact(4).filter_map(|word| word.try_into().ok()).collect(),
        };
        for word in words {
            // Words of an address in network order, written as numbers of this machine.
            let _ = write!(text, "{:08X}", u32::from_ne_bytes(word));
        }
        let _ = write!(text, ":{:04X}", address.port());
        text
    })
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(Ipv4Addr::to_ipv6_mapped(&ip).into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    fn me() -> u32 {
        rustix::process::getuid().as_raw()
    }

    fn any(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 0)
    }

    #[tokio::test]
    async fn a_listed_user_gets_in_over_both_families() {
        for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
            let door = LoopbackDoor::bind(any(ip), &[me()]).unwrap();
            let address = door.address();
            let mut incoming = door.incoming();
            let mut client = TcpStream::connect(address).await.unwrap();
            let mut server = incoming.next().await.unwrap().unwrap();
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x');
        }
    }

    #[tokio::test]
    async fn a_listed_user_gets_in_through_an_ipv6_socket_for_an_ipv4_address() {
        let door = LoopbackDoor::bind(any("127.0.0.1"), &[me()]).unwrap();
        let port = door.address().port();
        let mut incoming = door.incoming();
        let _client = TcpStream::connect(format!("[::ffff:127.0.0.1]:{port}")).await.unwrap();
        assert!(incoming.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_user_that_is_not_listed_is_closed_and_counted() {
        let door = LoopbackDoor::bind(any("127.0.0.1"), &[me() + 1]).unwrap();
        let (address, refused) = (door.address(), door.refused());
        let _incoming = door.incoming();
        for count in 1..=3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            assert_eq!(refused.load(Ordering::SeqCst), count);
        }
    }

    #[tokio::test]
    async fn what_is_left_of_a_closed_connection_belongs_to_nobody() {
        let listener = TcpListener::bind(any("127.0.0.1")).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, theirs) = listener.accept().await.unwrap();
        let ours = server.local_addr().unwrap();
        assert_eq!(owner(theirs, ours).unwrap(), Some(me()));
        drop(client);
        assert_eq!(owner(theirs, ours).unwrap(), None);
    }

    #[test]
    fn other_addresses_than_loopback_are_refused() {
        for ip in ["0.0.0.0", "::", "192.0.2.1"] {
            assert_eq!(LoopbackDoor::bind(any(ip), &[0]).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{ip}");
        }
    }

    #[test]
    fn a_line_of_the_table_is_read_by_its_columns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let line =
            "   1: 0100007F:C350 0100007F:23DD 01 00000000:00000000 00:00000000 00000000  1007        0 4711 1 0 20";
        let theirs = row(address("127.0.0.1:50000"), address("127.0.0.1:9181"));
        assert_eq!(uid(line, &theirs), Some(1007));
        assert_eq!(uid(line, &row(address("127.0.0.1:9181"), address("127.0.0.1:50000"))), None);
        assert_eq!(uid(&line.replace(" 4711 ", " 0 "), &theirs), None, "a socket that nobody holds");
        assert_eq!(uid("  sl  local_address rem_address   st", &theirs), None);
        assert_eq!(row(address("[::1]:1"), address("[::1]:2"))[0], "00000000000000000000000001000000:0001");
    }
}
