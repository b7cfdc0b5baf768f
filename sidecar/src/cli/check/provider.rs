//! A provider of tokens: its keys can be read, and it knows us as whom we ask about tokens.

use std::time::Duration;

use super::report::Report;
use super::token::Given;
use crate::app;
use crate::clock::{Clock, UnixSeconds};
use crate::config::{IntrospectionMode, Issuer};
use crate::evidence::introspection::{AskError, Introspected, Introspection, Question};
use crate::evidence::keys::Keys;

/// How long the first fetch of keys may take: discovery and keys, each with a deadline of its own.
const DEADLINE: Duration = Duration::from_secs(15);
/// What is shown where no token was given: no token of anybody. A provider that knows us answers "not active".
const NOBODYS: &[u8] = b"octroi-check";

/// Looks at one issuer, as `serve` would use it, but for the copy of its keys on disk.
pub(super) async fn look(configured: &Issuer, token: Option<&Given<'_>>, leeway: u64, report: &mut Report) {
    let place = &configured.issuer;
    let clock = Clock::system();
    let issuer = match app::issuer(configured, None, &clock) {
        Ok(issuer) => issuer,
        Err(error) => {
            report.mistake(place, format!("{error:#}"), "correct this [[issuer]]");
            return;
        }
    };
    keys(place, &issuer.keys, report).await;
    let holds = token.map(|token| token.against_keys(place, &issuer.keys, report));
    match (configured.introspection, &issuer.introspection) {
        (IntrospectionMode::Off, _) => {}
        (IntrospectionMode::Preferred | IntrospectionMode::Required, Some(introspection)) => match (token, holds) {
            (Some(token), Some(true)) => {
                token.against_introspection(place, introspection, leeway, clock.now(), report).await;
            }
            // A token is shown to its own issuer alone, and only where a login would show it.
            (Some(_) | None, _) => knows_us(place, introspection, clock.now(), report).await,
        },
        (IntrospectionMode::Preferred | IntrospectionMode::Required, None) => {
            report.mistake(place, "introspection is on and has no client", "set client_id and client_secret_file");
        }
    }
}

async fn keys(place: &str, keys: &Keys, report: &mut Report) {
    let tried = tokio::time::timeout(DEADLINE, keys.tried()).await;
    let status = keys.status();
    match (tried, status.last_error) {
        (Ok(()), None) => report.good(place, format!("{} keys", status.keys.len())),
        (Ok(()), Some(error)) => report.mistake(
            place,
            format!("its keys can't be read: {error}"),
            "see that this machine reaches it (DNS, firewall, ca_file), and that issuer is exactly its name",
        ),
        (Err(_), _) => report.mistake(place, "its keys can't be read: no answer", "see that this machine reaches it"),
    }
    for skipped in &status.skipped {
        report.unchecked(
            place,
            format!("a key is not used: {skipped:?}"),
            "nothing, while tokens are not signed with it",
        );
    }
}

/// Whether the issuer answers us at all, where there is no token of its own to ask about.
async fn knows_us(place: &str, introspection: &Introspection, now: UnixSeconds, report: &mut Report) {
    let question = Question { token: NOBODYS, expires_at: now.plus(120), authorized_party: None };
    match introspection.ask(question).await {
        Introspected::Unavailable => no_answer(place, introspection, report),
        Introspected::Inactive => report.unchecked(
            place,
            "introspection: it knows our client; whether it tells us about real tokens is not known",
            "run with --token and a fresh token of a real client before relying on introspection",
        ),
        Introspected::Active(_) => report.mistake(
            place,
            "introspection: it calls a token active that is nobody's",
            "do not use this introspection endpoint: its answers prove nothing",
        ),
    }
}

/// Why an introspection gave no answer that counts.
pub(super) fn no_answer(place: &str, introspection: &Introspection, report: &mut Report) {
    let error = introspection.status().last_error;
    let why = error.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
    let remedy = match error {
        Some(AskError::CallerRefused) => {
            "see that client_id, client_secret_file and client_auth are those that it gave"
        }
        Some(AskError::Discovery(_)) => "see that this machine reaches its description, or set introspection_url",
        Some(AskError::Http(_) | AskError::Malformed | AskError::Assertion | AskError::Token) | None => {
            "see that this machine reaches it, and that introspection_url is its introspection endpoint"
        }
    };
    report.mistake(place, format!("introspection: {why}"), remedy);
}
