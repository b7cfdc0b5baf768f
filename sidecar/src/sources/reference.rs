//! The text that names a release.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::policy::Digest;

/// Longest repository, characters (Docker's limit; the distribution specification asks for no more than 255 with the
/// host).
const MAX_REPOSITORY: usize = 255;
/// Longest tag, characters (OCI distribution specification, "pulling manifests").
const MAX_TAG: usize = 128;

/// Where a release is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A folder.
    Folder(PathBuf),
    /// A component at an https address.
    Address(Url),
    /// An artifact in a registry.
    Image(OciReference),
}

/// An artifact in a registry: by its tag, its digest, or both; then the digest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciReference {
    /// Host, and port where it is named.
    pub registry: String,
    /// Path of the repository.
    pub repository: String,
    /// The tag, for people once the digest is known.
    pub tag: Option<String>,
    /// The manifest's digest.
    pub digest: Option<Digest>,
}

/// A text that names no release. It is not repeated: somebody may have written a password into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// No kind that is known.
    #[error("expected a folder, https://HOST/PATH, or oci://REGISTRY/REPOSITORY:TAG, found {0:?}")]
    Scheme(String),
    /// An address that holds what it must not.
    #[error("expected https://HOST/PATH without user, password and fragment")]
    Address,
    /// An image that can't be one.
    #[error("expected oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:DIGEST: {0}")]
    Image(&'static str),
}

impl FromStr for Reference {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, BadReference> {
        if let Some(image) = text.strip_prefix("oci://") {
            return image.parse().map(Self::Image).map_err(BadReference::Image);
        }
        if text.starts_with("https://") {
            let url = Url::parse(text).map_err(|_| BadReference::Address)?;
            let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            return if plain && url.has_host() { Ok(Self::Address(url)) } else { Err(BadReference::Address) };
        }
        if text.is_empty() || text.contains("://") {
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            return Err(BadReference::Scheme(scheme.to_owned()));
        }
        Ok(Self::Folder(PathBuf::from(text)))
    }
}

impl FromStr for OciReference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (registry, name) = text.split_once('/').ok_or("it names no repository")?;
        let (name, digest) = match name.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(|_| "its digest is none")?)),
            None => (name, None),
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        let (is_registry, is_repository) = (is_registry(registry), is_repository(repository));
        match (is_registry, is_repository, tag.is_none_or(is_tag), tag.is_some() || digest.is_some()) {
            (false, ..) => Err("its registry is no host name, nor one with a port"),
            (_, false, ..) => Err("its repository is none"),
            (_, _, false, _) => Err("its tag is none"),
            // "latest" is nobody's decision.
            (.., false) => Err("it says neither tag nor digest"),
            (true, true, true, true) => {
                let (registry, repository) = (registry.to_owned(), repository.to_owned());
                Ok(Self { registry, repository, tag: tag.map(str::to_owned), digest })
            }
        }
    }
}

/// As it is written, with the digest where it is known.
impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn is_registry(text: &str) -> bool {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    fits && Url::parse(&format!("https://{text}/")).is_ok_and(|url| url.has_host() && url.path() == "/")
}

/// Lower-case words with single separators between, in parts with slashes between.
fn is_repository(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        let ends = part.bytes().next().is_some_and(fits) && part.bytes().last().is_some_and(fits);
        ends && part.bytes().all(|b| fits(b) || matches!(b, b'.' | b'_' | b'-')) && !part.contains("..")
    };
    text.len() <= MAX_REPOSITORY && text.split('/').all(part)
}

fn is_tag(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(fits)
        && text.bytes().all(|b| fits(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn an_image_is_read_as_it_is_written() {
        for (text, registry, repository, tag, digest) in [
            ("registry.example.test/policy:1.2.0", "registry.example.test", "policy", Some("1.2.0"), false),
            ("127.0.0.1:5000/a/b_c/d-e.f:v1", "127.0.0.1:5000", "a/b_c/d-e.f", Some("v1"), false),
            ("[::1]:5000/policy:latest", "[::1]:5000", "policy", Some("latest"), false),
            (&format!("localhost/policy@{DIGEST}"), "localhost", "policy", None, true),
            (&format!("localhost:443/policy:1@{DIGEST}"), "localhost:443", "policy", Some("1"), true),
        ] {
            let image = format!("oci://{text}").parse();
            let Ok(Reference::Image(image)) = image else { panic!("{text}: {image:?}") };
            let read = (image.registry.as_str(), image.repository.as_str(), image.tag.as_deref());
            assert_eq!((read, image.digest.is_some()), ((registry, repository, tag), digest), "{text}");
            assert_eq!(image.to_string(), format!("oci://{text}"));
        }
    }

    #[test]
    fn an_image_that_leaves_something_open_is_told() {
        for (text, part) in [
            ("", "no repository"),
            ("policy:1", "no repository"),
            ("host/policy", "neither tag nor digest"),
            ("host/policy@sha256:00", "its digest is none"),
            ("host/policy@", "its digest is none"),
            ("host/policy:", "its tag is none"),
            ("host/policy:-x", "its tag is none"),
            ("host/policy:a:b", "its tag is none"),
            ("host/Policy:1", "its repository is none"),
            ("host/:1", "its repository is none"),
            ("host//policy:1", "its repository is none"),
            ("host/../policy:1", "its repository is none"),
            ("host/a%2fb:1", "its repository is none"),
            ("me:planted@host/policy:1", "no host name"),
            ("/policy:1", "no host name"),
            ("host:port/policy:1", "no host name"),
            ("ho st/policy:1", "no host name"),
        ] {
            let told = format!("oci://{text}").parse::<Reference>().unwrap_err().to_string();
            assert!(told.contains(part) && !told.contains("planted"), "{text}: {told}");
        }
    }

    #[test]
    fn what_is_neither_address_nor_image_is_a_folder() {
        for text in ["policies/stricter", "/srv/policies/1.2", ".", "host:5000/policy"] {
            assert_eq!(text.parse(), Ok(Reference::Folder(PathBuf::from(text))));
        }
        assert!(matches!("https://host/a/policy.wasm?x=1".parse(), Ok(Reference::Address(_))));
        for text in ["http://me:planted@host/policy.wasm", "ftp://host/x", "docker://host/x:1", ""] {
            let told = text.parse::<Reference>().unwrap_err();
            assert!(matches!(told, BadReference::Scheme(_)) && !told.to_string().contains("planted"), "{text}");
        }
        for text in ["https://", "https://me:planted@host/x", "https://me@host/x", "https://host/x#y"] {
            let told = text.parse::<Reference>().unwrap_err();
            assert_eq!(told, BadReference::Address, "{text}");
            assert!(!told.to_string().contains("planted"));
        }
    }
}
