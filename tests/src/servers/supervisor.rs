//! The process of one server: started, watched, and ended with everything it started.
//!
//! Owns a folder and a process group. Must never outlive the program that holds it, however that program ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A running server. Dropping it ends the whole process group and removes the folder; so does the end of this program.
pub(crate) struct Supervisor {
    shell: Child,
    folder: PathBuf,
}

impl Supervisor {
    /// Runs `command`; its output goes to `console.log` in `folder`, which now belongs to the supervisor.
    pub(crate) fn start(folder: &Path, command: &[String]) -> Result<Self> {
        let shell = Command::new("/bin/sh")
            .args(["-c", include_str!("supervisor.sh"), "octroi-supervisor"])
            .arg(folder)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("/bin/sh")?;
        Ok(Self { shell, folder: folder.to_owned() })
    }

    /// Whether the server's main process has started and is gone again: it will not become ready any more.
    pub(crate) fn ended(&self) -> bool {
        let Some(pid) = self.pid() else { return false };
        // A zombie, which the shell has not collected yet, has ended too.
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
            Err(_) => true,
        }
    }

    /// The main process, once it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nothing to be done about a failure here: the shell ends by itself.
        let _ = self.shell.wait();
    }
}
