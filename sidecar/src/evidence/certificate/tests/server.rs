//! A server of lists on loopback, and a sidecar's part that asks it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octroi_igc::{DAY, Igc, Leaf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::super::{Certificate, Chains, DovecotFiles, Revocation, RevocationSettings, Revocations};
use super::{NOW, chain, igc};
use crate::clock::{Clock, UnixSeconds};
use crate::http::{HttpClient, HttpSettings};

/// Status line, further headers, body.
type Page = (&'static str, &'static str, Vec<u8>);

#[derive(Clone, Default)]
pub(super) struct Pages(Arc<Mutex<HashMap<String, Page>>>);

impl Pages {
    pub(super) fn set(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.answer(path, ("200 OK", "", body.into()));
    }

    pub(super) fn answer(&self, path: &str, page: Page) {
        self.0.lock().unwrap().insert(path.to_owned(), page);
    }

    async fn serve(self, mut client: TcpStream) {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 1024];
            match client.read(&mut part).await {
                Ok(read) if read > 0 => request.extend(&part[..read]),
                _ => return,
            }
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let missing = ("404 Not Found", "", Vec::new());
        let (status, headers, body) = self.0.lock().unwrap().get(path).cloned().unwrap_or(missing);
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        let _ = client.write_all(&[head.as_bytes(), &body].concat()).await;
    }
}

/// A stand-in for the authorities, a server of their lists, and a folder for the copies.
pub(super) struct Site {
    pub(super) igc: Igc,
    pub(super) pages: Pages,
    pub(super) clock: Clock,
    pub(super) folder: tempfile::TempDir,
    pub(super) max_stale: u64,
    pub(super) reload: Vec<String>,
    base: Url,
}

pub(super) const ROOT: &str = "/root.crl";
pub(super) const BELOW: &str = "/organisations.crl";

impl Site {
    /// Both lists are there, with number 5, from yesterday until tomorrow.
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let pages = Pages::default();
        let serving = pages.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(client));
            }
        });
        let site = Self {
            igc: igc(),
            pages,
            clock: Clock::manual(UnixSeconds(NOW)),
            folder: tempfile::tempdir().unwrap(),
            max_stale: 0,
            reload: vec!["true".to_owned()],
            base,
        };
        site.publish(5);
        site
    }

    /// New lists of both authorities.
    pub(super) fn publish(&self, number: u64) {
        let (this, next) = (self.clock.now().0 - DAY, self.clock.now().0 + DAY);
        self.pages.set(ROOT, self.igc.root().crl(number, this, next).unwrap().der);
        self.pages.set(BELOW, self.igc.organisations().crl(number, this, next).unwrap().der);
    }

    pub(super) fn leaf(&self) -> Leaf {
        self.igc.organisation(&["499700367909006"], "CABINET", "DRIMbox").unwrap()
    }

    pub(super) fn copies(&self) -> std::path::PathBuf {
        self.folder.path().join("crl")
    }

    pub(super) fn for_dovecot(&self) -> std::path::PathBuf {
        self.folder.path().join("dovecot")
    }

    /// Starts a sidecar's part, and has every list fetched once.
    pub(super) async fn start(&self) -> Revocations {
        let settings = RevocationSettings {
            refresh: Duration::from_secs(3600),
            max_stale: Duration::from_secs(self.max_stale),
            folder: self.copies(),
            sources: [BELOW, ROOT].iter().map(|path| (0, self.base.join(path).unwrap())).collect(),
            dovecot: Some(DovecotFiles {
                folder: self.for_dovecot(),
                setting: "ssl_require_crl",
                reload: self.reload.clone(),
            }),
        };
        let chains = Arc::new(Chains(vec![chain(&self.igc)]));
        let http = HttpClient::new(&HttpSettings::default()).unwrap();
        let revocations = Revocations::start(chains, settings, http, self.clock.clone());
        revocations.refresh().await;
        revocations
    }

    /// What is known of a certificate now.
    pub(super) fn verdict(&self, revocations: &Revocations, leaf: &Leaf) -> Revocation {
        let leaf = Certificate::from_der(&leaf.der).unwrap();
        let path = revocations.chains().0[0].path(&leaf).unwrap();
        revocations.verdict(&path, self.clock.now())
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.set(self.clock.now().plus(seconds));
    }
}

pub(super) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
