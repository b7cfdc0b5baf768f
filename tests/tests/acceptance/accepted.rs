//! Who gets in: each person into their own mailboxes, in every form in which a client can ask.

use anyhow::{Result, ensure};
use octroi_psc::{doctor_one, doctor_two, secretary, vendor};
use octroi_tests::dovecot::Version;
use octroi_tests::logins::{self, Refusal};

use crate::stage::{AUTOMATE, DEUX, SECRETARIAT, UN, last_authentication, own_application, shared};

async fn a_doctor_opens_their_own_mailbox(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    logins::opens(server, UN, &stage.psc.token(&doctor_one()).mint()).await?;
    logins::opens(server, DEUX, &stage.psc.token(&doctor_two()).mint()).await?;
    ensure!(last_authentication(&stage.sidecar, DEUX)?.is_some(), "it was not recorded");
    Ok(())
}

/// The secretary's identifier holds a slash.
async fn a_shared_mailbox_opens_to_its_people_and_to_nobody_else(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    logins::opens(server, SECRETARIAT, &stage.psc.token(&doctor_one()).mint()).await?;
    let slash = stage.psc.token(&secretary()).mint();
    logins::opens(server, SECRETARIAT, &slash).await?;
    logins::refuses(server, UN, &slash, Refusal::NotAMember).await?;
    logins::refuses(server, SECRETARIAT, &stage.psc.token(&doctor_two()).mint(), Refusal::NotAMember).await
}

async fn a_vendor_without_a_mailbox_opens_none(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let token = stage.psc.token(&vendor()).mint();
    for mailbox in [UN, SECRETARIAT, AUTOMATE] {
        logins::refuses(server, mailbox, &token, Refusal::Denied).await?;
    }
    Ok(())
}

async fn a_token_of_every_size_up_to_6000_bytes_opens(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    for bytes in [2000, 4000, 6000] {
        let token = stage.psc.token(&doctor_one()).sized(bytes).mint();
        ensure!(token.len() == bytes, "{}", token.len());
        logins::opens(server, UN, &token).await?;
    }
    // Beyond what Dovecot itself takes.
    logins::never_opens(server, UN, &stage.psc.token(&doctor_one()).sized(7000).mint()).await
}

async fn passwords_of_the_site_still_work_and_count(version: Version) -> Result<()> {
    let (stage, server) = shared(version);
    let mailbox = own_application(version);
    ensure!(last_authentication(&stage.sidecar, mailbox)?.is_none(), "recorded before anybody logged in");
    let token = stage.psc.token(&doctor_one()).mint();
    logins::refuses(server, mailbox, &token, Refusal::NotAMember).await?;
    ensure!(last_authentication(&stage.sidecar, mailbox)?.is_none(), "a refused login counts");
    logins::passwords_still_work(server, mailbox, &token).await?;
    ensure!(last_authentication(&stage.sidecar, mailbox)?.is_some(), "a login by password does not count");
    Ok(())
}

on_both! {
    a_doctor_opens_their_own_mailbox
    a_shared_mailbox_opens_to_its_people_and_to_nobody_else
    a_vendor_without_a_mailbox_opens_none
    a_token_of_every_size_up_to_6000_bytes_opens
    passwords_of_the_site_still_work_and_count
}
