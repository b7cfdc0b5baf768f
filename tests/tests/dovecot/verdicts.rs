//! The auth-policy door has the last word: whatever it says other than yes, and whenever it says nothing, nobody gets
//! in.
//!
//! Must never let a refusal here pass for a denied token: operators read the two apart in the sidecar's records.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use octroi_tests::dovecot::{PASSWORD, Version};
use octroi_tests::imap::Mechanism;
use octroi_tests::logins::{self, FORMS, Form, Refusal};
use tokio::time::Instant;

use crate::fake::Verdict;
use crate::stage::{ONE, Stage};

async fn only_a_clear_yes_lets_a_member_in(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    for (status, body) in [
        (200, r#"{"status":-1,"msg":""}"#),
        (200, r#"{"status":-1}"#),
        (200, ""),
        (200, "{}"),
        (200, r#"{"status":"#),
        (200, "<html>"),
        (401, ""),
        (403, r#"{"status":0,"msg":""}"#),
        (500, ""),
        (503, r#"{"status":0,"msg":""}"#),
    ] {
        let token = stage.judged(&[ONE], Verdict::Raw(status, body.to_owned()));
        logins::refuses(&stage.server, ONE, &token, Refusal::Vetoed)
            .await
            .with_context(|| format!("{status} {body}"))?;
    }
    Ok(())
}

async fn a_refusal_with_a_text_shows_the_text(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.judged(
        &[ONE],
        Verdict::Raw(200, r#"{"status":-1,"msg":"Session refusee / session refused (42)"}"#.to_owned()),
    );
    for form in FORMS {
        let (imap, reply) = logins::attempt(&stage.server, form, ONE, &token).await?;
        ensure!(reply.line() == "NO [ALERT] Session refusee / session refused (42)", "{}", imap.transcript());
        ensure!(reply.challenge.is_empty(), "{}", imap.transcript());
    }
    Ok(())
}

async fn a_door_that_closes_is_a_no_and_is_not_asked_twice(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.judged(&[ONE], Verdict::Close);
    logins::refuses(&stage.server, ONE, &token, Refusal::Vetoed).await?;
    ensure!(stage.fake.questions("allow", &token).len() == FORMS.len(), "{:?}", stage.fake.questions("allow", &token));
    Ok(())
}

async fn a_door_that_falls_silent_is_a_no(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.judged(&[ONE], Verdict::Silence);
    let (imap, reply) = logins::attempt(&stage.server, FORMS[0], ONE, &token).await?;
    ensure!(reply.line() == "NO [AUTHENTICATIONFAILED] Authentication failed.", "{}", imap.transcript());
    ensure!((1.5..20.0).contains(&reply.elapsed.as_secs_f64()), "{:?}", reply.elapsed);
    Ok(())
}

async fn the_report_says_how_it_ended(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let good = stage.member(&[ONE]);
    let vetoed = stage.judged(&[ONE], Verdict::Raw(200, r#"{"status":-1,"msg":""}"#.to_owned()));
    logins::opens_in(&stage.server, FORMS[0], ONE, &good).await?;
    logins::attempt(&stage.server, FORMS[0], ONE, &vetoed).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    for (token, success, rejected) in [(&good, true, false), (&vetoed, false, true)] {
        // Nobody waits for a report: it may come after the reply.
        while stage.fake.questions("report", token).is_empty() {
            ensure!(Instant::now() < deadline, "no report: {:?}", stage.fake.all_questions("report"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let report = stage.fake.questions("report", token).remove(0);
        ensure!(report["success"] == success && report["policy_reject"] == rejected, "{report}");
    }
    Ok(())
}

async fn a_password_login_asks_for_the_last_word_too(version: Version) -> Result<()> {
    let stage = Stage::start(version, |_| {})?;
    let form = Form { mechanism: Mechanism::Plain, ..FORMS[0] };
    logins::opens_in(&stage.server, form, ONE, PASSWORD).await?;
    let asked = stage.fake.all_questions("allow");
    let [allow] = asked.as_slice() else { anyhow::bail!("not one question: {asked:?}") };
    ensure!(allow["mech"] == "PLAIN" && allow["user"] == ONE && allow["handle"] == "", "{allow}");
    ensure!(!allow.to_string().contains(PASSWORD), "{allow}");
    Ok(())
}

on_both! {
    only_a_clear_yes_lets_a_member_in
    a_refusal_with_a_text_shows_the_text
    a_door_that_closes_is_a_no_and_is_not_asked_twice
    a_door_that_falls_silent_is_a_no
    the_report_says_how_it_ended
    a_password_login_asks_for_the_last_word_too
}
