//! One repository of a registry, read over the distribution API (OCI distribution specification, "pull").
//!
//! Written on this project's own client: every answer has a limit while it is read, the manifest of a hostile registry
//! as well as the token of a hostile token server; a password goes over TLS alone; and redirects are looked at first.

use serde::Deserialize;
use url::Url;

use super::challenge::{self, Challenge};
use super::follow::{self, Leave, shown};
use super::{OciReference, Source, SourceError, credentials, failed};
use crate::http::{Downloads, HttpError, Received, is_loopback};
use crate::policy::{Digest, MANIFESTS, MAX_MANIFEST};
use crate::secret::Secret;

/// Largest answer of a token server, bytes.
const MAX_TOKEN: usize = 64 << 10;
/// Lists of manifests: asked for so that they can be told apart from nothing.
const INDEXES: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A repository.
pub(super) struct Repository<'a> {
    downloads: Downloads,
    reference: &'a OciReference,
    base: Url,
    basic: Option<Secret>,
    authorization: Option<Secret>,
}

/// What a token server says (distribution project, "token authentication": the two names mean the same).
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Repository<'a> {
    /// Blocks, to read files.
    pub(super) fn new(reference: &'a OciReference, source: &Source) -> Result<Self, SourceError> {
        let scheme = if source.insecure_http { "http" } else { "https" };
        let OciReference { registry, repository, .. } = reference;
        let base = Url::parse(&format!("{scheme}://{registry}/v2/{repository}/"));
        let base = base.map_err(|_| SourceError::Flag(format!("{registry}: expected a host")))?;
        if source.insecure_http && !is_loopback(&base) {
            let told = "--insecure-http is for a registry on this machine (localhost, 127.0.0.1): others need TLS";
            return Err(SourceError::Flag(told.to_owned()));
        }
        let basic = credentials::basic(source)?;
        Ok(Self { downloads: source.downloads()?, reference, base, basic, authorization: None })
    }

    /// The manifest with this tag or digest, as it came; `None`: there is none.
    pub(super) async fn manifest(&mut self, name: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let accept = format!("{}, {INDEXES}", MANIFESTS.join(", "));
        let url = self.url(&format!("manifests/{name}"))?;
        let received = self.get(&url, &accept, MAX_MANIFEST, Leave::Never).await?;
        match received.status {
            200 => Ok(Some(received.body)),
            404 => Ok(None),
            status => Err(failed(&shown(&url), HttpError::Status(status))),
        }
    }

    /// The blob with this digest and size.
    pub(super) async fn blob(&mut self, digest: Digest, size: usize) -> Result<Vec<u8>, SourceError> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let received = self.get(&url, "*/*", size, Leave::Https).await?;
        if received.status != 200 {
            return Err(failed(&shown(&url), HttpError::Status(received.status)));
        }
        let found = Digest::of(&received.body);
        if found != digest {
            return Err(SourceError::Digest { place: shown(&url), expected: digest, found });
        }
        Ok(received.body)
    }

    fn url(&self, path: &str) -> Result<Url, SourceError> {
        self.base.join(path).map_err(|_| SourceError::Flag(format!("{}: expected a host", self.reference.registry)))
    }

    async fn get(&mut self, url: &Url, accept: &str, limit: usize, leave: Leave) -> Result<Received, SourceError> {
        let asked = follow::get(&self.downloads, url, (accept, limit), self.authorization.as_ref(), leave).await?;
        if asked.status != 401 {
            return Ok(asked);
        }
        // A token may have ended meanwhile; a password that was refused is refused again.
        self.authorization = Some(self.authorize(&asked.challenges).await?);
        let again = follow::get(&self.downloads, url, (accept, limit), self.authorization.as_ref(), leave).await?;
        if again.status == 401 { Err(self.refused()) } else { Ok(again) }
    }

    async fn authorize(&self, challenges: &[String]) -> Result<Secret, SourceError> {
        match challenge::read(challenges) {
            Some(Challenge::Basic) => self.basic.clone().ok_or_else(|| self.refused()),
            Some(Challenge::Bearer { realm, service }) => self.token(&realm, service.as_deref()).await,
            None => Err(self.told("asks for credentials of a kind that is not known here: Basic and Bearer are")),
        }
    }

    /// A token to pull from this repository, for who asks or for anybody.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Secret, SourceError> {
        let mut url = Url::parse(realm).map_err(|_| self.told("sends for a token to what is no address"))?;
        let may_be_plain = self.base.scheme() == "http" && is_loopback(&url);
        if url.scheme() != "https" && !(may_be_plain && url.scheme() == "http") {
            return Err(self.told("sends for a token to an address without TLS: a password does not go there"));
        }
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &format!("repository:{}:pull", self.reference.repository));
        let asked = ("application/json", MAX_TOKEN);
        let received = follow::get(&self.downloads, &url, asked, self.basic.as_ref(), Leave::Never).await?;
        match received.status {
            200 => {}
            401 | 403 => return Err(self.refused()),
            status => return Err(failed(&shown(&url), HttpError::Status(status))),
        }
        let none = || self.told("sends for a token to a server that gives none");
        let token: Token = serde_json::from_slice(&received.body).map_err(|_| none())?;
        let token = token.token.or(token.access_token).filter(|token| token.bytes().all(|b| b.is_ascii_graphic()));
        Ok(Secret::new(format!("Bearer {}", token.filter(|token| !token.is_empty()).ok_or_else(none)?)))
    }

    fn told(&self, what: &'static str) -> SourceError {
        SourceError::Refused(self.reference.registry.clone(), what)
    }

    fn refused(&self) -> SourceError {
        self.told(match self.basic {
            Some(_) => "does not let this user in: look at --user and the password in --password-file",
            None => "wants to know who asks: give --user NAME and --password-file FILE",
        })
    }
}
