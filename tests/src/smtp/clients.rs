//! Mail clients that nobody here wrote, each brought to the one shape of what it was told.
//!
//! Owns their command lines. Must never put a token into an argument: other users of a machine can read those.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::clients::{run, write_private};
use crate::postfix::Postfix;
use crate::sasl::Credential;

/// What a foreign client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The server's answer to the login, as the client shows it: `235 2.7.0 text`, or as much as it shows.
    pub login: String,
    /// Whether it says that its message was taken.
    pub sent: bool,
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

/// curl over smtps; it takes OAUTHBEARER, the stronger of the two that the server offers.
pub async fn curl(
    server: &Postfix,
    mailbox: &str,
    token: &str,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Seen> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("message");
    fs::write(&file, message.text())?;
    let config = format!(
        "url = \"smtps://localhost:{}/client.example.test\"\nuser = \"{mailbox}:\"\noauth2-bearer = \"{token}\"\n\
         cacert = \"{}\"\nmail-from = \"{}\"\nmail-rcpt = \"{}\"\nupload-file = \"{}\"\n{}",
        server.submissions_port(),
        server.authority_file().display(),
        message.sender,
        message.recipient,
        file.display(),
        if initial_response { "sasl-ir\n" } else { "" }
    );
    let output = run(Command::new("curl").args(["--silent", "--verbose", "--config", "-"]), &config).await?;
    let mut dialogue = output.errors.lines().filter_map(|line| line.strip_prefix("< ")).map(str::trim_end);
    let login = dialogue.find(|line| ["235", "535", "454"].iter().any(|code| line.starts_with(code)));
    let login = login.with_context(|| format!("curl shows no reply (exit {:?})", output.code))?.to_owned();
    Ok(Seen { login, sent: output.code == Some(0) })
}

/// Python's smtplib over smtps.
pub async fn smtplib(
    server: &Postfix,
    credential: &Credential<'_>,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Seen> {
    let (response, dismissal) = credential.decoded();
    let asked = json!({
        "port": server.submissions_port(), "authority": server.authority_file(), "mechanism": credential.mechanism.name(),
        "response": response, "dismissal": dismissal, "initial_response": initial_response,
        "sender": message.sender, "recipient": message.recipient, "message": message.text(),
    });
    let script = include_str!("smtplib.py");
    let output = run(Command::new("python3").args(["-c", script]), &asked.to_string()).await?;
    let seen: Value = serde_json::from_str(&output.text).with_context(|| format!("smtplib: {}", output.errors))?;
    let login = seen.get("login").and_then(Value::as_str).context("no login")?.to_owned();
    Ok(Seen { login, sent: seen.get("sent") == Some(&Value::Bool(true)) })
}

/// msmtp of the server's root, by STARTTLS. It shows the reply to a login that fails, and nothing of one that does not.
pub async fn msmtp(server: &Postfix, credential: &Credential<'_>, message: Message<'_>) -> Result<Seen> {
    let (root, at) = server.seen_from_its_root();
    let folder = tempfile::tempdir_in(server.folder())?;
    let name = folder.path().file_name().and_then(|name| name.to_str()).context("no name")?;
    write_private(&folder.path().join("token"), credential.secret)?;
    let method = credential.mechanism.name().to_lowercase();
    let config = format!(
        "account default\nhost localhost\nport {}\ntls on\ntls_starttls on\ntls_trust_file {at}/etc/authority.pem\n\
         auth {method}\nuser {}\npasswordeval cat {at}/{name}/token\nfrom {}\n",
        server.submission_port(),
        credential.mailbox,
        message.sender
    );
    write_private(&folder.path().join("msmtprc"), &config)?;
    let mut msmtp = Command::new("/usr/sbin/chroot");
    msmtp.arg(root).args(["/usr/bin/msmtp", "-C", &format!("{at}/{name}/msmtprc"), message.recipient]);
    let output = run(&mut msmtp, &message.text().replace("\r\n", "\n")).await?;
    let refused = output.errors.lines().find_map(|line| line.split_once("server message: ")).map(|(_, line)| line);
    let sent = output.code == Some(0);
    ensure!(sent != refused.is_some(), "msmtp ends with {:?}: {}", output.code, output.errors);
    Ok(Seen { login: refused.unwrap_or("235").to_owned(), sent })
}
