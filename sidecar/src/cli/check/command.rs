//! Runs what prints a mail server's settings, within a time and a size.

use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
/// Largest output that is read, bytes: a server with thousands of blocks stays far below.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;

/// What the command prints; what went wrong is told in a few words.
pub(super) async fn printed(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let run = tokio::process::Command::new(program).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, run).await.map_err(|_| "no end within 30 s")?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let first: String = told.lines().next().unwrap_or_default().chars().take(200).collect();
        return Err(format!("{} ({first})", output.status));
    }
    if output.stdout.len() > MAX_OUTPUT {
        return Err(format!("more than {MAX_OUTPUT} bytes"));
    }
    String::from_utf8(output.stdout).map_err(|_| "no UTF-8".to_owned())
}
