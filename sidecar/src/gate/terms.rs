//! Between the sidecar's terms and those of the WIT world. Decides nothing.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Attempt, Credentials, Outcome, Protocol};
use crate::evidence::directory::{Mailbox, MailboxKind};
use crate::evidence::introspection::Introspected;
use crate::evidence::keys::{Lookup, VerifyingKey};
use crate::evidence::token::Presented;
use crate::policy::wit::login::{self, Inquiry};
use crate::reason::{DenyReason, UnavailableReason};

/// The bytes to which an inquiry's spans refer; `None` when a SASL response is not base64 at all.
pub(super) fn raw(credentials: &Credentials) -> Option<Cow<'_, [u8]>> {
    match credentials {
        Credentials::Bearer(token) => Some(Cow::Borrowed(token.expose())),
        Credentials::Sasl { response, .. } => STANDARD.decode(response.expose()).ok().map(Cow::Owned),
    }
}

pub(super) fn ask(attempt: &Attempt) -> login::Attempt {
    login::Attempt {
        credentials: match &attempt.credentials {
            Credentials::Bearer(token) => login::Credentials::Bearer(token.expose().to_vec()),
            Credentials::Sasl { mechanism, response } => login::Credentials::Sasl(login::SaslMessage {
                mechanism: mechanism.clone(),
                response: response.expose().to_vec(),
            }),
        },
        mailbox: attempt.mailbox.clone(),
        protocol: match attempt.protocol {
            Protocol::Imap => login::Protocol::Imap,
            Protocol::Smtp => login::Protocol::Smtp,
            Protocol::Other => login::Protocol::Other,
        },
    }
}

pub(super) fn presented<'a>(attempt: &Attempt, inquiry: &Inquiry, raw: &'a [u8]) -> Option<Presented<'a>> {
    match attempt.credentials {
        Credentials::Bearer(_) => Presented::in_bearer(raw, inquiry.token, inquiry.signed),
        Credentials::Sasl { .. } => Presented::in_sasl(raw, inquiry.token, inquiry.signed),
    }
}

pub(super) const fn algorithm(asked: login::Algorithm) -> jsonwebtoken::Algorithm {
    use login::Algorithm as Asked;
    match asked {
        Asked::Rs256 => jsonwebtoken::Algorithm::RS256,
        Asked::Rs384 => jsonwebtoken::Algorithm::RS384,
        Asked::Rs512 => jsonwebtoken::Algorithm::RS512,
        Asked::Ps256 => jsonwebtoken::Algorithm::PS256,
        Asked::Ps384 => jsonwebtoken::Algorithm::PS384,
        Asked::Ps512 => jsonwebtoken::Algorithm::PS512,
        Asked::Es256 => jsonwebtoken::Algorithm::ES256,
        Asked::Es384 => jsonwebtoken::Algorithm::ES384,
    }
}

pub(super) fn found(lookup: Lookup) -> Result<Arc<VerifyingKey>, Outcome> {
    match lookup {
        Lookup::Found(key) => Ok(key),
        Lookup::Unknown => Err(DenyReason::KeyUnknown.into()),
        Lookup::Unfit => Err(DenyReason::KeyUnfit.into()),
        Lookup::Unavailable => Err(UnavailableReason::KeysUnavailable.into()),
    }
}

pub(super) fn word(introspected: Introspected) -> login::Introspection {
    match introspected {
        Introspected::Unavailable => login::Introspection::Unavailable,
        Introspected::Inactive => login::Introspection::Inactive,
        Introspected::Active(active) => login::Introspection::Active(login::Introspected {
            subject: active.subject,
            session: active.session,
            authorized_party: active.authorized_party,
            expires_at: active.expires_at.map(|at| at.0),
        }),
    }
}

pub(super) fn listed(mailbox: &Mailbox) -> login::Mailbox {
    login::Mailbox {
        address: mailbox.address.as_str().to_owned(),
        kind: match mailbox.kind {
            MailboxKind::Per => login::MailboxKind::Per,
            MailboxKind::Org => login::MailboxKind::Org,
            MailboxKind::App => login::MailboxKind::App,
        },
        persons: u32::try_from(mailbox.persons.len()).unwrap_or(u32::MAX),
    }
}
