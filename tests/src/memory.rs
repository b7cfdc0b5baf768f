//! Memory of a process, as the kernel counts it.

use std::fs;

use anyhow::{Context as _, Result};

/// Proportional set size of a process, in MiB: its own memory, and its share of what it shares.
pub fn proportional_set_size(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the measured process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse().context("Pss")?;
    Ok(kibibytes / 1024.0)
}
