//! Who stays out, and in which words: bad tokens, other people's mailboxes, names that are none.
//!
//! Must never let "refused somehow" stand for a pinned wording where the token is the reason.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, Said, doctor_one, doctor_two};
use octroi_tests::dovecot::Version;
use octroi_tests::logins::{self, Refusal};
use serde_json::json;

use crate::stage::{AUTOMATE, DEUX, UN, shared};

async fn an_expired_token_is_refused(version: Version) -> Result<()> {
    denied(version, &[Deviation::Expired]).await
}

async fn a_token_that_is_not_psc_s_is_refused(version: Version) -> Result<()> {
    denied(version, &[Deviation::OtherIssuer, Deviation::IssuerWithSlash, Deviation::NoIssuer]).await
}

async fn a_signature_that_does_not_hold_is_refused(version: Version) -> Result<()> {
    let bad = [
        Deviation::BadSignature,
        Deviation::NoSignature,
        Deviation::StrangersKey,
        Deviation::SignedOverOtherBytes,
        Deviation::EmbeddedJwk,
    ];
    denied(version, &bad).await
}

async fn an_algorithm_of_the_attacker_s_choice_is_refused(version: Version) -> Result<()> {
    let bad = [
        Deviation::AlgNone,
        Deviation::AlgNoneMixedCase,
        Deviation::Hs256WithPublicKey,
        Deviation::AlgOfAnotherScheme,
        Deviation::PsychicSignature,
    ];
    denied(version, &bad).await
}

async fn denied(version: Version, deviations: &[Deviation]) -> Result<()> {
    let (stage, server) = shared(version);
    for deviation in deviations {
        let token = stage.psc.token(&doctor_one()).deviate(*deviation)?.mint();
        logins::refuses(server, UN, &token, Refusal::Denied).await.with_context(|| deviation.name())?;
    }
    Ok(())
}

async fn what_is_no_token_is_refused(version: Version) -> Result<()> {
    let (_, server) = shared(version);
    for text in ["x", "a.b.c", "..", "never-heard-of-it", "{\"active\":true}"] {
        logins::refuses(server, UN, text, Refusal::Denied).await.with_context(|| text.to_owned())?;
    }
    logins::never_opens(server, UN, "").await
}

async fn a_token_that_its_issuer_calls_inactive_is_refused(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let token = stage.psc.token(&doctor_one()).mint();
    stage.psc.say(&token, Said::Inactive);
    logins::refuses(server, UN, &token, Refusal::Denied).await?;
    ensure!(stage.psc.was_asked_about(&token), "nobody was asked");
    let token = stage.psc.token(&doctor_one()).mint();
    stage.psc.say(&token, Said::Answer(json!({"active": true, "sub": "f:another:899700000022"})));
    logins::refuses(server, UN, &token, Refusal::Denied).await
}

async fn a_good_token_does_not_open_someone_else_s_mailbox(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let (one, two) = (stage.psc.token(&doctor_one()).mint(), stage.psc.token(&doctor_two()).mint());
    // The last three: an application's, an alias of one's own, and nobody's.
    for (mailbox, token) in [
        (DEUX, &one),
        (UN, &two),
        (AUTOMATE, &one),
        ("dr.un@bal.example.test", &one),
        ("personne@bal.example.test", &one),
    ] {
        logins::refuses(server, mailbox, token, Refusal::NotAMember).await.with_context(|| mailbox.to_owned())?;
    }
    Ok(())
}

async fn hostile_names_never_open(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    logins::hostile_names_never_open(server, UN, &stage.psc.token(&doctor_one()).mint()).await
}

async fn a_connection_survives_a_refusal(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let good = stage.psc.token(&doctor_one()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    logins::survives_a_refusal(server, UN, &expired, &good).await?;
    logins::survives_a_refusal(server, UN, &stage.psc.token(&doctor_two()).mint(), &good).await
}

on_both! {
    an_expired_token_is_refused
    a_token_that_is_not_psc_s_is_refused
    a_signature_that_does_not_hold_is_refused
    an_algorithm_of_the_attacker_s_choice_is_refused
    what_is_no_token_is_refused
    a_token_that_its_issuer_calls_inactive_is_refused
    a_good_token_does_not_open_someone_else_s_mailbox
    hostile_names_never_open
    a_connection_survives_a_refusal
}
