//! Bad days: the provider away, the sidecar away, both; a crash at the worst moment. Never an accept, and never a word
//! that blames the client's token.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use octroi_psc::{Deviation, Psc, doctor_one, doctor_two};
use octroi_tests::dovecot::{PASSWORD, Version};
use octroi_tests::imap::{Mechanism, Security};
use octroi_tests::logins::{self, FORMS, Form, Refusal, wording};
use serde_json::Value;
use tokio::time::Instant;

use crate::stage::{DEUX, SECRETARIAT, UN, last_authentication};
use crate::weather::Weather;

const PLAIN: Form = Form { mechanism: Mechanism::Plain, initial_response: true, security: Security::Implicit };

fn decisions(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record["event"] == "decision").collect()
}

/// Outcome, reason and degraded mark of each decision about an issuer's tokens.
fn said<'a>(records: &'a [Value], psc: &Psc) -> Vec<(&'a str, &'a str, bool)> {
    let of_issuer = decisions(records).into_iter().filter(|record| record["issuer"] == psc.issuer());
    let text = |record: &'a Value, key: &str| record[key].as_str().unwrap_or_default();
    of_issuer.map(|record| (text(record, "outcome"), text(record, "reason"), record["degraded"] == true)).collect()
}

async fn without_the_provider_each_mode_does_what_it_says(version: Version) -> Result<()> {
    let mut weather = Weather::fair(version).await?;
    let begun = weather.sidecar.records()?.len();
    weather.providers_go_away();
    let Weather { off, preferred, required, sidecar, server } = &*weather;
    logins::opens(server, UN, &off.token(&doctor_one()).mint()).await?;
    logins::opens(server, UN, &preferred.token(&doctor_one()).mint()).await?;
    logins::refuses(server, UN, &required.token(&doctor_one()).mint(), Refusal::Outage).await?;
    // An outage lets nobody in who would not get in without one.
    let expired = preferred.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    logins::refuses(server, UN, &expired, Refusal::Denied).await?;
    logins::refuses(server, DEUX, &preferred.token(&doctor_one()).mint(), Refusal::NotAMember).await?;

    let records = sidecar.recorded(begun, |records| decisions(records).len() >= 5 * FORMS.len()).await?;
    let count = |psc: &Psc, expected| said(&records, psc).into_iter().filter(|said| *said == expected).count();
    let four = FORMS.len();
    ensure!(count(off, ("allow", "", false)) == four, "{:?}", said(&records, off));
    ensure!(count(preferred, ("allow", "", true)) == 2 * four, "{:?}", said(&records, preferred));
    let expired = decisions(&records).into_iter().filter(|record| record["reason"] == "token-expired").count();
    ensure!(expired == four, "{expired} expired");
    let outages = count(required, ("unavailable", "introspection-unavailable", false));
    ensure!(outages == four, "{:?}", said(&records, required));
    ensure!(decisions(&records).len() == 5 * four, "one record each");
    Ok(())
}

async fn all_is_well_again_by_itself(version: Version) -> Result<()> {
    let mut weather = Weather::fair(version).await?;
    weather.providers_go_away();
    let token = weather.required.token(&doctor_one()).mint();
    logins::refuses(&weather.server, UN, &token, Refusal::Outage).await?;
    weather.providers_come_back()?;
    let (server, deadline) = (&weather.server, Instant::now() + Duration::from_secs(45));
    // The sidecar spares an issuer that was away for some seconds.
    loop {
        let (imap, reply) = logins::attempt(server, FORMS[0], UN, &token).await?;
        if reply.accepted() {
            return imap.logout().await;
        }
        let (challenge, line) = wording(version, FORMS[0].mechanism, Refusal::Outage);
        ensure!(reply.line() == line && reply.challenge == challenge, "{}", imap.transcript());
        ensure!(Instant::now() < deadline, "still an outage");
    }
}

