//! Dovecot's own submission service, 2.3 and 2.4: what it carries of a token, and what it does not.
//!
//! Owns a server behind it that takes every message and remembers what it was told.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, Psc, doctor_one};
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::imap::Security;
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::{Settings, Sidecar};
use octroi_tests::smtp::Smtp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{DEUX, MECHANISMS, UN, provider, subject};

/// All lines that the server behind was sent.
#[derive(Clone, Default)]
struct Relay(Arc<Mutex<Vec<String>>>);

impl Relay {
    async fn listen(&self) -> Result<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let relay = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let relay = relay.clone();
                tokio::spawn(async move { relay.serve(stream).await });
            }
        });
        Ok(port)
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        writer.write_all(b"220 relay.example.test ESMTP\r\n").await?;
        let mut inside = false;
        while let Some(line) = lines.next_line().await? {
            let answer = match (inside, line.split(' ').next().unwrap_or_default()) {
                (true, ".") => "250 2.0.0 taken\r\n",
                (true, _) => "",
                (false, "EHLO") => {
                    "250-relay.example.test\r\n250-PIPELINING\r\n250 XCLIENT ADDR PORT PROTO HELO LOGIN\r\n"
                }
                (false, "XCLIENT") => "220 relay.example.test ESMTP\r\n",
                (false, "DATA") => "354 go on\r\n",
                (false, "QUIT") => "221 2.0.0 bye\r\n",
                (false, _) => "250 2.0.0 ok\r\n",
            };
            inside = (inside || line == "DATA") && !(inside && line == ".");
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            writer.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    }

    fn heard(&self, needle: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(needle))
    }
}

struct Site {
    psc: Psc,
    sidecar: Sidecar,
    dovecot: Dovecot,
    port: u16,
    relay: Relay,
}

impl Site {
    async fn start(version: Version) -> Result<Self> {
        let psc = provider(Psc::start())?;
        let sidecar = Sidecar::start(&psc, &Settings::default())?;
        let relay = Relay::default();
        let behind = relay.listen().await?;
        // Held until Dovecot comes to it.
        let held = octroi_psc::listen_on_a_free_port(Ipv4Addr::LOCALHOST.into())?;
        let port = held.local_addr()?.port();
        let mut setup = Setup::new(version, sidecar.introspection(), sidecar.policy(), &[UN, DEUX]);
        setup.after = format!(
            "{}\nprotocols = imap submission\nhostname = localhost\nsubmission_relay_host = 127.0.0.1\n\
             submission_relay_port = {behind}\nservice submission-login {{\n  inet_listener submission {{\n    port = {port}\n  }}\n  inet_listener submissions {{\n    port = 0\n  }}\n}}\n",
            include_str!("../../../integrations/dovecot-submission.conf"),
        );
        drop(held);
        Ok(Self { dovecot: Dovecot::start(&setup)?, psc, sidecar, port, relay })
    }

    async fn client(&self) -> Result<Smtp> {
        Smtp::greeted(self.port, Security::StartTls, self.dovecot.pki()).await
    }

    fn token(&self) -> String {
        self.psc.token(&doctor_one()).mint()
    }
}

fn credential<'a>(mechanism: Mechanism, mailbox: &'a str, secret: &'a str) -> Credential<'a> {
    Credential { mechanism, mailbox, secret }
}

async fn a_client_that_waits_for_its_turn_sends(version: Version) -> Result<()> {
    let site = Site::start(version).await?;
    for bytes in [2_000, 4_000, 6_000] {
        for mechanism in MECHANISMS {
            let mut smtp = site.client().await?;
            let token = site.psc.token(&doctor_one()).sized(bytes).mint();
            let login = smtp.authenticate(&credential(mechanism, UN, &token), false).await?;
            ensure!(login.line() == "235 2.7.0 Logged in.", "{}", smtp.transcript());
            let subject = subject();
            ensure!(smtp.submit(UN, &[DEUX], &subject).await?.code == 250, "{}", smtp.transcript());
            ensure!(site.relay.heard(&format!("Subject: {subject}")), "{}", smtp.transcript());
        }
    }
    ensure!(site.relay.heard(&format!(" LOGIN={UN}")), "the server behind is not told who is logged in");
    Ok(())
}

