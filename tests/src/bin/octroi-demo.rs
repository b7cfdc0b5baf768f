//! `make demo`: logins and a message from end to end, on real servers, and what came of them.
//!
//! Everything listens on loopback, on free ports, in folders of its own; nothing of it is left behind. `KEEP=1` keeps
//! it up and says how to connect a mail client.
#![allow(clippy::print_stdout, reason = "the demo speaks to a person at a terminal")]
#![allow(clippy::disallowed_methods, reason = "real servers are waited for in real time, always with a bound")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use comfy_table::{ContentArrangement, Table, presets};
use octroi_igc::Leaf;
use octroi_psc::{Deviation, Identity, Psc, doctor_one, doctor_two};
use octroi_tests::certificates::{OTHER_STRUCTURE, STRUCTURE, Site};
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::imap::{Credential, Imap, Mechanism, Security};
use octroi_tests::minisign;
use octroi_tests::postfix::{self, Postfix};
use octroi_tests::sidecar::{Settings, Sidecar, program};
use octroi_tests::smtp::Smtp;
use tokio::time::Instant;

const UN: &str = "docteur.un@bal.example.test";
const DEUX: &str = "docteur.deux@bal.example.test";
const SECRETARIAT: &str = "secretariat@bal.example.test";
/// An application's: no token opens it, a certificate of its structure does.
const AUTOMATE: &str = "automate@bal.example.test";

/// The subject of the message from one doctor to the other.
const MESSAGE: &str = "From doctor one";
/// The subject of the message from an application to a doctor.
const BY_CERTIFICATE: &str = "From an application";

/// One thing that is tried on each server.
struct Try {
    what: &'static str,
    mailbox: &'static str,
    mechanism: Mechanism,
    deviation: Option<Deviation>,
    opens: bool,
}

const TRIES: [Try; 5] = [
    Try {
        what: "doctor one opens their mailbox",
        mailbox: UN,
        mechanism: Mechanism::Xoauth2,
        deviation: None,
        opens: true,
    },
    Try {
        what: "doctor one opens the secretariat's",
        mailbox: SECRETARIAT,
        mechanism: Mechanism::Oauthbearer,
        deviation: None,
        opens: true,
    },
    Try {
        what: "the same token, doctor two's mailbox",
        mailbox: DEUX,
        mechanism: Mechanism::Xoauth2,
        deviation: None,
        opens: false,
    },
    Try {
        what: "an expired token",
        mailbox: UN,
        mechanism: Mechanism::Xoauth2,
        deviation: Some(Deviation::Expired),
        opens: false,
    },
    Try {
        what: "a token that is not PSC's",
        mailbox: UN,
        mechanism: Mechanism::Oauthbearer,
        deviation: Some(Deviation::OtherIssuer),
        opens: false,
    },
];

/// One message that is sent, or not.
struct Sending {
    what: &'static str,
    sender: &'static str,
    deviation: Option<Deviation>,
    arrives: bool,
}

const SENDINGS: [Sending; 3] = [
    Sending { what: "doctor one writes to doctor two", sender: UN, deviation: None, arrives: true },
    Sending { what: "the same token, as doctor two", sender: DEUX, deviation: None, arrives: false },
    Sending { what: "an expired token, to send", sender: UN, deviation: Some(Deviation::Expired), arrives: false },
];

