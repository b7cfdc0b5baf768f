//! `octroi check` as an operator runs it: the real program, before the real sidecar, provider and servers.
//!
//! Owns the stage of its own, whose servers and sidecar stay as they should be, and reads what the program prints.
//! Every run is searched for what must not be printed.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use octroi_psc::doctor_one;
use octroi_tests::dovecot::{Dovecot, PASSWORD, Setup, Version};
use octroi_tests::imap::Security;
use octroi_tests::sidecar::{Settings, Sidecar, program};

use crate::stage::{Stage, UN};

pub(crate) const CANARY: &str = "canari@bal.example.test";
pub(crate) const NON_MEMBER: &str = "intrus@bal.example.test";

/// Begins every secret that a test plants; what comes from a provider is searched for by itself.
const PLANTED: &str = "planted-";

/// One row that the program prints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) weight: String,
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

pub(crate) fn mistake(place: &str, what: &str, remedy: &str) -> Finding {
    Finding { weight: "MISTAKE".to_owned(), place: place.to_owned(), what: what.to_owned(), remedy: remedy.to_owned() }
}

/// What one run said.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) code: Option<i32>,
    pub(crate) findings: Vec<Finding>,
    /// The configuration file that it read.
    pub(crate) file: String,
    text: String,
}

impl Checked {
    pub(crate) fn mistakes(&self) -> Vec<Finding> {
        self.findings.iter().filter(|finding| finding.weight == "MISTAKE").cloned().collect()
    }

    /// Exactly these mistakes, and the exit status that says so.
    pub(crate) fn holds_exactly(&self, expected: &[Finding]) -> Result<()> {
        let found = self.mistakes();
        ensure!(found == expected, "found {found:#?}\nexpected {expected:#?}");
        let code = if expected.is_empty() { 0 } else { 1 };
        ensure!(self.code == Some(code), "exit {:?}\n{}", self.code, self.text);
        ensure!(self.text.contains(&format!(", {} mistakes\n", expected.len())), "{}", self.text);
        Ok(())
    }

    /// What was found good at a place.
    pub(crate) fn good(&self, place: &str) -> Vec<&str> {
        let good = self.findings.iter().filter(|finding| finding.weight == "ok" && finding.place == place);
        good.map(|finding| finding.what.as_str()).collect()
    }
}

/// Provider over TLS that is asked about each token, and a sidecar that knows the canary.
pub(crate) fn stage() -> &'static Stage {
    static SHARED: LazyLock<Stage> = LazyLock::new(|| Stage::start(&settings()).unwrap());
    &SHARED
}

pub(crate) fn settings() -> Settings {
    let more = format!("[check]\ncanary = \"{CANARY}\"\nnon_member = \"{NON_MEMBER}\"\n");
    Settings { introspection: "required", more, ..Settings::default() }
}

/// A site that followed the instructions, before the stage's sidecar.
pub(crate) fn setup(version: Version) -> Setup {
    let sidecar = &stage().sidecar;
    Setup::new(version, sidecar.introspection(), sidecar.policy(), &[UN, CANARY])
}

pub(crate) fn server(version: Version) -> &'static Dovecot {
    static V2_3: LazyLock<Dovecot> = LazyLock::new(|| Dovecot::start(&setup(Version::V2_3)).unwrap());
    static V2_4: LazyLock<Dovecot> = LazyLock::new(|| Dovecot::start(&setup(Version::V2_4)).unwrap());
    match version {
        Version::V2_3 => &V2_3,
        Version::V2_4 => &V2_4,
    }
}

pub(crate) const fn code(version: Version) -> &'static str {
    match version {
        Version::V2_3 => "2.3",
        Version::V2_4 => "2.4",
    }
}

/// Where the report says that something of this server is.
pub(crate) fn place(server: &Dovecot, security: Security) -> String {
    let port = match security {
        Security::Implicit => server.imaps_port(),
        Security::StartTls => server.imap_port(),
    };
    format!("Dovecot {} at 127.0.0.1:{port}", code(server.version()))
}

/// A `[[check.dovecot]]` whose settings are those of a file in the server's folder.
pub(crate) fn entry(server: &Dovecot, security: Security, file: &str) -> Result<String> {
    let (port, tls) = match security {
        Security::Implicit => (server.imaps_port(), "implicit"),
        Security::StartTls => (server.imap_port(), "starttls"),
    };
    let (version, authority) = (code(server.version()), server.authority_file());
    let doveconf = server.doveconf(file)?;
    Ok(format!(
        "[[check.dovecot]]\nversion = \"{version}\"\nimap = \"127.0.0.1:{port}\"\ntls = \"{tls}\"\n\
         ca_file = \"{}\"\nroot = \"{}\"\ndoveconf = {doveconf:?}\n\n",
        authority.display(),
        server.root().display()
    ))
}

