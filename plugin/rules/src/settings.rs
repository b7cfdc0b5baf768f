//! The settings of the policy: prepared form, and its way to the caller and back.
//!
//! Owns what a valid document turns into. The sidecar keeps the prepared bytes and hands them in with every call, so
//! reading them back borrows all strings and checks nothing that [`configure`] has checked.

mod document;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::certificate::Structures;
use crate::contract::{Algorithm, Introspect};
use crate::submission::Sending;

/// Marks prepared bytes of this layout. To be changed with every change of [`Settings`].
const FORMAT: u32 = 0x6f63_7403;

/// One thing wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) of the value at fault; empty for the document as a whole.
    pub pointer: String,
    /// What was found, what was expected and how to mend it. One sentence, English.
    pub message: String,
}

/// A provider whose tokens are taken.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Issuer<'s> {
    /// `iss` of its tokens, to the byte.
    pub(crate) url: &'s str,
    pub(crate) introspect: Introspect,
}

/// Settings as the rules use them. Lists that are empty switch their rule off, except `issuers` and `algorithms`, which
/// never are.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settings<'s> {
    format: u32,
    #[serde(borrow)]
    pub(crate) issuers: Vec<Issuer<'s>>,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Seconds.
    pub(crate) leeway: u64,
    /// Seconds.
    pub(crate) session_max: u64,
    #[serde(borrow)]
    pub(crate) acr: Vec<&'s str>,
    #[serde(borrow)]
    pub(crate) azp_allow: Vec<&'s str>,
    #[serde(borrow)]
    pub(crate) azp_deny: Vec<&'s str>,
    #[serde(borrow)]
    pub(crate) audience: Vec<&'s str>,
    pub(crate) refuse_disagreement: bool,
    pub(crate) sending: Sending,
    pub(crate) structures: Structures,
}

impl<'s> Settings<'s> {
    /// Reads what [`configure`] prepared, all of it. `None`: the bytes are not from this version of the rules, and no
    /// login can be judged with them.
    #[must_use]
    pub fn prepared(bytes: &'s [u8]) -> Option<Self> {
        let (settings, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && settings.format == FORMAT).then_some(settings)
    }

    /// `iss` of every configured issuer.
    pub fn issuers(&self) -> impl Iterator<Item = &'s str> {
        self.issuers.iter().map(|issuer| issuer.url)
    }

    /// The configured issuer of exactly that name.
    pub(crate) fn issuer(&self, url: &str) -> Option<&Issuer<'s>> {
        self.issuers.iter().find(|issuer| issuer.url == url)
    }
}

/// Reads the settings document (JSON, described by [`crate::SETTINGS_SCHEMA`]) and prepares it.
///
/// # Errors
/// Every problem of the document, in the order of its keys' description.
pub fn configure(document: &str) -> Result<Vec<u8>, Vec<Problem>> {
    document::read(document)
}

#[cfg(test)]
mod tests;
