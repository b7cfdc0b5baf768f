//! As much of an IMAP client as one login takes (RFC 9051): greeting, STARTTLS where configured, AUTHENTICATE, LOGOUT.
//!
//! Every read has a limit and the whole login a deadline. The token leaves over verified TLS alone, and no reply that
//! is told repeats it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::tls;
use crate::config::{DovecotServer, Tls};

/// The whole login. Dovecot delays refusals, and more after each: 15 s and 20 s were seen.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longest line that is read, bytes.
const MAX_LINE: u64 = 16 * 1024;
/// Most lines before the one that is waited for.
const MAX_LINES: usize = 64;

/// How a login ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    /// OK.
    Accepted,
    /// NO or BAD: what the server said.
    Refused(String),
    /// Neither: what went wrong.
    Failed(String),
}

/// Logs in once and out again.
pub(super) async fn login(server: &DovecotServer, mechanism: &str, user: &str, token: &str) -> Login {
    let message = zeroize::Zeroizing::new(message(mechanism, user, token));
    match tokio::time::timeout(DEADLINE, attempt(server, &message, mechanism)).await {
        Ok(Ok(login)) => login,
        Ok(Err(what)) => Login::Failed(what),
        Err(_) => Login::Failed(format!("no end within {} s", DEADLINE.as_secs())),
    }
}

/// The SASL message: XOAUTH2 as Google documents it, OAUTHBEARER as RFC 7628 section 3.1 has it.
fn message(mechanism: &str, user: &str, token: &str) -> String {
    let message = match mechanism {
        "OAUTHBEARER" => format!("n,a={user},\u{1}auth=Bearer {token}\u{1}\u{1}"),
        _ => format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"),
    };
    STANDARD.encode(message)
}

async fn attempt(server: &DovecotServer, message: &str, mechanism: &str) -> Result<Login, String> {
    let tcp = TcpStream::connect(&server.imap).await.map_err(|error| format!("{}: {error}", server.imap))?;
    let ca_file = server.ca_file.as_deref();
    match server.tls {
        Tls::Implicit => {
            let tls = tls::start(tcp, &server.server_name, ca_file).await?;
            let mut imap = Imap(BufReader::new(tls));
            imap.greeting().await?;
            imap.authenticate(mechanism, message).await
        }
        Tls::StartTls => {
            let mut clear = Imap(BufReader::new(tcp));
            clear.greeting().await?;
            clear.send("s STARTTLS\r\n").await?;
            let reply = clear.tagged("s ").await?;
            if !reply.starts_with("OK") {
                return Err(format!("STARTTLS: {reply}"));
            }
            // What came in clear after the reply must not count as said under TLS.
            if !clear.0.buffer().is_empty() {
                return Err("the server spoke between STARTTLS and TLS".to_owned());
            }
            let tls = tls::start(clear.0.into_inner(), &server.server_name, ca_file).await?;
            Imap(BufReader::new(tls)).authenticate(mechanism, message).await
        }
    }
}

struct Imap<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Imap<S> {
    async fn greeting(&mut self) -> Result<(), String> {
        let line = self.line().await?;
        if line.starts_with("* OK") { Ok(()) } else { Err(format!("greeting: {}", shown(&line))) }
    }

