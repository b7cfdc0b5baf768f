//! What stops, and what must not follow from it: an accept, or a bad credential.

use anyhow::{Result, ensure};
use octroi_psc::doctor_one;
use octroi_tests::dovecot::Version;
use octroi_tests::logins::{Refusal, opens, refuses};

use crate::stage::{Stage, UN};

async fn without_the_sidecar_nobody_gets_in_and_with_it_again_they_do(version: Version) -> Result<()> {
    let mut stage = Stage::start(version, "off").await?;
    let token = stage.token(&doctor_one());
    opens(&stage.server, UN, &token).await?;
    stage.sidecar.stop()?;
    refuses(&stage.server, UN, &token, Refusal::Outage).await?;
    stage.sidecar.resume()?;
    opens(&stage.server, UN, &token).await
}

async fn without_the_provider_known_keys_go_on_unless_its_word_is_required(version: Version) -> Result<()> {
    for (mode, goes_on) in [("off", true), ("preferred", true), ("required", false)] {
        let mut stage = Stage::start(version, mode).await?;
        let (before, after) = (stage.token(&doctor_one()), stage.psc.token(&doctor_one()).claim("jti", "after").mint());
        opens(&stage.server, UN, &before).await?;
        stage.psc.stop().await;
        if goes_on {
            opens(&stage.server, UN, &after).await?;
        } else {
            refuses(&stage.server, UN, &after, Refusal::Outage).await?;
        }
    }
    Ok(())
}

async fn a_sidecar_that_starts_without_the_provider_serves_from_its_copy_of_the_keys(version: Version) -> Result<()> {
    let mut stage = Stage::start(version, "off").await?;
    let token = stage.token(&doctor_one());
    stage.sidecar.stop()?;
    stage.psc.stop().await;
    stage.sidecar.resume()?;
    opens(&stage.server, UN, &token).await
}

async fn a_kill_after_an_accepted_login_loses_no_authentication(version: Version) -> Result<()> {
    let mut stage = Stage::start(version, "off").await?;
    opens(&stage.server, UN, &stage.token(&doctor_one())).await?;
    stage.sidecar.kill()?;
    stage.sidecar.resume()?;
    let listed = stage.sidecar.run(&["mailbox", "list"])?;
    let listed = String::from_utf8(listed.stdout)?;
    let authenticated = |mailbox: &str| listed.lines().any(|line| line.contains(mailbox) && line.contains("202"));
    ensure!(authenticated(UN), "the login is not recorded:\n{listed}");
    ensure!(!authenticated("docteur.deux@"), "a login that never was is recorded:\n{listed}");
    Ok(())
}

on_both! {
    without_the_sidecar_nobody_gets_in_and_with_it_again_they_do
    without_the_provider_known_keys_go_on_unless_its_word_is_required
    a_sidecar_that_starts_without_the_provider_serves_from_its_copy_of_the_keys
    a_kill_after_an_accepted_login_loses_no_authentication
}
