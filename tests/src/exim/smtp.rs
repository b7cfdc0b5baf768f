//! A strict SMTP client that keeps the dialogue: every line is checked against the grammar, none is forgiven.
//!
//! Owns one connection. Must never keep a credential in the dialogue, nor retry or correct anything.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::pki::Pki;
use crate::sasl::Credential;

/// Longer than anything a server waits for before it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// RFC 5321 section 4.5.3.1.5, and room for a server's long texts.
const LONGEST_LINE: u64 = 4096;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A whole reply (RFC 5321 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// The texts of its lines, joined by one blank: a server breaks long ones where it likes.
    pub text: String,
}

impl Reply {
    /// Code and text.
    pub fn line(&self) -> String {
        format!("{} {}", self.code, self.text)
    }

    /// 2xx.
    pub fn accepted(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx: the client tries again.
    pub fn temporary(&self) -> bool {
        self.code / 100 == 4
    }
}

/// How an attempt to log in ended.
#[derive(Debug)]
pub struct Login {
    /// The challenge that said why, decoded; empty where there was none.
    pub challenge: String,
    /// The last reply.
    pub reply: Reply,
}

/// One connection.
pub struct Smtp {
    stream: BufReader<Box<dyn Stream>>,
    extensions: Vec<String>,
    dialogue: Vec<String>,
}

impl Smtp {
    /// Connects in the clear and says EHLO.
    pub async fn in_the_clear(port: u16) -> Result<Self> {
        let mut smtp = Self::over(TcpStream::connect(("127.0.0.1", port)).await?);
        smtp.greeted().await?;
        Ok(smtp)
    }

    /// Connects, encrypts by STARTTLS and says EHLO again.
    pub async fn start_tls(port: u16, pki: &Pki) -> Result<Self> {
        let mut smtp = Self::in_the_clear(port).await?;
        ensure!(smtp.extensions.iter().any(|word| word == "STARTTLS"), "{}", smtp.transcript());
        ensure!(smtp.command("STARTTLS").await?.code == 220, "{}", smtp.transcript());
        ensure!(smtp.stream.buffer().is_empty(), "bytes in the clear after STARTTLS");
        let mut inside = Self::over(encrypt(smtp.stream.into_inner(), pki).await?);
        inside.dialogue = smtp.dialogue;
        inside.hello().await?;
        Ok(inside)
    }

