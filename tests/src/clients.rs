//! Mail clients that nobody here wrote, each brought to the one shape of a reply.
//!
//! Owns their command lines. Must never put a token into an argument: other users of a machine can read those.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::Instant;

use crate::dovecot::Dovecot;
use crate::imap::{Credential, Mechanism, Reply, Status};

/// Longer than any server waits before it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a foreign client saw.
#[derive(Debug)]
pub struct Seen {
    /// The server's answer to the login, as much of it as the client shows.
    pub reply: Reply,
    /// The subject of the first message; empty where it got none.
    pub subject: String,
}

/// curl over imaps; it takes OAUTHBEARER, the stronger of the two that the server offers.
pub async fn curl(server: &Dovecot, mailbox: &str, token: &str, initial_response: bool) -> Result<Seen> {
    let login = format!("user = \"{mailbox}:\"\noauth2-bearer = \"{token}\"\n");
    curl_at(server, Ipv4Addr::LOCALHOST, &login, initial_response).await
}

/// The same by a certificate (PEM files of it and of its key), at the address where the server asks for one.
pub async fn curl_with_certificate(
    server: &Dovecot,
    address: Ipv4Addr,
    (certificate, key): &(PathBuf, PathBuf),
    mailbox: &str,
    initial_response: bool,
) -> Result<Seen> {
    let login = format!(
        "user = \"{mailbox}:\"\nlogin-options = \"AUTH=EXTERNAL\"\ncert = \"{}\"\nkey = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    curl_at(server, address, &login, initial_response).await
}

async fn curl_at(server: &Dovecot, address: Ipv4Addr, login: &str, initial_response: bool) -> Result<Seen> {
    let started = Instant::now();
    let port = server.imaps_port();
    // The server's certificate names 127.0.0.1, whatever address it is reached at.
    let config = format!(
        "url = \"imaps://127.0.0.1:{port}/INBOX;MAILINDEX=1\"\nconnect-to = \"127.0.0.1:{port}:{address}:{port}\"\n\
         {login}cacert = \"{}\"\n{}",
        server.authority_file().display(),
        if initial_response { "sasl-ir\n" } else { "" }
    );
    let output = run(Command::new("curl").args(["--silent", "--verbose", "--config", "-"]), &config).await?;
    let dialogue: Vec<_> =
        output.errors.lines().filter_map(|line| line.strip_prefix("< ")).map(str::trim_end).collect();
    let challenge = dialogue.iter().filter_map(|line| line.strip_prefix("+ ")).collect::<String>();
    let challenge = String::from_utf8(STANDARD.decode(challenge)?)?;
    // The reply to AUTHENTICATE is the tagged one that follows the capabilities.
    let tagged = |line: &&&str| line.starts_with('A') && !line.contains("Pre-login capabilities");
    let reply = match dialogue.iter().find(tagged) {
        Some(line) => Reply::parse(line.split_once(' ').context("a tag alone")?.1, challenge, started.elapsed())?,
        None => bail!("curl shows no reply (exit {:?})", output.code),
    };
    ensure!(reply.accepted() == (output.code == Some(0)), "curl ends with {:?} after {}", output.code, reply.line());
    Ok(Seen { reply, subject: subject_in(&output.text) })
}

/// Python's imaplib over imaps; it never sends an initial response.
pub async fn imaplib(server: &Dovecot, credential: &Credential<'_>) -> Result<Seen> {
    imaplib_at(server, credential, json!({})).await
}

/// The same by a certificate (PEM files of it and of its key), at the address where the server asks for one.
pub async fn imaplib_with_certificate(
    server: &Dovecot,
    address: Ipv4Addr,
    (certificate, key): &(PathBuf, PathBuf),
    mailbox: &str,
) -> Result<Seen> {
    let shown = json!({ "address": address, "certificate": certificate, "key": key });
    imaplib_at(server, &Credential::external(mailbox), shown).await
}

async fn imaplib_at(server: &Dovecot, credential: &Credential<'_>, more: Value) -> Result<Seen> {
    let started = Instant::now();
    let (response, dismissal) = credential.decoded();
    let mut asked = json!({
        "port": server.imaps_port(), "authority": server.authority_file(), "mechanism": credential.mechanism.name(),
        "response": response, "dismissal": dismissal, "address": "127.0.0.1",
    });
    if let (Some(asked), Value::Object(more)) = (asked.as_object_mut(), more) {
        asked.extend(more);
    }
    let script = include_str!("clients/imaplib.py");
    let output = run(Command::new("python3").args(["-c", script]), &asked.to_string()).await?;
    let seen: Value = serde_json::from_str(&output.text).with_context(|| format!("imaplib: {}", output.errors))?;
    let text = |key: &str| seen.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reply = match text("status").as_str() {
        "OK" => Reply::parse("OK done", text("challenge"), started.elapsed())?,
        "NO" => Reply::parse(&format!("NO {}", text("text")), text("challenge"), started.elapsed())?,
        _ => Reply {
            status: Status::Closed,
            code: None,
            text: text("text"),
            challenge: text("challenge"),
            elapsed: started.elapsed(),
        },
    };
    Ok(Seen { reply, subject: text("subject") })
}

/// mbsync over imaps, with XOAUTH2 by the Cyrus SASL plugin of KDE (package
/// libsasl2-modules-kdexoauth2): fetches the whole mailbox.
pub async fn mbsync(server: &Dovecot, mailbox: &str, token: &str) -> Result<Seen> {
    let started = Instant::now();
    let folder = tempfile::tempdir()?;
    let at = folder.path().display();
    write_private(&folder.path().join("token"), token)?;
    let config = format!(
        "IMAPAccount a\nHost localhost\nPort {}\nUser {mailbox}\nPassCmd \"cat {at}/token\"\nSSLType IMAPS\nCertificateFile {}\nAuthMechs {}\n\n\
         IMAPStore far\nAccount a\n\nMaildirStore near\nPath {at}/\nInbox {at}/INBOX\n\n\
         Channel c\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSyncState *\n",
        server.imaps_port(),
        server.authority_file().display(),
        Mechanism::Xoauth2.name(),
    );
    fs::write(folder.path().join("mbsyncrc"), config)?;
    let output = run(Command::new("mbsync").arg("-c").arg(folder.path().join("mbsyncrc")).arg("c"), "").await?;
    let shown = format!("{}{}", output.text, output.errors);
    let refused = shown.lines().find_map(|line| line.split_once("returned an error: ")).map(|(_, line)| line);
    let reply = match (output.code, refused) {
        (Some(0), None) => Reply::parse("OK done", String::new(), started.elapsed())?,
        (Some(code), Some(line)) if code != 0 => Reply::parse(line, String::new(), started.elapsed())?,
        _ => bail!("mbsync ends with {:?}: {shown}", output.code),
    };
    Ok(Seen { reply, subject: subject_in(&first_message(&folder.path().join("INBOX")).unwrap_or_default()) })
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn first_message(inbox: &Path) -> Option<String> {
    let mut files = ["new", "cur"].iter().filter_map(|name| fs::read_dir(inbox.join(name)).ok()).flatten();
    fs::read_to_string(files.next()?.ok()?.path()).ok()
}

fn subject_in(message: &str) -> String {
    message.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().trim_end().to_owned()
}

pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
    pub(crate) errors: String,
}

pub(crate) async fn run(command: &mut Command, input: &str) -> Result<Output> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let name = piped.as_std().get_program().to_owned();
    let mut child = piped.spawn().with_context(|| format!("{} is not installed", name.display()))?;
    let mut stdin = child.stdin.take().context("piped")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.context("the client hangs")??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { code: output.status.code(), text: text(&output.stdout), errors: text(&output.stderr) })
}
