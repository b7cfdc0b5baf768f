//! The audit trail: one record for each decision, with the reason that an operator looks up.
//!
//! The table below is a promise: a code that changes breaks what operators have built on it.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation as D, doctor_one, secretary, vendor};
use octroi_tests::sidecar::Settings;

use crate::door::introspect;
use crate::stage::Stage;

/// What the trail says of each departure, as the gate is shipped; nothing: allowed.
const REASONS: &[(D, Option<&str>)] = &[
    (D::Expired, Some("token-expired")),
    (D::ExpiryAsText, Some("token-malformed")),
    (D::ExpiryNegative, Some("token-malformed")),
    (D::ExpiryHuge, Some("token-malformed")),
    (D::NoExpiry, Some("claim-missing")),
    (D::NotYetValid, Some("token-not-yet-valid")),
    (D::IssuedInFuture, Some("token-not-yet-valid")),
    (D::OtherIssuer, Some("issuer-unknown")),
    (D::IssuerWithSlash, Some("issuer-unknown")),
    (D::NoIssuer, Some("claim-missing")),
    (D::BadSignature, Some("signature-invalid")),
    (D::NoSignature, Some("token-malformed")),
    (D::StrangersKey, Some("signature-invalid")),
    (D::SignedOverOtherBytes, Some("signature-invalid")),
    (D::AlgNone, Some("algorithm-refused")),
    (D::AlgNoneMixedCase, Some("algorithm-refused")),
    (D::NoAlg, Some("token-malformed")),
    (D::Hs256WithPublicKey, Some("algorithm-refused")),
    (D::AlgOfAnotherScheme, Some("key-unfit")),
    (D::PsychicSignature, Some("key-unfit")),
    (D::KidAsNumber, Some("token-malformed")),
    (D::TypOther, Some("token-type")),
    (D::Crit, Some("critical-header")),
    (D::CritEmpty, Some("critical-header")),
    (D::EmbeddedJwk, Some("signature-invalid")),
    (D::DuplicateHeader, Some("token-malformed")),
    (D::DuplicateClaim, Some("token-malformed")),
    (D::FiveParts, Some("token-encrypted")),
    (D::JsonSerialization, Some("token-malformed")),
    (D::OldSession, Some("session-expired")),
    (D::IdToken, Some("token-not-bearer")),
    (D::RefreshToken, Some("token-not-bearer")),
    (D::NoIdentity, Some("identity-missing")),
    (D::TypAtJwt, None),
    (D::NoAuthTime, None),
    (D::NoSubjectNameId, None),
    (D::NoSession, None),
];

#[tokio::test]
async fn each_decision_leaves_one_record_with_its_reason() -> Result<()> {
    let stage = Stage::start(&Settings::default())?;
    let door = stage.sidecar.introspection();
    for (deviation, reason) in REASONS {
        let token = stage.psc.token(&doctor_one()).deviate(*deviation)?.mint();
        // As Dovecot sends it: nothing of a token may be read as another parameter.
        let encoded: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let active = introspect(&door, &encoded).await?.json()["active"].as_bool().context("no answer")?;
        ensure!(active == reason.is_none(), "{}: {active}", deviation.name());
    }
    let (vendor, slash) = (stage.psc.token(&vendor()).mint(), stage.psc.token(&secretary()).mint());
    ensure!(introspect(&door, &vendor).await?.json()["active"] == false);
    ensure!(introspect(&door, &slash).await?.json()["active"] == true);

    let records = stage.sidecar.recorded(0, |records| records.len() >= REASONS.len() + 2).await?;
    ensure!(records.len() == REASONS.len() + 2, "{} records", records.len());
    let expected = REASONS.iter().map(|(deviation, reason)| (deviation.name(), *reason));
    let expected = expected.chain([("vendor".to_owned(), Some("no-mailbox")), ("slash".to_owned(), None)]);
    let mut wrong = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for (record, (what, reason)) in records.iter().zip(expected) {
        let outcome = if reason.is_some() { "deny" } else { "allow" };
        let sound = record["event"] == "decision"
            && record["outcome"] == outcome
            && record["reason"].as_str() == reason
            && record["door"] == "dovecot-introspection"
            && record["time"].as_str().is_some_and(|time| time.ends_with('Z'))
            && record["policy"].as_str().is_some_and(|digest| digest.len() == 64)
            && record["identity"].is_string() == reason.is_none();
        if !sound {
            wrong.push(format!("{what}: {reason:?} expected: {record}"));
        }
        ids.insert(record["decision"].as_str().unwrap_or_default().to_owned());
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(ids.len() == records.len(), "an identifier twice");
    Ok(())
}
