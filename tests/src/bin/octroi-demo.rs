//! `make demo`: a login from end to end, on real servers, and what came of it.
//!
//! Everything listens on loopback, on free ports, in folders of its own; nothing of it is left behind. `KEEP=1` keeps
//! it up and says how to connect a mail client.
#![allow(clippy::print_stdout, reason = "the demo speaks to a person at a terminal")]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::{ContentArrangement, Table, presets};
use octroi_psc::{Deviation, Identity, Psc, doctor_one};
use octroi_tests::dovecot::{Dovecot, Setup, Version};
use octroi_tests::imap::{Credential, Imap, Mechanism, Security};
use octroi_tests::sidecar::{Settings, Sidecar};

const UN: &str = "docteur.un@bal.example.test";
const DEUX: &str = "docteur.deux@bal.example.test";
const SECRETARIAT: &str = "secretariat@bal.example.test";

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
    step("the sidecar, with the directory of the stand-in's people");
    let sidecar = Sidecar::start(&psc, &Settings { introspection: "required", ..Settings::default() })?;
    let mut servers = Vec::new();
    for version in [Version::V2_3, Version::V2_4] {
        step(&format!("{} (the first time it is fetched, which takes a minute)", name(version)));
        let setup = Setup::new(version, sidecar.introspection(), sidecar.policy(), &[UN, DEUX, SECRETARIAT]);
        servers.push(Dovecot::start(&setup).with_context(|| name(version))?);
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["tried", "on", "answered", "ms"]);
    let mut as_it_should = true;
    for server in &servers {
        for tried in &TRIES {
            let seen = login(&psc, server, tried).await?;
            as_it_should &= seen.subject.is_some() == tried.opens;
            let read = seen.subject.map_or_else(String::new, |subject| format!("\nread: {subject}"));
            let took = format!("{:.0}", seen.took.as_secs_f64() * 1000.0);
            table.add_row([tried.what.to_owned(), name(server.version()), format!("{}{read}", seen.answer), took]);
        }
    }
    println!("\n{table}\n");
    println!("The sidecar's own view (octroi status):\n");
    println!("{}", String::from_utf8_lossy(&sidecar.run(&["status"])?.stdout));
    if std::env::var_os("KEEP").is_some_and(|keep| keep == "1") {
        keep(&psc, &servers).await?;
    }
    Ok(as_it_should)
}

async fn login(psc: &Psc, server: &Dovecot, tried: &Try) -> Result<Seen> {
    let token = psc.token(&doctor_one());
    let token = match tried.deviation {
        Some(deviation) => token.deviate(deviation)?.mint(),
        None => token.mint(),
    };
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

async fn keep(psc: &Psc, servers: &[Dovecot]) -> Result<()> {
    for server in servers {
        println!(
            "{}: IMAPS 127.0.0.1:{}, STARTTLS 127.0.0.1:{}, trust {}",
            name(server.version()),
            server.imaps_port(),
            server.imap_port(),
            server.authority_file().display()
        );
    }
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
