//! Good and bad tokens, on each server, in every form in which a client can hand one over.

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, Said, doctor_one, doctor_two, secretary, vendor};
use octroi_tests::clients;
use octroi_tests::dovecot::Version;
use octroi_tests::imap::{Credential, Mechanism};
use octroi_tests::logins::{
    Refusal, hostile_names_never_open, never_opens, opens, passwords_still_work, refuses, survives_a_refusal,
};

use crate::stage::{DEUX, SECRETARIAT, Stage, UN};

async fn persons_open_their_mailboxes_and_no_other(version: Version) -> Result<()> {
    let stage = Stage::start(version, "off").await?;
    let (server, one, two) = (&stage.server, stage.token(&doctor_one()), stage.token(&doctor_two()));
    opens(server, UN, &one).await?;
    opens(server, SECRETARIAT, &one).await?;
    opens(server, SECRETARIAT, &stage.token(&secretary())).await?;
    refuses(server, DEUX, &one, Refusal::NotAMember).await?;
    refuses(server, SECRETARIAT, &two, Refusal::NotAMember).await?;
    refuses(server, "automate@bal.example.test", &one, Refusal::NotAMember).await?;
    refuses(server, UN, &stage.token(&vendor()), Refusal::Denied).await?;
    hostile_names_never_open(server, UN, &one).await?;
    passwords_still_work(server, UN, &one).await
}

async fn bad_tokens_are_refused_and_the_connection_goes_on(version: Version) -> Result<()> {
    let stage = Stage::start(version, "off").await?;
    for deviation in [
        Deviation::Expired,
        Deviation::OtherIssuer,
        Deviation::BadSignature,
        Deviation::AlgNone,
        Deviation::Hs256WithPublicKey,
    ] {
        let bad = stage.deviant(&doctor_one(), deviation)?;
        let refused = refuses(&stage.server, UN, &bad, Refusal::Denied).await;
        refused.with_context(|| deviation.name())?;
    }
    // Within the floor after a fetch nobody can say that the key is not about to be published.
    refuses(&stage.server, UN, &stage.deviant(&doctor_one(), Deviation::UnknownKid)?, Refusal::Outage).await?;
    let (bad, good) = (stage.deviant(&doctor_one(), Deviation::Expired)?, stage.token(&doctor_one()));
    survives_a_refusal(&stage.server, UN, &bad, &good).await
}

async fn a_token_that_introspection_calls_inactive_is_refused(version: Version) -> Result<()> {
    let stage = Stage::start(version, "required").await?;
    opens(&stage.server, UN, &stage.token(&doctor_one())).await?;
    let revoked = stage.psc.token(&doctor_one()).claim("jti", "revoked").mint();
    stage.psc.say(&revoked, Said::Inactive);
    refuses(&stage.server, UN, &revoked, Refusal::Denied).await
}

async fn tokens_of_two_to_six_thousand_bytes_pass(version: Version) -> Result<()> {
    let stage = Stage::start(version, "off").await?;
    for bytes in [2000, 4000, 6000] {
        let token = stage.psc.token(&doctor_one()).sized(bytes).mint();
        opens(&stage.server, UN, &token).await.with_context(|| format!("{bytes} bytes"))?;
        never_opens(&stage.server, DEUX, &token).await?;
    }
    Ok(())
}

async fn clients_that_nobody_here_wrote_log_in_and_are_refused(version: Version) -> Result<()> {
    let stage = Stage::start(version, "off").await?;
    let (good, bad) = (stage.token(&doctor_one()), stage.deviant(&doctor_one(), Deviation::Expired)?);
    for (token, opens) in [(&good, true), (&bad, false)] {
        for initial_response in [true, false] {
            ensure!(clients::curl(&stage.server, UN, token, initial_response).await?.reply.accepted() == opens, "curl");
        }
        let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: UN, secret: token };
        ensure!(clients::imaplib(&stage.server, &credential).await?.reply.accepted() == opens, "imaplib");
    }
    // Its plugin never answers a challenge and then waits for ever: a refusal would show nothing but that.
    ensure!(clients::mbsync(&stage.server, UN, &good).await?.reply.accepted(), "mbsync");
    Ok(())
}

on_both! {
    persons_open_their_mailboxes_and_no_other
    bad_tokens_are_refused_and_the_connection_goes_on
    a_token_that_introspection_calls_inactive_is_refused
    tokens_of_two_to_six_thousand_bytes_pass
    clients_that_nobody_here_wrote_log_in_and_are_refused
}
