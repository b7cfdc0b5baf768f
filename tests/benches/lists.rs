//! What a large revocation list costs: to read and verify, to hold, and to look a certificate up in it.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use octroi::clock::UnixSeconds;
use octroi::evidence::certificate::{Chain, ChainKind, Crl, Serial};
use octroi_igc::crl::{Draft, spread};
use octroi_igc::{DAY, Igc, Names};
use tokio::time::Instant;

use crate::bench::Bench;
use crate::contest::ROUNDS;
use crate::figure::{Figure, Goal, Spread};

const LOAD: &str = "crl-load";
const HELD: &str = "crl-load-held";
const PEAK: &str = "crl-load-peak";
const LOOKUP: &str = "crl-lookup";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[LOAD, HELD, PEAK, LOOKUP];

/// Entries of the list, with serial numbers of 16 octets.
const ENTRIES: u64 = 200_000;
/// Lookups a round, half of them of numbers that are not there.
const LOOKUPS: u64 = 100_000;

/// First argument of the process that only reads a list: its memory is nobody else's. The files follow.
pub(crate) const ARGUMENT: &str = "crl-reader";

/// Reads the list in the second file under the authorities in the first, and prints the memory that it took at most,
/// MiB.
///
/// # Errors
/// The files can't be read.
pub(crate) fn read_alone(files: &[String]) -> anyhow::Result<()> {
    let [bundle, list] = files else { anyhow::bail!("expected two files") };
    let chain = chain(fs::read(bundle)?)?;
    let der = fs::read(list)?;
    let before = resident("VmRSS:")?;
    fs::write("/proc/self/clear_refs", "5").context("resetting the peak of memory")?;
    let read = Crl::read(black_box(&der), chain.authorities(), octroi::clock::Clock::system().now())?;
    println!("{}", resident("VmHWM:")? - before);
    drop(read);
    Ok(())
}

fn chain(bundle: Vec<u8>) -> anyhow::Result<Chain> {
    let files = [(PathBuf::from("bundle.pem"), bundle)];
    Ok(Chain::new("bench", ChainKind::Production, Vec::new(), Vec::new(), &files)?)
}

/// Makes a list, reads it several times over, and looks numbers up in it.
///
/// # Errors
/// The list can't be made, or is not read.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    bench.progress().inc_length(u64::try_from(ROUNDS)?);
    bench.progress().set_message("sign a list");
    let igc = Igc::new(Names::Production)?;
    let chain = chain(igc.bundle().into_bytes())?;
    let der = Draft::new(1, igc.now() - DAY).filled(ENTRIES).signed_by(igc.organisations())?;
    let files = [bench.folder().join("bundle.pem"), bench.folder().join("list.crl")];
    let [bundle, list] = &files;
    fs::write(bundle, igc.bundle())?;
    fs::write(list, &der)?;
    let serials = (0..LOOKUPS).map(|at| {
        let number = spread(if at % 2 == 0 { at } else { ENTRIES + at });
        Serial::from_integer(&number).context("a serial number")
    });
    let serials = serials.collect::<anyhow::Result<Vec<_>>>()?;
    let (mut load, mut held, mut peak, mut lookup) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first round is thrown away.
    for round in 0..=ROUNDS {
        bench.progress().set_message("read and look up");
        let began = Instant::now();
        let (_, list) = Crl::read(black_box(&der), chain.authorities(), UnixSeconds(igc.now()))?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        anyhow::ensure!(u64::try_from(list.entries())? == ENTRIES, "the list was not read as it is");
        let began = Instant::now();
        let found = serials.iter().filter(|serial| black_box(&list).revokes(serial)).count();
        let each = began.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64;
        anyhow::ensure!(u64::try_from(found)? == LOOKUPS / 2, "lookups find other numbers");
        if round > 0 {
            load.push(took);
            held.push(list.memory() as f64 / f64::from(1 << 20));
            peak.push(alone(&files)?);
            lookup.push(each);
            bench.progress().inc(1);
        }
    }
    let figure = |id, unit, samples: Vec<f64>, goal: Option<f64>| {
        let spread = Spread::of(samples).context("no rounds")?;
        anyhow::Ok(Figure::alone(id, unit, spread, goal.map(Goal::ValueAtMost)))
    };
    Ok(vec![
        figure(LOAD, "ms", load, Some(200.0))?,
        figure(HELD, "MiB", held, Some(10.0))?,
        figure(PEAK, "MiB", peak, None)?,
        figure(LOOKUP, "ns", lookup, Some(1000.0))?,
    ])
}

/// What a process that reads the list takes for it at most, MiB.
fn alone(files: &[PathBuf]) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?).arg(ARGUMENT).args(files).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// A line of this process's status, MiB.
fn resident(name: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / 1024.0)
}
