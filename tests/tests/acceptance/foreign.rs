//! Clients that nobody here wrote, through the real sidecar: curl and Python's imaplib.
//!
//! Must never be satisfied with an exit code: the right mailbox's message has to arrive, and a refusal has to be shown.

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::clients::{self, Seen};
use octroi_tests::dovecot::{Version, subject};
use octroi_tests::imap::{Credential, Mechanism};
use octroi_tests::logins::{Refusal, wording};

use crate::stage::{DEUX, UN, shared};

fn opened(seen: &Seen) -> Result<()> {
    ensure!(seen.reply.accepted() && seen.subject == subject(UN), "{seen:?}");
    Ok(())
}

fn refused(seen: &Seen, version: Version, mechanism: Mechanism, refusal: Refusal) -> Result<()> {
    let (challenge, line) = wording(version, mechanism, refusal);
    ensure!(seen.reply.line() == line && seen.reply.challenge == challenge && seen.subject.is_empty(), "{seen:?}");
    Ok(())
}

async fn curl_logs_in_and_is_refused(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let token = stage.psc.token(&doctor_one()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    for initial_response in [true, false] {
        opened(&clients::curl(server, UN, &token, initial_response).await?)?;
        let seen = clients::curl(server, DEUX, &token, initial_response).await?;
        refused(&seen, version, Mechanism::Oauthbearer, Refusal::NotAMember)?;
        let seen = clients::curl(server, UN, &expired, initial_response).await?;
        refused(&seen, version, Mechanism::Oauthbearer, Refusal::Denied)?;
    }
    Ok(())
}

async fn imaplib_logs_in_and_is_refused(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let token = stage.psc.token(&doctor_one()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
        let credential = Credential { mechanism, mailbox: UN, secret: &token };
        opened(&clients::imaplib(server, &credential).await?)?;
        let seen = clients::imaplib(server, &Credential { mailbox: DEUX, ..credential }).await?;
        refused(&seen, version, mechanism, Refusal::NotAMember)?;
        let seen = clients::imaplib(server, &Credential { secret: &expired, ..credential }).await?;
        refused(&seen, version, mechanism, Refusal::Denied)?;
    }
    Ok(())
}

on_both! {
    curl_logs_in_and_is_refused
    imaplib_logs_in_and_is_refused
}
