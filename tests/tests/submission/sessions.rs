//! One smtpd process, client after client: nobody ever sends under the login of whoever came before.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use octroi_psc::{Deviation, doctor_one, doctor_two};
use octroi_tests::imap::Security;
use octroi_tests::postfix::{Postfix, Setup};
use octroi_tests::smtp::Smtp;

use crate::stage::{DEUX, FORMS, Form, Stage, UN, site, unauthenticated};

/// Numbers of the smtpd processes that served clients of this service.
fn processes(postfix: &Postfix, service: &str) -> Result<BTreeSet<String>> {
    let log = postfix.log();
    let begins = format!("postfix/{service}/smtpd[");
    let connections = log.lines().filter(|line| line.contains(": connect from "));
    let pids = connections.filter_map(|line| Some(line.split_once(&begins)?.1.split_once(']')?.0.to_owned()));
    let pids: BTreeSet<_> = pids.collect();
    ensure!(!pids.is_empty(), "nobody connected:\n{log}");
    Ok(pids)
}

#[tokio::test]
async fn an_earlier_client_s_login_never_leaks_to_the_next_on_the_same_smtpd() -> Result<()> {
    let stage = Stage::start("off", "", &Setup { processes: Some(1), ..site() })?;
    let one = stage.psc.token(&doctor_one()).mint();
    let two = stage.psc.token(&doctor_two()).mint();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let (implicit, start_tls) = (FORMS[0], FORMS[1]);
    for form in [implicit, start_tls] {
        follow_one_another(&stage, form, &one, &two, &expired).await.with_context(|| format!("{form:?}"))?;
    }
    for service in ["submission", "submissions"] {
        let processes = processes(&stage.postfix, service)?;
        ensure!(processes.len() == 1, "{service}: several processes, so that nothing was shown: {processes:?}");
    }
    Ok(())
}

/// One connection at a time: the only process of the service is free again once the last has ended.
async fn follow_one_another(stage: &Stage, form: Form, one: &str, two: &str, expired: &str) -> Result<()> {
    let mut first = stage.logged_in(form, UN, one).await?;
    stage.arrives(&mut first, UN, DEUX).await?;
    first.quit().await?;

    // The next does not log in.
    let mut second = Smtp::connect(&stage.postfix, form.security).await?;
    unauthenticated(&mut second).await?;
    second.quit().await?;

    // One that logs in and vanishes without a word, and then one whose login fails.
    drop(stage.logged_in(form, UN, one).await?);
    let (mut third, reply) = stage.attempt(form, UN, expired).await?;
    ensure!(reply.code == 535, "{}", third.transcript());
    unauthenticated(&mut third).await?;
    third.quit().await?;

    // And one that logs in as somebody else: it sends as itself, and not as any of those before.
    let mut last = stage.logged_in(form, DEUX, two).await?;
    let reply = last.mail(UN).await?;
    ensure!(reply.line().starts_with("554 5.7.1 "), "{}", last.transcript());
    stage.arrives(&mut last, DEUX, UN).await?;
    last.quit().await
}

/// A proxy that Postfix trusts says who its client is (XCLIENT), and the sidecar has seen no login of theirs. The
/// earlier client's has the same name and is not theirs: it was forgotten when they connected.
#[tokio::test]
async fn who_only_a_proxy_vouches_for_does_not_send_under_an_earlier_client_s_login() -> Result<()> {
    let main = "smtpd_authorized_xclient_hosts = 127.0.0.1\n";
    let stage = Stage::start("off", "", &Setup { processes: Some(1), main, ..site() })?;
    for form in [FORMS[0], FORMS[1]] {
        let mut first = stage.logged_in(form, UN, &stage.psc.token(&doctor_one()).mint()).await?;
        stage.arrives(&mut first, UN, DEUX).await?;
        first.quit().await?;

        let mut proxy = Smtp::connect(&stage.postfix, form.security).await?;
        let reply = proxy.command(&format!("XCLIENT LOGIN={UN}")).await?;
        ensure!(reply.code == 220, "{}\n{}", proxy.transcript(), stage.sidecar.log());
        ensure!(proxy.ehlo().await?.accepted(), "{}", proxy.transcript());
        let reply = proxy.submit(UN, &[DEUX], "essai").await?;
        ensure!(
            reply.line().starts_with("450 4.3.0 ") && reply.line().contains("Login unknown"),
            "{}",
            proxy.transcript()
        );
        proxy.quit().await?;
    }
    for service in ["submission", "submissions"] {
        ensure!(processes(&stage.postfix, service)?.len() == 1, "{service}: several processes");
    }
    Ok(())
}

/// Each has a process of its own; an EHLO in between changes nothing.
#[tokio::test]
async fn two_clients_at_once_are_two_logins() -> Result<()> {
    let stage = Stage::shared();
    let mut one = stage.logged_in(FORMS[0], UN, &stage.psc.token(&doctor_one()).mint()).await?;
    let mut two = stage.logged_in(FORMS[0], DEUX, &stage.psc.token(&doctor_two()).mint()).await?;
    let mut nobody = Smtp::connect(&stage.postfix, Security::Implicit).await?;
    stage.arrives(&mut one, UN, DEUX).await?;
    stage.arrives(&mut two, DEUX, UN).await?;
    ensure!(one.mail(DEUX).await?.code == 554, "{}", one.transcript());
    ensure!(two.mail(UN).await?.code == 554, "{}", two.transcript());
    unauthenticated(&mut nobody).await?;
    ensure!(one.ehlo().await?.accepted(), "{}", one.transcript());
    stage.arrives(&mut one, UN, DEUX).await
}
