//! Redirects: each is looked at before it is followed.

use url::{Origin, Url};

use super::{SourceError, failed};
use crate::http::{Downloads, HttpError, Received, is_loopback};
use crate::secret::Secret;

/// Most redirects on the way to one thing.
const HOPS: usize = 4;

/// Where a redirect may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// To the same scheme, host and port.
    Never,
    /// Anywhere over https: what comes is known by its digest. Over plain http to this machine as well, from there.
    Https,
}

/// GET, over redirects. `authorization` is shown to the first server alone, and only its challenges are an answer.
///
/// # Errors
/// [`SourceError::Http`], [`SourceError::Redirect`]
pub(super) async fn get(
    downloads: &Downloads,
    url: &Url,
    (accept, limit): (&str, usize),
    authorization: Option<&Secret>,
    leave: Leave,
) -> Result<Received, SourceError> {
    let mut at = url.clone();
    for _ in 0..HOPS {
        let known = authorization.filter(|_| at.origin() == url.origin());
        let received = downloads.get(&at, accept, known, limit).await.map_err(|error| failed(&shown(&at), error))?;
        if !matches!(received.status, 301 | 302 | 303 | 307 | 308) {
            // Who asks for a password after a redirect is not who was meant to have it.
            if received.status == 401 && at.origin() != url.origin() {
                return Err(failed(&shown(&at), HttpError::Status(401)));
            }
            return Ok(received);
        }
        let next = received.location.as_deref().and_then(|location| at.join(location).ok());
        let next = next.ok_or_else(|| failed(&shown(&at), HttpError::Status(received.status)))?;
        match (leave, may_lead(url, &next)) {
            (_, Some(Lead::Home)) | (Leave::Https, Some(Lead::Away)) => at = next,
            (Leave::Never, Some(Lead::Away)) => {
                let why = "name that address, if it is the right one";
                return Err(SourceError::Redirect(shown(&at), shown(&next), why));
            }
            (_, None) => {
                let why = "the way must be https to its end";
                return Err(SourceError::Redirect(shown(&at), shown(&next), why));
            }
        }
    }
    Err(SourceError::Redirect(shown(url), shown(&at), "it has been redirected too often"))
}

/// A redirect that may be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Home,
    Away,
}

fn may_lead(from: &Url, to: &Url) -> Option<Lead> {
    if matches!(to.origin(), Origin::Opaque(_)) {
        return None;
    }
    match to.scheme() {
        _ if to.origin() == from.origin() => Some(Lead::Home),
        "https" => Some(Lead::Away),
        "http" if from.scheme() == "http" && is_loopback(to) => Some(Lead::Away),
        _ => None,
    }
}

/// An address without what may be a secret: user, password, query, fragment.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_began_with_https_never_leaves_it() {
        let lead = |from: &str, to: &str| may_lead(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert_eq!(lead("https://a.test/x", "https://a.test:443/y"), Some(Lead::Home));
        assert_eq!(lead("https://a.test/x", "https://a.test:444/y"), Some(Lead::Away));
        assert_eq!(lead("https://a.test/x", "https://b.test/y"), Some(Lead::Away));
        assert_eq!(lead("http://127.0.0.1:1/x", "http://127.0.0.1:2/y"), Some(Lead::Away));
        for (from, to) in [
            ("https://a.test/x", "http://a.test/x"),
            ("https://127.0.0.1/x", "http://127.0.0.1/x"),
            ("http://127.0.0.1/x", "http://a.test/x"),
            ("https://a.test/x", "file:///etc/passwd"),
            ("https://a.test/x", "data:text/plain,x"),
        ] {
            assert_eq!(lead(from, to), None, "{from} {to}");
        }
    }

    #[test]
    fn what_is_shown_of_an_address_holds_no_secret() {
        let url = Url::parse("https://me:planted@a.test:8443/x/y?sig=planted#planted").unwrap();
        assert_eq!(shown(&url), "https://a.test:8443/x/y");
    }
}
