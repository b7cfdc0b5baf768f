//! The benchmarks of the project: `cargo bench -p octroi-tests [-- ID...]`.
//!
//! An argument runs every figure whose id begins with it; none runs all. Figures are printed and written to
//! `target/bench.json`. A missed goal is a result; a figure that could not be had is void and makes the run fail.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a benchmark finds is for its caller to read")]

mod authenticate;
mod bench;
mod certificate;
mod contest;
mod cpu;
mod credentials;
mod decision;
mod delegation;
mod echo;
mod figure;
mod flood;
mod haproxy;
mod introspect;
mod lists;
mod load;
mod memory;
mod releases;
mod report;
mod sasl;
mod server;
mod sidecar;

use std::process::ExitCode;

use bench::Bench;
use figure::Figure;

/// Figures that are taken together, because they share their servers and rounds.
#[derive(Clone, Copy, Debug)]
enum Group {
    Decision,
    Introspect,
    Authenticate,
    Sasl,
    Delegation,
    Memory,
    Flood,
    Releases,
    Lists,
    Certificate,
}

impl Group {
    const ALL: [Self; 10] = [
        Self::Decision,
        Self::Introspect,
        Self::Authenticate,
        Self::Sasl,
        Self::Delegation,
        Self::Memory,
        Self::Flood,
        Self::Releases,
        Self::Lists,
        Self::Certificate,
    ];

    const fn ids(self) -> &'static [&'static str] {
        match self {
            Self::Decision => decision::IDS,
            Self::Introspect => introspect::IDS,
            Self::Authenticate => authenticate::IDS,
            Self::Sasl => sasl::IDS,
            Self::Delegation => delegation::IDS,
            Self::Memory => memory::IDS,
            Self::Flood => flood::IDS,
            Self::Releases => releases::IDS,
            Self::Lists => lists::IDS,
            Self::Certificate => certificate::IDS,
        }
    }

    async fn run(self, bench: &Bench) -> anyhow::Result<Vec<Figure>> {
        match self {
            Self::Decision => decision::run(bench).await,
            Self::Introspect => introspect::run(bench).await,
            Self::Authenticate => authenticate::run(bench).await,
            Self::Sasl => sasl::run(bench).await,
            Self::Delegation => delegation::run(bench).await,
            Self::Memory => memory::run(bench).await,
            Self::Flood => flood::run(bench).await,
            Self::Releases => releases::run(bench).await,
            Self::Lists => lists::run(bench).await,
            Self::Certificate => certificate::run(bench).await,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, echo)) = arguments.split_first()
        && first == echo::ARGUMENT
    {
        echo::serve(echo).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((first, files)) = arguments.split_first()
        && first == lists::ARGUMENT
    {
        lists::read_alone(files)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Cargo adds --bench.
    let wanted: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let known: Vec<&str> = Group::ALL.iter().flat_map(|group| group.ids()).copied().collect();
    for word in &wanted {
        let is_known = known.iter().any(|id| id.starts_with(word) || word.strip_suffix("-cpu") == Some(id));
        anyhow::ensure!(is_known, "no figure begins with {word:?}; there are: {}", known.join(", "));
    }
    let bench = Bench::new()?;
    let figures = figures(&bench, &wanted).await;
    bench.progress().finish_and_clear();
    println!("{}", report::table(&figures));
    println!("{}", report::NOTE);
    report::write(bench.target()?, &figures)?;
    Ok(if figures.iter().any(Figure::is_void) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn figures(bench: &Bench, wanted: &[&str]) -> Vec<Figure> {
    let is_wanted = |id: &str| wanted.is_empty() || wanted.iter().any(|word| id.starts_with(word));
    let mut figures = Vec::new();
    for group in Group::ALL {
        let begins = |id: &&&str| is_wanted(id) || wanted.iter().any(|word| word.starts_with(**id));
        let ids: Vec<_> = group.ids().iter().filter(begins).collect();
        if ids.is_empty() {
            continue;
        }
        bench.progress().set_prefix(format!("{group:?}"));
        match group.run(bench).await {
            Ok(found) => figures.extend(found.into_iter().filter(|figure| is_wanted(&figure.id))),
            Err(error) => {
                bench.progress().suspend(|| eprintln!("{group:?}: {error:#}"));
                figures.extend(ids.into_iter().map(|id| Figure::void(id)));
            }
        }
    }
    figures
}
