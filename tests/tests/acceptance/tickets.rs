//! Login tickets on the real Dovecot 2.3: a token shown once on `gate.sock`, then a login by password.
//!
//! Must never let a ticket into a message: what a failed test shows is what an operator would paste into a report.

mod program;
mod site;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{doctor_one, doctor_two};
use octroi_tests::dovecot::PASSWORD;
use octroi_tests::imap::{Mechanism, Security};
use octroi_tests::logins::{self, Form};
use serde_json::Value;

use self::site::{Site, Ticket};
use crate::stage::{DEUX, SECRETARIAT, UN, last_authentication};

/// PLAIN (RFC 4616), with and without initial response, over both kinds of connection.
const FORMS: [Form; 2] = [
    Form { mechanism: Mechanism::Plain, initial_response: true, security: Security::Implicit },
    Form { mechanism: Mechanism::Plain, initial_response: false, security: Security::StartTls },
];

const FAILED: &str = "NO [AUTHENTICATIONFAILED] Authentication failed.";
const UNAVAILABLE: &str = "NO [UNAVAILABLE] Temporary authentication failure.";

async fn opens(site: &Site, form: Form, mailbox: &str, ticket: &Ticket) -> Result<()> {
    logins::opens_in(&site.server, form, mailbox, &ticket.0).await.with_context(|| site.server.log())
}

async fn refuses(site: &Site, mailbox: &str, password: &str, line: &str) -> Result<()> {
    let (imap, reply) = logins::attempt(&site.server, FORMS[0], mailbox, password).await?;
    ensure!(reply.line() == line && reply.challenge.is_empty(), "{}\n{}", imap.transcript(), site.server.log());
    Ok(())
}

fn tickets(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record["event"] == "ticket").collect()
}

#[tokio::test]
async fn a_ticket_opens_its_mailbox_once_and_counts_as_a_login() -> Result<()> {
    // A cache would be the way to use it twice.
    let site = Site::start("", "auth_cache_size = 10M\nauth_cache_verify_password_with_worker = no\n").await?;
    ensure!(last_authentication(&site.stage.sidecar, UN)?.is_none(), "recorded before the login");
    for (form, by_sasl) in [(FORMS[0], false), (FORMS[1], true)] {
        let ticket = site.issue(&doctor_one(), UN, by_sasl).await?;
        opens(&site, form, UN, &ticket).await?;
        refuses(&site, UN, &ticket.0, FAILED).await?;
        site.server.logged(&["octroi-checkpassword: session=<", "ticket-used: "]).await?;
    }
    ensure!(last_authentication(&site.stage.sidecar, UN)?.is_some(), "the login does not count");
    let records = site.stage.sidecar.recorded(0, |records| tickets(records).len() >= 6).await?;
    let steps: Vec<_> = tickets(&records);
    let step = |number: usize, name: &str| steps[number][name].as_str().unwrap_or_default().to_owned();
    for first in [0, 3] {
        let said: Vec<_> = (first..first + 3).map(|n| format!("{} {}", step(n, "step"), step(n, "outcome"))).collect();
        ensure!(said == ["issue allow", "redeem allow", "redeem deny"], "{steps:#?}");
        ensure!(step(first, "decision") == step(first + 1, "decision") && !step(first, "decision").is_empty());
        ensure!(step(first + 1, "mailbox") == UN && step(first + 1, "client") == "127.0.0.1", "{steps:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_is_for_one_mailbox_and_stays_good_for_it() -> Result<()> {
    let site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), SECRETARIAT, false).await?;
    // Doctor two's, and one that doctor one could have asked for.
    for mailbox in [DEUX, UN] {
        refuses(&site, mailbox, &ticket.0, FAILED).await?;
    }
    site.server.logged(&["octroi-checkpassword: ", "ticket-mailbox: "]).await?;
    opens(&site, FORMS[0], SECRETARIAT, &ticket).await?;
    ensure!(site.refused_issue(&doctor_two(), UN).await? == "mailbox-refused", "a ticket for another's mailbox");
    Ok(())
}

