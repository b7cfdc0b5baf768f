//! Planted secrets, searched for in everything that the sidecar and Dovecot write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::dovecot::Version;
use octroi_tests::logins::{never_opens, opens};
use octroi_tests::sidecar::{INTROSPECTION_SECRET, POLICY_SECRET};

use crate::stage::{DEUX, Stage, UN};

async fn no_output_and_no_file_shows_a_token_a_secret_or_an_identifier(version: Version) -> Result<()> {
    let stage = Stage::start(version, "required").await?;
    let good = stage.token(&doctor_one());
    let bad = [
        stage.deviant(&doctor_one(), Deviation::Expired)?,
        stage.deviant(&doctor_one(), Deviation::BadSignature)?,
        stage.deviant(&doctor_one(), Deviation::FiveParts)?,
    ];
    opens(&stage.server, UN, &good).await?;
    never_opens(&stage.server, DEUX, &good).await?;
    for token in &bad {
        never_opens(&stage.server, UN, token).await?;
    }
    let mut texts = vec![
        ("octroi status".to_owned(), stage.sidecar.run(&["status"])?.stdout),
        ("octroi mailbox list".to_owned(), stage.sidecar.run(&["mailbox", "list"])?.stdout),
        ("Dovecot's log".to_owned(), stage.server.log().into_bytes()),
    ];
    for file in files(stage.sidecar.folder())? {
        let name = file.display().to_string();
        // Where the operator put the secrets, and what the operator imported.
        if !name.ends_with(".secret") && !name.ends_with("directory.csv") {
            texts.push((name, fs::read(&file)?));
        }
    }
    ensure!(texts.iter().any(|(name, text)| name.ends_with("audit.jsonl") && !text.is_empty()), "no audit trail");
    let mut secrets = vec![INTROSPECTION_SECRET.to_owned(), POLICY_SECRET.to_owned()];
    secrets.push(stage.psc.operator_secret().to_owned());
    for token in bad.iter().chain([&good]) {
        secrets.extend(token.split('.').filter(|part| part.len() > 20).map(str::to_owned));
    }
    for (name, text) in &texts {
        for secret in &secrets {
            ensure!(!holds(text, secret), "{name} shows a secret that begins with {:?}", secret.get(..12));
        }
        // The store is the directory: it knows whose mailbox it is.
        if !name.contains("/store/") {
            ensure!(!holds(text, "899700000011"), "{name} shows an identifier");
        }
    }
    Ok(())
}

fn holds(text: &[u8], secret: &str) -> bool {
    text.windows(secret.len()).any(|window| window == secret.as_bytes())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

on_both! { no_output_and_no_file_shows_a_token_a_secret_or_an_identifier }