/// The configuration that a sidecar runs with, as an operator finds it.
pub(crate) fn configuration(sidecar: &Sidecar) -> Result<String> {
    let text = fs::read_to_string(sidecar.configuration_file())?;
    // The test's sidecar chose its port itself.
    Ok(text.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{}\"", sidecar.introspection().port)))
}

/// The same without the live probe.
pub(crate) fn without_probe(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("canary") && !line.starts_with("non_member")).fold(
        String::new(),
        |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        },
    )
}

/// Runs the program on this configuration, which is put beside the sidecar's own.
pub(crate) fn check(stage: &Stage, text: &str, arguments: &[&str]) -> Result<Checked> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = stage.sidecar.folder().join(format!("check-{number}.toml"));
    fs::write(&file, text)?;
    let mut command = Command::new(program("octroi"));
    command.arg("--config").arg(&file).arg("check").args(arguments);
    let output = command.stdin(std::process::Stdio::null()).output()?;
    let (told, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    for secret in [PLANTED, stage.psc.operator_secret(), PASSWORD] {
        ensure!(!told.contains(secret) && !complained.contains(secret), "a secret is printed:\n{told}{complained}");
    }
    ensure!(complained.is_empty(), "{complained}");
    let rows = told.lines().filter_map(|line| line.strip_prefix('│')?.strip_suffix('│'));
    let findings = rows.skip(1).map(row).collect::<Result<_>>()?;
    Ok(Checked { code: output.status.code(), findings, file: file.display().to_string(), text: told })
}

fn row(line: &str) -> Result<Finding> {
    let cells: Vec<&str> = line.split('┆').map(str::trim).collect();
    let [weight, place, what, remedy] = cells[..] else { anyhow::bail!("not a row: {line}") };
    let [weight, place, what, remedy] = [weight, place, what, remedy].map(str::to_owned);
    Ok(Finding { weight, place, what, remedy })
}

/// A file with a token in it, gone with the stage.
pub(crate) fn token_file(stage: &Stage, name: &str, token: &str) -> Result<String> {
    let path = stage.sidecar.folder().join(name);
    fs::write(&path, format!("{token}\n"))?;
    Ok(path.display().to_string())
}

async fn a_good_installation_passes_line_by_line(version: Version) -> Result<()> {
    let (stage, server) = (stage(), server(version));
    let forms = [Security::Implicit, Security::StartTls];
    let mut text = configuration(&stage.sidecar)?;
    for security in forms {
        text += &entry(server, security, "etc/dovecot.conf")?;
    }
    let token = stage.psc.token(&doctor_one()).mint();
    let file = token_file(stage, &format!("good-{}.token", code(version)), &token)?;
    let checked = check(stage, &text, &["--token", &file])?;
    checked.holds_exactly(&[])?;
    ensure!(checked.findings.iter().all(|finding| finding.weight == "ok"), "{:#?}", checked.findings);
    ensure!(!checked.text.contains(&token), "the token is printed");
    ensure!(checked.good("configuration") == [format!("{} holds", checked.file)], "{:#?}", checked.findings);
    let one = |place: &str| checked.good(place).first().map(ToString::to_string).context(place.to_owned());
    ensure!(one("sidecar")?.starts_with(concat!("version ", env!("CARGO_PKG_VERSION"), " answers, policy ")));
    ensure!(one("directory")?.ends_with(" mailboxes"));
    ensure!(one("token size")? == format!("{} bytes; Dovecot takes up to 6100", token.len()));
    for security in forms {
        let told = checked.good(&place(server, security));
        let [settings, first, second] = told[..] else { anyhow::bail!("{told:?}") };
        ensure!(settings.starts_with(code(version)), "{settings}");
        ensure!(settings.ends_with(": its settings are those of the integration"), "{settings}");
        ensure!(first == "XOAUTH2: the canary is let in, a non-member is not", "{first}");
        ensure!(second == "OAUTHBEARER: the canary is let in, a non-member is not", "{second}");
    }
    Ok(())
}

on_both! {
    a_good_installation_passes_line_by_line
}
