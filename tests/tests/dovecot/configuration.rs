//! What the shipped configuration promises a site: who gets in, what is asked, what is logged.
//!
//! Must never need the sidecar: what is proved here is that Dovecot holds by itself.

use anyhow::{Result, ensure};
use octroi_tests::dovecot::{PASSWORD, Version, subject};
use octroi_tests::imap::{Credential, Imap, Mechanism, Security};
use octroi_tests::logins::{self, FORMS, Refusal};

use crate::fake::{Answer, Verdict};
use crate::stage::{ONE, ORG, Stage, TWO};

async fn a_member_logs_in(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE, ORG]);
    logins::opens(&stage.server, ONE, &token).await?;
    logins::opens(&stage.server, ORG, &token).await?;
    // Dovecot writes names in lower case before it compares them.
    logins::opens(&stage.server, "Docteur.UN@Bal.Example.Test", &token).await
}

async fn a_non_member_is_refused(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE]);
    logins::refuses(&stage.server, TWO, &token, Refusal::NotAMember).await?;
    ensure!(stage.fake.introspections(&token) == FORMS.len(), "one question a login");
    ensure!(stage.fake.questions("allow", &token).is_empty(), "the last word is not asked for a non-member's handle");
    Ok(())
}

async fn a_denied_token_is_refused(version: Version) -> Result<()> {
    logins::refuses(&Stage::shared(version).server, ONE, "never-heard-of-it", Refusal::Denied).await
}

async fn hostile_names_are_refused(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE, ORG]);
    logins::hostile_names_never_open(&stage.server, ONE, &token).await?;
    for name in
        ["%u", "docteur.un@bal.example.test|docteur.deux@bal.example.test", "^(docteur[.]un@bal[.]example[.]test)$"]
    {
        logins::refuses(&stage.server, name, &token, Refusal::BadName).await?;
    }
    Ok(())
}

async fn tokens_of_every_size_up_to_dovecot_s_limit_pass(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    for size in [2000, 4000, 6000] {
        let token = stage.fake.token(size, Answer::Member(vec![ONE.to_owned()]), Verdict::Handle);
        logins::opens(&stage.server, ONE, &token).await?;
    }
    // 8192 bytes of base64 are Dovecot's own limit.
    let token = stage.fake.token(6200, Answer::Member(vec![ONE.to_owned()]), Verdict::Handle);
    logins::never_opens(&stage.server, ONE, &token).await?;
    ensure!(stage.fake.introspections(&token) == 0, "a cut token was sent on");
    Ok(())
}

async fn a_connection_survives_a_refusal(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let good = stage.member(&[ONE]);
    logins::survives_a_refusal(&stage.server, ONE, "never-heard-of-it", &good).await?;
    logins::survives_a_refusal(&stage.server, ONE, &stage.member(&[TWO]), &good).await?;
    logins::survives_a_refusal(&stage.server, ONE, &stage.answered(503, ""), &good).await
}

async fn the_site_s_passwords_still_work(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE]);
    logins::passwords_still_work(&stage.server, ONE, &token).await?;
    ensure!(stage.fake.introspections(&token) == 0, "a password was sent to the token door");
    Ok(())
}

async fn one_login_asks_once_at_each_door(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.member(&[ONE]);
    logins::opens_in(&stage.server, FORMS[0], ONE, &token).await?;
    ensure!(stage.fake.introspections(&token) == 1);
    let allowed = stage.fake.questions("allow", &token);
    let [allow] = allowed.as_slice() else { anyhow::bail!("not one question: {allowed:?}") };
    for (key, value) in [
        ("user", ONE),
        ("login", ONE),
        ("mech", "XOAUTH2"),
        ("protocol", "imap"),
        ("remote", "127.0.0.1"),
        ("secured", "TLS"),
        ("cert", ""),
    ] {
        // 2.3 and 2.4 say "TLS" in different letters and lengths.
        let said = allow[key].as_str().unwrap_or("missing");
        ensure!(said.starts_with(value) || (key == "secured" && !said.is_empty()), "{key}: {said:?} in {allow}");
    }
    ensure!(allow["pwhash"].as_str().unwrap_or_default().is_empty(), "part of the password: {allow}");
    ensure!(!allow.to_string().contains("token-0"), "the token itself: {allow}");
    let session = allow["session_id"].as_str().unwrap_or_default();
    let handle = allow["handle"].as_str().unwrap_or_default();
    ensure!(!session.is_empty() && !handle.is_empty());

    // The join: one line holds handle, session and process; the imap process's own lines hold the handle as well.
    let message = match version {
        Version::V2_3 => "Login: user=<",
        Version::V2_4 => "Logged in: user=<",
    };
    let line = stage.server.logged(&[message, &format!("handle=<{handle}>"), &format!("session=<{session}>")]).await?;
    ensure!(line.contains("mpid="), "{line}");
    stage.server.logged(&["imap(", &format!("<{session}>handle=<{handle}>")]).await?;
    Ok(())
}

