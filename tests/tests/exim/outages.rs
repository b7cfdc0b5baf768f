//! Bad days: the sidecar away at each command, a provider that does not answer, a policy socket that talks nonsense.
//! Never an accept, never a word that blames the client, and all is well again afterwards.

use anyhow::{Result, ensure};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::Settings;
use octroi_tests::smtp::Smtp;

use crate::stage::{
    DEUX, LOGIN_OUTAGE, MECHANISMS, OUTAGE, Stage, UN, attempt, message, provider, sends, site, subject,
};

/// How far a client is when the sidecar goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Login,
    Mail,
    Rcpt,
    Data,
}

async fn reach(stage: &Stage, reached: Reached) -> Result<Smtp> {
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for (at, command, code) in [
        (Reached::Mail, format!("MAIL FROM:<{UN}>"), 250),
        (Reached::Rcpt, format!("RCPT TO:<{DEUX}>"), 250),
        (Reached::Data, "DATA".to_owned(), 354),
    ] {
        if at <= reached {
            ensure!(smtp.command(&command).await?.code == code, "{}", smtp.transcript());
        }
    }
    Ok(smtp)
}

/// What the client would say next.
async fn go_on(smtp: &mut Smtp, reached: Reached, subject: &str) -> Result<String> {
    let reply = match reached {
        Reached::Login => smtp.command(&format!("MAIL FROM:<{UN}>")).await?,
        Reached::Mail => smtp.command(&format!("RCPT TO:<{DEUX}>")).await?,
        Reached::Rcpt => smtp.command("DATA").await?,
        Reached::Data => message(smtp, subject).await?,
    };
    Ok(reply.line())
}

#[tokio::test]
async fn a_sidecar_that_is_stopped_is_a_temporary_failure_at_every_command() -> Result<()> {
    let mut stage = Stage::start(Settings::default(), &site())?;
    let mut at_auth = stage.client().await?;
    let mut under_way = Vec::new();
    for reached in [Reached::Login, Reached::Mail, Reached::Rcpt, Reached::Data] {
        under_way.push((reached, reach(&stage, reached).await?));
    }
    let token = stage.token();
    stage.sidecar.stop()?;
    for mechanism in MECHANISMS {
        for initial_response in [true, false] {
            let credential = Credential { mechanism, mailbox: UN, secret: &token };
            let login = at_auth.authenticate(&credential, initial_response).await?;
            ensure!(login.line() == LOGIN_OUTAGE, "{}", at_auth.transcript());
        }
    }
    let subject = subject();
    for (reached, smtp) in &mut under_way {
        let line = go_on(smtp, *reached, &subject).await?;
        ensure!(line == OUTAGE, "{reached:?}:\n{}", smtp.transcript());
    }
    stage.sidecar.resume()?;
    // A restarted sidecar knows no login of before: an outage, not a refusal. A client that logs in anew sends.
    for (reached, smtp) in &mut under_way {
        ensure!(smtp.command("RSET").await?.code == 250, "{}", smtp.transcript());
        let reply = smtp.submit(UN, &[DEUX], &subject).await?;
        ensure!(reply.line() == OUTAGE, "{reached:?}:\n{}", smtp.transcript());
    }
    ensure!(!stage.exim.has_accepted(&subject), "a message was accepted:\n{}", stage.exim.log());
    let login = attempt(&mut at_auth, Mechanism::Xoauth2, UN, &stage.token()).await?;
    ensure!(login.code == 235, "{}", at_auth.transcript());
    sends(&stage.exim, &mut at_auth, UN, DEUX).await
}

#[tokio::test]
async fn without_an_answer_of_a_required_provider_the_login_fails_temporarily() -> Result<()> {
    let mut stage = Stage::start(Settings { introspection: "required", ..Settings::default() }, &site())?;
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    provider(stage.psc.stop());
    // Whoever is logged in goes on: nothing is asked of the provider for a message.
    sends(&stage.exim, &mut smtp, UN, DEUX).await?;
    let mut smtp = stage.client().await?;
    let token = stage.token();
    for mechanism in MECHANISMS {
        let login = attempt(&mut smtp, mechanism, UN, &token).await?;
        ensure!(login.challenge.is_empty() && login.line() == LOGIN_OUTAGE, "{}", smtp.transcript());
    }
    Ok(())
}
