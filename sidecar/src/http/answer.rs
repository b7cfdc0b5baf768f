//! An answer, read to its end or given up at its limit.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap};

use super::{Call, HttpError};

/// A whole answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// 304: the copy already held is still the current one.
    NotModified {
        /// How long it stays fresh, where the server says so (RFC 9111 section 5.2.2.1, less `Age`).
        fresh_for: Option<Duration>,
    },
    /// 200 with a JSON content type.
    Json {
        /// The body, not yet parsed.
        body: Vec<u8>,
        /// Entity tag, for the next conditional GET.
        etag: Option<String>,
        /// How long it stays fresh, where the server says so.
        fresh_for: Option<Duration>,
    },
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotModified { .. } => f.write_str("NotModified"),
            Self::Json { body, .. } => write!(f, "Json({} bytes)", body.len()),
        }
    }
}

/// Longest entity tag that is kept, in bytes.
const ETAG_MAX: usize = 256;

impl Answer {
    pub(super) async fn read(response: Response, call: &Call<'_>, limit: usize) -> Result<Self, HttpError> {
        let headers = response.headers();
        let fresh_for = fresh_for(headers);
        match response.status().as_u16() {
            304 if matches!(call, Call::Get { etag: Some(_), .. }) => return Ok(Self::NotModified { fresh_for }),
            200 => {}
            status => return Err(HttpError::Status(status)),
        }
        if !is_json(headers) {
            return Err(HttpError::ContentType);
        }
        let etag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.len() <= ETAG_MAX);
        let etag = etag.map(str::to_owned);
        Ok(Self::Json { body: body(response, limit).await?, etag, fresh_for })
    }
}

/// The whole body, given up as soon as it is larger than `limit` bytes.
pub(super) async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, HttpError> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(HttpError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| truncated(HttpError::of(&error)))? {
        if chunk.len() > limit.saturating_sub(body.len()) {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer has begun: what closes now breaks it off, and is no reason for a second try.
const fn truncated(error: HttpError) -> HttpError {
    match error {
        HttpError::Closed | HttpError::Protocol => HttpError::Truncated,
        other => other,
    }
}

/// `application/json`, or a structured suffix `+json` (RFC 6839), whatever the parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                "max-age" => max_age = argument.trim().trim_matches('"').parse::<u64>().ok().or(max_age),
                _ => {}
            }
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).and_then(|age| age.trim().parse().ok());
    max_age.map(|seconds| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn freshness_is_max_age_less_age_and_nothing_when_the_server_says_nothing() {
        let read = |lines: &[(HeaderName, &'static str)]| fresh_for(&headers(lines)).map(|d| d.as_secs());
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[(CACHE_CONTROL, "public, Max-Age=600")]), Some(600));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=600"), (AGE, "590")]), Some(10));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=600"), (AGE, "700")]), Some(0));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=600, no-cache")]), Some(0));
        assert_eq!(read(&[(CACHE_CONTROL, "max-age=soon")]), None);
    }

    #[test]
    fn a_page_or_a_missing_content_type_is_not_json() {
        let json = |value| is_json(&headers(&[(CONTENT_TYPE, value)]));
        assert!(json("application/json"));
        assert!(json("Application/JSON; charset=utf-8"));
        assert!(json("application/jwk-set+json"));
        assert!(!json("text/html"));
        assert!(!json("text/json"));
        assert!(!json("application/token-introspection+jwt"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
