//! `octroi check` on the settings of a real Postfix, as its own `postconf` prints them.
//!
//! Each row is what a careless site did to files that were right; nothing else may be told but its mistake.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use octroi_tests::dovecot::edit;
use octroi_tests::postfix::{Postfix, Setup};
use octroi_tests::sidecar::Settings;

use crate::check::{Finding, check, configuration, mistake};
use crate::stage::{Stage, UN};

struct Site {
    stage: Stage,
    postfix: Postfix,
    with_certificates: bool,
}

/// The service for certificates, as the shipped file has it.
const CERTIFICATES: &str = "10465";

fn own_site() -> Result<Site> {
    site_with(&Setup::new(&[UN]))
}

fn site_with(setup: &Setup) -> Result<Site> {
    let postfix = Postfix::start(setup)?;
    let more = postfix.sidecar_section();
    Ok(Site {
        stage: Stage::start(&Settings { more, ..Settings::default() })?,
        postfix,
        with_certificates: setup.certificates.is_some(),
    })
}

fn site() -> &'static Site {
    static SHARED: LazyLock<Site> = LazyLock::new(|| own_site().unwrap());
    &SHARED
}

/// What was done to the files.
enum Done {
    /// This line comes after Octroi's in main.cf.
    Main(&'static str),
    /// One text of master.cf was replaced by another one, for port 465.
    Edited(&'static str, &'static str),
    /// This service was added to master.cf.
    Service(&'static str),
}
use Done::{Edited, Main, Service};

const ONLY_THERE: &str = "take the delegation out of main.cf: it belongs to the submission services of master.cf";
const NO_AUTH: &str = "set smtpd_sasl_auth_enable = no in main.cf, and leave AUTH to the submission services";
const SHRED: &str = "take it out, and shred the logs written meanwhile: they hold tokens";

/// What was done, what is told, and the remedy.
const ROWS: &[(Done, &str, &str)] = &[
    (
        Main("smtpd_recipient_restrictions = $octroi_delegation"),
        "smtp/inet: smtpd_recipient_restrictions asks Octroi where nobody logs in through it: every message is refused",
        ONLY_THERE,
    ),
    (
        Main("smtpd_sasl_auth_enable = yes"),
        "smtp/inet: AUTH where other operators deliver: its messages meet no question",
        NO_AUTH,
    ),
    (Main("debug_peer_list = 192.0.2.7"), "debug_peer_list = 192.0.2.7 writes whole dialogues into the log", SHRED),
    (
        Edited("  -o smtpd_sender_restrictions=$octroi_delegation", "  -o smtpd_sender_restrictions="),
        "submissions/inet: smtpd_sender_restrictions does not ask Octroi: whose address the sender is, is not asked",
        "set smtpd_sender_restrictions = $octroi_delegation there, as integrations/postfix does",
    ),
    (
        Edited(
            "  -o smtpd_recipient_restrictions=$octroi_delegation",
            "  -o smtpd_recipient_restrictions=permit_mynetworks,$octroi_delegation",
        ),
        "submissions/inet: permit_mynetworks before the delegation in smtpd_recipient_restrictions: it sends unasked",
        "take permit_mynetworks out, or put it after the delegation",
    ),
    (
        Edited(
            "  -o smtpd_data_restrictions=$octroi_delegation",
            "  -o { smtpd_data_restrictions = check_policy_service { unix:octroi/policy, default_action=DUNNO } }",
        ),
        "submissions/inet: default_action = DUNNO in smtpd_data_restrictions: an outage of the sidecar sends anything",
        "set default_action = 451 4.3.5 ..., as octroi_delegation of main.cf does",
    ),
    (
        Edited("=permit_sasl_authenticated,reject", "=permit_mynetworks,permit_sasl_authenticated,reject"),
        "submissions/inet: permit_mynetworks in smtpd_relay_restrictions: it sends without a login",
        "set smtpd_relay_restrictions = permit_sasl_authenticated,reject there",
    ),
    (
        Edited("  -o smtpd_delay_reject=no", "  -o smtpd_delay_reject=yes"),
        "submissions/inet: smtpd_delay_reject is not no: the sidecar is not told of a new client in time",
        "set smtpd_delay_reject = no there, as integrations/postfix does",
    ),
    (
        Edited("  -o line_length_limit=12288", "  -o line_length_limit=2048"),
        "submissions/inet: line_length_limit = 2048: the largest token needs 8552",
        "set line_length_limit = 12288 there",
    ),
    (
        Edited("_mandatory_protocols=>=TLSv1.2", "_mandatory_protocols=>=TLSv1"),
        "submissions/inet: smtpd_tls_mandatory_protocols = >=TLSv1 lets TLS older than 1.2 in",
        "set smtpd_tls_mandatory_protocols = >=TLSv1.2 there",
    ),
    (
        Edited("  -o smtpd_tls_auth_only=yes", "  -o smtpd_tls_auth_only=no"),
        "submissions/inet: smtpd_tls_auth_only is not yes: tokens may go in clear",
        "set smtpd_tls_auth_only = yes there",
    ),
    (
        Edited("tls_security_options=noanonymous", "tls_security_options=noanonymous,noplaintext"),
        "submissions/inet: smtpd_sasl_tls_security_options = noanonymous,noplaintext hides XOAUTH2 and OAUTHBEARER",
        "set smtpd_sasl_tls_security_options = noanonymous there",
    ),
    (Service("10025 inet n - y - - smtpd -v"), "10025/inet: smtpd -v writes whole dialogues into the log", SHRED),
];

/// The server's folder as an operator has it, under its services' own names.
fn copy(postfix: &Postfix, folder: &str) -> Result<std::path::PathBuf> {
    let (good, bad) = (postfix.folder().join("etc"), postfix.folder().join(folder));
    fs::create_dir_all(&bad)?;
    for file in fs::read_dir(&good)? {
        let file = file?.path();
        fs::copy(&file, bad.join(file.file_name().context("a name")?))?;
    }
    let ports = [
        (postfix.smtp_port(), "smtp"),
        (postfix.submission_port(), "submission"),
        (postfix.submissions_port(), "submissions"),
        (postfix.certificates_port(), CERTIFICATES),
    ];
    let master = bad.join("master.cf");
    let text = fs::read_to_string(&master)?;
    let lines = text.lines().map(|line| {
        let (name, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
        let port = name.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let known = ports.iter().find(|(known, _)| Some(*known) == port);
        known.map_or_else(|| line.to_owned(), |(_, name)| format!("{name}{rest}"))
    });
    fs::write(&master, lines.collect::<Vec<_>>().join("\n") + "\n")?;
    Ok(bad)
}

fn spoil(folder: &Path, done: &Done) -> Result<()> {
    let append = |file: &str, line: &str| {
        let file = folder.join(file);
        let text = fs::read_to_string(&file)?;
        anyhow::Ok(fs::write(file, format!("{text}\n{line}\n"))?)
    };
    match *done {
        Main(line) => append("main.cf", line),
        Service(line) => append("master.cf", line),
        Edited(from, to) => {
            let file = folder.join("master.cf");
            let text = fs::read_to_string(&file)?;
            let (before, after) = text.rsplit_once("\nsubmissions inet").context("no submissions")?;
            ensure!(after.matches(from).count() == 1, "{from} stands there {} times", after.matches(from).count());
            Ok(fs::write(file, format!("{before}\nsubmissions inet{}", after.replace(from, to)))?)
        }
    }
}

/// The mistakes told of the settings in this folder; the exit status fits.
fn told(site: &Site, folder: &str, rename: Option<(&str, &str)>) -> Result<Vec<Finding>> {
    let (root, postconf) = (site.postfix.root().display(), site.postfix.postconf(folder)?);
    let mut text = configuration(&site.stage.sidecar)?;
    text += &format!("\n[check.postfix]\nroot = \"{root}\"\npostconf = {postconf:?}\n");
    if let Some((from, to)) = rename {
        ensure!(text.contains(from), "no {from} in\n{text}");
        text = text.replace(from, to);
    }
    let checked = check(&site.stage, &text, &[])?;
    let mistakes = checked.mistakes();
    checked.holds_exactly(&mistakes)?;
    let good = checked.good("Postfix");
    ensure!(good.is_empty() != mistakes.is_empty(), "{good:?} {mistakes:?}");
    let more = if site.with_certificates { format!(" and {CERTIFICATES}/inet") } else { String::new() };
    let all = format!(": submission/inet and submissions/inet{more} are as the integration has them");
    ensure!(good.iter().all(|good| good.ends_with(&all)), "{good:?}");
    Ok(mistakes)
}

#[tokio::test]
async fn the_files_as_shipped_pass() -> Result<()> {
    let site = site();
    copy(&site.postfix, "etc-good")?;
    let told = told(site, "etc-good", None)?;
    ensure!(told.is_empty(), "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn every_careless_setting_is_told_with_its_remedy_and_nothing_else_is() -> Result<()> {
    let site = site();
    let mut wrong = Vec::new();
    for (number, (done, what, remedy)) in ROWS.iter().enumerate() {
        let name = format!("etc-{number}");
        spoil(&copy(&site.postfix, &name)?, done)?;
        let (told, expected) = (told(site, &name, None)?, mistake("Postfix", what, remedy));
        if told != [expected.clone()] {
            wrong.push(format!("{expected:#?}\n{told:#?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn a_server_without_octroi_and_sockets_in_another_place_are_told() -> Result<()> {
    let site = site();
    let folder = copy(&site.postfix, "etc-elsewhere")?;
    edit(&folder, "smtpd_sasl_path=octroi/sasl", "smtpd_sasl_path=private/auth")?;
    let told_elsewhere = told(site, "etc-elsewhere", None)?;
    let told_elsewhere: Vec<_> = told_elsewhere.iter().map(|finding| finding.what.as_str()).collect();
    ensure!(
        told_elsewhere[0].starts_with("no smtpd service of master.cf logs in through Octroi"),
        "{told_elsewhere:?}"
    );
    for name in ["submission", "submissions"] {
        let what =
            format!("{name}/inet: logs in elsewhere (smtpd_sasl_type = dovecot, smtpd_sasl_path = private/auth)");
        ensure!(told_elsewhere.contains(&what.as_str()), "{told_elsewhere:#?}");
    }
    copy(&site.postfix, "etc-moved")?;
    let moved = told(site, "etc-moved", Some(("octroi/policy\"", "octroi/moved\"")))?;
    let moved: Vec<_> = moved.iter().map(|finding| finding.what.as_str()).collect();
    ensure!(
        moved.iter().any(|what| what.ends_with("octroi/moved ([postfix] delegation_socket) is no socket")),
        "{moved:#?}"
    );
    ensure!(moved.iter().filter(|what| what.contains("does not ask Octroi")).count() == 10, "{moved:#?}");
    let broken = told(site, "etc-nowhere", None)?;
    ensure!(broken.len() == 1 && broken[0].what.contains("can't be run: exit status: 1"), "{broken:#?}");
    Ok(())
}

#[tokio::test]
async fn sockets_to_which_postfix_may_not_connect_are_told() -> Result<()> {
    let site = own_site()?;
    copy(&site.postfix, "etc-good")?;
    let (sasl, policy) = site.postfix.sockets();
    let (user, group) = site.postfix.account();
    let refused = |path: &Path| {
        let what = format!("{}: Postfix's user ({user}:{group}) may not connect to it", path.display());
        mistake("Postfix", &what, "restart the sidecar, which makes it anew, and leave its rights alone")
    };
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    mode(&sasl, 0o640)?;
    ensure!(told(&site, "etc-good", None)? == [refused(&sasl)]);
    mode(&sasl, 0o660)?;
    chown(&policy, None, Some(group + 1))?;
    ensure!(told(&site, "etc-good", None)? == [refused(&policy)]);
    chown(&policy, None, Some(group))?;
    mode(sasl.parent().context("a folder")?, 0o700)?;
    let third = sasl.with_file_name("sasl-certificates");
    ensure!(told(&site, "etc-good", None)? == [&sasl, &policy, &third].map(|socket| refused(socket)));
    Ok(())
}

#[tokio::test]
async fn the_service_for_certificates_passes_as_shipped_and_is_told_without_its_lock() -> Result<()> {
    let site = site_with(&Setup { certificates: Some("/var/lib/octroi-dovecot".to_owned()), ..Setup::new(&[UN]) })?;
    copy(&site.postfix, "etc-good")?;
    let good = told(&site, "etc-good", None)?;
    ensure!(good.is_empty(), "{good:#?}");
    let open = copy(&site.postfix, "etc-open")?.join("master.cf");
    let text = fs::read_to_string(&open)?;
    let (before, after) = text.rsplit_once(&format!("\n{CERTIFICATES} inet")).context("no service for certificates")?;
    let after = after.replace("=$octroi_delegation", "=").replace("smtpd_tls_ask_ccert=yes", "smtpd_tls_ask_ccert=no");
    fs::write(&open, format!("{before}\n{CERTIFICATES} inet{after}"))?;
    let told = told(&site, "etc-open", None)?;
    let what: Vec<_> = told.iter().map(|finding| finding.what.as_str()).collect();
    ensure!(
        what.len() == 2 && what[0].starts_with("10465/inet: certificate_sasl_socket says yes to anybody"),
        "{what:#?}"
    );
    ensure!(what[1].starts_with("10465/inet: smtpd_tls_ask_ccert is not yes"), "{what:#?}");
    let remedy = "add the lines smtpd_*_restrictions=$octroi_delegation of integrations/postfix/master-certificates.cf";
    ensure!(told[0].remedy == remedy, "{told:#?}");
    Ok(())
}