/// What a server made of a try.
struct Seen {
    answer: String,
    subject: Option<String>,
    took: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    match show().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("Something answered otherwise than it should: see the table.");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("octroi-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn show() -> Result<bool> {
    step("a stand-in Pro Sante Connect, with TLS");
    let psc = Psc::start_tls().await?;
    step("Postfix (the first time its system is fetched, which takes a minute)");
    let mailboxes = [UN, DEUX, SECRETARIAT, AUTOMATE];
    // A stand-in for IGC-Sante, whose certificates the servers of one root take.
    let site = Site::open(Version::V2_3)?;
    let certificates = Some(site.seen_as());
    let postfix = Postfix::start(&postfix::Setup { certificates, ..postfix::Setup::new(&mailboxes) })?;
    step("the sidecar, with the directory of the stand-in's people");
    let keys = tempfile::tempdir()?;
    let officer = minisign::key_pair(keys.path(), "officer")?;
    let signer = format!("[[policy.signer]]\nname = \"officer\"\nminisign = \"{officer}\"\n");
    let more = format!("{}\n{}\n{signer}", postfix.sidecar_section(), site.sidecar_sections());
    let directory = octroi_psc::directory_csv().replace("aliases\n", "aliases,structures\n");
    let directory = directory.lines().map(with_structure).collect();
    let sidecar =
        Sidecar::start(&psc, &Settings { introspection: "required", more, directory, ..Settings::default() })?;
    let mut servers = Vec::new();
    for version in [Version::V2_3, Version::V2_4] {
        step(&format!("{} (the first time as well)", name(version)));
        let mut setup = Setup::new(version, sidecar.introspection(), sidecar.policy(), &mailboxes);
        // One of the two serves what Postfix delivers.
        setup.mail = (version == Version::V2_3).then(|| postfix.mail());
        setup.certificates = (version == Version::V2_3).then(|| site.seen_as());
        servers.push(Dovecot::start(&setup).with_context(|| name(version))?);
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["tried", "on", "answered", "ms"]);
    let mut as_it_should = true;
    let mut row = |what: &str, on: String, expected: bool, seen: Seen| {
        as_it_should &= seen.subject.is_some() == expected;
        let read = seen.subject.map_or_else(String::new, |subject| format!("\nread: {subject}"));
        let took = format!("{:.0}", seen.took.as_secs_f64() * 1000.0);
        table.add_row([what.to_owned(), on, format!("{}{read}", seen.answer), took]);
    };
    for server in &servers {
        for tried in &TRIES {
            row(tried.what, name(server.version()), tried.opens, login(&psc, server, tried).await?);
        }
    }
    let reader = servers.first().context("no server")?;
    for sending in &SENDINGS {
        row(sending.what, "Postfix".to_owned(), sending.arrives, send(&psc, &postfix, reader, sending).await?);
    }
    site.tell(&reader.configuration()?)?;
    for (what, structure, opens) in [
        ("an application opens its mailbox\nby certificate", STRUCTURE, true),
        ("another structure's certificate", OTHER_STRUCTURE, false),
    ] {
        let leaf = enrolled(&site, &sidecar, structure)?;
        row(what, name(reader.version()), opens, open_by_certificate(reader, &leaf).await?);
        let what = what.replace("opens its mailbox", "writes to doctor two");
        row(&what, "Postfix".to_owned(), opens, send_by_certificate(&psc, &postfix, reader, &leaf).await?);
    }
    println!("\n{table}\n");
    println!("The sidecar's own view (octroi status):\n");
    println!("{}", String::from_utf8_lossy(&sidecar.run(&["status"])?.stdout));
    if std::env::var_os("KEEP").is_some_and(|keep| keep == "1") {
        println!(
            "The sidecar: alias octroi='{} --config {}'",
            program("octroi").display(),
            sidecar.configuration_file().display()
        );
        println!("Releases of its policy are signed with {}", keys.path().join("officer.key").display());
        keep(&psc, &servers, &postfix).await?;
    }
    Ok(as_it_should)
}

async fn login(psc: &Psc, server: &Dovecot, tried: &Try) -> Result<Seen> {
    let token = token(psc, tried.deviation)?;
    let mut imap = Imap::connect(server, Security::Implicit).await?;
    let credential = Credential { mechanism: tried.mechanism, mailbox: tried.mailbox, secret: &token };
    let reply = imap.authenticate(&credential, true).await?;
    let (answer, took) = (reply.line(), reply.elapsed);
    if !reply.accepted() {
        return Ok(Seen { answer, subject: None, took });
    }
    let subject = imap.first_subject().await?;
    imap.logout().await?;
    // The greeting after a login is a list of capabilities, which nobody reads.
    Ok(Seen { answer: "OK, logged in".to_owned(), subject: Some(subject), took })
}

/// A line of the directory with the structure of the application's mailbox.
fn with_structure(line: &str) -> String {
    match line.split(',').next() {
        Some("address") => format!("{line}\n"),
        Some(AUTOMATE) => format!("{line},{STRUCTURE}\n"),
        _ => format!("{line},\n"),
    }
}

/// A certificate of a structure, enrolled.
fn enrolled(site: &Site, sidecar: &Sidecar, structure: &str) -> Result<Leaf> {
    let leaf = site.igc.organisation(&[structure], "STRUCTURE DE TEST", "Logiciel")?;
    let (file, _) = site.files(&leaf, structure)?;
    std::fs::write(&file, &leaf.certificate_pem)?;
    let output = sidecar.run(&["certificate", "import", &file.display().to_string()])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(leaf)
}

async fn open_by_certificate(server: &Dovecot, leaf: &Leaf) -> Result<Seen> {
    let mut imap = Imap::connect_with_certificate(server, Some(leaf)).await?;
    let reply = imap.authenticate(&Credential::external(AUTOMATE), true).await?;
    let (answer, took) = (reply.line(), reply.elapsed);
    if !reply.accepted() {
        return Ok(Seen { answer, subject: None, took });
    }
    let subject = imap.first_subject().await?;
    imap.logout().await?;
    Ok(Seen { answer: "OK, logged in".to_owned(), subject: Some(subject), took })
}

/// The application sends to doctor two, who reads what has arrived over IMAP.
async fn send_by_certificate(psc: &Psc, postfix: &Postfix, reader: &Dovecot, leaf: &Leaf) -> Result<Seen> {
    let begun = Instant::now();
    let mut smtp = Smtp::greeted_with_certificate(postfix.certificates_port(), postfix.pki(), Some(leaf)).await?;
    let mut reply = smtp.authenticate(&Credential::external(AUTOMATE), true).await?;
    if reply.accepted() {
        reply = smtp.submit(AUTOMATE, &[DEUX], BY_CERTIFICATE).await?;
    }
    let (answer, took) = (reply.line().replace(": ", ":\n"), begun.elapsed());
    smtp.quit().await?;
    let subject = if reply.accepted() { Some(arrived(psc, reader, BY_CERTIFICATE).await?) } else { None };
    Ok(Seen { answer, subject, took })
}

/// Doctor one logs in over SMTP and sends to doctor two, who reads what has arrived over IMAP.
async fn send(psc: &Psc, postfix: &Postfix, reader: &Dovecot, sending: &Sending) -> Result<Seen> {
    let token = token(psc, sending.deviation)?;
    let begun = Instant::now();
    let mut smtp = Smtp::connect(postfix, Security::StartTls).await?;
    let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: UN, secret: &token };
    let mut reply = smtp.authenticate(&credential, true).await?;
    if reply.accepted() {
        reply = smtp.submit(sending.sender, &[DEUX], MESSAGE).await?;
    }
    // Long lines, each with its cause last.
    let (answer, took) = (reply.line().replace(": ", ":\n"), begun.elapsed());
    smtp.quit().await?;
    let subject = if reply.accepted() { Some(arrived(psc, reader, MESSAGE).await?) } else { None };
    Ok(Seen { answer, subject, took })
}

