//! A server that answers as a test wants, truthful or not: one request for each connection.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::pki::Pki;

/// A request, as far as anybody here looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// Value of the header, if there is one.
    pub authorization: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// What follows them.
    pub body: Vec<u8>,
    /// What `Content-Length` says; nothing: the end of the connection is the end of the body.
    pub length: Option<usize>,
}

impl Answer {
    /// 200 with a body of the length that it says.
    pub fn of(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status: 200, headers: Vec::new(), length: Some(body.len()), body }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, length: Some(0), ..Self::default() }
    }

    /// With one header more.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running stand-in, until the test program ends.
pub struct StandIn {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl StandIn {
    /// Starts one, over TLS where it gets a certificate, on a thread of its own: a test may wait for a program that
    /// asks it. `answer` is told its address, what is asked, and how often that was asked before.
    pub fn start(
        pki: Option<&Pki>,
        answer: impl Fn(SocketAddr, &Asked, usize) -> Answer + Send + 'static,
    ) -> Result<Self> {
        let tls = pki.map(config).transpose()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::<Asked>::new()));
        let known = Arc::clone(&asked);
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let limit = Some(Duration::from_secs(30));
                let _ = tcp.set_read_timeout(limit).and(tcp.set_write_timeout(limit));
                let answer = |request: Asked| {
                    let mut known = lock(&known);
                    let before = known.iter().filter(|other| other.path == request.path).count();
                    let answer = answer(address, &request, before);
                    known.push(request);
                    answer
                };
                // Who does not speak TLS, or goes away, is no concern of this thread.
                let _ = match &tls {
                    None => serve(tcp, answer),
                    Some(tls) => match ServerConnection::new(Arc::clone(tls)) {
                        Ok(connection) => serve(StreamOwned::new(connection, tcp), answer),
                        Err(_) => Ok(()),
                    },
                };
            }
        });
        Ok(Self { address, asked })
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }
}

/// Pages that can be others at any time: 404 where there is none.
pub struct Pages {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Pages {
    /// Serves them, until the test program ends.
    pub fn serve() -> Result<Self> {
        let pages = Arc::new(Mutex::new(HashMap::<String, Vec<u8>>::new()));
        let served = Arc::clone(&pages);
        let server = StandIn::start(None, move |_, asked, _| {
            let page = lock(&served).get(&asked.path).cloned();
            page.map_or_else(|| Answer::status(404), Answer::of)
        })?;
        Ok(Self { address: server.address, pages })
    }

    /// Puts a page at a path, in the place of the one that is there.
    pub fn put(&self, path: &str, page: Vec<u8>) {
        lock(&self.pages).insert(path.to_owned(), page);
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(pki: &Pki) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(pki.certificate_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(pki.key_pem.as_bytes())?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key)?))
}

fn serve<S: Read + Write>(stream: S, answer: impl FnOnce(Asked) -> Answer) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut authorization = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("authorization") {
            authorization = Some(value.trim().to_owned());
        }
    }
    let Answer { status, headers, body, length } = answer(Asked { path, authorization });
    let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    let stream = stream.get_mut();
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}
