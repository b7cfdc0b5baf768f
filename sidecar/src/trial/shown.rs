//! From what is written in a vector to what a policy is shown.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::vectors::{
    Encryption, Introspection, Kind, Login, Mailbox, Protocol, SendingMailbox, Stage, Submission, VectorError,
};
use crate::clock::UnixSeconds;
use crate::policy::wit::{login, submission};

impl Login {
    /// What the policy is shown.
    ///
    /// # Errors
    /// [`VectorError::Login`]
    pub fn attempt(&self) -> Result<login::Attempt, VectorError> {
        let wrong = |expected| VectorError::Login(self.name.clone(), expected);
        let token = match (&self.token, &self.header, &self.payload) {
            (Some(token), None, None) => Some(token.clone()),
            (None, Some(header), Some(payload)) => Some(compact(header, payload)),
            (None, None, None) => None,
            _ => return Err(wrong("expected a token, or a header and a payload")),
        };
        let credentials = match (&self.mechanism, &self.message, &self.response) {
            (None, None, None) => match token {
                Some(token) => login::Credentials::Bearer(token.into_bytes()),
                None => return Err(wrong("expected a token where there is no mechanism")),
            },
            (Some(mechanism), Some(message), None) => {
                let response = STANDARD.encode(message.replace("{token}", token.as_deref().unwrap_or_default()));
                login::Credentials::Sasl(login::SaslMessage { mechanism: mechanism.clone(), response: response.into() })
            }
            (Some(mechanism), None, Some(response)) if token.is_none() => {
                let response = response.clone().into_bytes();
                login::Credentials::Sasl(login::SaslMessage { mechanism: mechanism.clone(), response })
            }
            _ => return Err(wrong("expected a mechanism with a message, or with a response and no token")),
        };
        let protocol = match self.protocol {
            Protocol::Imap => login::Protocol::Imap,
            Protocol::Smtp => login::Protocol::Smtp,
            Protocol::Other => login::Protocol::Other,
        };
        Ok(login::Attempt { credentials, mailbox: self.mailbox.clone(), protocol })
    }

    /// The moment.
    #[must_use]
    pub const fn now(&self) -> UnixSeconds {
        UnixSeconds(self.now)
    }

    /// What was proven for the inquiry that the policy made of it.
    #[must_use]
    pub fn evidence(&self, asked: login::Introspect) -> login::Evidence {
        let introspection = match (asked, &self.introspection) {
            (login::Introspect::Never, _) => login::Introspection::NotAsked,
            (_, Introspection::Unavailable) => login::Introspection::Unavailable,
            (_, Introspection::Inactive) => login::Introspection::Inactive,
            (_, Introspection::Active(active)) => login::Introspection::Active(login::Introspected {
                subject: active.subject.clone(),
                session: active.session.clone(),
                authorized_party: active.authorized_party.clone(),
                expires_at: active.expires_at,
            }),
        };
        let mailbox = |mailbox: &Mailbox| login::Mailbox {
            address: mailbox.address.clone(),
            kind: match mailbox.kind {
                Kind::Per => login::MailboxKind::Per,
                Kind::Org => login::MailboxKind::Org,
                Kind::App => login::MailboxKind::App,
            },
            persons: mailbox.persons,
        };
        login::Evidence { introspection, mailboxes: self.mailboxes.iter().map(mailbox).collect() }
    }
}

impl Submission {
    /// What the policy is asked.
    #[must_use]
    pub fn request(&self) -> submission::Request {
        let mailbox = |mailbox: &SendingMailbox| submission::SendingMailbox {
            address: mailbox.address.clone(),
            aliases: mailbox.aliases.clone(),
        };
        submission::Request {
            stage: match self.stage {
                Stage::Mail => submission::Stage::Mail,
                Stage::Rcpt => submission::Stage::Rcpt,
                Stage::Data => submission::Stage::Data,
                Stage::EndOfMessage => submission::Stage::EndOfMessage,
            },
            login: self.login.clone(),
            mailboxes: self.mailboxes.iter().map(mailbox).collect(),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            recipient_in_trust_space: self.recipient_in_trust_space,
            recipients: self.recipients,
            size: self.size,
            encryption: match self.encryption {
                Encryption::None => submission::Encryption::None,
                Encryption::Unknown => submission::Encryption::Unknown,
                Encryption::Tls10 => submission::Encryption::Tls10,
                Encryption::Tls11 => submission::Encryption::Tls11,
                Encryption::Tls12 => submission::Encryption::Tls12,
                Encryption::Tls13 => submission::Encryption::Tls13,
            },
        }
    }
}

/// A compact token (RFC 7515 section 7.1) whose signature has the length of one by a 2048-bit key and is none.
fn compact(header: &Value, payload: &Value) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{payload}.{}", "A".repeat(342))
}
