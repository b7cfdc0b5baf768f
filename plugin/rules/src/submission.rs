//! Submission: whether a login may send this message.
//!
//! Owns the rules of the sender, the encryption and the recipients: the Rust face of the WIT interface `submission`.
//! The login and the person's mailboxes come in proven. It never repairs an address: what it can't read it refuses.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::address;
use crate::reason::{SubmissionOutage, SubmissionReason};
use crate::settings::Settings;

/// How far the SMTP transaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`.
    Data,
    /// The message has come.
    EndOfMessage,
}

/// What encrypts the client's connection, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Encryption {
    /// Nothing.
    None,
    /// SSL, or unknown.
    Unknown,
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A mailbox that the person may open, and so send as.
#[derive(Clone, PartialEq, Eq)]
pub struct SendingMailbox {
    /// Address, lower-case ASCII.
    pub address: String,
    /// Other addresses from which its persons may send, lower-case ASCII.
    pub aliases: Vec<String>,
}

/// What is to be judged. Fields as in the contract.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are those of `request` in wit/policy.wit")]
pub struct Submission {
    pub stage: Stage,
    pub login: String,
    pub mailboxes: Vec<SendingMailbox>,
    pub sender: String,
    pub recipient: Option<String>,
    pub recipient_in_trust_space: Option<bool>,
    pub recipients: u32,
    pub size: u64,
    pub encryption: Encryption,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The message may go on.
    Allow,
    /// It is refused.
    Deny(SubmissionReason),
    /// It can't be judged now.
    Unavailable(SubmissionOutage),
}

/// Addresses are personal data: `Debug` names the type and no more.
impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Submission(..)")
    }
}

impl fmt::Debug for SendingMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendingMailbox(..)")
    }
}

/// The settings of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sending {
    /// One may send as any of one's mailboxes, not only as the one logged in to.
    pub(crate) as_person: bool,
    pub(crate) plus_extension: bool,
    pub(crate) null_sender: bool,
    pub(crate) tls_min: Encryption,
    pub(crate) recipients_max: u32,
    /// Recipients must be in the trust space.
    pub(crate) trust_space: bool,
}

/// Judges one message at one stage.
///
/// The rules run in this order, and the first that fails names the reason: encryption (MSS: TLS 1.2 at least), sender,
/// number of recipients, recipient in the trust space.
#[must_use]
pub fn judge(settings: &Settings<'_>, submission: &Submission) -> Judgement {
    let sending = &settings.sending;
    match check(sending, submission) {
        Ok(()) => check_recipient(sending, submission),
        Err(reason) => Judgement::Deny(reason),
    }
}

/// What needs nothing but the message.
fn check(sending: &Sending, submission: &Submission) -> Result<(), SubmissionReason> {
    if submission.encryption < sending.tls_min {
        return Err(SubmissionReason::TlsTooOld);
    }
    check_sender(sending, submission)?;
    if submission.recipients > sending.recipients_max {
        return Err(SubmissionReason::TooManyRecipients);
    }
    Ok(())
}

/// The recipient is in the trust space. Without a list nobody knows: the rule is not skipped, and the recipient not
/// called a stranger.
fn check_recipient(sending: &Sending, submission: &Submission) -> Judgement {
    if !sending.trust_space || submission.recipient.is_none() {
        return Judgement::Allow;
    }
    match submission.recipient_in_trust_space {
        Some(true) => Judgement::Allow,
        Some(false) => Judgement::Deny(SubmissionReason::RecipientRefused),
        None => Judgement::Unavailable(SubmissionOutage::TrustSpaceUnavailable),
    }
}

/// The sender is one of the login's addresses, to the character and without regard to case. The null sender belongs to
/// nobody: receipts and bounces have it, so that none of them answers another (RFC 5321 section 4.5.5).
fn check_sender(sending: &Sending, submission: &Submission) -> Result<(), SubmissionReason> {
    if submission.sender.is_empty() {
        return if sending.null_sender { Ok(()) } else { Err(SubmissionReason::SenderRefused) };
    }
    let sender = address::parse(submission.sender.as_bytes()).ok_or(SubmissionReason::SenderMalformed)?;
    let bare = if sending.plus_extension { without_extension(&sender) } else { None };
    let is_sender = |own: &String| *own == sender || Some(own) == bare.as_ref();
    let own = submission
        .mailboxes
        .iter()
        .filter(|mailbox| sending.as_person || mailbox.address == submission.login)
        .any(|mailbox| is_sender(&mailbox.address) || mailbox.aliases.iter().any(is_sender));
    if own { Ok(()) } else { Err(SubmissionReason::SenderRefused) }
}

/// `name@domain` of `name+anything@domain` (RFC 5233 section 1); `None` where there is no extension, or no name.
fn without_extension(sender: &str) -> Option<String> {
    let (local, domain) = sender.split_once('@')?;
    let (name, _) = local.split_once('+').filter(|(name, _)| !name.is_empty())?;
    Some([name, "@", domain].concat())
}

#[cfg(test)]
mod tests;
