//! Mail clients that nobody here wrote, sending through Exim.
//!
//! Owns their command lines. Must never put a token into an argument: other users of a machine can read those. swaks is not
//! among them: that of Debian 13 (20240103) knows neither XOAUTH2 nor OAUTHBEARER.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::process::Command;

use super::Exim;
use crate::clients::{run, write_private};
use crate::sasl::{Credential, Mechanism};
use crate::servers::{Suite, root};

/// One message to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Envelope sender.
    pub from: &'a str,
    /// The one recipient.
    pub to: &'a str,
    /// Its subject.
    pub subject: &'a str,
}

impl Message<'_> {
    fn text(&self) -> String {
        format!("From: <{}>\nTo: <{}>\nSubject: {}\n\nBonjour.\n", self.from, self.to, self.subject)
    }
}

/// How it went.
#[derive(Debug)]
pub struct Sent {
    /// The client says that the message was taken.
    pub taken: bool,
    /// All that it shows.
    pub shown: String,
}

/// curl by STARTTLS; it takes OAUTHBEARER, the stronger of the two that the server offers.
pub async fn curl(
    server: &Exim,
    mailbox: &str,
    token: &str,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Sent> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("message");
    fs::write(&file, message.text().replace('\n', "\r\n"))?;
    let config = format!(
        "url = \"smtp://127.0.0.1:{}/client.example.test\"\nssl-reqd\nuser = \"{mailbox}:\"\noauth2-bearer = \"{token}\"\n\
         cacert = \"{}\"\nmail-from = \"{}\"\nmail-rcpt = \"{}\"\nupload-file = \"{}\"\n{}",
        server.submission_port(),
        server.authority_file().display(),
        message.from,
        message.to,
        file.display(),
        if initial_response { "sasl-ir\n" } else { "" }
    );
    let output = run(Command::new("curl").args(["--silent", "--verbose", "--config", "-"]), &config).await?;
    let shown = output.errors.lines().filter_map(|line| line.strip_prefix("< ")).collect::<Vec<_>>().join("\n");
    Ok(Sent { taken: output.code == Some(0), shown })
}

/// Python's smtplib by STARTTLS.
pub async fn smtplib(
    server: &Exim,
    credential: &Credential<'_>,
    initial_response: bool,
    message: Message<'_>,
) -> Result<Sent> {
    let (response, dismissal) = credential.decoded();
    let asked = json!({
        "port": server.submission_port(), "authority": server.authority_file(), "mechanism": credential.mechanism.name(),
        "response": response, "dismissal": dismissal, "initial_response": initial_response, "from": message.from,
        "to": message.to, "text": message.text(),
    });
    let script = include_str!("smtplib.py");
    let output = run(Command::new("python3").args(["-c", script]), &asked.to_string()).await?;
    Ok(Sent { taken: output.code == Some(0), shown: output.text + &output.errors })
}

/// msmtp of the Debian 13 root by STARTTLS.
pub async fn msmtp(server: &Exim, credential: &Credential<'_>, message: Message<'_>) -> Result<Sent> {
    let root = root(Suite::Trixie)?;
    let folder = tempfile::Builder::new().prefix("msmtp-").tempdir_in(root.join("octroi"))?;
    let seen_as = format!("/{}", folder.path().strip_prefix(&root)?.display());
    fs::copy(server.authority_file(), folder.path().join("authority.pem"))?;
    write_private(&folder.path().join("token"), credential.secret)?;
    let method = match credential.mechanism {
        Mechanism::Xoauth2 => "xoauth2",
        Mechanism::Oauthbearer => "oauthbearer",
        Mechanism::Plain => "plain",
    };
    let config = format!(
        "account a\nhost localhost\nport {}\ntls on\ntls_starttls on\ntls_trust_file {seen_as}/authority.pem\nauth {method}\n\
         user {}\npasswordeval cat {seen_as}/token\nfrom {}\n",
        server.submission_port(),
        credential.mailbox,
        message.from
    );
    write_private(&folder.path().join("msmtprc"), &config)?;
    let mut command = Command::new("/usr/sbin/chroot");
    command
        .arg(&root)
        .args(["/usr/bin/msmtp", "--debug", "-C"])
        .arg(format!("{seen_as}/msmtprc"))
        .args(["-a", "a", "--", message.to]);
    let output = run(&mut command, &message.text()).await.context("msmtp")?;
    let shown: Vec<_> = output.text.lines().filter(|line| line.starts_with("<--")).collect();
    Ok(Sent { taken: output.code == Some(0), shown: shown.join("\n") + &output.errors })
}
