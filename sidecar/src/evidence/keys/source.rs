//! Where an issuer's key document comes from, and one way to fetch it. Says what came, never whether it is any good.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use url::Url;

use super::discovery::{Discovery, DiscoveryError};
use crate::http::{Answer, Bounds, Call, HttpClient, HttpError};

/// Where the key document is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Where the provider's own description says.
    Discovery(Discovery),
    /// At an address.
    Url(Url),
    /// In a file, read again at each refresh.
    File(PathBuf),
}

/// What a fetch brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The document that was there before is still the current one.
    Unchanged {
        /// How long it stays fresh, where the server says so.
        fresh_for: Option<Duration>,
    },
    /// A document.
    Document {
        /// Its bytes.
        body: Vec<u8>,
        /// Its entity tag.
        etag: Option<String>,
        /// How long it stays fresh, where the server says so.
        fresh_for: Option<Duration>,
    },
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FetchError {
    /// The call failed.
    #[error("the keys can't be had: {0}")]
    Http(#[from] HttpError),
    /// The provider's description can't be had.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The file can't be read.
    #[error("the key file can't be read")]
    File,
    /// The file is larger than the limit.
    #[error("the key file is larger than the limit")]
    FileTooLarge,
}

impl FetchError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Http(fault) => fault.code(),
            Self::Discovery(fault) => fault.code(),
            Self::File => "file",
            Self::FileTooLarge => "file-too-large",
        }
    }
}

/// One fetch under way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// Fetches a key document; the seam at which a test puts a provider that fails as told.
pub trait FetchKeys: Send + Sync {
    /// Fetches once. `etag` is that of the document held; `revalidate` asks caches on the way to look again.
    fn fetch<'a>(&'a self, etag: Option<&'a str>, revalidate: bool) -> Fetching<'a>;
}

/// The real thing.
pub(super) struct Fetcher {
    pub(super) source: KeySource,
    pub(super) http: HttpClient,
}

/// One key document: time and size.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(5), body: 256 << 10 };

impl FetchKeys for Fetcher {
    fn fetch<'a>(&'a self, etag: Option<&'a str>, revalidate: bool) -> Fetching<'a> {
        Box::pin(async move {
            match &self.source {
                KeySource::Url(url) => self.get(url, etag, revalidate).await,
                KeySource::File(path) => read(path).await,
                KeySource::Discovery(discovery) => {
                    let url = discovery.description().await?.keys;
                    let fetched = self.get(&url, etag, revalidate).await;
                    if fetched.is_err() {
                        discovery.distrust();
                    }
                    fetched
                }
            }
        })
    }
}

impl Fetcher {
    async fn get(&self, url: &Url, etag: Option<&str>, revalidate: bool) -> Result<Fetched, FetchError> {
        match self.http.call(url, &Call::Get { etag, revalidate }, BOUNDS).await? {
            Answer::NotModified { fresh_for } => Ok(Fetched::Unchanged { fresh_for }),
            Answer::Json { body, etag, fresh_for } => Ok(Fetched::Document { body, etag, fresh_for }),
        }
    }
}

async fn read(path: &PathBuf) -> Result<Fetched, FetchError> {
    let file = tokio::fs::File::open(path).await.map_err(|_| FetchError::File)?;
    let limit = u64::try_from(BOUNDS.body).unwrap_or(u64::MAX);
    let mut body = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut body).await.map_err(|_| FetchError::File)?;
    if body.len() > BOUNDS.body {
        return Err(FetchError::FileTooLarge);
    }
    Ok(Fetched::Document { body, etag: None, fresh_for: None })
}