async fn a_sidecar_started_while_the_provider_is_away_serves_with_the_keys_it_kept(version: Version) -> Result<()> {
    let mut weather = Weather::fair(version).await?;
    weather.sidecar.stop()?;
    weather.providers_go_away();
    weather.sidecar.resume()?;
    let Weather { off, preferred, required, server, .. } = &*weather;
    logins::opens(server, UN, &off.token(&doctor_one()).mint()).await?;
    logins::opens(server, SECRETARIAT, &preferred.token(&doctor_one()).mint()).await?;
    logins::refuses(server, UN, &required.token(&doctor_one()).mint(), Refusal::Outage).await?;
    // Nobody can say that the provider has no newer key of the same name: not let in, and no verdict on the token.
    let bad = off.token(&doctor_one()).deviate(Deviation::BadSignature)?.mint();
    logins::refuses(server, UN, &bad, Refusal::Outage).await
}

/// Keys are not fetched for each name that somebody makes up: until the next fetch is due, nobody knows whether such a
/// key exists, and the answer is an outage. After it, the answer is no.
async fn a_key_nobody_published_is_an_outage_until_the_keys_are_read_again(version: Version) -> Result<()> {
    let weather = Weather::fair(version).await?;
    let Weather { off, sidecar, server, .. } = &*weather;
    for form in FORMS {
        let begun = sidecar.records()?.len();
        let token = off.token(&doctor_one()).deviate(Deviation::UnknownKid)?.mint();
        let (imap, reply) = logins::attempt(server, form, UN, &token).await?;
        let records = sidecar.recorded(begun, |records| !decisions(records).is_empty()).await?;
        let refusal = match decisions(&records)[0]["reason"].as_str() {
            Some("keys-unavailable") => Refusal::Outage,
            Some("key-unknown") => Refusal::Denied,
            other => bail!("{other:?}"),
        };
        let (challenge, line) = wording(version, form.mechanism, refusal);
        ensure!(reply.line() == line && reply.challenge == challenge, "{refusal:?}\n{}", imap.transcript());
    }
    Ok(())
}

async fn without_the_sidecar_nobody_gets_in(version: Version) -> Result<()> {
    let mut weather = Weather::fair(version).await?;
    let token = weather.off.token(&doctor_one()).mint();
    for killed in [false, true] {
        if killed {
            weather.sidecar.kill()?;
        } else {
            weather.sidecar.stop()?;
        }
        logins::refuses(&weather.server, UN, &token, Refusal::Outage).await?;
        // The site's own mechanisms wait for the last word too.
        let (imap, reply) = logins::attempt(&weather.server, PLAIN, UN, PASSWORD).await?;
        let (challenge, line) = wording(version, Mechanism::Plain, Refusal::Vetoed);
        ensure!(reply.line() == line && reply.challenge == challenge, "{}", imap.transcript());
        weather.sidecar.resume()?;
        logins::opens(&weather.server, UN, &token).await?;
        logins::opens_in(&weather.server, PLAIN, UN, PASSWORD).await?;
    }
    Ok(())
}

/// No other test of this stage opens doctor two's mailbox.
async fn a_login_that_was_accepted_is_recorded_even_if_the_sidecar_dies_at_once(version: Version) -> Result<()> {
    let mut weather = Weather::fair(version).await?;
    ensure!(last_authentication(&weather.sidecar, DEUX)?.is_none(), "recorded before the login");
    let token = weather.off.token(&doctor_two()).mint();
    let (imap, reply) = logins::attempt(&weather.server, FORMS[0], DEUX, &token).await?;
    weather.sidecar.kill()?;
    ensure!(reply.accepted(), "{}", imap.transcript());
    weather.sidecar.resume()?;
    ensure!(last_authentication(&weather.sidecar, DEUX)?.is_some(), "the authentication is lost");
    Ok(())
}

on_both! {
    without_the_provider_each_mode_does_what_it_says
    all_is_well_again_by_itself
    a_sidecar_started_while_the_provider_is_away_serves_with_the_keys_it_kept
    a_key_nobody_published_is_an_outage_until_the_keys_are_read_again
    without_the_sidecar_nobody_gets_in
    a_login_that_was_accepted_is_recorded_even_if_the_sidecar_dies_at_once
}
