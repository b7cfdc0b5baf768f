//! The two questions of a login: what is to be proven (`open`), and what follows from the proof (`decide`).
//!
//! Owns the order of the rules and the binding of a person to mailboxes. It never trusts an unproven claim for more
//! than asking about it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::claims::{Payload, check_times};
use crate::contract::{Attempt, Credentials, Evidence, Grant, Inquiry, Mailbox, MailboxKind, Span, Verdict};
use crate::introspection::{Standing, judge};
use crate::jws::Jws;
use crate::reason::DenyReason;
use crate::settings::Settings;
use crate::{address, identity, jws, sasl};

/// Reads the attempt and says what to prove, or refuses at once.
///
/// `now` in seconds since the epoch. All that can be refused without a signature is refused here, so that nonsense
/// costs no cryptography and no call. The rules run in this order and the first that fails names the reason: mechanism,
/// size and grammar of the message, mailbox, form and header of the token, issuer, type, times, session, assurance,
/// client, audience, identity.
///
/// # Errors
/// The reason of the refusal.
pub fn open(settings: &Settings<'_>, attempt: &Attempt<'_>, now: u64) -> Result<Inquiry, DenyReason> {
    match attempt.credentials {
        Credentials::Bearer(token) => {
            let mailbox = mailbox_asked(attempt.mailbox, None)?;
            inquire(settings, token, 0, mailbox, now)
        }
        Credentials::Sasl { mechanism, response } => {
            let message = sasl::read(mechanism, response)?;
            let mailbox = mailbox_asked(attempt.mailbox, message.user.as_deref())?;
            let start = message.token.start;
            inquire(settings, message.bytes.get(message.token).unwrap_or_default(), start, mailbox, now)
        }
    }
}

/// The mailbox to open: the mail server's, else the one in the message. Where both are known they are the same mailbox;
/// a message that names another one than the server will open is refused.
fn mailbox_asked(by_server: Option<&str>, in_message: Option<&[u8]>) -> Result<Option<String>, DenyReason> {
    let parse = |bytes: &[u8]| address::parse(bytes).ok_or(DenyReason::MailboxMalformed);
    let by_server = by_server.map(str::as_bytes).map(parse).transpose()?;
    let in_message = in_message.map(parse).transpose()?;
    match (by_server, in_message) {
        (Some(server), Some(message)) if server != message => Err(DenyReason::MailboxRefused),
        (server, message) => Ok(server.or(message)),
    }
}

/// Judges the token that starts at byte `start` of the attempt.
fn inquire(
    settings: &Settings<'_>,
    token: &[u8],
    start: usize,
    mailbox: Option<String>,
    now: u64,
) -> Result<Inquiry, DenyReason> {
    let Jws { signed, algorithm, key_id, payload } = jws::read(token, &settings.algorithms)?;
    let payload = Payload::parse(&payload)?;
    let issuer = payload.issuer(settings)?;
    payload.check_type()?;
    let claims = payload.claims()?;
    check_times(&claims, settings, now)?;
    payload.check_assurance(settings)?;
    payload.check_client(settings)?;
    payload.check_audience(settings)?;
    let (identity, identities_differ) = identity::choose(&payload.candidates()?)?;
    if identities_differ && settings.refuse_disagreement {
        return Err(DenyReason::IdentityInconsistent);
    }
    Ok(Inquiry {
        token: span(start, token.len())?,
        signed: span(start, signed)?,
        issuer: issuer.url.into(),
        key_id,
        algorithm,
        identity: identity.into(),
        identities_differ,
        mailbox,
        introspect: issuer.introspect,
        claims,
    })
}

/// Sizes are bounded far below 4 GiB; a span that would not fit is refused like any other oversize.
fn span(start: usize, length: usize) -> Result<Span, DenyReason> {
    match (u32::try_from(start), u32::try_from(length)) {
        (Ok(start), Ok(length)) => Ok(Span { start, length }),
        _ => Err(DenyReason::TooLarge),
    }
}

/// Decides on what was proven. The inquiry is what [`open`] returned, its signature holds, and `now` is the time of the
/// decision: time may have passed while proofs were fetched, so the rules of time are asked again.
#[must_use]
pub fn decide(settings: &Settings<'_>, inquiry: Inquiry, evidence: Evidence, now: u64) -> Verdict {
    if let Err(reason) = check_times(&inquiry.claims, settings, now) {
        return Verdict::Deny(reason);
    }
    let standing = match judge(inquiry.introspect, &evidence.introspection, &inquiry.claims, settings, now) {
        Ok(standing) => standing,
        Err(verdict) => return verdict,
    };
    match mailboxes_granted(inquiry.mailbox.as_deref(), evidence.mailboxes) {
        Ok(mailboxes) => {
            Verdict::Allow(Grant { identity: inquiry.identity, mailboxes, degraded: standing == Standing::Degraded })
        }
        Err(reason) => Verdict::Deny(reason),
    }
}

/// The person's mailboxes that a token may open, or the one among them that is asked for.
fn mailboxes_granted(asked: Option<&str>, listed: Vec<Mailbox>) -> Result<Vec<String>, DenyReason> {
    let mut open: Vec<_> = listed.into_iter().filter(is_for_a_person).map(|mailbox| mailbox.address).collect();
    if open.is_empty() {
        return Err(DenyReason::NoMailbox);
    }
    if let Some(asked) = asked {
        open.retain(|address| address == asked);
        open.truncate(1);
        if open.is_empty() {
            return Err(DenyReason::MailboxRefused);
        }
    }
    Ok(open)
}

/// PER exactly its person: one listed for several persons is a fault of the directory and opens for none of them. ORG
/// any of its list. APP never: software authenticates with a certificate.
fn is_for_a_person(mailbox: &Mailbox) -> bool {
    match mailbox.kind {
        MailboxKind::Per => mailbox.persons == 1,
        MailboxKind::Org => mailbox.persons >= 1,
        MailboxKind::App => false,
    }
}

#[cfg(test)]
mod tests;
