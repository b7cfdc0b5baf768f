//! What the access control list asks, word by word, and what it makes of every answer.
//!
//! Owns a socket in the place of the sidecar's, which records and answers as the test says.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use octroi_tests::exim::{Place, Setup};
use octroi_tests::sidecar::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stage::{DEUX, OUTAGE, Stage, UN, message, sends, site, subject};

/// Asked instead of the sidecar.
#[derive(Clone, Default)]
struct Oracle {
    questions: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Oracle {
    /// Answers once the whole question has come, then closes.
    fn listen(&self, path: &Path) -> Result<()> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let oracle = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = String::new();
                if stream.read_to_string(&mut question).await.is_ok() {
                    lock(&oracle.questions).push(question);
                    let answer = lock(&oracle.answer).clone();
                    let _ = stream.write_all(&answer).await;
                }
            }
        });
        Ok(())
    }

    fn says(&self, answer: &[u8]) {
        *lock(&self.answer) = answer.to_vec();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stage(oracle: &Oracle) -> Result<Stage> {
    let place = Place::new()?;
    let socket = place.other_policy_socket();
    oracle.listen(&socket)?;
    place.give(&socket)?;
    Stage::start_in(&place, Settings::default(), &Setup { policy_socket: "other", ..site() })
}

const ALLOWED: &[u8] = b"action=DUNNO\n\n";

#[tokio::test]
async fn each_stage_asks_its_question_once() -> Result<()> {
    let oracle = Oracle::default();
    oracle.says(ALLOWED);
    let stage = stage(&oracle)?;
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for chunked in [false, true] {
        lock(&oracle.questions).clear();
        if chunked {
            for command in [format!("MAIL FROM:<{UN}> SIZE=1234"), format!("RCPT TO:<{DEUX}>")] {
                ensure!(smtp.command(&command).await?.code == 250, "{}", smtp.transcript());
            }
            ensure!(smtp.command("BDAT 4 LAST\r\nX:").await?.code == 250, "{}", smtp.transcript());
        } else {
            sends(&stage.exim, &mut smtp, UN, DEUX).await?;
        }
        let questions = lock(&oracle.questions).clone();
        // A message in chunks has no DATA command: its end is judged.
        let stages = [("MAIL", "", "0"), ("RCPT", DEUX, "0"), ("DATA", "", "1"), ("END-OF-MESSAGE", "", "1")];
        let stages: Vec<_> = stages.into_iter().filter(|(state, ..)| !chunked || *state != "DATA").collect();
        ensure!(questions.len() == stages.len(), "{questions:#?}");
        let declared = if chunked { "1234" } else { "0" };
        for (question, (state, recipient, count)) in questions.iter().zip(stages) {
            let size = match state {
                "END-OF-MESSAGE" => value(question, "size").filter(|size| size != "0").context("no size")?,
                _ => declared.to_owned(),
            };
            let expected = format!(
                "request=smtpd_access_policy\nprotocol_state={state}\nclient_address=127.0.0.1\nsasl_username={UN}\n\
                 sender={UN}\nrecipient={recipient}\nrecipient_count={count}\nsize={size}\n\
                 encryption_protocol=TLSv1.3\n\n"
            );
            ensure!(*question == expected, "{state}, chunked {chunked}:\n{question}");
        }
    }
    Ok(())
}

fn value(question: &str, name: &str) -> Option<String> {
    question
        .lines()
        .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.into())
}

