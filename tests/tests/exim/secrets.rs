//! What must stand nowhere: a token, in whatever Exim writes.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use octroi_psc::{Deviation, doctor_one};
use octroi_tests::sasl::{Credential, Mechanism};
use octroi_tests::sidecar::Settings;
use octroi_tests::smtp::Smtp;
use octroi_tests::written;

use crate::stage::{DEUX, MECHANISMS, Stage, UN, attempt, sends, site};

/// A client that does everything wrong that a client could do with a token.
async fn a_clumsy_day(stage: &Stage, token: &str, expired: &str) -> Result<()> {
    for initial_response in [true, false] {
        for mechanism in MECHANISMS {
            let mut smtp = stage.client().await?;
            for secret in [expired, token] {
                smtp.authenticate(&Credential { mechanism, mailbox: UN, secret }, initial_response).await?;
            }
            sends(&stage.exim, &mut smtp, UN, DEUX).await?;
            // Too late, and again and again.
            for _ in 0..8 {
                ensure!(attempt(&mut smtp, mechanism, UN, token).await?.code == 503, "{}", smtp.transcript());
            }
        }
    }
    let mut smtp = Smtp::greeted_in_the_clear(stage.exim.submission_port()).await?;
    for _ in 0..8 {
        ensure!(attempt(&mut smtp, Mechanism::Xoauth2, UN, token).await?.code == 503, "{}", smtp.transcript());
    }
    let mut smtp = stage.client().await?;
    for line in [format!("AUTH XOAUTH2 !{token}"), format!("AUTH XOAUTH2 {token} {token}"), format!("AUTH {token}")] {
        let reply = smtp.command(&line).await?;
        ensure!(reply.code >= 300, "{}", reply.line());
        if reply.code == 334 {
            smtp.command("*").await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_token_is_written_by_exim_or_the_sidecar() -> Result<()> {
    let stage = Stage::start(Settings::default(), &site())?;
    let token = stage.token();
    let expired = stage.psc.token(&doctor_one()).deviate(Deviation::Expired)?.mint();
    a_clumsy_day(&stage, &token, &expired).await?;
    let mut needles = Vec::new();
    for token in [&token, &expired] {
        needles.extend(token.split('.').map(str::to_owned));
        for mechanism in MECHANISMS {
            let plain = match mechanism {
                Mechanism::Oauthbearer => format!("n,a={UN},\x01host=localhost\x01port=993\x01auth=Bearer {token}"),
                Mechanism::Xoauth2 | Mechanism::Plain | Mechanism::External => {
                    format!("user={UN}\x01auth=Bearer {token}")
                }
            };
            // The part that no other message shares, in each place that it can have in base64.
            let encoded = STANDARD.encode(plain);
            needles.push(encoded.get(120..240).context("a short token")?.to_owned());
        }
    }
    // Shared by all tokens of a key: says nothing.
    needles.retain(|needle| !token.starts_with(needle.as_str()) || !expired.starts_with(needle.as_str()));
    ensure!(needles.len() >= 8, "{}", needles.len());
    let mut seen = 0;
    for folder in [stage.exim.folder(), stage.sidecar.folder()] {
        for (name, bytes) in written::below(folder)? {
            let text = String::from_utf8_lossy(&bytes);
            let found = needles.iter().position(|needle| text.contains(needle.as_str()));
            ensure!(found.is_none(), "a token (needle {found:?}) in {name}");
            seen += 1;
        }
    }
    ensure!(seen > 20, "{seen} files were looked at");
    let log = stage.exim.log();
    ensure!(log.contains("A=octroi_xoauth2:docteur.un@bal.example.test"), "the log was not looked at:\n{log}");
    Ok(())
}
