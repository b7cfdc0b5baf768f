//! Mail clients that nobody here wrote, each brought to the one shape of what it was told.
//!
//! Owns their command lines. Must never put a token into an argument: other users of a machine can read those. swaks is
//! not among them: that of Debian 13 (20240103) knows neither XOAUTH2 nor OAUTHBEARER.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::clients::{run, write_private};
use crate::exim::Exim;
use crate::imap::Security;
use crate::postfix::Postfix;
use crate::sasl::Credential;
use crate::servers::{Suite, root};

/// A server as its clients know it.
#[derive(Clone, Debug)]
pub struct Server {
    submission_port: u16,
    submissions_port: u16,
    authority: PathBuf,
    /// The way in of curl and smtplib; msmtp takes STARTTLS.
    security: Security,
    /// Where msmtp is installed.
    suite: Suite,
}

impl From<&Postfix> for Server {
    fn from(server: &Postfix) -> Self {
        Self {
            submission_port: server.submission_port(),
            submissions_port: server.submissions_port(),
            authority: server.authority_file(),
            security: Security::Implicit,
            suite: Suite::Bookworm,
        }
    }
}

impl From<&Exim> for Server {
    fn from(server: &Exim) -> Self {
        Self {
            submission_port: server.submission_port(),
            submissions_port: server.submissions_port(),
            authority: server.authority_file(),
            security: Security::StartTls,
            suite: Suite::Trixie,
        }
    }
}

impl Server {
    /// A Postfix's port that asks for certificates.
    pub fn for_certificates(server: &Postfix) -> Self {
        Self { submissions_port: server.certificates_port(), ..Self::from(server) }
    }
}

/// What a foreign client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The server's answer to the login, as the client shows it: `235 2.7.0 text`.
    pub login: String,
    /// Whether it says that its message was taken.
    pub sent: bool,
    /// Whatever else it shows of what the server said.
    pub shown: String,
}

impl Seen {
    /// From the server's lines.
    fn of<'l>(lines: impl Iterator<Item = &'l str> + Clone, code: Option<i32>) -> Result<Self> {
        let answers = |line: &&str| ["235", "435", "454", "535"].iter().any(|code| line.starts_with(code));
        let login = lines.clone().find(answers).with_context(|| format!("no reply is shown (exit {code:?})"))?;
        Ok(Self { login: login.to_owned(), sent: code == Some(0), shown: lines.collect::<Vec<_>>().join("\n") })
    }
}

/// A message and who sends it to whom.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Envelope sender, and `From`.
    pub sender: &'a str,
    /// Envelope recipient.
    pub recipient: &'a str,
    /// Its subject.
    pub subject: &'a str,
}

impl Message<'_> {
    fn text(&self) -> String {
        format!("From: <{}>\r\nTo: <{}>\r\nSubject: {}\r\n\r\nBonjour.\r\n", self.sender, self.recipient, self.subject)
    }
}

