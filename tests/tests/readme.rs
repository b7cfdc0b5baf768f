//! The README as an operator reads it: every snippet runs or parses, every link leads somewhere.
//!
//! Must never pass over a snippet of a kind that it does not know.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use octroi::proto::AuthenticateRequest;
use octroi::proto::authenticate_request::Credentials;
use octroi::proto::gate_client::GateClient;
use octroi_psc::{Psc, doctor_one};
use octroi_tests::minisign;
use octroi_tests::sidecar::{Settings, Sidecar, program};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn readme() -> Result<String> {
    fs::read_to_string(root().join("README.md")).context("README.md")
}

/// Programs of the system that a snippet may call; what they get from this repository must be there.
const SYSTEM: [&str; 9] = ["apt", "cp", "curl", "doveadm", "doveconf", "git", "install", "openssl", "systemctl"];

/// The fenced blocks: language and lines.
fn blocks(markdown: &str) -> Result<Vec<(String, Vec<String>)>> {
    let (mut blocks, mut open): (Vec<(String, Vec<String>)>, bool) = (Vec::new(), false);
    for line in markdown.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(language), false) => {
                blocks.push((language.trim().to_owned(), Vec::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().context("no block")?.1.push(line.to_owned()),
            (None, false) => {}
        }
    }
    ensure!(!open, "a block without an end");
    Ok(blocks)
}

/// A command line without comment, prompt, `sudo` and variables.
fn words(line: &str) -> Vec<&str> {
    let line = line.split_once('#').map_or(line, |(line, _)| line);
    let words = line.split_whitespace().skip_while(|word| {
        let variable =
            word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        variable || matches!(*word, "$" | "sudo")
    });
    words.collect()
}

fn shell(lines: &[String], demo: &LazyLock<Demo>) -> Result<()> {
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .try_for_each(|line| match words(line).as_slice() {
            [] => Ok(()),
            ["make", targets @ ..] => make(targets),
            ["octroi", arguments @ ..] => demo.runs(arguments),
            [program, arguments @ ..] if SYSTEM.contains(program) => {
                let ours =
                    arguments.iter().filter(|word| word.starts_with("integrations/") || word.starts_with("tests/"));
                ours.into_iter().try_for_each(|path| {
                    ensure!(root().join(path).exists(), "{path} is not there");
                    Ok(())
                })
            }
            [program, ..] => bail!("nobody vouches for {program}"),
        })
        .with_context(|| lines.join("\n"))
}

