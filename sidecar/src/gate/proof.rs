//! Proves what was not at hand: with deadlines, without an instance, and with a limit to what one client address can
//! make the sidecar do for nothing.
//!
//! The limit slows and never refuses: whoever is over it waits a little before the next check, and no fetch of keys is
//! made on its behalf. Work is charged once it is known to have been for nothing; an outage proves nothing of the kind.

use std::sync::Arc;
use std::time::Duration;

use super::terms::{algorithm, found, presented, word};
use super::{Attempt, Facts, Gate, Issuer, Missing, Outcome};
use crate::clock::UnixSeconds;
use crate::evidence::introspection::{Introspected, Question};
use crate::evidence::keys::{AfterBadSignature, Lookup, VerifyingKey};
use crate::evidence::token::{Presented, Proven};
use crate::policy::wit::login::{self, Inquiry, Introspect};
use crate::reason::{DenyReason, UnavailableReason};
use crate::throttle::Work;

/// An attempt on its way through what has to be awaited.
struct Case<'a> {
    attempt: &'a Attempt,
    inquiry: &'a Inquiry,
    issuer: &'a Issuer,
    presented: Presented<'a>,
}

impl Gate {
    /// Proves what was not at hand, with deadlines and without an instance.
    pub(super) async fn prove(
        &self,
        attempt: &Attempt,
        inquiry: &Inquiry,
        missing: Missing,
        raw: &[u8],
        facts: &mut Facts,
    ) -> Result<(Arc<Proven>, login::Introspection), Outcome> {
        let issuer = self.issuer(&inquiry.issuer).ok_or(DenyReason::RailIssuer)?;
        let presented = presented(attempt, inquiry, raw).ok_or(DenyReason::RailToken)?;
        let case = Case { attempt, inquiry, issuer, presented };
        let proven = match missing {
            Missing::Word(proven) => Ok(proven),
            Missing::Key => {
                let key = self.key(&case).await?;
                self.proven(&case.presented, &key, inquiry, facts)
            }
            Missing::Turn(key) => {
                self.throttle.pace(Work::Signature, attempt.client).await;
                match self.proven(&case.presented, &key, inquiry, facts) {
                    Err(Outcome::Deny(DenyReason::SignatureInvalid)) => self.under_newer_key(&case, &key, facts).await,
                    other => other,
                }
            }
            Missing::NewerKey(key) => self.under_newer_key(&case, &key, facts).await,
        };
        // A good token that comes before its key is charged with the bad ones: which it is shows only later, and a
        // charge refuses nobody.
        if let Err(Outcome::Deny(DenyReason::SignatureInvalid) | Outcome::Unavailable(_)) = proven {
            self.throttle.charge(Work::Signature, attempt.client);
        }
        let proven = proven?;
        let word = self.word(&case, &proven).await?;
        Ok((proven, word))
    }

    /// The key that the token names, which the set in use does not have.
    async fn key(&self, case: &Case<'_>) -> Result<Arc<VerifyingKey>, Outcome> {
        let (keys, client) = (&case.issuer.keys, case.attempt.client);
        let (kid, algorithm) = (case.inquiry.key_id.as_deref(), algorithm(case.inquiry.algorithm));
        let is_absent = keys.knows_absent(kid, algorithm);
        if !is_absent && !self.throttle.slowed_for(Work::KeyFetch, client).is_zero() {
            // A fetch that somebody else caused may bring the key meanwhile.
            self.throttle.pace(Work::KeyFetch, client).await;
            return match keys.lookup(kid, algorithm) {
                Lookup::Unknown => Err(UnavailableReason::KeysUnavailable.into()),
                other => found(other),
            };
        }
        let looked_up = keys.find(kid, algorithm).await;
        if matches!(looked_up, Lookup::Unknown) && !is_absent {
            self.throttle.charge(Work::KeyFetch, client);
        }
        found(looked_up)
    }

    /// Verifies again where the issuer has new material under the same name. The fetch that finds out is not limited by
    /// address: all who ask share one in half a minute, and to withhold it could refuse a good token.
    async fn under_newer_key(
        &self,
        case: &Case<'_>,
        key: &VerifyingKey,
        facts: &mut Facts,
    ) -> Result<Arc<Proven>, Outcome> {
        let issued = case.inquiry.claims.issued_at.map(|at| UnixSeconds(at).plus(self.rails.leeway));
        let age = issued.map_or(Duration::ZERO, |issued| Duration::from_secs(self.clock.now().since(issued)));
        match case.issuer.keys.refresh_after_bad_signature(key, age).await {
            AfterBadSignature::NewKey(key) => self.proven(&case.presented, &key, case.inquiry, facts),
            AfterBadSignature::Confirmed => Err(DenyReason::SignatureInvalid.into()),
            // It may be good, under a key that nobody has seen yet.
            AfterBadSignature::Unchecked => Err(UnavailableReason::KeysUnavailable.into()),
        }
    }

    /// The issuer's word on a token whose signature holds, where the policy asks for it. One that was preferred may be
    /// missing for a bounded time; after that it is missing like one that is required.
    async fn word(&self, case: &Case<'_>, proven: &Proven) -> Result<login::Introspection, UnavailableReason> {
        let introspection = match (case.inquiry.introspect, &case.issuer.introspection) {
            (Introspect::Never, _) => return Ok(login::Introspection::NotAsked),
            (Introspect::Prefer | Introspect::Must, None) => return Ok(login::Introspection::Unavailable),
            (Introspect::Prefer | Introspect::Must, Some(introspection)) => introspection,
        };
        let client = case.attempt.client;
        self.throttle.pace(Work::Introspection, client).await;
        let question = Question {
            token: case.presented.token(),
            expires_at: proven.expires_at,
            authorized_party: proven.authorized_party.as_deref(),
        };
        let introspected = introspection.ask(question).await;
        match introspected {
            Introspected::Active(_) => {}
            Introspected::Inactive => self.throttle.charge(Work::Introspection, client),
            Introspected::Unavailable if introspection.may_degrade() => {}
            Introspected::Unavailable => return Err(UnavailableReason::IntrospectionUnavailable),
        }
        Ok(word(introspected))
    }
}
