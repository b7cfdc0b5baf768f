//! CPU time as the kernel counts it.
//!
//! A server's CPU time is the sum over its threads of the first field of `/proc/PID/task/TID/schedstat` (nanoseconds on
//! a CPU, user and system together), over the process and its descendants. A thread that ends within a measurement
//! takes its time along: servers here keep theirs.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// CPU time of a process, its threads and its descendants.
///
/// # Errors
/// The process is gone, or the kernel keeps no scheduler statistics.
pub(crate) fn of_tree(pid: u32) -> anyhow::Result<Duration> {
    let mut total = of_process(pid)?;
    for child in children(pid) {
        // A child may have ended since it was listed.
        total += of_tree(child).unwrap_or_default();
    }
    Ok(total)
}

fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the measured process is gone")? {
        let path = task?.path().join("schedstat");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let ran = text.split_ascii_whitespace().next().context("no schedstat")?;
        nanoseconds += ran.parse::<u64>().context("schedstat")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// CPU time of the calling thread.
pub(crate) fn of_thread() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap_or_default())
}