fn make(targets: &[&str]) -> Result<()> {
    let output = Command::new("make").arg("-n").arg("-C").arg(root()).args(targets).output()?;
    ensure!(output.status.success(), "make {targets:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A running sidecar for the command lines.
struct Demo {
    runtime: tokio::runtime::Runtime,
    psc: Psc,
    sidecar: Sidecar,
    /// Where sessions take place: with a key that signs releases, and the program under its name.
    folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let psc = runtime.block_on(Psc::start()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = minisign::key_pair(folder.path(), "officer").unwrap();
        let more = format!("[[policy.signer]]\nname = \"officer\"\nminisign = \"{key}\"\n");
        let sidecar = Sidecar::start(&psc, &Settings { more, ..Settings::default() }).unwrap();
        let (program, configuration) = (program("octroi"), sidecar.configuration_file());
        let script = format!("#!/bin/sh\nexec {} --config {} \"$@\"\n", program.display(), configuration.display());
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/octroi"), script).unwrap();
        fs::set_permissions(folder.path().join("bin/octroi"), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("variables"), "").unwrap();
        Self { runtime, psc, sidecar, folder }
    }

    /// A recorded session: lines after `$ ` are typed, the others are what is said to them. In them `...` stands for
    /// anything, also for lines, and runs of blanks count as one. A doctor logs in after each.
    fn console(&self, lines: &[String]) -> Result<()> {
        let typed = lines.iter().filter_map(|line| line.strip_prefix("$ "));
        let expected = lines.split(|line| line.starts_with("$ ")).skip(1);
        for (typed, expected) in typed.zip(expected) {
            let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let pattern: Vec<String> = squeezed(&expected.join(" ")).split("...").map(regex::escape).collect();
            let pattern = regex::Regex::new(&format!("^{}$", pattern.join(".*")))?;
            // The shadow looks at logins when there is time.
            let tries = if typed.ends_with(" differences") { 200 } else { 1 };
            let mut said = String::new();
            let holds = (0..tries).any(|_| {
                said = self.typed(typed).unwrap_or_else(|error| error.to_string());
                pattern.is_match(&squeezed(&said))
            });
            ensure!(holds, "$ {typed}\n{said}\nexpected:\n{}", expected.join("\n"));
            self.runtime.block_on(log_in(&self.sidecar.folder().join("gate.sock"), &self.psc))?;
        }
        Ok(())
    }

    /// What is said to one line, typed into a shell that knows the variables of those before.
    fn typed(&self, line: &str) -> Result<String> {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH")?);
        let script = format!("exec 2>&1\nset -a\n. ./variables\n{line}\nexport -p >variables\n");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).current_dir(self.folder.path()).env("PATH", path);
        Ok(String::from_utf8(shell.output()?.stdout)?)
    }

    /// `serve` runs already; `check` may find fault with what a demonstration lacks, but must understand its arguments.
    fn runs(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(program("octroi"));
        command
            .arg("--config")
            .arg(self.sidecar.configuration_file())
            .args(arguments)
            .current_dir(self.sidecar.folder());
        if arguments.contains(&"serve") {
            command.arg("--help");
        }
        let output = command.output()?;
        let may_find_fault = arguments.contains(&"check") && output.status.code() == Some(1);
        ensure!(
            output.status.success() || may_find_fault,
            "octroi {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// Doctor one logs in.
async fn log_in(gate: &Path, psc: &Psc) -> Result<()> {
    let channel = tonic::transport::Endpoint::new(format!("unix:{}", gate.display()))?.connect().await?;
    let bearer = Credentials::Bearer(psc.token(&doctor_one()).mint().into_bytes());
    let request = AuthenticateRequest { credentials: Some(bearer), ..AuthenticateRequest::default() };
    GateClient::new(channel).authenticate(request).await?;
    Ok(())
}

/// Parses a configuration whose secret files are there.
fn configuration(lines: &[String]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    for line in lines {
        let Some((key, value)) = line.trim_start_matches(['#', ' ']).split_once('=') else { continue };
        if key.trim().ends_with("_file") {
            let file = folder.path().join(value.trim().trim_matches('"'));
            fs::write(&file, format!("secret-for-{}", key.trim()))?;
            fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        }
    }
    let path = folder.path().join("octroi.toml");
    let parsed = octroi::config::Config::parse(&path, &lines.join("\n"));
    parsed.map(|_| ()).map_err(|problems| anyhow::anyhow!("{problems}"))
}

fn prose(lines: &[String]) -> Result<()> {
    for line in lines {
        let first = words(line).first().copied().unwrap_or_default();
        ensure!(!["make", "octroi", "cargo"].contains(&first) && !SYSTEM.contains(&first), "a command as text: {line}");
    }
    Ok(())
}

fn holds(markdown: &str) -> Result<()> {
    static DEMO: LazyLock<Demo> = LazyLock::new(Demo::start);
    for (language, lines) in blocks(markdown)? {
        match language.as_str() {
            "sh" => shell(&lines, &DEMO)?,
            "console" => DEMO.console(&lines)?,
            "toml" => configuration(&lines)?,
            "text" => prose(&lines)?,
            other => bail!("nobody checks {other:?}"),
        }
    }
    Ok(())
}

fn links(markdown: &str) -> Vec<&str> {
    let after = markdown.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

fn leads_somewhere(link: &str) -> Result<()> {
    let (path, _) = link.split_once('#').unwrap_or((link, ""));
    if link.starts_with("https://") || path.is_empty() {
        return Ok(());
    }
    ensure!(root().join(path).exists(), "{link} leads nowhere");
    Ok(())
}

#[test]
fn every_snippet_of_the_readme_holds() -> Result<()> {
    let readme = readme()?;
    ensure!(blocks(&readme)?.iter().any(|(language, _)| language == "sh"), "no command at all");
    holds(&readme)
}

#[test]
fn every_link_of_the_readme_leads_somewhere() -> Result<()> {
    let readme = readme()?;
    ensure!(!links(&readme).is_empty(), "no link at all");
    links(&readme).into_iter().try_for_each(leads_somewhere)
}

#[test]
fn a_snippet_that_does_not_hold_is_seen() {
    let block = |language: &str, text: &str| format!("```{language}\n{text}\n```\n");
    for bad in [
        block("sh", "make no-such-target"),
        block("sh", "octroi no-such-command"),
        block("sh", "rm -rf /"),
        block("sh", "cp integrations/no-such-file /etc"),
        block("toml", "[server]\nno_such_key = 1"),
        block("text", "make demo"),
        block("", "make demo"),
        block("console", "$ octroi policy list\nnothing"),
        block("console", "$ octroi no-such-command"),
        block("python", "print()"),
        "```sh\nmake demo".to_owned(),
    ] {
        assert!(holds(&bad).is_err(), "{bad}");
    }
    for good in [
        block("sh", "KEEP=1 sudo make demo   # shows it"),
        block("sh", "octroi mailbox import directory.csv\noctroi mailbox list\noctroi status\noctroi check"),
        block("console", "$ octroi policy list\n... configuration ... IN SERVICE ..."),
        block("text", "a client ---> a server"),
    ] {
        holds(&good).unwrap();
    }
    assert!(leads_somewhere("no/such/file.rs").is_err());
    leads_somewhere("tests/tests/readme.rs").unwrap();
}
