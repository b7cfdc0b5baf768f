//! Bad days: the sidecar away at each stage, slow, or without its provider. Never an accept, never a word against the
//! token.

use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use octroi_psc::{Deviation, Psc, doctor_one};
use octroi_tests::imap::Security;
use octroi_tests::postfix::Postfix;
use octroi_tests::sasl::Credential;
use octroi_tests::sidecar::{Settings, Sidecar};
use octroi_tests::smtp::{Reply, Smtp};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use crate::stage::{AWAY, DEUX, FORMS, LOGGED_IN, OUTAGE, Stage, UN, challenge, provider, site, subject};

/// What a client reads when there is no sidecar at all to ask about its token.
const NOBODY_THERE: &str = "454 4.7.0 Temporary authentication failure: (reason unavailable)";

/// How far a transaction has come when the sidecar goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Mail,
    Rcpt,
    Data,
    Message,
}

/// One transaction step by step; before the step `at` comes whatever `then` does. The reply to that step.
async fn step_by_step(smtp: &mut Smtp, at: At, then: impl FnOnce() -> Result<()>, subject: &str) -> Result<Reply> {
    let mut then = Some(then);
    for step in [At::Mail, At::Rcpt, At::Data, At::Message] {
        if step == at {
            then.take().context("twice")?()?;
        }
        let reply = match step {
            At::Mail => smtp.mail(UN).await?,
            At::Rcpt => smtp.rcpt(DEUX).await?,
            At::Data => smtp.command("DATA").await?,
            At::Message => smtp.message(&[&format!("Subject: {subject}"), "", "Bonjour."]).await?,
        };
        if step == at {
            return Ok(reply);
        }
        ensure!(reply.accepted(), "{step:?}:\n{}", smtp.transcript());
    }
    bail!("every step is in the list")
}

#[tokio::test]
async fn a_sidecar_that_goes_away_defers_the_message_at_every_stage() -> Result<()> {
    let mut stage = Stage::start("off", "", &site())?;
    let mut lost = Vec::new();
    for at in [At::Mail, At::Rcpt, At::Data, At::Message] {
        let token = stage.psc.token(&doctor_one()).mint();
        let mut smtp = stage.logged_in(FORMS[0], UN, &token).await?;
        let subject = subject();
        let Stage { sidecar, .. } = &mut stage;
        let reply = step_by_step(&mut smtp, at, || sidecar.stop(), &subject).await?;
        ensure!(reply.line().starts_with(AWAY), "{at:?}:\n{}", smtp.transcript());
        stage.sidecar.resume()?;
        // It has forgotten who logged in: the client is not told that its message is bad, and nothing goes out.
        ensure!(smtp.command("RSET").await?.accepted(), "{at:?}:\n{}", smtp.transcript());
        let reply = smtp.submit(UN, &[DEUX], &subject).await?;
        let pinned = format!(
            "450 4.3.0 <{UN}>: Sender address rejected: Session inconnue, reconnectez-vous / Login unknown, log in again"
        );
        ensure!(reply.line() == pinned, "{at:?}:\n{}", smtp.transcript());
        smtp.quit().await?;
        // Whoever logs in anew sends.
        let mut smtp = stage.logged_in(FORMS[0], UN, &token).await?;
        stage.arrives(&mut smtp, UN, DEUX).await?;
        lost.push(subject);
    }
    for subject in lost {
        ensure!(stage.postfix.messages(DEUX, &subject)?.is_empty(), "a deferred message arrived");
    }
    Ok(())
}

#[tokio::test]
async fn without_the_sidecar_nobody_logs_in_and_all_is_well_again_by_itself() -> Result<()> {
    let mut stage = Stage::start("off", "", &site())?;
    let token = stage.psc.token(&doctor_one()).mint();
    for killed in [false, true] {
        // Connected while it was there, then not any more: the outage comes as the answer to AUTH.
        let mut early = Smtp::connect(&stage.postfix, Security::Implicit).await?;
        if killed {
            stage.sidecar.kill()?;
        } else {
            stage.sidecar.stop()?;
        }
        let credential = Credential { mechanism: FORMS[0].mechanism, mailbox: UN, secret: &token };
        let reply = early.authenticate(&credential, true).await?;
        ensure!(reply.line() == NOBODY_THERE, "{}", early.transcript());
        ensure!(!early.mail(UN).await?.accepted(), "{}", early.transcript());
        // A client that comes now is told at once.
        let mut late = Smtp::in_the_clear(stage.postfix.submission_port()).await?;
        let reply = late.reply().await?;
        ensure!(reply.line().starts_with(AWAY), "{}", late.transcript());
        ensure!(
            Smtp::connect(&stage.postfix, Security::Implicit).await.is_err(),
            "port 465 greets without its SASL server"
        );
        stage.sidecar.resume()?;
        // Postfix rests a service whose process could not start: for a minute, unless it is told otherwise.
        let deadline = Instant::now() + Duration::from_secs(30);
        while Smtp::connect(&stage.postfix, Security::Implicit).await.is_err() {
            ensure!(Instant::now() < deadline, "still an outage:\n{}", stage.postfix.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        stage.sends(UN, &stage.psc.token(&doctor_one()).mint()).await?;
    }
    Ok(())
}

/// A server of the test's own where Postfix looks for the sidecar's.
fn stand_in(path: &Path, postfix: &Postfix) -> Result<UnixListener> {
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    let listener = UnixListener::bind(path)?;
    let (uid, gid) = postfix.account();
    chown(path, Some(uid), Some(gid))?;
    Ok(listener)
}

/// Answers DUNNO to the first questions of each connection up to `until`, and then nothing any more.
async fn falls_silent(stream: UnixStream, until: &'static str) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let mut silent = false;
    while stream.read_line(&mut line).await? > 0 {
        silent |= line.trim_end() == format!("protocol_state={until}");
        if line == "\n" && !silent {
            stream.get_mut().write_all(b"action=DUNNO\n\n").await?;
        }
        line.clear();
    }
    Ok(())
}

/// Ten seconds for two attempts, and a deferral.
#[tokio::test]
async fn a_policy_socket_that_falls_silent_defers() -> Result<()> {
    let psc = provider(Psc::start())?;
    let postfix = Postfix::start(&site())?;
    let (_, policy) = postfix.sockets();
    let elsewhere = policy.with_file_name("unused");
    let section = postfix.sidecar_section().replace(&policy.display().to_string(), &elsewhere.display().to_string());
    let sidecar = Sidecar::start(&psc, &Settings { more: section, ..Settings::default() })?;
    let listener = stand_in(&policy, &postfix)?;
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(falls_silent(stream, "MAIL"));
        }
    });
    let stage = Stage { psc, sidecar, postfix };
    let mut smtp = stage.logged_in(FORMS[0], UN, &stage.psc.token(&doctor_one()).mint()).await?;
    let reply = smtp.mail(UN).await?;
    ensure!(reply.line().starts_with(AWAY), "{}", smtp.transcript());
    serving.abort();
    Ok(())
}

