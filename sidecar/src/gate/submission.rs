//! Submission: may this login send this message? The policy judges, and a rail holds.
//!
//! Nothing is awaited: what the policy needs was proven at the login or stands in the directory. Whatever the policy
//! says, nobody sends as an address that the directory does not give to the proven identity.

use std::net::IpAddr;

use super::{CertificateOutcome, DecisionId, Gate, Issuer, Opened};
use crate::audit::Submitted;
use crate::clock::UnixSeconds;
use crate::evidence::certificate::Fingerprint;
use crate::evidence::directory::{IdNat, Mailbox, MailboxAddress, Snapshot};
use crate::policy::Release;
use crate::policy::wit::submission as wit;
use crate::rails;
use crate::reason::{DenyReason, SubmissionReason, UnavailableReason};

/// A login that a SASL client was told is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The mailbox, as told to the SASL client.
    pub mailbox: MailboxAddress,
    /// The decision that allowed it.
    pub decision: DecisionId,
    /// Whose it is.
    pub holder: Holder,
    /// When.
    pub at: UnixSeconds,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A person, by a token.
    Person {
        /// Its issuer.
        issuer: String,
        /// The person, as the proven token carries them.
        identity: IdNat,
    },
    /// A structure, by a client certificate.
    Structure {
        /// Its identifier.
        structure: String,
        /// The certificate.
        certificate: Fingerprint,
    },
}

impl Holder {
    /// By what a policy's share of all is chosen, and its failures are told apart.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Person { identity, .. } => identity.as_str(),
            Self::Structure { structure, .. } => structure,
        }
    }
}

/// How far an SMTP transaction has come when the mail server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`, once for each recipient.
    Rcpt,
    /// `DATA`.
    Data,
    /// After the message.
    EndOfMessage,
}

impl Stage {
    /// Name in records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfMessage => "end-of-message",
        }
    }
}

/// What encrypts the mail client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encryption {
    /// Nothing.
    None,
    /// A protocol that nobody here knows, or an SSL: as good as nothing.
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

/// A message on its way in, under a login that this sidecar allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The login.
    pub login: Login,
    /// How far the transaction has come.
    pub stage: Stage,
    /// `MAIL FROM` without angle brackets; empty for the null sender (RFC 5321 section 4.5.5). Unchecked.
    pub sender: String,
    /// `RCPT TO`, at [`Stage::Rcpt`], and later where there is only one. Unchecked.
    pub recipient: Option<String>,
    /// Recipients accepted so far: known from [`Stage::Data`] on, 0 before.
    pub recipients: u32,
    /// Size in bytes: as declared before the message has come, as it is afterwards, 0 where unknown.
    pub bytes: u64,
    /// Encryption of the mail client's connection.
    pub encryption: Encryption,
    /// Address of the mail client.
    pub client: Option<IpAddr>,
}

/// Outcome of a submission question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionOutcome {
    /// The message may go on to Postfix's other restrictions.
    Allow,
    /// It is refused.
    Deny(SubmissionReason),
    /// The login itself does not hold, or not any more: a client certificate that does not open the mailbox.
    ShutOut(DenyReason),
    /// No decision could be made.
    Unavailable(UnavailableReason),
}

impl From<UnavailableReason> for SubmissionOutcome {
    fn from(reason: UnavailableReason) -> Self {
        Self::Unavailable(reason)
    }
}

impl Gate {
    /// Judges one message at one stage of its transaction, and records what matters of it.
    #[must_use]
    pub fn judge_submission(&self, submission: &Submission) -> SubmissionOutcome {
        let service = self.service.load_full();
        let release = service.release_for(submission.login.holder.name());
        let outcome = self.submission(release, submission);
        self.audit.submission(&Submitted {
            now: self.clock.now(),
            stage: submission.stage,
            outcome,
            login: Some(&submission.login),
            sasl_username: "",
            sender: &submission.sender,
            recipient: submission.recipient.as_deref(),
            recipients: submission.recipients,
            bytes: submission.bytes,
            client: submission.client,
            release: Some(release.digest()),
        });
        self.watch_submission(&service, release, outcome, submission.login.holder.name());
        if let SubmissionOutcome::Deny(reason) = outcome {
            // Addresses stay out of the log: the decision leads to the audit record of the login.
            tracing::info!(decision = %submission.login.decision, reason = reason.code(), "a message is refused");
        }
        outcome
    }

    fn submission(&self, release: &Release, submission: &Submission) -> SubmissionOutcome {
        let Ok(_place) = self.in_flight.try_acquire() else { return UnavailableReason::Overloaded.into() };
        let directory = self.directory.snapshot();
        let own = match self.own(&directory, &submission.login) {
            Ok(own) => own,
            Err(outcome) => return outcome,
        };
        let inside = submission.recipient.as_deref().and_then(|recipient| self.trust_space.holds(recipient));
        let request = request(submission, &own, inside);
        match release.instance().and_then(|mut instance| instance.judge(&request)) {
            Err(fault) => SubmissionOutcome::Unavailable(fault.into()),
            Ok(wit::Verdict::Deny(reason)) => SubmissionOutcome::Deny(reason.into()),
            Ok(wit::Verdict::Unavailable(reason)) => SubmissionOutcome::Unavailable(reason.into()),
            Ok(wit::Verdict::Allow) if sends_as_itself(&submission.sender, &own) => SubmissionOutcome::Allow,
            Ok(wit::Verdict::Allow) => SubmissionOutcome::Deny(SubmissionReason::RailSender),
        }
    }
}

