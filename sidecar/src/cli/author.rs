//! `octroi policy` for those who write policies: what one answers, how it comes to that, what it costs and in what two
//! of them differ; how one is made. Everything happens in this process: no sidecar is asked, and none is needed.

mod bench;
mod candidate;
mod diff;
mod explain;
mod new;
mod pack;
mod test;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use self::candidate::Candidate;

/// Which policy.
#[derive(Debug, clap::Args)]
pub(super) struct Subject {
    /// A component, a folder with policy.wasm and perhaps settings.json, or `built-in`.
    component: PathBuf,
    /// Its settings, in the place of the folder's settings.json. Vectors that bring settings are tried with theirs, as
    /// when a release is staged; what neither says of issuers is made up.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl Subject {
    fn read(&self) -> anyhow::Result<Candidate> {
        Candidate::read(&self.component, self.settings.as_deref())
    }
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows a policy the vectors that it carries and others, and tells what it answers otherwise.
    Test {
        #[command(flatten)]
        subject: Subject,
        /// More vectors, a file each.
        #[arg(long, value_name = "FILE")]
        vectors: Vec<PathBuf>,
        /// Prints every answer, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tells how a policy comes to its answer to one vector, step by step.
    Explain {
        #[command(flatten)]
        subject: Subject,
        /// More vectors, a file each.
        #[arg(long, value_name = "FILE")]
        vectors: Vec<PathBuf>,
        /// The vector's name, or a part that no other name has.
        #[arg(long)]
        name: String,
    },
    /// Measures what a policy costs for each kind of vector, beside the built-in one.
    Bench {
        #[command(flatten)]
        subject: Subject,
        /// More vectors, a file each.
        #[arg(long, value_name = "FILE")]
        vectors: Vec<PathBuf>,
    },
    /// Tells in what two policies differ: cards, digests, settings, and what they answer to vectors.
    Diff {
        /// A component, a folder with policy.wasm and perhaps settings.json, or `built-in`.
        a: PathBuf,
        /// The other one.
        b: PathBuf,
        /// Vectors beside those that they carry, a file each. Settings that came with a policy go before the vectors'
        /// own.
        #[arg(long, value_name = "FILE")]
        vectors: Vec<PathBuf>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes a component of what a compiler left: a core module built with wit-bindgen, or a component already.
    Pack {
        /// The core module or the component.
        from: PathBuf,
        /// Where the component goes.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Vectors for it to carry, in the place of any that it has. Several files need the same settings.
        #[arg(long, value_name = "FILE")]
        vectors: Vec<PathBuf>,
    },
    /// Writes the source of the built-in policy into a folder, ready to be changed and built.
    New {
        /// The folder: empty, or not there yet.
        folder: PathBuf,
    },
    /// Writes the built-in policy to a file.
    Export {
        /// Where the component goes.
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}

/// Exit code 1: the policy does not answer as it should, or two policies differ.
pub(super) fn run(command: Command, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut told = Vec::new();
    let good = answer(command, &mut told)?;
    output.write_all(plain(&told).as_bytes())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a terminal shows and does not obey: names and answers are those of a policy that nobody has vouched for.
/// Escaped as JSON does (RFC 8259 section 7), so that JSON stays what it is.
fn plain(told: &[u8]) -> String {
    let mut plain = String::with_capacity(told.len());
    for character in String::from_utf8_lossy(told).chars() {
        match character {
            '\n' => plain.push(character),
            control if control.is_control() => plain.push_str(&format!("\\u{:04x}", u32::from(control))),
            shown => plain.push(shown),
        }
    }
    plain
}

fn answer(command: Command, output: &mut impl Write) -> anyhow::Result<bool> {
    Ok(match command {
        Command::Test { subject, vectors, json } => test::run(&subject.read()?, &vectors, json, output)?,
        Command::Explain { subject, vectors, name } => {
            explain::run(&subject.read()?, &vectors, &name, output)?;
            true
        }
        Command::Bench { subject, vectors } => {
            bench::run(&subject.read()?, &vectors, output)?;
            true
        }
        Command::Diff { a, b, vectors, json } => {
            let [a, b] = [a, b].map(|side| Candidate::read(&side, None));
            diff::run([&a?, &b?], &vectors, json, output)?
        }
        Command::Pack { from, output: to, vectors } => {
            pack::run(&from, &to, &vectors, output)?;
            true
        }
        Command::New { folder } => {
            new::run(&folder, output)?;
            true
        }
        Command::Export { output: to } => {
            pack::export(&to, output)?;
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_commands_the_terminal() {
        assert_eq!(plain("é│\n\x1b[2J\u{9b}2J\r".as_bytes()), "é│\n\\u001b[2J\\u009b2J\\u000d");
    }

    #[test]
    fn the_exit_code_says_whether_two_policies_are_equal() {
        let side = || PathBuf::from(candidate::BUILT_IN);
        let command = Command::Diff { a: side(), b: side(), vectors: Vec::new(), json: true };
        assert_eq!(run(command, &mut Vec::new()).unwrap(), ExitCode::SUCCESS);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.wasm"), crate::policy::EMBEDDED).unwrap();
        std::fs::write(folder.path().join("settings.json"), r#"{"leeway_seconds": 7}"#).unwrap();
        let command = Command::Diff { a: side(), b: folder.path().to_owned(), vectors: Vec::new(), json: true };
        assert_eq!(run(command, &mut Vec::new()).unwrap(), ExitCode::FAILURE);
    }
}
