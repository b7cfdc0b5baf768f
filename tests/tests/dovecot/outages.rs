//! Sites that are not as the instructions want them, and doors that are gone: never an accept.
//!
//! Owns a server for each case. Must never weaken a case to "refused somehow" where a site's operator has to read the
//! words.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use octroi_tests::dovecot::{PASSWORD, Version};
use octroi_tests::imap::Mechanism;
use octroi_tests::logins::{self, FORMS, Form, Refusal};
use tokio::net::TcpSocket;

use crate::fake::Answer;
use crate::stage::{ONE, Stage, TWO};

/// A port on which nobody listens, nor can while the socket lives.
fn nobody() -> Result<(TcpSocket, u16)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

async fn without_the_introspection_door_no_token_opens(version: Version) -> Result<()> {
    let (_held, port) = nobody()?;
    let stage = Stage::start(version, |setup| setup.introspection.port = port)?;
    logins::refuses(&stage.server, ONE, &stage.member(&[ONE]), Refusal::Outage).await?;
    // The site's other mechanisms go on.
    logins::opens_in(&stage.server, Form { mechanism: Mechanism::Plain, ..FORMS[0] }, ONE, PASSWORD).await
}

async fn without_the_policy_door_nobody_gets_in(version: Version) -> Result<()> {
    let (_held, port) = nobody()?;
    let stage = Stage::start(version, |setup| setup.policy.port = port)?;
    logins::refuses(&stage.server, ONE, &stage.member(&[ONE]), Refusal::Vetoed).await?;
    logins::refuses(&stage.server, TWO, &stage.member(&[ONE]), Refusal::NotAMember).await?;
    let form = Form { mechanism: Mechanism::Plain, ..FORMS[0] };
    let (imap, reply) = logins::attempt(&stage.server, form, ONE, PASSWORD).await?;
    ensure!(reply.line() == "NO [AUTHENTICATIONFAILED] Authentication failed.", "{}", imap.transcript());
    Ok(())
}

async fn without_the_site_s_file_nobody_gets_in(version: Version) -> Result<()> {
    let stage = Stage::start(version, |setup| setup.site_file = false)?;
    // 2.3 keeps the address of the token door in the other file.
    let refusal = match version {
        Version::V2_3 => Refusal::Vetoed,
        Version::V2_4 => Refusal::Outage,
    };
    logins::refuses(&stage.server, ONE, &stage.member(&[ONE]), refusal).await?;
    let form = Form { mechanism: Mechanism::Plain, ..FORMS[0] };
    let (imap, reply) = logins::attempt(&stage.server, form, ONE, PASSWORD).await?;
    ensure!(!reply.accepted(), "{}", imap.transcript());
    Ok(())
}

async fn a_wrong_secret_opens_neither_door(version: Version) -> Result<()> {
    let stage = Stage::start(version, |setup| setup.introspection.secret = "another".to_owned())?;
    logins::never_opens(&stage.server, ONE, &stage.member(&[ONE])).await?;
    ensure!(stage.fake.faults().len() == FORMS.len(), "{:?}", stage.fake.faults());
    let stage = Stage::start(version, |setup| setup.policy.secret = "another".to_owned())?;
    logins::refuses(&stage.server, ONE, &stage.member(&[ONE]), Refusal::Vetoed).await
}

/// The site's password database accepts anything and was not kept to PLAIN and LOGIN.
async fn a_careless_site_s_other_database_never_overrules_a_refusal(version: Version) -> Result<()> {
    let stage = Stage::start(version, |setup| {
        setup.after = match version {
            Version::V2_3 => "passdb {\n  driver = static\n  args = nopassword=yes\n}",
            Version::V2_4 => "passdb careless {\n  driver = static\n  fields {\n    nopassword = yes\n  }\n}",
        }
        .to_owned();
    })?;
    let token = stage.member(&[ONE]);
    match version {
        // The other database is not even asked: the words are those of a sound site, and nothing comes to a last word.
        Version::V2_3 => {
            logins::refuses(&stage.server, TWO, &token, Refusal::NotAMember).await?;
            logins::refuses(&stage.server, ONE, "never-heard-of-it", Refusal::Denied).await?;
            logins::refuses(&stage.server, ONE, &stage.answered(503, ""), Refusal::Outage).await?;
            ensure!(stage.fake.all_questions("allow").is_empty(), "{:?}", stage.fake.all_questions("allow"));
            logins::opens(&stage.server, ONE, &token).await?;
        }
        Version::V2_4 => {
            logins::never_opens(&stage.server, TWO, &token).await?;
            logins::refuses(&stage.server, ONE, "never-heard-of-it", Refusal::Denied).await?;
            logins::refuses(&stage.server, ONE, &stage.answered(503, ""), Refusal::Outage).await?;
        }
    }
    // The control: that database is there, and does accept anything.
    logins::opens_in(&stage.server, Form { mechanism: Mechanism::Plain, ..FORMS[0] }, ONE, "anything").await
}

async fn a_token_is_judged_anew_at_each_login_even_with_dovecot_s_cache_on(version: Version) -> Result<()> {
    let stage =
        Stage::start(version, |setup| setup.after = "auth_cache_size = 10M\nauth_cache_ttl = 1 hour".to_owned())?;
    let token = stage.member(&[ONE]);
    logins::opens(&stage.server, ONE, &token).await?;
    ensure!(stage.fake.introspections(&token) == FORMS.len(), "a login was answered from the cache");
    stage.fake.change(&token, Answer::Raw(200, r#"{"active":false}"#.to_owned()));
    logins::refuses(&stage.server, ONE, &token, Refusal::Denied).await
}

on_both! {
    without_the_introspection_door_no_token_opens
    without_the_policy_door_nobody_gets_in
    without_the_site_s_file_nobody_gets_in
    a_wrong_secret_opens_neither_door
    a_careless_site_s_other_database_never_overrules_a_refusal
    a_token_is_judged_anew_at_each_login_even_with_dovecot_s_cache_on
}
