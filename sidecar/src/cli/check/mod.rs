//! `octroi check`: the whole installation, from the configuration to a real login, with a remedy for every mistake.
//!
//! Nothing is changed anywhere. What could not be looked at is told as such and never passes for good. No secret and
//! no token is printed.

mod command;
mod dovecot;
mod limits;
mod live;
mod postfix;
mod provider;
mod report;
mod sidecar;
mod token;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use self::report::Report;
use crate::clock::Clock;
use crate::config::{Config, Problems};
use crate::secret::Token;

/// Largest token file read, bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// What to look at beside the configuration.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Looks at the configuration file alone: no network, no running sidecar, no server.
    #[arg(long)]
    offline: bool,
    /// File with an access token of a real client, one line: it is tried against every issuer, step by step, and its
    /// size held against every server's limits. It is shown to its own issuer alone, and never printed.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// Command that prints Postfix's settings, for the token's size over SMTP.
    #[arg(long, value_name = "COMMAND", default_missing_value = "postconf", num_args = 0..=1)]
    postconf: Option<String>,
}

/// Looks at everything and prints what it found; fails when anything is wrong.
///
/// # Errors
/// The output can't be written, or the token file can't be read.
pub fn run(config: &Path, options: &Options, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let token = options.token.as_deref().map(token_in).transpose()?;
    match Config::load(config) {
        Ok(config_read) => {
            report.good("configuration", format!("{} holds", config.display()));
            if !options.offline {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
                runtime.block_on(everything(&config_read, options, token.as_ref(), &mut report));
            }
        }
        Err(problems) => configuration(&problems, options, &mut report),
    }
    report.print(output)?;
    Ok(if report.has_mistakes() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn everything(config: &Config, options: &Options, token: Option<&Token>, report: &mut Report) {
    let socket = &config.server.admin_socket;
    let running = sidecar::look(socket, config, report).await;
    let leeway = config.rails.leeway_seconds;
    let given = token.and_then(|given| token::read(given, config, Clock::system().now(), report));
    for issuer in &config.issuers {
        provider::look(issuer, given.as_ref(), leeway, report).await;
    }
    limits::look(config, options.postconf.as_deref(), token.map(|token| token.expose().len()), report).await;
    if let Some(server) = &config.check.postfix {
        let line = limits::line_of(token.map(|token| token.expose().len()));
        postfix::look(server, config.postfix.as_ref(), line, report).await;
    }
    for server in &config.check.dovecot {
        dovecot::look(server, config.dovecot.as_ref(), &config.chains, Clock::system().now(), report).await;
    }
    live::look(config, socket, running, report).await;
}

/// Every mistake of the file; the rest can't be looked at without it.
fn configuration(problems: &Problems, options: &Options, report: &mut Report) {
    for problem in &problems.all {
        let place = match problem.line {
            0 => problems.file.display().to_string(),
            line => format!("{}:{line}", problems.file.display()),
        };
        let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
        report.mistake(place, format!("{key}{}", problem.expected), problem.remedy.clone());
    }
    if !options.offline {
        report.unchecked("installation", "nothing else was looked at", "correct the configuration first");
    }
}

/// The token in a file: its bytes, without the end of the line.
fn token_in(path: &Path) -> anyhow::Result<Token> {
    use std::io::Read as _;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).with_context(|| format!("reading the token file {}", path.display()))?;
    file.take(MAX_TOKEN + 1).read_to_end(&mut bytes).context("reading the token file")?;
    let token = bytes.trim_ascii();
    anyhow::ensure!(
        !token.is_empty() && token.len() as u64 <= MAX_TOKEN && token.iter().all(u8::is_ascii_graphic),
        "{} holds no token: one line of printable ASCII is expected",
        path.display()
    );
    Ok(Token::new(token))
}

#[cfg(test)]
mod tests;
