//! Clients that nobody here wrote: curl, Python's imaplib, mbsync.
//!
//! Must never be satisfied with an exit code: the right mailbox's message has to arrive, and a refusal has to be shown.

use anyhow::{Result, ensure};
use octroi_tests::clients::{self, Seen};
use octroi_tests::dovecot::{Version, subject};
use octroi_tests::imap::{Credential, Mechanism};
use octroi_tests::logins::{Refusal, wording};

use crate::fake::Verdict;
use crate::stage::{ONE, Stage, TWO};

fn opened(seen: &Seen) -> Result<()> {
    ensure!(seen.reply.accepted() && seen.subject == subject(ONE), "{seen:?}");
    Ok(())
}

fn refused(seen: &Seen, version: Version, mechanism: Mechanism, refusal: Refusal) -> Result<()> {
    let (challenge, line) = wording(version, mechanism, refusal);
    ensure!(seen.reply.line() == line && seen.reply.challenge == challenge && seen.subject.is_empty(), "{seen:?}");
    Ok(())
}

async fn curl_logs_in_and_is_refused(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE]);
    for initial_response in [true, false] {
        opened(&clients::curl(&stage.server, ONE, &token, initial_response).await?)?;
        let seen = clients::curl(&stage.server, TWO, &token, initial_response).await?;
        refused(&seen, version, Mechanism::Oauthbearer, Refusal::NotAMember)?;
        let seen = clients::curl(&stage.server, ONE, "never-heard-of-it", initial_response).await?;
        refused(&seen, version, Mechanism::Oauthbearer, Refusal::Denied)?;
    }
    Ok(())
}

async fn imaplib_logs_in_and_is_refused(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE]);
    for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
        let credential = Credential { mechanism, mailbox: ONE, secret: &token };
        opened(&clients::imaplib(&stage.server, &credential).await?)?;
        let seen = clients::imaplib(&stage.server, &Credential { mailbox: TWO, ..credential }).await?;
        refused(&seen, version, mechanism, Refusal::NotAMember)?;
        let seen = clients::imaplib(&stage.server, &Credential { secret: "never-heard-of-it", ..credential }).await?;
        refused(&seen, version, mechanism, Refusal::Denied)?;
    }
    Ok(())
}

/// The plugin never answers a challenge, and mbsync then waits for ever: so it is refused where there is none.
async fn mbsync_fetches_and_is_refused(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    opened(&clients::mbsync(&stage.server, ONE, &stage.member(&[ONE])).await?)?;
    let vetoed = stage.judged(&[ONE], Verdict::Raw(200, r#"{"status":-1,"msg":""}"#.to_owned()));
    refused(&clients::mbsync(&stage.server, ONE, &vetoed).await?, version, Mechanism::Xoauth2, Refusal::Vetoed)
}

on_both! {
    curl_logs_in_and_is_refused
    imaplib_logs_in_and_is_refused
    mbsync_fetches_and_is_refused
}
