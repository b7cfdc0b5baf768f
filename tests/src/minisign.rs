//! Signatures by the real minisign, as a signer of releases makes them. Keys have no password: nobody is there to type
//! one.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Makes `NAME.key` and `NAME.pub` in `folder`; the last line of the public key.
pub fn key_pair(folder: &Path, name: &str) -> Result<String> {
    let at = |suffix: &str| folder.join(format!("{name}.{suffix}"));
    let made = Command::new("minisign").args(["-G", "-W", "-p"]).arg(at("pub")).arg("-s").arg(at("key")).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = fs::read_to_string(at("pub"))?;
    Ok(text.lines().last().context("an empty key")?.to_owned())
}

/// Signs `text` with `NAME.key` of `folder`, into `signature`.
pub fn sign(folder: &Path, name: &str, text: &Path, signature: &Path) -> Result<()> {
    let mut minisign = Command::new("minisign");
    minisign.args(["-S", "-W", "-s"]).arg(folder.join(format!("{name}.key"))).arg("-m").arg(text);
    let signed = minisign.arg("-x").arg(signature).output().context("minisign")?;
    ensure!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    Ok(())
}