/// curl; it takes OAUTHBEARER, the stronger of the two that the server offers.
pub async fn curl(
    server: &Server,
    mailbox: &str,
    token: &str,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Seen> {
    let login = format!("user = \"{mailbox}:\"\noauth2-bearer = \"{token}\"\n");
    curl_as(server, &login, initial_response, message).await
}

/// The same by a certificate: PEM files of it and of its key.
pub async fn curl_with_certificate(
    server: &Server,
    (certificate, key): &(PathBuf, PathBuf),
    mailbox: &str,
    message: Message<'_>,
) -> Result<Seen> {
    let login = format!(
        "user = \"{mailbox}:\"\nlogin-options = \"AUTH=EXTERNAL\"\ncert = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    curl_as(server, &login, true, message).await
}

async fn curl_as(server: &Server, login: &str, initial_response: bool, message: Message<'_>) -> Result<Seen> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("message");
    fs::write(&file, message.text())?;
    let (scheme, port, encrypted) = match server.security {
        Security::Implicit => ("smtps", server.submissions_port, ""),
        Security::StartTls => ("smtp", server.submission_port, "ssl-reqd\n"),
    };
    let config = format!(
        "url = \"{scheme}://localhost:{port}/client.example.test\"\n{login}cacert = \"{}\"\nmail-from = \"{}\"\nmail-rcpt = \"{}\"\nupload-file = \"{}\"\n{encrypted}{}",
        server.authority.display(),
        message.sender,
        message.recipient,
        file.display(),
        if initial_response { "sasl-ir\n" } else { "" }
    );
    let output = run(Command::new("curl").args(["--silent", "--verbose", "--config", "-"]), &config).await?;
    Seen::of(output.errors.lines().filter_map(|line| line.strip_prefix("< ")).map(str::trim_end), output.code)
}

/// Python's smtplib.
pub async fn smtplib(
    server: &Server,
    credential: &Credential<'_>,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Seen> {
    smtplib_as(server, credential, initial_response, message, json!({})).await
}

/// The same by a certificate: PEM files of it and of its key.
pub async fn smtplib_with_certificate(
    server: &Server,
    (certificate, key): &(PathBuf, PathBuf),
    mailbox: &str,
    message: Message<'_>,
) -> Result<Seen> {
    let shown = json!({ "certificate": certificate, "key": key });
    smtplib_as(server, &Credential::external(mailbox), true, message, shown).await
}

async fn smtplib_as(
    server: &Server,
    credential: &Credential<'_>,
    initial_response: bool,
    message: Message<'_>,
    more: Value,
) -> Result<Seen> {
    let (response, dismissal) = credential.decoded();
    let (port, implicit) = match server.security {
        Security::Implicit => (server.submissions_port, true),
        Security::StartTls => (server.submission_port, false),
    };
    let mut asked = json!({
        "port": port, "implicit": implicit, "authority": server.authority, "mechanism": credential.mechanism.name(),
        "response": response, "dismissal": dismissal, "initial_response": initial_response,
        "sender": message.sender, "recipient": message.recipient, "message": message.text(),
    });
    if let (Some(asked), Value::Object(more)) = (asked.as_object_mut(), more) {
        asked.extend(more);
    }
    let script = include_str!("smtplib.py");
    let output = run(Command::new("python3").args(["-c", script]), &asked.to_string()).await?;
    let seen: Value = serde_json::from_str(&output.text).with_context(|| format!("smtplib: {}", output.errors))?;
    let text = |name: &str| seen.get(name).and_then(Value::as_str).map(str::to_owned).context("not said");
    Ok(Seen { login: text("login")?, sent: seen.get("sent") == Some(&Value::Bool(true)), shown: text("shown")? })
}

/// msmtp of the server's root, by STARTTLS.
pub async fn msmtp(server: &Server, credential: &Credential<'_>, message: Message<'_>) -> Result<Seen> {
    let root = root(server.suite)?;
    let folder = tempfile::Builder::new().prefix("msmtp-").tempdir_in(root.join("octroi"))?;
    let seen_as = format!("/{}", folder.path().strip_prefix(&root)?.display());
    fs::copy(&server.authority, folder.path().join("authority.pem"))?;
    write_private(&folder.path().join("token"), credential.secret)?;
    let config = format!(
        "account default\nhost localhost\nport {}\ntls on\ntls_starttls on\ntls_trust_file {seen_as}/authority.pem\n\
         auth {}\nuser {}\npasswordeval cat {seen_as}/token\nfrom {}\n",
        server.submission_port,
        credential.mechanism.name().to_lowercase(),
        credential.mailbox,
        message.sender
    );
    write_private(&folder.path().join("msmtprc"), &config)?;
    let mut msmtp = Command::new("/usr/sbin/chroot");
    msmtp.arg(&root).args(["/usr/bin/msmtp", "--debug", "-C", &format!("{seen_as}/msmtprc"), message.recipient]);
    let output = run(&mut msmtp, &message.text().replace("\r\n", "\n")).await?;
    let lines = output.text.lines().filter_map(|line| line.strip_prefix("<-- ")).map(str::trim_end);
    Seen::of(lines, output.code).with_context(|| format!("msmtp: {}", output.errors))
}
