//! The command line: what an operator types. Parses, asks, prints; decides nothing.
//!
//! Results go to the output, errors to the error output with what to do about them. Exit codes: 0 done, 1 not done,
//! 2 wrong usage (as clap has it).

mod admin;
mod author;
mod certificate;
pub mod check;
mod import;
mod mailbox;
mod policy;
mod replay;
mod serve;
mod status;
mod table;
mod throttle;
mod trust_space;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::DEFAULT_PATH;

/// One gate through which every mail login with Pro Sante Connect passes.
#[derive(Debug, Parser)]
#[command(name = "octroi", version, about, propagate_version = true)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, short, global = true, default_value = DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the sidecar, until SIGTERM or SIGINT.
    Serve,
    /// Looks at the whole installation and tells every mistake with its remedy.
    Check(check::Options),
    /// The directory of mailboxes, in the running sidecar.
    Mailbox {
        #[command(flatten)]
        admin: admin::Socket,
        #[command(subcommand)]
        command: mailbox::Command,
    },
    /// The certificates of structures that open mailboxes, in the running sidecar.
    Certificate {
        #[command(flatten)]
        admin: admin::Socket,
        #[command(subcommand)]
        command: certificate::Command,
    },
    /// The releases of the policy, in the running sidecar.
    Policy {
        #[command(flatten)]
        admin: admin::Socket,
        #[command(subcommand)]
        command: policy::Command,
    },
    /// The client addresses that are slowed because they caused work for nothing, in the running sidecar.
    Throttle {
        #[command(flatten)]
        admin: admin::Socket,
        #[command(subcommand)]
        command: throttle::Command,
    },
    /// The trust space: the domains to which one may send, in the running sidecar.
    TrustSpace {
        #[command(flatten)]
        admin: admin::Socket,
        #[command(subcommand)]
        command: trust_space::Command,
    },
    /// The state of the running sidecar.
    Status {
        #[command(flatten)]
        admin: admin::Socket,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        // Whoever read our output has had enough: no error.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where errors can't be told, the exit code still says it.
            let _ = writeln!(io::stderr(), "octroi: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut output = io::stdout().lock();
    match cli.command {
        Command::Serve => serve::serve(&cli.config).map(|()| ExitCode::SUCCESS),
        Command::Check(options) => check::run(&cli.config, &options, &mut output),
        Command::Mailbox { admin, command } => {
            mailbox::run(&admin.find(&cli.config)?, command, &mut output).map(|()| ExitCode::SUCCESS)
        }
        Command::Certificate { admin, command } => {
            certificate::run(&admin.find(&cli.config)?, command, &mut output).map(|()| ExitCode::SUCCESS)
        }
        Command::Policy { command: policy::Command::Author(command), .. } => author::run(command, &mut output),
        Command::Policy { admin, command } => {
            policy::run(&cli.config, || admin.find(&cli.config), command, &mut output).map(|()| ExitCode::SUCCESS)
        }
        Command::Throttle { admin, command } => {
            throttle::run(&admin.find(&cli.config)?, command, &mut output).map(|()| ExitCode::SUCCESS)
        }
        Command::TrustSpace { admin, command } => {
            trust_space::run(&admin.find(&cli.config)?, command, &mut output).map(|()| ExitCode::SUCCESS)
        }
        Command::Status { admin } => status::run(&admin.find(&cli.config)?, &mut output).map(|()| ExitCode::SUCCESS),
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_may_be_named_before_or_after_the_command() {
        for words in [["octroi", "--config", "/x", "serve"], ["octroi", "serve", "--config", "/x"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().config, PathBuf::from("/x"));
        }
        assert_eq!(Cli::try_parse_from(["octroi", "serve"]).unwrap().config, PathBuf::from(DEFAULT_PATH));
    }
}
