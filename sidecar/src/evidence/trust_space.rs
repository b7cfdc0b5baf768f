//! The trust space of MSSante: the domains to which one may send, as the national white list names them.
//!
//! Held in memory as one immutable list, like the directory. Without a list nobody knows who is inside: that is an
//! outage of this rule, told as such, and neither a yes nor a no.

pub mod document;

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use crate::clock::UnixSeconds;

/// A domain name in the form in which names are compared: lower-case ASCII, an internationalised label as its A-label
/// (UTS #46, which is what IDNA2008 software does with what people type).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Longest text looked at, in bytes: 253 characters (RFC 1035 section 2.3.4), each of up to four bytes.
    const MAX_TEXT: usize = 1012;

    /// Parses a name of at least two labels, without a dot at its end.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("a domain name must not be empty");
        }
        if text.len() > Self::MAX_TEXT {
            return Err("a domain name has at most 253 characters");
        }
        let ascii = Uts46::new()
            .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| "a domain name is dot-separated labels of letters, digits and hyphens")?;
        if !ascii.contains('.') {
            return Err("a domain name of a mailbox has at least two labels");
        }
        Ok(Self(ascii.into_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One edition of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustList {
    /// When it was made, as its author wrote it (`DateDeGeneration`).
    pub generated: String,
    /// When it was imported.
    pub imported: UnixSeconds,
    /// Its domains.
    pub domains: BTreeSet<DomainName>,
}

impl TrustList {
    /// Whether a recipient (`RCPT TO` without angle brackets) is in the trust space: its domain is on the list to the
    /// letter (a subdomain is another domain), and nothing in its local part leads out of it again.
    #[must_use]
    pub fn holds(&self, recipient: &str) -> bool {
        let Some((local, domain)) = recipient.rsplit_once('@') else { return false };
        stays(local) && DomainName::parse(domain).is_ok_and(|domain| self.domains.contains(&domain))
    }
}

/// A local part that no mail server takes for a way to somewhere else: Postfix reads `other.test!name` and
/// `name%other.test` before one of its own domains as `name@other.test` (`swap_bangpath`, `allow_percent_hack`), and
/// RFC 5321 appendix C has source routes. MSSante addresses have none of it.
fn stays(local: &str) -> bool {
    !local.is_empty() && !local.chars().any(|c| "%!@:,;\"\\<>()[]".contains(c) || c.is_whitespace() || c.is_control())
}

/// The list in use, shared by all; none until one is imported.
#[derive(Clone, Debug, Default)]
pub struct TrustSpace(Arc<ArcSwapOption<TrustList>>);

impl TrustSpace {
    /// The list as it stands; later imports do not change it.
    #[must_use]
    pub fn list(&self) -> Option<Arc<TrustList>> {
        self.0.load_full()
    }

    /// Puts a list in place.
    pub fn publish(&self, list: TrustList) {
        self.0.store(Some(Arc::new(list)));
    }

    /// Whether a recipient is in the trust space; `None` while there is no list.
    #[must_use]
    pub fn holds(&self, recipient: &str) -> Option<bool> {
        self.0.load().as_ref().map(|list| list.holds(recipient))
    }
}

#[cfg(test)]
mod tests;
