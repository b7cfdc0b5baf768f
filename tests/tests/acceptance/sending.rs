//! A login and a message at the doors for Postfix over TCP, spoken to as Postfix speaks, and the trust space's list
//! that recipients are held against.
//!
//! Owns a sidecar for each test. Must never be what the servers themselves are tested with.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::doctor_one;
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{DEUX, Stage, UN};

const POSTFIX: &str = r#"
[postfix]
user = "root"
sasl_socket = "sasl"
delegation_socket = "policy"
sasl_listen = "127.0.0.1:0"
delegation_listen = "127.0.0.2:0"
[policy.settings]
submission = { recipient_domains = "trust-space" }
"#;

/// The smtpd that speaks here.
const CPID: u32 = 0x4412;

fn stage() -> Result<Stage> {
    Stage::start(&Settings { more: POSTFIX.to_owned(), ..Settings::default() })
}

/// Where the SASL and the delegation door listen: the log says so, after the door for Dovecot.
fn addresses(sidecar: &Sidecar) -> Result<[SocketAddr; 2]> {
    let lines = sidecar.log();
    let said = lines.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["fields"]["address"].as_str()?.parse().ok()
    });
    let all: Vec<SocketAddr> = said.collect();
    all.last_chunk().copied().context("no addresses in the log")
}

/// A connection that is asked one thing after the other.
struct Peer(TcpStream);

impl Peer {
    async fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self(TcpStream::connect(address).await?))
    }

    /// Sends, and reads up to `end`.
    async fn ask(&mut self, text: &str, end: &str) -> Result<String> {
        self.0.write_all(text.as_bytes()).await?;
        let mut said = Vec::new();
        while !said.ends_with(end.as_bytes()) {
            ensure!(self.0.read_buf(&mut said).await? > 0, "closed after {:?}", String::from_utf8_lossy(&said));
        }
        Ok(String::from_utf8(said)?)
    }
}

/// Logs in as doctor one, on the connection of smtpd `pid`.
async fn log_in(stage: &Stage, pid: u32) -> Result<Peer> {
    let [sasl, _] = addresses(&stage.sidecar)?;
    let mut smtpd = Peer::connect(sasl).await?;
    smtpd.ask("", "DONE\n").await?;
    let token = stage.psc.token(&doctor_one()).mint();
    let message = STANDARD.encode(format!("user={UN}\x01auth=Bearer {token}\x01\x01"));
    let auth = format!("VERSION\t1\t0\nCPID\t{pid}\nAUTH\t1\tXOAUTH2\tservice=smtp\trip=192.0.2.7\tresp={message}\n");
    let said = smtpd.ask(&auth, "\n").await?;
    ensure!(said == format!("OK\t1\tuser={UN}\n"), "{said}");
    Ok(smtpd)
}

/// A question of smtpd `pid` under doctor one's login.
fn question(state: &str, sender: &str, recipient: &str, pid: u32) -> String {
    let instance = if state == "MAIL" { String::new() } else { format!("{pid:x}.6b0654e8.7fe6e.0") };
    format!(
        "request=smtpd_access_policy\nprotocol_state={state}\nclient_address=192.0.2.7\nsender={sender}\n\
         recipient={recipient}\nrecipient_count=1\nsize=4711\ninstance={instance}\nsasl_method=XOAUTH2\n\
         sasl_username={UN}\nencryption_protocol=TLSv1.3\n\n"
    )
}

/// The first word of the action.
async fn action(policy: &mut Peer, question: &str) -> Result<String> {
    let said = policy.ask(question, "\n\n").await?;
    Ok(said.strip_prefix("action=").and_then(|said| said.split_whitespace().next()).context("no action")?.to_owned())
}