#[tokio::test]
async fn a_hostile_address_never_becomes_another_line_of_the_question() -> Result<()> {
    let oracle = Oracle::default();
    oracle.says(ALLOWED);
    let stage = stage(&oracle)?;
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for address in [
        "\"a\rsasl_username=x\r\rb\"@bal.example.test",
        "\"a\\\x01\\\x0b\\\x0c\\\x7fb\"@bal.example.test",
        "\"a=b\\\\nsender=x\"@bal.example.test",
        "\"${sg{a}{a}{\\n}}\"@bal.example.test",
    ] {
        lock(&oracle.questions).clear();
        for command in [format!("MAIL FROM:<{address}>"), format!("RCPT TO:<{address}>"), "RSET".to_owned()] {
            ensure!(smtp.command(&command).await?.code == 250, "{}", smtp.transcript());
        }
        let questions = lock(&oracle.questions).clone();
        ensure!(questions.len() == 2, "{questions:?}");
        for question in questions {
            let names: Vec<_> = question.lines().filter_map(|line| line.split('=').next()).collect();
            let expected = [
                "request",
                "protocol_state",
                "client_address",
                "sasl_username",
                "sender",
                "recipient",
                "recipient_count",
                "size",
                "encryption_protocol",
                "",
            ];
            ensure!(names == expected, "{question:?}");
            let controls = question.bytes().filter(|byte| *byte < 0x20 && *byte != b'\n' || *byte == 0x7f).count();
            ensure!(controls == 0 && question.ends_with("\n\n"), "{question:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_the_very_answer_lets_a_message_go_on() -> Result<()> {
    let oracle = Oracle::default();
    let stage = stage(&oracle)?;
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    for answer in [
        &b""[..],
        b"action=",
        b"action=DUNNO",
        b"action=DUNNO\n",
        b"action=DUNNO\n\n\n",
        b"action=DUNNO \n\n",
        b"action=dunno\n\n",
        b"action=OK\n\n",
        b"action=PERMIT\n\n",
        b"action=DUNNO\naction=REJECT 5.7.1 no\n\n",
        b"action=REJECT 5.7.1 no\naction=DUNNO\n\n",
        b"\naction=DUNNO\n\n",
        b"action=DEFER_IF_PERMIT 4.3.0 later\n\n",
        b"action=REJECT\n\n",
        b"action=REJECT 4.7.1 odd\n\n",
        b"action=REJECT 5.7.1 \xc3\xa9\n\n",
        b"HTTP/1.1 200 OK\r\n\r\naction=DUNNO\n\n",
    ] {
        oracle.says(answer);
        let reply = smtp.command(&format!("MAIL FROM:<{UN}>")).await?;
        ensure!(reply.line() == OUTAGE, "{:?}:\n{}", String::from_utf8_lossy(answer), smtp.transcript());
    }
    oracle.says(b"action=REJECT 5.7.1 ${readfile{/etc/passwd}} $tod_full\n\n");
    let reply = smtp.command(&format!("MAIL FROM:<{UN}>")).await?;
    ensure!(reply.line() == "554 5.7.1 ${readfile{/etc/passwd}} $tod_full", "{}", smtp.transcript());
    // A refusal at a later stage counts as well.
    let subject = subject();
    oracle.says(ALLOWED);
    for command in [format!("MAIL FROM:<{UN}>"), format!("RCPT TO:<{DEUX}>"), "DATA".to_owned()] {
        ensure!(smtp.command(&command).await?.code < 400, "{}", smtp.transcript());
    }
    oracle.says(b"action=REJECT 5.5.3 too many\n\n");
    let reply = message(&mut smtp, &subject).await?;
    ensure!(reply.line() == "554 5.5.3 too many", "{}", smtp.transcript());
    ensure!(!stage.exim.has_accepted(&subject), "{}", stage.exim.log());
    Ok(())
}

#[tokio::test]
async fn a_socket_that_never_answers_is_an_outage_after_five_seconds() -> Result<()> {
    let place = Place::new()?;
    let socket = place.other_policy_socket();
    let _silent = UnixListener::bind(&socket)?;
    place.give(&socket)?;
    let stage = Stage::start_in(&place, Settings::default(), &Setup { policy_socket: "other", ..site() })?;
    let mut smtp = stage.logged_in(UN, &stage.token()).await?;
    let begun = tokio::time::Instant::now();
    let reply = smtp.command(&format!("MAIL FROM:<{UN}>")).await?;
    ensure!(reply.line() == OUTAGE, "{}", smtp.transcript());
    ensure!(begun.elapsed().as_secs() >= 4, "it did not even wait: {:?}", begun.elapsed());
    Ok(())
}