    /// Connects with TLS from the first byte and says EHLO.
    pub async fn tls(port: u16, pki: &Pki) -> Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        let mut smtp = Self::over(encrypt(tcp, pki).await?);
        smtp.greeted().await?;
        Ok(smtp)
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), extensions: Vec::new(), dialogue: Vec::new() }
    }

    async fn greeted(&mut self) -> Result<()> {
        let greeting = self.reply().await?;
        ensure!(greeting.code == 220, "not a greeting: {}", greeting.line());
        self.hello().await
    }

    async fn hello(&mut self) -> Result<()> {
        self.send("EHLO client.example.test", "EHLO client.example.test").await;
        let lines = self.lines().await?;
        let Some((250, _)) = lines.first() else { bail!("EHLO refused:\n{}", self.transcript()) };
        self.extensions = lines.into_iter().skip(1).map(|(_, text)| text).collect();
        Ok(())
    }

    /// The mechanisms that the last EHLO offered.
    pub fn mechanisms(&self) -> Vec<&str> {
        let line = self.extensions.iter().find_map(|line| line.strip_prefix("AUTH "));
        line.unwrap_or_default().split_whitespace().collect()
    }

    /// One attempt. With `initial_response` the credential stands on the command line (RFC 4954 section 4), else it
    /// answers `334 `. A refusal is a [`Login`]; an error is a server that breaks the grammar or falls silent.
    pub async fn authenticate(&mut self, credential: &Credential<'_>, initial_response: bool) -> Result<Login> {
        let (plain, dismissal) = credential.decoded();
        let (name, response) = (credential.mechanism.name(), STANDARD.encode(plain));
        let elided = format!("<{} bytes not shown>", response.len());
        let mut reply = if initial_response {
            self.exchange(&format!("AUTH {name} {response}"), &format!("AUTH {name} {elided}")).await?
        } else {
            let asked = self.command(&format!("AUTH {name}")).await?;
            if asked.code != 334 {
                return Ok(Login { challenge: String::new(), reply: asked });
            }
            ensure!(asked.text.is_empty(), "a challenge before any response: {asked:?}");
            self.exchange(&response, &elided).await?
        };
        let mut challenge = String::new();
        if reply.code == 334 {
            challenge = String::from_utf8(STANDARD.decode(&reply.text)?)?;
            reply = self.command(&STANDARD.encode(dismissal)).await?;
            ensure!(reply.code != 334, "a second challenge: {reply:?}");
        }
        Ok(Login { challenge, reply })
    }

    /// Sends one message with this subject; the first reply that is not positive, else the last.
    pub async fn send_message(&mut self, from: &str, to: &str, subject: &str) -> Result<Reply> {
        for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")] {
            let reply = self.command(&command).await?;
            if !reply.accepted() {
                return Ok(reply);
            }
        }
        let data = self.command("DATA").await?;
        if data.code == 354 { self.message(subject).await } else { Ok(data) }
    }

    /// The message itself, after 354.
    pub async fn message(&mut self, subject: &str) -> Result<Reply> {
        self.command(&format!("Subject: {subject}\r\n\r\nBonjour.\r\n.")).await
    }

    /// One command, or several lines that get one reply.
    pub async fn command(&mut self, command: &str) -> Result<Reply> {
        self.exchange(command, command).await
    }

    async fn exchange(&mut self, line: &str, shown: &str) -> Result<Reply> {
        self.send(line, shown).await;
        self.reply().await
    }

    /// What was said, one line each, without any credential.
    pub fn transcript(&self) -> String {
        self.dialogue.join("\n")
    }

    async fn send(&mut self, line: &str, shown: &str) {
        self.dialogue.push(format!("C: {shown}"));
        let stream = self.stream.get_mut();
        // A server that has closed is seen at the next read.
        if stream.write_all(format!("{line}\r\n").as_bytes()).await.is_ok() {
            let _ = stream.flush().await;
        }
    }

    async fn reply(&mut self) -> Result<Reply> {
        let lines = self.lines().await?;
        let code = lines.first().context("no line")?.0;
        // Each line repeats the enhanced status code (RFC 2034 section 4).
        let mut texts = lines.into_iter().map(|(_, text)| text);
        let mut text = texts.next().unwrap_or_default();
        let status = text.split(' ').next().filter(|word| word.split('.').count() == 3).map(str::to_owned);
        for more in texts {
            let bare = status.as_ref().and_then(|status| more.strip_prefix(status)).unwrap_or(&more);
            text = format!("{text} {}", bare.trim_start());
        }
        Ok(Reply { code, text })
    }

    /// All lines of one reply, with their code.
    async fn lines(&mut self) -> Result<Vec<(u16, String)>> {
        let mut lines: Vec<(u16, String)> = Vec::new();
        loop {
            let line = self.read().await.with_context(|| self.transcript())?;
            ensure!(line.is_char_boundary(3) && line.len() >= 3, "no code: {line:?}");
            let (code, rest) = line.split_at(3);
            ensure!(code.bytes().all(|b| b.is_ascii_digit()), "no code: {line:?}");
            let code = code.parse()?;
            ensure!(lines.iter().all(|(other, _)| *other == code), "two codes in one reply: {line:?}");
            let last = match rest.get(..1) {
                None | Some(" ") => true,
                Some("-") => false,
                Some(_) => bail!("neither blank nor hyphen after the code: {line:?}"),
            };
            lines.push((code, rest.get(1..).unwrap_or_default().to_owned()));
            if last {
                return Ok(lines);
            }
        }
    }

    async fn read(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut stream = (&mut self.stream).take(LONGEST_LINE);
        tokio::time::timeout(PATIENCE, stream.read_until(b'\n', &mut line))
            .await
            .context("the server fell silent")??;
        ensure!(!line.is_empty(), "the server closed");
        let line = str::from_utf8(&line)?.strip_suffix("\r\n").context("no CR LF at the end of a line")?;
        ensure!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "not printable ASCII: {line:?}");
        self.dialogue.push(format!("S: {line}"));
        Ok(line.to_owned())
    }
}

async fn encrypt(tcp: impl Stream + 'static, pki: &Pki) -> Result<impl Stream + 'static> {
    let connector = TlsConnector::from(pki.client(rustls::ALL_VERSIONS)?);
    Ok(tokio::time::timeout(PATIENCE, connector.connect(ServerName::try_from("localhost")?, tcp))
        .await
        .context("TLS")??)
}