async fn a_token_in_an_initial_response_is_too_long(version: Version) -> Result<()> {
    let site = Site::start(version).await?;
    let mut smtp = site.client().await?;
    for mechanism in MECHANISMS {
        let login = smtp.authenticate(&credential(mechanism, UN, &site.token()), true).await?;
        ensure!(login.line() == "500 5.5.2 Line too long", "{}", smtp.transcript());
    }
    Ok(())
}

async fn a_bad_token_and_another_s_mailbox_are_refused(version: Version) -> Result<()> {
    let site = Site::start(version).await?;
    let expired = site.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    let forged = site.psc.token(&doctor_one()).deviate(Deviation::BadSignature)?.mint();
    let mut smtp = site.client().await?;
    for mechanism in MECHANISMS {
        for (mailbox, token) in [(UN, &expired), (UN, &forged), (DEUX, &site.token())] {
            let login = smtp.authenticate(&credential(mechanism, mailbox, token), false).await?;
            ensure!(login.line() == "535 5.7.8 Authentication failed.", "{}", smtp.transcript());
            // 2.4 has no challenge for a non-member.
            ensure!(!login.challenge.is_empty() || (version, mailbox) == (Version::V2_4, DEUX), "{mailbox}");
        }
    }
    let reply = smtp.command(&format!("MAIL FROM:<{UN}>")).await?;
    ensure!(reply.line() == "530 5.7.0 Authentication required.", "{}", smtp.transcript());
    Ok(())
}

async fn a_sidecar_that_is_away_lets_nobody_in(version: Version) -> Result<()> {
    let mut site = Site::start(version).await?;
    let token = site.token();
    site.sidecar.stop()?;
    for mechanism in MECHANISMS {
        let mut smtp = site.client().await?;
        let login = smtp.authenticate(&credential(mechanism, UN, &token), false).await?;
        let line = login.line();
        let told = match version {
            Version::V2_3 => line.starts_with("454 4.7.0 Temporary authentication failure."),
            // A 2.4.1 says 535 to everything; only its challenge knows better.
            Version::V2_4 => {
                let cause = if mechanism == Mechanism::Xoauth2 { "\"500\"" } else { "\"internal_failure\"" };
                line == "535 5.7.8 Authentication failed." && login.challenge.contains(cause)
            }
        };
        ensure!(told, "{:?}\n{}", login.challenge, smtp.transcript());
    }
    Ok(())
}

/// Why the shipped file says what the server behind must do.
async fn nobody_judges_the_sender_here(version: Version) -> Result<()> {
    let site = Site::start(version).await?;
    let mut smtp = site.client().await?;
    smtp.authenticate(&credential(Mechanism::Xoauth2, UN, &site.token()), false).await?;
    ensure!(smtp.command(&format!("MAIL FROM:<{DEUX}>")).await?.code == 250, "{}", smtp.transcript());
    ensure!(smtp.command(&format!("RCPT TO:<{UN}>")).await?.code == 250, "{}", smtp.transcript());
    ensure!(site.relay.heard(&format!("MAIL FROM:<{DEUX}>")) && site.relay.heard(&format!(" LOGIN={UN}")), "not told");
    Ok(())
}

/// Each case once for each version, under its own name.
macro_rules! on_both {
    ($($case:ident)*) => {
        mod on_dovecot_2_3 {
            $(#[tokio::test] async fn $case() -> anyhow::Result<()> {
                super::$case(octroi_tests::dovecot::Version::V2_3).await
            })*
        }
        mod on_dovecot_2_4 {
            $(#[tokio::test] async fn $case() -> anyhow::Result<()> {
                super::$case(octroi_tests::dovecot::Version::V2_4).await
            })*
        }
    };
}

on_both! {
    a_client_that_waits_for_its_turn_sends
    a_token_in_an_initial_response_is_too_long
    a_bad_token_and_another_s_mailbox_are_refused
    a_sidecar_that_is_away_lets_nobody_in
    nobody_judges_the_sender_here
}