/// A SASL server that takes the message and never answers: an outage, not a refusal.
#[tokio::test]
async fn a_sasl_socket_that_falls_silent_is_an_outage() -> Result<()> {
    let psc = provider(Psc::start())?;
    let postfix = Postfix::start(&site())?;
    let (sasl, policy) = postfix.sockets();
    let listeners = [stand_in(&sasl, &postfix)?, stand_in(&policy, &postfix)?];
    let [sasl, policy] = listeners;
    let greeting =
        "VERSION\t1\t1\nMECH\tXOAUTH2\tplaintext\nMECH\tOAUTHBEARER\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";
    let serving = [
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = sasl.accept().await {
                if stream.write_all(greeting.as_bytes()).await.is_ok() {
                    held.push(stream);
                }
            }
        }),
        tokio::spawn(async move {
            while let Ok((stream, _)) = policy.accept().await {
                tokio::spawn(falls_silent(stream, "nowhere"));
            }
        }),
    ];
    let mut smtp = Smtp::connect(&postfix, Security::Implicit).await?;
    let token = psc.token(&doctor_one()).mint();
    let credential = Credential { mechanism: FORMS[0].mechanism, mailbox: UN, secret: &token };
    let reply = smtp.authenticate(&credential, true).await?;
    ensure!(reply.line() == OUTAGE, "{}", smtp.transcript());
    serving.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(())
}

fn issuer(psc: &Psc, mode: &str) -> String {
    let (issuer, domain, id) = (psc.issuer(), octroi_psc::MAILBOX_DOMAIN, &psc.operator().id);
    format!(
        "[[issuer]]\nissuer = \"{issuer}\"\nmailbox_domains = [\"{domain}\"]\nintrospection = \"{mode}\"\n\
         client_id = \"{id}\"\nclient_secret_file = \"client.secret\"\n\n"
    )
}

#[tokio::test]
async fn without_the_provider_each_mode_does_what_it_says() -> Result<()> {
    let off = provider(Psc::start())?;
    let preferred = provider(Psc::builder().operator(off.operator().clone()).start())?;
    let required = provider(Psc::builder().operator(off.operator().clone()).start())?;
    let postfix = Postfix::start(&site())?;
    let more = postfix.sidecar_section() + "\n" + &issuer(&preferred, "preferred") + &issuer(&required, "required");
    let sidecar = Sidecar::start(&off, &Settings { more, ..Settings::default() })?;
    let mut stage = Stage { psc: off, sidecar, postfix };
    let (mut preferred, mut required) = (preferred, required);
    provider(async {
        stage.psc.stop().await;
        preferred.stop().await;
        required.stop().await;
    });
    stage.sends(UN, &stage.psc.token(&doctor_one()).mint()).await?;
    stage.sends(UN, &preferred.token(&doctor_one()).mint()).await?;
    for form in FORMS {
        let (mut smtp, reply) = stage.attempt(form, UN, &required.token(&doctor_one()).mint()).await?;
        ensure!(reply.line() == OUTAGE && reply.challenge.is_empty(), "{form:?}\n{}", smtp.transcript());
        // The same connection still serves: a token whose issuer needs no answer.
        let token = stage.psc.token(&doctor_one()).mint();
        let credential = Credential { mechanism: form.mechanism, mailbox: UN, secret: &token };
        let reply = smtp.authenticate(&credential, form.initial_response).await?;
        ensure!(reply.line() == LOGGED_IN, "{form:?}\n{}", smtp.transcript());
    }
    // An outage lets nobody in who would not get in without one, and is no excuse for a wrong token.
    let expired = preferred.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    stage.refuses(UN, &expired, "Jeton expire / Token expired").await?;
    let (_, reply) = stage.attempt(FORMS[0], DEUX, &preferred.token(&doctor_one()).mint()).await?;
    ensure!(reply.code == 535 && reply.challenge == challenge(FORMS[0].mechanism), "{reply:?}");
    Ok(())
}
