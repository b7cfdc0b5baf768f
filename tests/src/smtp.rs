//! A strict SMTP client that keeps the dialogue: every reply is checked against the grammar, none is forgiven.
//!
//! Owns one connection. Must never keep a credential in the dialogue, nor retry or correct anything.

pub mod clients;
mod reply;

use anyhow::{Context as _, Result, ensure};
use octroi_igc::Leaf;
use rustls::SupportedProtocolVersion;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::imap::Security;
use crate::pki::Pki;
use crate::postfix::Postfix;
use crate::sasl::Credential;
use crate::wire::{self, Stream, read_line, within};

pub use reply::Reply;

/// The name that the client gives itself.
const SELF: &str = "client.example.test";

/// One connection.
pub struct Smtp {
    stream: BufReader<Box<dyn Stream>>,
    dialogue: Vec<String>,
    /// What the last EHLO offered, a keyword with its parameters each.
    offered: Vec<String>,
}

impl Smtp {
    /// Connects to a submission port, encrypts, and checks that both mechanisms are offered, and nothing else.
    pub async fn connect(server: &Postfix, security: Security) -> Result<Self> {
        let mut smtp = Self::encrypted(server, security, rustls::ALL_VERSIONS).await?;
        smtp.ehlo().await?;
        let mut mechanisms = smtp.mechanisms();
        mechanisms.sort_unstable();
        ensure!(mechanisms == ["OAUTHBEARER", "XOAUTH2"], "{}", smtp.transcript());
        Ok(smtp)
    }

    /// The same with certain versions of TLS, up to encryption.
    pub async fn encrypted(
        server: &Postfix,
        security: Security,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        match security {
            Security::Implicit => tls(server.submissions_port(), server.pki(), versions).await,
            Security::StartTls => {
                let smtp = start_tls(server.submission_port(), server.pki(), versions).await?;
                ensure!(smtp.mechanisms().is_empty(), "AUTH is offered in the clear: {:?}", smtp.offered);
                Ok(smtp)
            }
        }
    }

    /// Connects to any port, encrypts as `security` says, and greets.
    pub async fn greeted(port: u16, security: Security, pki: &Pki) -> Result<Self> {
        let mut smtp = match security {
            Security::Implicit => tls(port, pki, rustls::ALL_VERSIONS).await?,
            Security::StartTls => start_tls(port, pki, rustls::ALL_VERSIONS).await?,
        };
        smtp.ehlo().await?;
        Ok(smtp)
    }