impl Gate {
    /// What the login opens now: as when it was made, so that a directory that changed meanwhile counts.
    ///
    /// # Errors
    /// The login does not hold any more.
    fn own<'d>(&'d self, directory: &'d Snapshot, login: &'d Login) -> Result<Vec<Own<'d>>, SubmissionOutcome> {
        match &login.holder {
            Holder::Person { issuer, identity } => {
                // An issuer that was taken out of the configuration since: its logins are no longer ours.
                let issuer = self.issuer(issuer).ok_or(UnavailableReason::LoginUnknown)?;
                Ok(own(directory, identity, issuer))
            }
            Holder::Structure { certificate, .. } => match self.certificate_stands(*certificate, &login.mailbox) {
                CertificateOutcome::Allow(opened) => Ok(opened_by(directory, &opened)),
                CertificateOutcome::Deny(reason) => Err(SubmissionOutcome::ShutOut(reason)),
                CertificateOutcome::Unavailable(reason) => Err(reason.into()),
            },
        }
    }
}

/// The mailbox that a certificate opens, and its addresses in the same domain: its chain vouches for no other.
fn opened_by<'d>(directory: &'d Snapshot, opened: &Opened) -> Vec<Own<'d>> {
    let mailbox = directory.mailbox(opened.mailbox().as_str());
    let own = |mailbox: &'d Mailbox| Own {
        address: &mailbox.address,
        aliases: mailbox.aliases.iter().filter(|alias| alias.domain() == mailbox.address.domain()).collect(),
    };
    mailbox.into_iter().map(own).collect()
}

/// A mailbox of the person, and its addresses in the issuer's domains.
struct Own<'d> {
    address: &'d MailboxAddress,
    aliases: Vec<&'d MailboxAddress>,
}

/// What a token of this person opens.
fn own<'d>(directory: &'d Snapshot, identity: &'d IdNat, issuer: &'d Issuer) -> Vec<Own<'d>> {
    let domains = &issuer.mailbox_domains;
    let inside = |alias: &&MailboxAddress| domains.iter().any(|domain| domain == alias.domain());
    rails::listed(directory, identity.as_str(), domains)
        .filter(|mailbox| rails::opens_by_token(mailbox))
        .map(|mailbox| Own { address: &mailbox.address, aliases: mailbox.aliases.iter().filter(inside).collect() })
        .collect()
}

/// Rail: the sender is nobody (a receipt), or an address of the person's own, with or without a plus extension.
fn sends_as_itself(sender: &str, own: &[Own<'_>]) -> bool {
    if sender.is_empty() {
        return true;
    }
    let Ok(sender) = MailboxAddress::parse(sender) else { return false };
    let (local, domain) = sender.as_str().split_once('@').unwrap_or_default();
    let bare = local.split_once('+').map(|(name, _)| format!("{name}@{domain}"));
    own.iter()
        .flat_map(|mailbox| mailbox.aliases.iter().copied().chain([mailbox.address]))
        .any(|address| *address == sender || Some(address.as_str()) == bare.as_deref())
}

fn request(submission: &Submission, own: &[Own<'_>], recipient_in_trust_space: Option<bool>) -> wit::Request {
    let mailbox = |own: &Own<'_>| wit::SendingMailbox {
        address: own.address.as_str().to_owned(),
        aliases: own.aliases.iter().map(|alias| alias.as_str().to_owned()).collect(),
    };
    wit::Request {
        stage: match submission.stage {
            Stage::Mail => wit::Stage::Mail,
            Stage::Rcpt => wit::Stage::Rcpt,
            Stage::Data => wit::Stage::Data,
            Stage::EndOfMessage => wit::Stage::EndOfMessage,
        },
        login: submission.login.mailbox.as_str().to_owned(),
        mailboxes: own.iter().map(mailbox).collect(),
        sender: submission.sender.clone(),
        recipient: submission.recipient.clone(),
        recipient_in_trust_space,
        recipients: submission.recipients,
        size: submission.bytes,
        encryption: match submission.encryption {
            Encryption::None => wit::Encryption::None,
            Encryption::Unknown => wit::Encryption::Unknown,
            Encryption::Tls10 => wit::Encryption::Tls10,
            Encryption::Tls11 => wit::Encryption::Tls11,
            Encryption::Tls12 => wit::Encryption::Tls12,
            Encryption::Tls13 => wit::Encryption::Tls13,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> MailboxAddress {
        MailboxAddress::parse(text).unwrap()
    }

    #[test]
    fn the_rail_lets_nobody_send_as_another() {
        let (mailbox, alias) = (address("dr@x.test"), address("docteur@x.test"));
        let own = [Own { address: &mailbox, aliases: vec![&alias] }];
        for sender in ["", "dr@x.test", "DR@X.test", "docteur@x.test", "dr+labo@x.test", "docteur+a+b@x.test"] {
            assert!(sends_as_itself(sender, &own), "{sender}");
        }
        for sender in
            ["other@x.test", "dr@y.test", "+dr@x.test", "d+r@x.test", "dr", "dr@x.test\n", "<dr@x.test>", "*@x.test"]
        {
            assert!(!sends_as_itself(sender, &own), "{sender}");
        }
        assert!(!sends_as_itself("dr@x.test", &[]));
    }
}