    async fn authenticate(&mut self, mechanism: &str, message: &str) -> Result<Login, String> {
        // The message waits for the server's go-ahead (RFC 9051 section 6.2.2): works without SASL-IR, too.
        self.send(&format!("a AUTHENTICATE {mechanism}\r\n")).await?;
        let mut sent = false;
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            if line.starts_with('+') {
                // The first continuation asks for the message, a later one is the challenge of a refusal.
                let next = if sent { "\r\n".to_owned() } else { format!("{message}\r\n") };
                sent = true;
                self.send(&next).await?;
            } else if let Some(reply) = line.strip_prefix("a ") {
                return self.ended(reply, sent).await;
            }
        }
        Err("no reply to AUTHENTICATE".to_owned())
    }

    async fn ended(&mut self, reply: &str, sent: bool) -> Result<Login, String> {
        let word = reply.split(' ').next().unwrap_or_default();
        // A server that says yes before it has seen anything is no better than one that says yes to anything.
        if word.eq_ignore_ascii_case("OK") {
            // Best effort: the login is what counts.
            let _ = self.send("z LOGOUT\r\n").await;
            return Ok(Login::Accepted);
        }
        if (word.eq_ignore_ascii_case("NO") || word.eq_ignore_ascii_case("BAD")) && sent {
            return Ok(Login::Refused(shown(reply)));
        }
        Err(format!("AUTHENTICATE: {}", shown(reply)))
    }

    async fn tagged(&mut self, tag: &str) -> Result<String, String> {
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            if let Some(reply) = line.strip_prefix(tag) {
                return Ok(reply.to_owned());
            }
        }
        Err("no reply".to_owned())
    }

    async fn send(&mut self, text: &str) -> Result<(), String> {
        self.0.write_all(text.as_bytes()).await.map_err(|error| error.to_string())?;
        self.0.flush().await.map_err(|error| error.to_string())
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        (&mut self.0).take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None if line.is_empty() => Err("the server closed the connection".to_owned()),
            None => Err("the server sent something that is no line of IMAP".to_owned()),
        }
    }
}

/// What may be printed of a reply: a short line without control characters.
fn shown(reply: &str) -> String {
    reply.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a client authenticate against these lines of a server, and returns what it sent.
    async fn dialogue(lines: &str) -> (Result<Login, String>, String) {
        let (client, mut server) = tokio::io::duplex(4096);
        server.write_all(lines.as_bytes()).await.unwrap();
        let login = Imap(BufReader::new(client)).authenticate("XOAUTH2", "bWVzc2FnZQ==").await;
        let mut sent = String::new();
        server.read_to_string(&mut sent).await.unwrap();
        (login, sent)
    }

    #[tokio::test]
    async fn a_login_is_what_the_tagged_reply_says() {
        let (login, sent) = dialogue("+ \r\n* CAPABILITY IMAP4rev1\r\na OK Logged in\r\n").await;
        assert_eq!(login, Ok(Login::Accepted));
        assert_eq!(sent, "a AUTHENTICATE XOAUTH2\r\nbWVzc2FnZQ==\r\nz LOGOUT\r\n");
        let (login, sent) = dialogue("+ \r\n+ eyJzdGF0dXMiOiI0MDEifQ==\r\na NO [AUTHENTICATIONFAILED] no\r\n").await;
        assert_eq!(login, Ok(Login::Refused("NO [AUTHENTICATIONFAILED] no".to_owned())));
        assert_eq!(sent, "a AUTHENTICATE XOAUTH2\r\nbWVzc2FnZQ==\r\n\r\n");
    }

    #[tokio::test]
    async fn anything_else_is_no_login_and_no_refusal() {
        for lines in ["", "+ \r\n", "+ \r\na PREAUTH\r\n", "a NO not offered\r\n", "+ \r\na O", "+ \nx\n"] {
            let (client, mut server) = tokio::io::duplex(4096);
            server.write_all(lines.as_bytes()).await.unwrap();
            server.shutdown().await.unwrap();
            let login = Imap(BufReader::new(client)).authenticate("XOAUTH2", "bWVzc2FnZQ==").await;
            assert!(login.is_err(), "{lines:?}: {login:?}");
        }
    }

    #[test]
    fn messages_are_those_of_the_mechanisms() {
        let decode = |text: String| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!(decode(message("XOAUTH2", "a@x.test", "t")), "user=a@x.test\u{1}auth=Bearer t\u{1}\u{1}");
        assert_eq!(decode(message("OAUTHBEARER", "a@x.test", "t")), "n,a=a@x.test,\u{1}auth=Bearer t\u{1}\u{1}");
    }
}
