//! What went wrong in a call, told apart as far as an operator can act on it. Holds nothing of what was said.

use std::error::Error;
use std::io;

/// Why a call brought no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HttpError {
    /// Not done within its deadline.
    #[error("no answer within the deadline")]
    Deadline,
    /// No connection: name resolution, refusal, no route.
    #[error("no connection")]
    Connect,
    /// The server's certificate has expired, or the clock here is ahead.
    #[error("the server's certificate has expired (or the clock here is wrong)")]
    CertificateExpired,
    /// The server's certificate is not trusted for this name.
    #[error("the server's certificate is not trusted for this name")]
    Certificate,
    /// TLS failed for another reason.
    #[error("TLS failed")]
    Tls,
    /// The connection was closed before an answer came, twice.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// The answer broke off before its end.
    #[error("the answer broke off")]
    Truncated,
    /// Not HTTP/1.1.
    #[error("the answer is not HTTP/1.1")]
    Protocol,
    /// Another status than the one expected.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Not JSON by its content type: a maintenance page, a captive portal.
    #[error("the answer is not JSON by its content type")]
    ContentType,
    /// Larger than the limit.
    #[error("the answer is larger than the limit")]
    TooLarge,
    /// The call can't be put into HTTP: a fault of the configuration.
    #[error("the request can't be made")]
    Request,
}

impl HttpError {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Connect => "connect",
            Self::CertificateExpired => "certificate-expired",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::Status(_) => "status",
            Self::ContentType => "content-type",
            Self::TooLarge => "too-large",
            Self::Request => "request",
        }
    }

    /// Reads the cause out of a client error, link by link.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Request;
        }
        let mut seen = None;
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(link) = next {
            seen = cause(link).or(seen);
            next = link.source();
        }
        match seen {
            Some(Self::Closed) if error.is_connect() => Self::Connect,
            Some(Self::Closed) if error.is_body() || error.is_decode() => Self::Truncated,
            Some(cause) => cause,
            None if error.is_connect() => Self::Connect,
            None if error.is_timeout() => Self::Deadline,
            None if error.is_body() || error.is_decode() => Self::Truncated,
            None => Self::Protocol,
        }
    }
}

fn cause(link: &(dyn Error + 'static)) -> Option<HttpError> {
    if let Some(tls) = link.downcast_ref::<rustls::Error>() {
        return Some(of_tls(tls));
    }
    if let Some(http) = link.downcast_ref::<hyper::Error>() {
        let closed = http.is_incomplete_message() || http.is_canceled() || http.is_closed();
        return closed.then_some(HttpError::Closed);
    }
    let mut io = link.downcast_ref::<io::Error>()?;
    // An io::Error hides what it wraps from `source`, which starts one link further; and some wrap another one.
    while let Some(inner) = io.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(of_tls(tls));
        }
        let Some(deeper) = inner.downcast_ref::<io::Error>() else { break };
        io = deeper;
    }
    let closed = matches!(
        io.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    );
    closed.then_some(HttpError::Closed)
}

fn of_tls(error: &rustls::Error) -> HttpError {
    use rustls::CertificateError::{Expired, ExpiredContext};
    match error {
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => HttpError::CertificateExpired,
        rustls::Error::InvalidCertificate(_) => HttpError::Certificate,
        _ => HttpError::Tls,
    }
}