    /// Connects to a port that asks for certificates, shows this one, or none, and greets.
    pub async fn greeted_with_certificate(port: u16, pki: &Pki, shown: Option<&Leaf>) -> Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut smtp = Self::over(pki.encrypt_as(tcp, shown).await?);
        smtp.greeting().await?;
        smtp.ehlo().await?;
        Ok(smtp)
    }

    /// Connects in the clear, stays there, and greets.
    pub async fn greeted_in_the_clear(port: u16) -> Result<Self> {
        let mut smtp = Self::in_the_clear(port).await?;
        smtp.greeting().await?;
        smtp.ehlo().await?;
        Ok(smtp)
    }

    /// Connects in the clear and stays there; the greeting is read by [`Self::reply`].
    pub async fn in_the_clear(port: u16) -> Result<Self> {
        Ok(Self::over(TcpStream::connect(("127.0.0.1", port)).await?))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), dialogue: Vec::new(), offered: Vec::new() }
    }

    async fn greeting(&mut self) -> Result<()> {
        let greeting = self.reply().await?;
        ensure!(greeting.code == 220, "not a greeting:\n{}", self.transcript());
        Ok(())
    }

    /// Greets, and remembers what the server offers.
    pub async fn ehlo(&mut self) -> Result<Reply> {
        let reply = self.command(&format!("EHLO {SELF}")).await?;
        self.offered = reply.text.iter().skip(1).cloned().collect();
        Ok(reply)
    }

    /// What the last EHLO offered.
    pub fn offered(&self) -> &[String] {
        &self.offered
    }

    /// The mechanisms among it.
    pub fn mechanisms(&self) -> Vec<&str> {
        let auth = self.offered.iter().find_map(|offer| offer.strip_prefix("AUTH "));
        auth.map(|names| names.split(' ').collect()).unwrap_or_default()
    }

    /// One attempt. With `initial_response` the credential stands on the command line, else it answers `334 `.
    ///
    /// A refusal is a [`Reply`]; an error is a server that breaks the grammar or falls silent.
    pub async fn authenticate(&mut self, credential: &Credential<'_>, initial_response: bool) -> Result<Reply> {
        let (name, response) = (credential.mechanism.name(), credential.response());
        let elided = format!("<{} bytes not shown>", response.len());
        let mut reply = if initial_response {
            self.send(&format!("AUTH {name} {response}"), &format!("AUTH {name} {elided}")).await?;
            self.reply().await?
        } else {
            let asked = self.command(&format!("AUTH {name}")).await?;
            if asked.code != 334 {
                return Ok(asked);
            }
            ensure!(asked.asked()?.is_empty(), "a challenge before any response:\n{}", self.transcript());
            self.send(&response, &elided).await?;
            self.reply().await?
        };
        if reply.code != 334 {
            return Ok(reply);
        }
        let challenge = reply.asked()?;
        ensure!(!challenge.is_empty(), "an empty challenge:\n{}", self.transcript());
        reply = self.command(credential.dismissal()).await?;
        ensure!(reply.code != 334, "a second challenge:\n{}", self.transcript());
        Ok(Reply { challenge, ..reply })
    }

    /// One line, as it is, and its reply.
    pub async fn command(&mut self, command: &str) -> Result<Reply> {
        self.send(command, command).await?;
        self.reply().await
    }

    /// `MAIL FROM`.
    pub async fn mail(&mut self, sender: &str) -> Result<Reply> {
        self.command(&format!("MAIL FROM:<{sender}>")).await
    }

    /// `RCPT TO`.
    pub async fn rcpt(&mut self, recipient: &str) -> Result<Reply> {
        self.command(&format!("RCPT TO:<{recipient}>")).await
    }

    /// The message after `DATA` was answered by 354: lines without their ends, and the final dot.
    pub async fn message(&mut self, lines: &[&str]) -> Result<Reply> {
        for line in lines {
            let dot = if line.starts_with('.') { "." } else { "" };
            self.send(&format!("{dot}{line}"), line).await?;
        }
        self.command(".").await
    }

    /// A whole message with that subject: the first reply that is no yes, or the last.
    pub async fn submit(&mut self, sender: &str, recipients: &[&str], subject: &str) -> Result<Reply> {
        let mail = self.mail(sender).await?;
        if !mail.accepted() {
            return Ok(mail);
        }
        for recipient in recipients {
            let rcpt = self.rcpt(recipient).await?;
            if !rcpt.accepted() {
                return Ok(rcpt);
            }
        }
        let data = self.command("DATA").await?;
        if data.code != 354 {
            return Ok(data);
        }
        let (from, subject) = (format!("From: <{sender}>"), format!("Subject: {subject}"));
        self.message(&[&from, &subject, "", "Bonjour.", "."]).await
    }

    /// Says goodbye: 221, then the end of the connection.
    pub async fn quit(mut self) -> Result<()> {
        let reply = self.command("QUIT").await?;
        ensure!(reply.code == 221, "{}", self.transcript());
        ensure!(self.reply().await?.code == 0, "the server goes on after QUIT");
        Ok(())
    }

    /// What was said, one line each, without any credential.
    pub fn transcript(&self) -> String {
        self.dialogue.join("\n")
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

    /// The next reply, whole.
    pub async fn reply(&mut self) -> Result<Reply> {
        let mut reply = Reply::closed();
        loop {
            let Some(bytes) = within(read_line(&mut self.stream)).await? else {
                ensure!(reply.text.is_empty(), "closed inside a reply");
                self.dialogue.push("S: closed".to_owned());
                return Ok(reply);
            };
            let line = wire::line(&bytes)?;
            self.dialogue.push(format!("S: {line}"));
            if reply.take(line)? {
                return Ok(reply);
            }
        }
    }
}

/// TLS from the first byte, and the greeting.
async fn tls(port: u16, pki: &Pki, versions: &[&'static SupportedProtocolVersion]) -> Result<Smtp> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut smtp = Smtp::over(pki.encrypt_with(tcp, versions).await?);
    smtp.greeting().await?;
    Ok(smtp)
}

/// Greeting, EHLO and STARTTLS in the clear, which leaves what was offered there. Nothing may follow the server's 220
/// before encryption begins.
async fn start_tls(port: u16, pki: &Pki, versions: &[&'static SupportedProtocolVersion]) -> Result<Smtp> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
    let mut clear = Vec::new();
    for command in ["", "EHLO client.example.test\r\n", "STARTTLS\r\n"] {
        stream.get_mut().write_all(command.as_bytes()).await?;
        clear.push(clear_reply(&mut stream).await?);
    }
    let codes: Vec<_> = clear.iter().map(|reply| reply.code).collect();
    ensure!(codes == [220, 250, 220], "{clear:?}");
    let offered: Vec<_> = clear.into_iter().flat_map(|reply| reply.text).collect();
    ensure!(offered.iter().any(|offer| offer == "STARTTLS"), "STARTTLS is not offered: {offered:?}");
    ensure!(stream.buffer().is_empty(), "bytes in the clear after STARTTLS");
    Ok(Smtp { offered, ..Smtp::over(pki.encrypt_with(stream.into_inner(), versions).await?) })
}

async fn clear_reply(stream: &mut BufReader<TcpStream>) -> Result<Reply> {
    let mut reply = Reply::closed();
    loop {
        let bytes = within(read_line(stream)).await?.context("closed before encryption")?;
        if reply.take(wire::line(&bytes)?)? {
            return Ok(reply);
        }
    }
}