fn import(sidecar: &Sidecar, xml: &str, more: &[&str]) -> Result<(bool, String)> {
    let file = sidecar.folder().join("list.xml");
    std::fs::write(&file, xml)?;
    let file = file.display().to_string();
    let output = sidecar.run(&[&["trust-space", "import", &file], more].concat())?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

fn list(domains: &[&str]) -> String {
    let entries: String = domains.iter().map(|name| format!("<Domaine><Nom>{name}</Nom></Domaine>\n")).collect();
    format!(
        "<ListeBlanche xmlns=\"https://listeblanche.mssante.fr/schema\">\
         <DateDeGeneration>2026-11-20</DateDeGeneration>\n{entries}</ListeBlanche>\n"
    )
}

fn status(sidecar: &Sidecar) -> Result<String> {
    Ok(String::from_utf8(sidecar.run(&["status"])?.stdout)?)
}

#[tokio::test]
async fn over_tcp_a_message_is_joined_to_its_login_from_rcpt_on() -> Result<()> {
    let stage = stage()?;
    let (said, _) = import(&stage.sidecar, &list(&["chu.example.test"]), &[])?;
    ensure!(said, "the list is refused");
    let _smtpd = log_in(&stage, CPID).await?;
    let [_, delegation] = addresses(&stage.sidecar)?;
    let mut policy = Peer::connect(delegation).await?;
    for (state, sender, recipient, pid, expected) in [
        // Nobody says yet which smtpd this is.
        ("MAIL", UN, "", CPID, "DEFER_IF_PERMIT"),
        ("RCPT", UN, "confrere@chu.example.test", CPID, "DUNNO"),
        ("RCPT", UN, "confrere@elsewhere.example.test", CPID, "REJECT"),
        ("RCPT", UN, "a%evil.test@chu.example.test", CPID, "REJECT"),
        ("RCPT", DEUX, "confrere@chu.example.test", CPID, "REJECT"),
        ("END-OF-MESSAGE", UN, "confrere@chu.example.test", CPID, "DUNNO"),
        // Another smtpd has no part in it.
        ("RCPT", UN, "confrere@chu.example.test", CPID + 1, "DEFER_IF_PERMIT"),
    ] {
        let said = action(&mut policy, &question(state, sender, recipient, pid)).await?;
        ensure!(said == expected, "{state} {sender} {recipient} {pid}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn messages_leave_records_that_lead_to_their_login_and_name_no_recipient() -> Result<()> {
    let stage = stage()?;
    import(&stage.sidecar, &list(&["patient.example.test"]), &[])?;
    let _smtpd = log_in(&stage, CPID).await?;
    let [_, delegation] = addresses(&stage.sidecar)?;
    let mut policy = Peer::connect(delegation).await?;
    for (state, sender) in [("RCPT", DEUX), ("RCPT", UN), ("END-OF-MESSAGE", UN)] {
        action(&mut policy, &question(state, sender, "147037433100207@patient.example.test", CPID)).await?;
    }
    let records = stage.sidecar.recorded(0, |records| records.len() == 3).await?;
    let [login, refused, sent] = &records[..] else { anyhow::bail!("three records: {records:?}") };
    for (record, outcome, sender) in [(refused, "deny", DEUX), (sent, "allow", UN)] {
        ensure!(record["event"] == "submission" && record["decision"] == login["decision"], "{record}");
        ensure!(record["outcome"] == outcome && record["sender"] == sender && record["mailbox"] == UN, "{record}");
        ensure!(record["identity"] == login["identity"], "{record}");
        ensure!(record["recipient_domain"] == "patient.example.test", "{record}");
    }
    ensure!(!stage.sidecar.trail().contains("147037433100207") && !stage.sidecar.log().contains("147037433100207"));
    Ok(())
}

#[tokio::test]
async fn without_a_list_messages_are_put_off_and_a_bad_one_changes_nothing() -> Result<()> {
    let mut stage = stage()?;
    let _smtpd = log_in(&stage, CPID).await?;
    let [_, delegation] = addresses(&stage.sidecar)?;
    let mut policy = Peer::connect(delegation).await?;
    let to = question("RCPT", UN, "confrere@chu.example.test", CPID);
    ensure!(action(&mut policy, &to).await? == "DEFER_IF_PERMIT");
    ensure!(status(&stage.sidecar)?.contains("no list imported"));
    let bad = list(&["chu.example.test", "no domain"]);
    for broken in [bad.as_str(), "<html/>", &bad[..bad.len() / 2], ""] {
        let (imported, said) = import(&stage.sidecar, broken, &[])?;
        ensure!(!imported && said.contains("nothing imported"), "{said}");
        ensure!(action(&mut policy, &to).await? == "DEFER_IF_PERMIT");
    }
    let (imported, said) = import(&stage.sidecar, &bad, &["--leave-out-invalid"])?;
    ensure!(imported && said.contains("has 1 domains: 1 added, 0 removed, 1 entries left out"), "{said}");
    ensure!(action(&mut policy, &to).await? == "DUNNO");
    let (imported, said) = import(&stage.sidecar, &bad, &[])?;
    ensure!(!imported && said.contains("line 3: "), "{said}");
    ensure!(action(&mut policy, &to).await? == "DUNNO", "the old list stays");
    stage.sidecar.kill()?;
    stage.sidecar.resume()?;
    ensure!(status(&stage.sidecar)?.contains("1 domains, list of 2026-11-20"), "{}", status(&stage.sidecar)?);
    Ok(())
}
