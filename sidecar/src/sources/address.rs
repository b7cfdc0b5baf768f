//! A component at an https address. The address vouches for nothing: the digest that the operator gives does.

use url::Url;

use super::follow::{self, Leave, shown};
use super::{Source, SourceError, failed};
use crate::http::HttpError;
use crate::policy::{
    Bundle, Digest, FolderError, MAX_COMPONENT, MAX_SETTINGS, MAX_SIGNATURES, NotASignature, file, signature,
};

/// Fetches the component, and reads settings and signatures from the files that are named beside it.
///
/// # Errors
/// [`SourceError`]
pub(super) async fn fetch(url: &Url, source: &Source) -> Result<Bundle, SourceError> {
    let Some(expected) = source.digest else {
        let told = "--digest sha256:... is missing: an address alone does not say which component it is";
        return Err(SourceError::Flag(told.to_owned()));
    };
    let settings = match &source.settings {
        Some(path) => {
            let bytes = file(path, MAX_SETTINGS)?;
            Some(String::from_utf8(bytes).map_err(|_| FolderError::NoText(path.clone()))?)
        }
        None => None,
    };
    if source.signatures.len() > MAX_SIGNATURES {
        return Err(SourceError::Signatures("--signature".to_owned()));
    }
    let mut signatures = Vec::with_capacity(source.signatures.len());
    for path in &source.signatures {
        let none = || FolderError::NoSignature(path.clone(), NotASignature);
        signatures.push(signature(path)?.ok_or_else(none)?);
    }
    let downloads = source.downloads()?;
    let received = follow::get(&downloads, url, ("*/*", MAX_COMPONENT), None, Leave::Never).await?;
    if received.status != 200 {
        return Err(failed(&shown(url), HttpError::Status(received.status)));
    }
    let found = Digest::of(&received.body);
    if found != expected {
        return Err(SourceError::Digest { place: shown(url), expected, found });
    }
    Ok(Bundle { component: received.body, settings, signatures, origin: shown(url) })
}
