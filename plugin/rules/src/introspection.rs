//! What an issuer says of a token (RFC 7662), held against the token itself.
//!
//! Owns the three modes and the agreement of both sides. It asks nobody: the answer is evidence.

use crate::contract::{Claims, Introspect, Introspected, Introspection, Verdict};
use crate::reason::{DenyReason, UnavailableReason};
use crate::settings::Settings;

/// How the introspection leaves the decision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was to be asked, or the issuer confirmed the token.
    Sound,
    /// The issuer was to be asked and gave no answer; the signature stands alone.
    Degraded,
}

/// Judges the outcome. A refusal by the issuer counts in every mode, wanted or not; a missing answer counts as the mode
/// says, whatever the reason for which it is missing.
///
/// # Errors
/// The verdict that ends the decision: denied or unavailable.
pub(crate) fn judge(
    mode: Introspect,
    outcome: &Introspection,
    claims: &Claims,
    settings: &Settings<'_>,
    now: u64,
) -> Result<Standing, Verdict> {
    match outcome {
        Introspection::Inactive => Err(Verdict::Deny(DenyReason::TokenInactive)),
        Introspection::Active(answer) => {
            agrees(answer, claims, settings, now).map(|()| Standing::Sound).map_err(Verdict::Deny)
        }
        Introspection::NotAsked | Introspection::Unavailable => match mode {
            Introspect::Never => Ok(Standing::Sound),
            Introspect::Prefer => Ok(Standing::Degraded),
            Introspect::Must => Err(Verdict::Unavailable(UnavailableReason::IntrospectionUnavailable)),
        },
    }
}

/// Subject, session and client are the token's where both sides name them, and the issuer's `exp` has not passed.
fn agrees(answer: &Introspected, claims: &Claims, settings: &Settings<'_>, now: u64) -> Result<(), DenyReason> {
    let pairs = [
        (&answer.subject, &claims.subject),
        (&answer.session, &claims.session),
        (&answer.authorized_party, &claims.authorized_party),
    ];
    if pairs.into_iter().any(|(theirs, ours)| theirs.is_some() && ours.is_some() && theirs != ours) {
        return Err(DenyReason::IntrospectionMismatch);
    }
    match answer.expires_at {
        Some(expiry) if now >= expiry.saturating_add(settings.leeway) => Err(DenyReason::TokenExpired),
        _ => Ok(()),
    }
}
