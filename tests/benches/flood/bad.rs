//! Bad tokens, no two alike, made as fast as they are sent.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;

use crate::credentials::Credentials;
use crate::introspect;
use crate::load::http::Http;
use crate::server::Server;

/// What is wrong with a token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Its signature: the issuer's key, other bytes.
    Signature,
    /// Its key: nobody published one of that name.
    Key,
}

/// Client addresses, one after the other.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    next: u32,
    only: Option<Ipv4Addr>,
}

impl Addresses {
    /// This one for ever.
    pub(super) fn only(address: [u8; 4]) -> Self {
        Self { next: 0, only: Some(address.into()) }
    }
}

/// The good token that bad ones are made of, and what is wrong with them.
#[derive(Clone)]
pub(super) struct Flood {
    kind: Kind,
    header: String,
    payload: String,
    signature: String,
}

impl Flood {
    /// Made of a good token.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn of(kind: Kind, credentials: &Credentials) -> anyhow::Result<Self> {
        let token = credentials.tokens().first().context("a token")?;
        let mut parts = token.split('.').map(str::to_owned);
        let mut part = || parts.next().context("three parts");
        Ok(Self { kind, header: part()?, payload: part()?, signature: part()? })
    }

    /// Token number `n`.
    fn token(&self, n: u64) -> String {
        let Self { kind, header, payload, signature } = self;
        match kind {
            // Eleven letters for the number, and none of them such that the good signature comes out.
            Kind::Signature => {
                let number = URL_SAFE_NO_PAD.encode((!n).to_be_bytes());
                format!("{header}.{payload}.{number}{}", signature.get(number.len()..).unwrap_or_default())
            }
            Kind::Key => {
                let header =
                    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{:016x}"}}"#, n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header))
            }
        }
    }

    /// The request with token number `n`, as Dovecot sends it for this client.
    fn request(&self, n: u64, client: Ipv4Addr) -> Vec<u8> {
        let mut request = introspect::request(&self.token(n));
        let at = b"POST /introspect HTTP/1.1\r\n".len();
        request.splice(at..at, format!("X-Dovecot-Auth-Remote: {client}:143\r\n").into_bytes());
        request
    }

    /// Refused, or not decided: a key that may have come a moment ago, under a new name or the same one, is no refusal
    /// yet.
    fn is_expected(status: u16, body: &[u8]) -> bool {
        status == 503 || status == 200 && body == br#"{"active":false}"#
    }
}

/// Connections of the flood.
const CONNECTIONS: usize = 16;

/// Sends so many bad tokens, in a closed loop. Gives how many were answered as they must be: all, or it fails.
///
/// # Errors
/// A connection broke, or a bad token was let in.
pub(super) async fn pour(
    server: &Server,
    flood: &Flood,
    tokens: usize,
    addresses: &mut Addresses,
) -> anyhow::Result<usize> {
    let (left, sent) = (Rc::new(Cell::new(tokens)), Rc::new(Cell::new(addresses.next)));
    let only = addresses.only;
    let connections = Http::connect(server, &[], |_| false).await?;
    let mut clients = JoinSet::new();
    for mut connection in connections.into_iter().take(CONNECTIONS) {
        let (left, sent, flood) = (left.clone(), sent.clone(), flood.clone());
        clients.spawn_local(async move {
            let mut answered = 0;
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                let number = sent.get();
                sent.set(number.wrapping_add(1));
                // Sixteen million addresses, none of them special.
                let client = only.unwrap_or_else(|| Ipv4Addr::from_bits(0x0200_0000 | (number & 0x00ff_ffff)));
                let (status, body) = connection.ask(&flood.request(u64::from(number), client)).await?;
                anyhow::ensure!(Flood::is_expected(status, body), "a bad token is answered with {status}");
                answered += 1;
            }
            anyhow::Ok(answered)
        });
    }
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client??;
    }
    addresses.next = sent.get();
    Ok(answered)
}
