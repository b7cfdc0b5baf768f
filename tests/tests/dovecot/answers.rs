//! Every answer that could come from the introspection door, right or wrong: none but the right one opens a mailbox.
//!
//! Must never test what a sound sidecar says alone: a mistake there must not become an open door here.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use octroi_tests::dovecot::Version;
use octroi_tests::imap::Status;
use octroi_tests::logins::{self, FORMS, Refusal};

use crate::fake::{Answer, Verdict, active};
use crate::stage::{ONE, Stage, TWO, USUAL};

const SET: &str = "^(docteur[.]un@bal[.]example[.]test)$";

async fn an_answer_that_is_not_a_clear_yes_never_opens(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let yes = |active: &str, scope: &str, username: &str| {
        format!(r#"{{"active":{active},"scope":{scope},"username":{username},"handle":"@HANDLE@"}}"#)
    };
    let set = format!("{SET:?}");
    for body in [
        r#"{"active":false}"#.to_owned(),
        yes("false", r#""octroi""#, &set),
        yes("null", r#""octroi""#, &set),
        yes("0", r#""octroi""#, &set),
        yes(r#""yes""#, r#""octroi""#, &set),
        yes("true", r#""openid""#, &set),
        yes("true", r#""""#, &set),
        yes("true", "null", &set),
        yes("true", r#"["octroi"]"#, &set),
        format!(r#"{{"active":true,"username":{set},"handle":"@HANDLE@"}}"#),
        r#"{"active":true,"scope":"octroi","handle":"@HANDLE@"}"#.to_owned(),
    ] {
        logins::never_opens(&stage.server, ONE, &stage.answered(200, &body)).await.context(body)?;
    }
    Ok(())
}

async fn a_set_that_is_not_anchored_and_closed_never_opens(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    for set in [
        "",
        " ",
        ".*",
        "^",
        "$",
        "^$",
        "()",
        "^()$",
        "^($.)$",
        "a*",
        "(.*)",
        "docteur[.]un@bal[.]example[.]test",
        "^docteur",
        "(docteur[.]un@bal[.]example[.]test)",
        "^([)$",
        "^(*)$",
        "[",
        "%u",
        "%{user}",
        "%{event:user}",
        "^(DOCTEUR[.]UN@BAL[.]EXAMPLE[.]TEST)$",
        "^(docteur[.]deux@bal[.]example[.]test)$",
    ] {
        logins::never_opens(&stage.server, ONE, &stage.answered(200, &active(set, "@HANDLE@")))
            .await
            .with_context(|| set.to_owned())?;
    }
    for username in ["null", "true", "0", r#"["^(docteur[.]un@bal[.]example[.]test)$"]"#, "{}"] {
        let body = format!(r#"{{"active":true,"scope":"octroi","username":{username},"handle":"@HANDLE@"}}"#);
        logins::never_opens(&stage.server, ONE, &stage.answered(200, &body)).await.context(body)?;
    }
    // The control: the same way of answering, with a sound set, opens that mailbox and no other.
    let token = stage.answered(200, &active(SET, "@HANDLE@"));
    logins::opens(&stage.server, ONE, &token).await?;
    logins::refuses(&stage.server, TWO, &token, Refusal::NotAMember).await
}

async fn an_outage_is_called_an_outage(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    for (status, body) in [(503, ""), (500, "oops"), (502, "<html>")] {
        let token = stage.answered(status, body);
        logins::refuses(&stage.server, ONE, &token, Refusal::Outage)
            .await
            .with_context(|| format!("{status} {body}"))?;
    }
    let token = stage.fake.token(USUAL, Answer::Close, Verdict::Handle);
    logins::refuses(&stage.server, ONE, &token, Refusal::Outage).await
}

async fn an_answer_that_is_no_json_never_opens(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    for body in [
        "",
        "<html>",
        "[]",
        r#""true""#,
        r#"{"active":true,"#,
        r#"{"active":true,"scope":"octroi","username":"^(docteur[.]un@bal[.]example[.]test)$","#,
    ] {
        logins::never_opens(&stage.server, ONE, &stage.answered(200, body)).await.context(body)?;
    }
    Ok(())
}

async fn a_503_with_a_yes_in_it_is_still_an_outage(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let token = stage.answered(503, &active(SET, "@HANDLE@"));
    logins::refuses(&stage.server, ONE, &token, Refusal::Outage).await
}

async fn an_answer_that_never_comes_holds_up_nobody_else(version: Version) -> Result<()> {
    // As shipped Dovecot waits for five seconds: on a busy machine less than so many logins take.
    let patience = match version {
        Version::V2_3 => ["timeout_msecs = 5000", "timeout_msecs = 30000"],
        Version::V2_4 => ["http_client_request_absolute_timeout = 5s", "http_client_request_absolute_timeout = 30s"],
    };
    let stage = Arc::new(Stage::start(version, |setup| setup.edited.push(patience.map(str::to_owned).into()))?);
    let silent = stage.fake.token(USUAL, Answer::Silence, Verdict::Handle);
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..WAITING {
        let (stage, silent) = (Arc::clone(&stage), silent.clone());
        waiting.spawn(async move { logins::attempt(&stage.server, FORMS[number % 4], ONE, &silent).await.map(drop) });
    }
    while stage.fake.introspections(&silent) < WAITING {
        tokio::time::sleep(Duration::from_millis(5)).await;
        ensure!(waiting.try_join_next().is_none(), "a silent door was not waited for");
    }
    logins::opens(&stage.server, ONE, &stage.member(&[ONE])).await?;
    ensure!(waiting.try_join_next().is_none(), "the others were still waiting then");
    Ok(())
}

async fn an_answer_that_never_comes_is_waited_for_as_long_as_the_shipped_file_says(version: Version) -> Result<()> {
    let stage = Stage::shared(version);
    let silent = stage.fake.token(USUAL, Answer::Silence, Verdict::Handle);
    let (imap, reply) = logins::attempt(&stage.server, FORMS[0], ONE, &silent).await?;
    ensure!(reply.status == Status::No, "{}", imap.transcript());
    ensure!((4.5..20.0).contains(&reply.elapsed.as_secs_f64()), "{:?}", reply.elapsed);
    Ok(())
}

/// More than Dovecot would ask at once by itself.
const WAITING: usize = 24;

/// 2.3 sends an empty handle on, and the last word is no; 2.4.1 ends its authentication process and starts another.
async fn an_answer_without_a_handle_never_opens(version: Version) -> Result<()> {
    let stage = Stage::start(version, |_| {})?;
    let body = format!(r#"{{"active":true,"scope":"octroi","username":{SET:?}}}"#);
    let token = stage.answered(200, &body);
    for form in FORMS {
        let (imap, reply) = logins::attempt(&stage.server, form, ONE, &token).await?;
        let pinned = match version {
            Version::V2_3 => "NO [AUTHENTICATIONFAILED] Authentication failed.",
            Version::V2_4 => "NO [UNAVAILABLE] Temporary authentication failure.",
        };
        ensure!(reply.line() == pinned, "{}\n{}", imap.transcript(), stage.server.log());
    }
    let empty = stage.fake.all_questions("allow").iter().filter(|question| question["handle"] == "").count();
    ensure!(empty == if version == Version::V2_3 { FORMS.len() } else { 0 }, "{empty}");
    logins::opens(&stage.server, ONE, &stage.member(&[ONE])).await
}

on_both! {
    an_answer_that_is_not_a_clear_yes_never_opens
    a_set_that_is_not_anchored_and_closed_never_opens
    an_outage_is_called_an_outage
    an_answer_that_is_no_json_never_opens
    a_503_with_a_yes_in_it_is_still_an_outage
    an_answer_that_never_comes_holds_up_nobody_else
    an_answer_that_never_comes_is_waited_for_as_long_as_the_shipped_file_says
    an_answer_without_a_handle_never_opens
}
