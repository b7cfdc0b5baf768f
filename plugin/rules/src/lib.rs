//! The rules by which a Pro Santé Connect login is judged: pure functions from values to values.
//!
//! Owns every decision about credentials, tokens, claims, identities and mailboxes. No clock, no random, no network, no
//! `std`: time and evidence come in as arguments, and the same values always give the same answer. It never verifies a
//! signature and never remembers anything; whoever calls it proves what [`open`] asks before calling [`decide`].
// Tests have `std`; what is shipped has not.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::string_slice, reason = "a test that slices amiss fails"))]

extern crate alloc;

mod address;
mod certificate;
mod claims;
mod contract;
mod identity;
mod introspection;
mod json;
mod jws;
mod login;
mod reason;
mod sasl;
mod schema;
mod settings;
mod submission;

pub use certificate::{
    CertificateFacts, CertificateRequest, CertificateVerdict, ChainKind, Revocation, WantedMailbox, judge_certificate,
};
pub use contract::{
    Algorithm, Attempt, Claims, Credentials, Evidence, Grant, Inquiry, Introspect, Introspected, Introspection,
    Mailbox, MailboxKind, Protocol, Span, Verdict,
};
pub use jws::MAX_TOKEN;
pub use login::{decide, open};
pub use reason::{
    CertificateOutage, CertificateReason, DenyReason, SubmissionOutage, SubmissionReason, UnavailableReason,
};
pub use sasl::MAX_RESPONSE;
pub use schema::SETTINGS_SCHEMA;
pub use settings::{Problem, Settings, configure};
pub use submission::{Encryption, Judgement, SendingMailbox, Stage, Submission, judge};

#[cfg(test)]
mod samples;
