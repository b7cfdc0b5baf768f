//! A strict IMAP client that keeps the dialogue: every line is checked against the grammar, none is forgiven.
//!
//! Owns one connection. Must never keep a credential in the dialogue, nor retry or correct anything.

mod reply;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use octroi_igc::Leaf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::dovecot::Dovecot;
use crate::wire::{self, Stream, read_line, within};

pub use crate::sasl::{Credential, Mechanism};
pub use reply::{Reply, Status};

/// How the connection becomes encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (imaps).
    Implicit,
    /// In the clear first, then STARTTLS.
    StartTls,
}

/// One encrypted connection.
pub struct Imap {
    stream: BufReader<Box<dyn Stream>>,
    commands: u32,
    dialogue: Vec<String>,
}

impl Imap {
    /// Connects, encrypts, and checks that both mechanisms are offered.
    pub async fn connect(server: &Dovecot, security: Security) -> Result<Self> {
        let mut imap = match security {
            Security::Implicit => {
                let tcp = TcpStream::connect(("127.0.0.1", server.imaps_port())).await?;
                let mut imap = Self::over(server.pki().encrypt(tcp).await?);
                imap.greeting().await?;
                imap
            }
            Security::StartTls => {
                let tcp = start_tls(TcpStream::connect(("127.0.0.1", server.imap_port())).await?).await?;
                Self::over(server.pki().encrypt(tcp).await?)
            }
        };
        let (reply, untagged) = imap.command("CAPABILITY").await?;
        ensure!(reply.accepted(), "{}", imap.transcript());
        for capability in ["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2", "AUTH=OAUTHBEARER"] {
            ensure!(
                untagged.iter().any(|line| line.split(' ').any(|word| word == capability)),
                "{capability} is not offered"
            );
        }
        Ok(imap)
    }