async fn nothing_secret_is_logged_and_nothing_odd_is_sent(version: Version) -> Result<()> {
    let stage = Stage::start(version, |_| {})?;
    let good = stage.member(&[ONE]);
    logins::opens(&stage.server, ONE, &good).await?;
    logins::never_opens(&stage.server, TWO, &good).await?;
    let away = stage.answered(503, "");
    logins::never_opens(&stage.server, ONE, &away).await?;
    logins::never_opens(&stage.server, ONE, "unheard-of-token-0").await?;
    logins::passwords_still_work(&stage.server, ONE, &good).await?;
    let log = stage.server.log();
    for secret in ["token-0", "intro-secret_1", "policy-secret_2", PASSWORD] {
        ensure!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    ensure!(stage.fake.faults().is_empty(), "{:?}", stage.fake.faults());
    Ok(())
}

async fn many_logins_at_once_each_open_their_own_mailbox(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..24 {
        let mailbox = [ONE, TWO, ORG][number % 3];
        let token = stage.member(&[mailbox]);
        logins.spawn(async move { logins::opens_in(&stage.server, FORMS[number % 4], mailbox, &token).await });
    }
    while let Some(login) = logins.join_next().await {
        login??;
    }
    Ok(())
}

async fn a_second_login_on_an_open_session_is_not_possible(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let mut imap = Imap::connect(&stage.server, Security::Implicit).await?;
    let (one, two) = (stage.member(&[ONE]), stage.member(&[TWO]));
    let as_one = Credential { mechanism: Mechanism::Xoauth2, mailbox: ONE, secret: &one };
    let as_two = Credential { mechanism: Mechanism::Xoauth2, mailbox: TWO, secret: &two };
    ensure!(imap.authenticate(&as_one, true).await?.accepted());
    ensure!(!imap.authenticate(&as_two, true).await?.accepted(), "{}", imap.transcript());
    ensure!(imap.first_subject().await? == subject(ONE));
    Ok(())
}

async fn a_dropped_server_leaves_nothing_behind(version: Version) -> Result<()> {
    let stage = Stage::start(version, |_| {})?;
    let token = stage.member(&[ONE]);
    // An open session: its process has to go too.
    let (mut imap, reply) = logins::attempt(&stage.server, FORMS[0], ONE, &token).await?;
    ensure!(reply.accepted());
    imap.first_subject().await?;
    let (folder, port) = (stage.server.folder().to_owned(), stage.server.imap_port());
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    ensure!(processes_of(&name) > 1, "the search finds nothing even now");
    drop(stage.server);
    ensure!(!folder.exists(), "its folder is still there");
    ensure!(processes_of(&name) == 0, "a process is still there");
    ensure!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err(), "it still listens");
    Ok(())
}

/// How many processes hold a file of that folder open, stand in it or were started for it.
fn processes_of(folder: &str) -> usize {
    let uses = |process: &std::path::Path| {
        let links = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|fd| fd.path());
        let mut files = links.chain([process.join("cwd")]).filter_map(|link| std::fs::read_link(link).ok());
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(folder) || files.any(|file| file.to_string_lossy().contains(folder))
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| uses(&entry.path())).count()
}

on_both! {
    a_member_logs_in
    a_non_member_is_refused
    a_denied_token_is_refused
    hostile_names_are_refused
    tokens_of_every_size_up_to_dovecot_s_limit_pass
    a_connection_survives_a_refusal
    the_site_s_passwords_still_work
    one_login_asks_once_at_each_door
    nothing_secret_is_logged_and_nothing_odd_is_sent
    many_logins_at_once_each_open_their_own_mailbox
    a_second_login_on_an_open_session_is_not_possible
    a_dropped_server_leaves_nothing_behind
}
