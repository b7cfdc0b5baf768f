//! What can be wrong with a list.

/// Why a list is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadCrl {
    /// Nothing.
    #[error("the answer is empty: expected a revocation list in DER")]
    Empty,
    /// A web page.
    #[error("the answer is a web page, not a revocation list: is the address right, is a portal in the way?")]
    Html,
    /// PEM of something else, or damaged.
    #[error("expected one PEM block -----BEGIN X509 CRL-----, whole: found a damaged one or something else")]
    Pem,
    /// Not a list at all.
    #[error("this is no revocation list: expected DER, or PEM with X509 CRL")]
    NotACrl,
    /// Larger than the limit.
    #[error("the revocation list is larger than 16 MiB")]
    TooLarge,
    /// The outer element is longer than what is there.
    #[error("the revocation list is cut short")]
    Truncated,
    /// More than the list.
    #[error("other bytes follow the revocation list")]
    TrailingBytes,
    /// Not as RFC 5280 has it.
    #[error("this is not a version 2 revocation list as RFC 5280 describes it")]
    Malformed,
    /// No number.
    #[error(
        "the revocation list has no CRL number (RFC 5280 section 5.2.3): an older list could not be told from a newer one"
    )]
    NoNumber,
    /// No nextUpdate.
    #[error("the revocation list does not say until when it holds (nextUpdate)")]
    NoNextUpdate,
    /// nextUpdate is not after thisUpdate.
    #[error("the revocation list ends before it begins (nextUpdate, thisUpdate)")]
    Dates,
    /// From the future.
    #[error("the revocation list is dated in the future: is the clock right?")]
    Future,
    /// Changes to another list.
    #[error("this is a delta list, which holds changes alone: give the address of the complete list")]
    Delta,
    /// For other authorities too.
    #[error("this is an indirect list, which holds other authorities' certificates too: not supported")]
    Indirect,
    /// For a part of the certificates.
    #[error(
        "the list is limited to a part of the certificates (issuingDistributionPoint): give the address of the complete list"
    )]
    Partial,
    /// A condition that is not looked at.
    #[error("the revocation list has a critical extension that is not known here")]
    UnknownCritical,
    /// No authority of that name.
    #[error("the revocation list is of an authority that is not of the chain")]
    Issuer,
    /// An authority of that name did not sign it.
    #[error("the revocation list's signature does not hold: the authority that it names did not sign it, or may not")]
    Signature,
    /// Lower number than the held one.
    #[error("the revocation list's number is lower than that of the list already held")]
    OlderNumber,
    /// Same number, other content.
    #[error("the revocation list has the number of the list already held, and another content")]
    SameNumber,
    /// Older than the held one.
    #[error("the revocation list is older than the list already held")]
    OlderDate,
}

impl BadCrl {
    /// Stable code for status, logs and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Html => "html",
            Self::Pem => "pem",
            Self::NotACrl => "not-a-list",
            Self::TooLarge => "too-large",
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing-bytes",
            Self::Malformed => "malformed",
            Self::NoNumber => "no-number",
            Self::NoNextUpdate => "no-next-update",
            Self::Dates => "dates",
            Self::Future => "future",
            Self::Delta => "delta",
            Self::Indirect => "indirect",
            Self::Partial => "partial",
            Self::UnknownCritical => "unknown-critical",
            Self::Issuer => "issuer",
            Self::Signature => "signature",
            Self::OlderNumber => "older-number",
            Self::SameNumber => "same-number",
            Self::OlderDate => "older-date",
        }
    }
}
