//! What must stand nowhere: sends and is refused with known tokens, then searches every byte that Postfix and the
//! sidecar have written.
//!
//! Must never search less than is there: files are found by walking the folders, not by a list.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::imap::Security;
use octroi_tests::smtp::Smtp;
use octroi_tests::written;

use crate::stage::{DEUX, FORMS, Stage, UN, site};

/// What is searched for, by name: the name may be shown.
fn needles(tokens: &[(String, String)], stage: &Stage) -> Vec<(String, String)> {
    let mut needles = vec![("the client secret".to_owned(), stage.psc.operator_secret().to_owned())];
    for identity in octroi_psc::identities() {
        needles.push((format!("idNat of {}", identity.family_name), identity.id_nat));
    }
    for (name, token) in tokens {
        // The first part is the same in all of them, and no secret.
        let parts = token.split('.').skip(1).filter(|part| part.len() >= 12);
        needles.extend(parts.map(|part| (format!("a part of {name}"), part.to_owned())));
        let base64 = STANDARD.encode(format!("user={UN}\x01auth=Bearer {token}\x01\x01"));
        // From its middle, so that what is cut off at either end is found too.
        let middle: String = base64.chars().skip(base64.len() / 2).take(60).collect();
        needles.push((format!("{name} in base64"), middle));
    }
    needles
}

/// Names of the needles in what stands in a file.
fn found(bytes: &[u8], needles: &[(String, String)]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes);
    needles.iter().filter(|(_, needle)| text.contains(needle.as_str())).map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn no_token_no_secret_and_no_identity_is_ever_written() -> Result<()> {
    let stage = Stage::start("required", "", &site())?;
    let mut tokens = vec![("a good token".to_owned(), stage.psc.token(&doctor_one()).mint())];
    stage.sends(UN, &tokens[0].1).await?;
    for deviation in [Deviation::Expired, Deviation::BadSignature, Deviation::AlgNone, Deviation::OtherIssuer] {
        let token = stage.psc.token(&doctor_one()).deviate(deviation)?.mint();
        for form in FORMS {
            let (smtp, reply) = stage.attempt(form, UN, &token).await?;
            ensure!(reply.code == 535, "{}", smtp.transcript());
        }
        tokens.push((deviation.name(), token));
    }
    // A token where something else belongs: a name, a mechanism, a sender, a recipient, a command.
    let token = stage.psc.token(&doctor_one()).mint();
    for form in FORMS {
        let (smtp, reply) = stage.attempt(form, &token, &token).await?;
        ensure!(!reply.accepted(), "{}", smtp.transcript());
    }
    let mut smtp = Smtp::connect(&stage.postfix, Security::Implicit).await?;
    ensure!(!smtp.command(&format!("AUTH XOAUTH2 {}", STANDARD.encode(&token))).await?.challenge.contains(&token));
    tokens.push(("a misplaced token".to_owned(), token));

    let needles = needles(&tokens, &stage);
    let mut leaks = Vec::new();
    let mut looked_at = BTreeSet::new();
    for folder in [stage.postfix.folder(), stage.sidecar.folder()] {
        for (name, bytes) in written::below(folder)? {
            let directory = name == "directory.csv" || name.starts_with("state/store");
            if directory || name.ends_with(".secret") {
                continue;
            }
            leaks.extend(found(&bytes, &needles).into_iter().map(|found| format!("{found} in {name}")));
            looked_at.insert(name);
        }
    }
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
    for name in ["postfix.log", "octroi.log", "state/audit.jsonl"] {
        ensure!(looked_at.contains(name), "{name} was not looked at: {looked_at:?}");
    }
    ensure!(looked_at.iter().any(|name| name.starts_with(&format!("mail/{DEUX}/new/"))), "no mail: {looked_at:?}");
    controls(&stage, &needles)
}

/// The search does find what is there.
fn controls(stage: &Stage, needles: &[(String, String)]) -> Result<()> {
    let secret = found(&fs::read(stage.sidecar.folder().join("client.secret"))?, needles);
    ensure!(secret.contains("the client secret"), "{secret:?}");
    let all = needles.iter().map(|(_, needle)| needle.as_str()).collect::<Vec<_>>().join(" ");
    ensure!(
        found(all.as_bytes(), needles).len() == needles.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len()
    );
    Ok(())
}
