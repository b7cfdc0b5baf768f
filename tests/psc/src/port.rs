//! Ports for servers that are stopped and started again at the same address.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// Where Linux's range of source ports starts unless a machine says otherwise (ip(7), `ip_local_port_range`).
const USUAL_RANGE_START: u16 = 32_768;
/// Well above the ports that services of a machine are known by.
const LOWEST: u16 = 10_240;

/// Listens on a free port that no connection of this machine is given as its own: below the range of source ports. The
/// port 0 of bind(2) chooses within that range, and a connection that takes the port while the server is stopped keeps
/// it from coming back.
///
/// # Errors
/// None of a thousand ports is free.
pub fn listen_on_a_free_port(ip: IpAddr) -> io::Result<TcpListener> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let start = range.split_whitespace().next().and_then(|start| start.parse().ok()).unwrap_or(USUAL_RANGE_START);
    let count = u64::from(start.saturating_sub(LOWEST));
    if count == 0 {
        return TcpListener::bind((ip, 0));
    }
    // Every `RandomState` has keys of its own: no two runs walk the same ports.
    let random = RandomState::new();
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for attempt in 0..1000_u32 {
        let offset = u16::try_from(random.hash_one(attempt) % count).unwrap_or_default();
        match TcpListener::bind(SocketAddr::from((ip, LOWEST + offset))) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
