//! A provider of tokens: its keys can be read, and it knows us as whom we ask about tokens.

use std::time::Duration;

use super::report::Report;
use crate::app;
use crate::clock::{Clock, UnixSeconds};
use crate::config::{IntrospectionMode, Issuer};
use crate::evidence::introspection::{Introspected, Introspection, Question};
use crate::secret::Token;

/// How long the first fetch of keys may take: discovery and keys, each with a deadline of its own.
const DEADLINE: Duration = Duration::from_secs(15);
/// What is shown where no token was given: no token of anybody. A provider that knows us answers "not active".
const NOBODYS: &[u8] = b"octroi-check";

/// Looks at one issuer, as `serve` would use it, but for the copy of its keys on disk.
pub(super) async fn look(configured: &Issuer, token: Option<&Token>, report: &mut Report) {
    let place = &configured.issuer;
    let clock = Clock::system();
    let issuer = match app::issuer(configured, None, &clock) {
        Ok(issuer) => issuer,
        Err(error) => {
            report.mistake(place, format!("{error:#}"), "correct this [[issuer]]");
            return;
        }
    };
    let tried = tokio::time::timeout(DEADLINE, issuer.keys.tried()).await;
    let status = issuer.keys.status();
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
    match (configured.introspection, &issuer.introspection) {
        (IntrospectionMode::Off, _) => {}
        (IntrospectionMode::Preferred | IntrospectionMode::Required, Some(introspection)) => {
            introspect(place, introspection, token, clock.now(), report).await;
        }
        (IntrospectionMode::Preferred | IntrospectionMode::Required, None) => {
            report.mistake(place, "introspection is on and has no client", "set client_id and client_secret_file");
        }
    }
}

async fn introspect(
    place: &str,
    introspection: &Introspection,
    token: Option<&Token>,
    now: UnixSeconds,
    report: &mut Report,
) {
    // Long enough for the question itself: whether the token is expired is the issuer's to say.
    let expires_at = now.plus(120);
    let shown = token.map_or(NOBODYS, Token::expose);
    let answer = introspection.ask(Question { token: shown, expires_at, authorized_party: None }).await;
    match (answer, token) {
        (Introspected::Unavailable, _) => report.mistake(
            place,
            "its introspection gives no answer that counts",
            "see that client_id, client_secret_file and client_auth are those that it gave",
        ),
        (Introspected::Active(_), Some(_)) => report.good(place, "it calls the given token active"),
        (Introspected::Inactive, Some(_)) => report.mistake(
            place,
            "it calls the given token not active",
            "give a token that is not expired; if it is not, this client may not ask about it (it stands not in its aud): \
             ask the provider, and set introspection = \"off\" until then",
        ),
        (Introspected::Inactive, None) => report.unchecked(
            place,
            "it knows our client; whether it tells us about real tokens is not known",
            "run with --token-file and a fresh token of a real client before relying on introspection",
        ),
        (Introspected::Active(_), None) => report.mistake(
            place,
            "it calls a token active that is nobody's",
            "do not use this introspection endpoint: its answers prove nothing",
        ),
    }
}