    /// Connects to the address at which the server asks for certificates, and shows this one, or none.
    pub async fn connect_with_certificate(server: &Dovecot, shown: Option<&Leaf>) -> Result<Self> {
        let tcp = TcpStream::connect((crate::certificates::ADDRESS, server.imaps_port())).await?;
        let mut imap = Self::over(server.pki().encrypt_as(tcp, shown).await?);
        imap.greeting().await?;
        Ok(imap)
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), commands: 0, dialogue: Vec::new() }
    }

    async fn greeting(&mut self) -> Result<()> {
        let line = self.read().await?.context("closed before the greeting")?;
        ensure!(line.starts_with("* OK "), "not a greeting: {line}");
        Ok(())
    }

    /// One attempt. With `initial_response` the credential stands on the command line (RFC 4959), else it answers `+ `.
    ///
    /// A refusal is a [`Reply`]; an error is a server that breaks the grammar or falls silent.
    pub async fn authenticate(&mut self, credential: &Credential<'_>, initial_response: bool) -> Result<Reply> {
        let started = Instant::now();
        let (tag, name, response) = (self.tag(), credential.mechanism.name(), credential.response());
        let elided = format!("<{} bytes not shown>", response.len());
        if initial_response {
            self.send(&format!("{tag} AUTHENTICATE {name} {response}"), &format!("{tag} AUTHENTICATE {name} {elided}"))
                .await?;
        } else {
            self.send_shown(&format!("{tag} AUTHENTICATE {name}")).await?;
        }
        let mut sent = initial_response;
        let mut challenge = String::new();
        while let Some(line) = self.read().await? {
            if line.starts_with('+') {
                let asked = reply::continuation(&line)?;
                if sent {
                    ensure!(challenge.is_empty(), "a second challenge: {asked:?}");
                    challenge = asked;
                    self.send_shown(credential.dismissal()).await?;
                } else {
                    ensure!(asked.is_empty(), "a challenge before any response: {asked:?}");
                    self.send(&response, &elided).await?;
                    sent = true;
                }
            } else if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                return Reply::parse(rest, challenge, started.elapsed());
            } else {
                ensure!(line.starts_with("* "), "neither tagged nor untagged: {line:?}");
            }
        }
        Ok(Reply::closed(challenge, started.elapsed()))
    }

    /// One command without literals; its reply, and the untagged lines before it (with literals put in place).
    pub async fn command(&mut self, command: &str) -> Result<(Reply, Vec<String>)> {
        let started = Instant::now();
        let tag = self.tag();
        self.send_shown(&format!("{tag} {command}")).await?;
        let mut untagged = Vec::new();
        while let Some(line) = self.read().await? {
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                return Ok((Reply::parse(rest, String::new(), started.elapsed())?, untagged));
            }
            ensure!(line.starts_with("* "), "neither tagged nor untagged: {line:?}");
            untagged.push(line);
        }
        Ok((Reply::closed(String::new(), started.elapsed()), untagged))
    }

    /// Opens INBOX and reads the subject of its first message: whose mailbox is it really?
    pub async fn first_subject(&mut self) -> Result<String> {
        let (selected, _) = self.command("SELECT INBOX").await?;
        ensure!(selected.accepted(), "{}", self.transcript());
        let (fetched, lines) = self.command("FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await?;
        ensure!(fetched.accepted(), "{}", self.transcript());
        let (noop, _) = self.command("NOOP").await?;
        ensure!(noop.accepted(), "{}", self.transcript());
        let header = lines.iter().find_map(|line| line.split_once("Subject: "));
        let (_, rest) = header.with_context(|| format!("no subject\n{}", self.transcript()))?;
        Ok(rest.lines().next().unwrap_or_default().trim_end().to_owned())
    }

    /// Opens INBOX anew and reads the subjects of all its messages.
    pub async fn subjects(&mut self) -> Result<Vec<String>> {
        let (selected, _) = self.command("SELECT INBOX").await?;
        ensure!(selected.accepted(), "{}", self.transcript());
        let (fetched, lines) = self.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await?;
        ensure!(fetched.accepted(), "{}", self.transcript());
        let headers = lines.iter().filter_map(|line| line.split_once("Subject: "));
        Ok(headers.map(|(_, rest)| rest.lines().next().unwrap_or_default().trim_end().to_owned()).collect())
    }

    /// Says goodbye: BYE, then the tagged OK, then the end of the connection.
    pub async fn logout(mut self) -> Result<()> {
        let (reply, untagged) = self.command("LOGOUT").await?;
        ensure!(reply.accepted() && untagged.iter().any(|line| line.starts_with("* BYE ")), "{}", self.transcript());
        ensure!(self.read().await?.is_none(), "the server goes on after LOGOUT");
        Ok(())
    }

    /// What was said, one line each, without any credential.
    pub fn transcript(&self) -> String {
        self.dialogue.join("\n")
    }

    fn tag(&mut self) -> String {
        self.commands += 1;
        format!("a{}", self.commands)
    }

    async fn send_shown(&mut self, line: &str) -> Result<()> {
        self.send(line, line).await
    }

    async fn send(&mut self, line: &str, shown: &str) -> Result<()> {
        self.dialogue.push(format!("C: {shown}"));
        let stream = self.stream.get_mut();
        // A server that has closed is seen at the next read.
        if stream.write_all(format!("{line}\r\n").as_bytes()).await.is_ok() {
            let _ = stream.flush().await;
        }
        Ok(())
    }

    /// One response line, with the literals in it; nothing where the server has closed.
    async fn read(&mut self) -> Result<Option<String>> {
        let mut whole = String::new();
        loop {
            let Some(bytes) = within(read_line(&mut self.stream)).await? else {
                ensure!(whole.is_empty(), "closed inside a response");
                self.dialogue.push("S: closed".to_owned());
                return Ok(None);
            };
            let line = wire::line(&bytes)?;
            self.dialogue.push(format!("S: {line}"));
            whole.push_str(line);
            let Some(length) = reply::literal(line) else { return Ok(Some(whole)) };
            let mut literal = vec![0; length];
            within(self.stream.read_exact(&mut literal)).await?;
            whole.push_str(str::from_utf8(&literal)?);
        }
    }
}

/// Greeting and STARTTLS in the clear. Nothing may follow the server's OK before encryption begins.
async fn start_tls(tcp: TcpStream) -> Result<TcpStream> {
    let mut stream = BufReader::new(tcp);
    let greeting = within(read_line(&mut stream)).await?.context("closed before the greeting")?;
    let greeting = wire::line(&greeting)?;
    ensure!(greeting.starts_with("* OK ") && greeting.contains(" STARTTLS"), "STARTTLS is not offered: {greeting}");
    stream.get_mut().write_all(b"s STARTTLS\r\n").await?;
    let answer = within(read_line(&mut stream)).await?.context("closed at STARTTLS")?;
    let answer = wire::line(&answer)?;
    let Some(rest) = answer.strip_prefix("s ") else { bail!("not the tag of STARTTLS: {answer}") };
    ensure!(Reply::parse(rest, String::new(), Duration::ZERO)?.accepted(), "STARTTLS refused: {answer}");
    ensure!(stream.buffer().is_empty(), "bytes in the clear after STARTTLS");
    Ok(stream.into_inner())
}
