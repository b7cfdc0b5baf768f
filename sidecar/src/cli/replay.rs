//! `octroi policy replay`: what another release would have answered to the decisions that were recorded.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::table;
use crate::clock::Clock;
use crate::config::{Config, PolicySettings};
use crate::policy::{Bundle, Digest, Engine, Limits, Release};
use crate::recording::{Replay, replay};
use crate::releases::shelf::Shelf;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The release: a folder, or the digest of one that is kept (or its first digits).
    #[arg(long, value_name = "RELEASE")]
    against: String,
    /// Prints JSON: the same record and the same release give the same bytes.
    #[arg(long)]
    json: bool,
}

/// Reads state and settings from the configuration's places: the sidecar need not run.
pub(super) fn run(config: &Path, options: &Options, output: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let state = &config.server.state_dir;
    anyhow::ensure!(
        config.policy.recording_megabytes.is_some() || state.join("recording").exists(),
        "nothing was recorded: add [policy.recording] to the configuration and wait for logins"
    );
    let bundle = bundle(&Shelf::new(state.join("policies")), &options.against)?;
    let settings = PolicySettings::of(&config).complete(bundle.settings.as_deref());
    let settings = settings.map_err(|expected| anyhow::anyhow!("settings.json: {expected}"))?;
    let engine = Engine::new(Limits::default()).map_err(|error| anyhow::anyhow!("starting the engine: {error:#}"))?;
    let release = Release::load(&engine, &bundle.component, &settings)?;
    let release = release.known_as(bundle.statement().release(), false);
    let replay = replay(&state.join("recording"), &release, Clock::system().now())?;
    if options.json {
        serde_json::to_writer_pretty(&mut *output, &replay)?;
        writeln!(output)?;
        return Ok(());
    }
    print(&replay, output)
}

fn bundle(shelf: &Shelf, against: &str) -> anyhow::Result<Bundle> {
    let folder = PathBuf::from(against);
    if folder.is_dir() {
        return Ok(Bundle::from_folder(&folder)?);
    }
    let found = shelf.standing()?.find(against).map(|held| held.release);
    let release: Digest = found.with_context(|| format!("{against} is no folder either"))?;
    Ok(shelf.get(release)?)
}

fn print(replay: &Replay, output: &mut impl Write) -> anyhow::Result<()> {
    let Replay { against, shown, same, unreadable, changes } = replay;
    writeln!(output, "{shown} decisions shown to {against}")?;
    writeln!(output, "{same} answered alike, {} otherwise, {unreadable} lines unreadable", shown - same)?;
    if !changes.is_empty() {
        let rows = changes.iter().map(|change| {
            [change.before.clone(), change.after.clone(), change.times.to_string(), change.first.clone()]
        });
        table::print(output, ["answered", "would answer", "logins", "the first one"], rows)?;
    }
    Ok(())
}