#[tokio::test]
async fn of_two_who_use_a_ticket_at_once_one_gets_in() -> Result<()> {
    let site = Site::start("", "").await?;
    for _ in 0..4 {
        let ticket = site.issue(&doctor_one(), UN, false).await?;
        let attempt = || logins::attempt(&site.server, FORMS[0], UN, &ticket.0);
        let (one, other) = tokio::join!(attempt(), attempt());
        let accepted = [one?.1, other?.1].iter().filter(|reply| reply.accepted()).count();
        ensure!(accepted == 1, "{accepted} got in");
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_expires() -> Result<()> {
    let site = Site::start("ticket_seconds = 1\n", "").await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    while SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() < ticket.1 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    refuses(&site, UN, &ticket.0, FAILED).await?;
    site.server.logged(&["octroi-checkpassword: ", "ticket-expired: "]).await?;
    Ok(())
}

#[tokio::test]
async fn without_the_sidecar_a_ticket_is_a_temporary_failure() -> Result<()> {
    let mut site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    site.stage.sidecar.stop()?;
    refuses(&site, UN, &ticket.0, UNAVAILABLE).await?;
    site.server.logged(&["octroi-checkpassword: ", "gate.sock", "does the sidecar run"]).await?;
    site.server.logged(&["checkpassword", "exited with status 111"]).await?;
    site.stage.sidecar.resume()?;
    // Tickets live in memory alone: this one is unknown now, and a new one works.
    refuses(&site, UN, &ticket.0, FAILED).await?;
    let ticket = site.issue(&doctor_one(), UN, false).await?;
    opens(&site, FORMS[0], UN, &ticket).await
}

#[tokio::test]
async fn a_token_is_no_password_and_the_log_says_what_to_do() -> Result<()> {
    let site = Site::start("", "").await?;
    let token = site.stage.psc.token(&doctor_one()).mint();
    ensure!(token.len() > 512, "{}", token.len());
    refuses(&site, UN, &token, FAILED).await?;
    // Dovecot's own words: it does not even start the program.
    site.server.logged(&["checkpassword", "Username+password combination too long"]).await?;
    // One that would fit.
    refuses(&site, UN, &token[..400], FAILED).await?;
    site.server.logged(&["octroi-checkpassword: ", "an access token can't be a password", "IssueTicket"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_passwords_of_the_site_are_none_of_the_sidecars_business() -> Result<()> {
    let mut site = Site::start("", "").await?;
    logins::opens_in(&site.server, FORMS[0], UN, PASSWORD).await?;
    refuses(&site, UN, "not-the-password", FAILED).await?;
    refuses(&site, UN, "ticket-not-quite", FAILED).await?;
    let token = site.stage.psc.token(&doctor_one()).mint();
    logins::opens(&site.server, UN, &token).await?;
    let records = site.stage.sidecar.recorded(0, |records| !tickets(records).is_empty()).await?;
    let steps = tickets(&records);
    ensure!(steps.len() == 1 && steps[0]["reason"] == "ticket-unknown", "{steps:#?}");
    site.stage.sidecar.stop()?;
    // Vetoed at the after-auth question, and no outage of a password database.
    refuses(&site, UN, PASSWORD, FAILED).await
}

#[tokio::test]
async fn no_ticket_and_no_token_is_written_anywhere() -> Result<()> {
    let site = Site::start("", "").await?;
    let ticket = site.issue(&doctor_one(), UN, true).await?;
    let token = site.stage.psc.token(&doctor_one()).mint();
    refuses(&site, DEUX, &ticket.0, FAILED).await?;
    opens(&site, FORMS[0], UN, &ticket).await?;
    refuses(&site, UN, &ticket.0, FAILED).await?;
    refuses(&site, UN, &token[..400], FAILED).await?;
    site.server.logged(&["an access token can't be a password"]).await?;
    site.stage.sidecar.recorded(0, |records| tickets(records).len() >= 4).await?;
    let status = site.stage.sidecar.run(&["status"])?;
    let told = String::from_utf8(status.stdout)?;
    ensure!(told.contains("tickets_redeem_allowed"), "{told}");
    let written = [site.server.log(), site.stage.sidecar.log(), site.stage.sidecar.trail(), told].concat();
    let bits = ticket.0.strip_prefix("ticket-").context("another form")?;
    ensure!(written.contains("ticket-used") && !site.stage.sidecar.records()?.is_empty(), "nothing to search");
    for (name, secret) in [("the ticket", bits), ("the token", &token[..400]), ("a part of it", &token[200..260])] {
        ensure!(!written.contains(secret), "{name} is written somewhere");
    }
    Ok(())
}
