//! Who tidies up behind a program that may end in whatever way, killed included.
//!
//! Owns the end of a folder, and of the process that is named in it. Must never end anything else.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// Waits for the pipe to it to close: with its owner, or with this program. What tests share is never dropped.
const WATCH: &str = r#"trap '' INT TERM HUP
read -r _
[ ! -f "$1/pid" ] || kill -s KILL "$(cat "$1/pid")"
rm -rf "$1""#;

/// Ends the process whose number is in the folder's file `pid`, if there is one, and removes the folder: when it is
/// dropped, or with this program.
pub(crate) struct Warden(Child);

impl Warden {
    /// Of this folder.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WATCH, "octroi-warden"]).arg(folder);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.spawn().context("/bin/sh").map(Self)
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nothing to be done about a failure here: the shell ends by itself.
        let _ = self.0.wait();
    }
}