/// The subject of the message in doctor two's mailbox, once it is there.
async fn arrived(psc: &Psc, reader: &Dovecot, message: &str) -> Result<String> {
    let token = psc.token(&doctor_two()).mint();
    let mut imap = Imap::connect(reader, Security::Implicit).await?;
    let credential = Credential { mechanism: Mechanism::Xoauth2, mailbox: DEUX, secret: &token };
    ensure!(imap.authenticate(&credential, true).await?.accepted(), "{}", imap.transcript());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !imap.subjects().await?.iter().any(|subject| subject == message) {
        ensure!(Instant::now() < deadline, "the message does not arrive");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    imap.logout().await?;
    Ok(message.to_owned())
}

/// A token of doctor one.
fn token(psc: &Psc, deviation: Option<Deviation>) -> Result<String> {
    let token = psc.token(&doctor_one());
    Ok(match deviation {
        Some(deviation) => token.deviate(deviation)?.mint(),
        None => token.mint(),
    })
}

async fn keep(psc: &Psc, servers: &[Dovecot], postfix: &Postfix) -> Result<()> {
    for server in servers {
        println!(
            "{}: IMAPS 127.0.0.1:{}, STARTTLS 127.0.0.1:{}, trust {}",
            name(server.version()),
            server.imaps_port(),
            server.imap_port(),
            server.authority_file().display()
        );
    }
    println!(
        "Postfix: submissions 127.0.0.1:{}, STARTTLS 127.0.0.1:{}, trust {}",
        postfix.submissions_port(),
        postfix.submission_port(),
        postfix.authority_file().display()
    );
    println!("Provider: {} (client {}, PKCE)", psc.issuer(), octroi_psc::PUBLIC_CLIENT);
    println!("A token of doctor one for {UN}, good for two minutes:\n\n{}\n", fresh(psc, &doctor_one()));
    println!("Ctrl-C ends everything.");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn fresh(psc: &Psc, identity: &Identity) -> String {
    psc.token(identity).mint()
}

fn step(what: &str) {
    println!("- {what}");
}

fn name(version: Version) -> String {
    match version {
        Version::V2_3 => "Dovecot 2.3",
        Version::V2_4 => "Dovecot 2.4",
    }
    .to_owned()
}
