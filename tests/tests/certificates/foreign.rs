//! Mail clients that nobody here wrote, with a certificate: curl, Python's imaplib and smtplib, and what Thunderbird
//! sends for "TLS certificate": EXTERNAL with the account's user name as authorization identity.

use anyhow::{Result, ensure};
use octroi_tests::certificates::ADDRESS;
use octroi_tests::dovecot::{self, Version};
use octroi_tests::{clients, smtp};

use crate::stage::{AUTOMATE, AUTRE, SECRETARIAT, Stage, VERSIONS};

#[tokio::test(flavor = "multi_thread")]
async fn curl_and_imaplib_read_by_certificate() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let files = stage.site.files(&stage.leaves.good, "client")?;
        for (mailbox, opens) in [(AUTOMATE, true), (AUTRE, false)] {
            let subject = if opens { dovecot::subject(mailbox) } else { String::new() };
            for initial in [true, false] {
                let seen = clients::curl_with_certificate(&stage.dovecot, ADDRESS, &files, mailbox, initial).await?;
                ensure!(seen.reply.accepted() == opens && seen.subject == subject, "curl {mailbox}: {seen:?}");
            }
            let seen = clients::imaplib_with_certificate(&stage.dovecot, ADDRESS, &files, mailbox).await?;
            ensure!(seen.reply.accepted() == opens && seen.subject == subject, "imaplib {mailbox}: {seen:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_and_smtplib_send_by_certificate() -> Result<()> {
    let stage = Stage::shared(Version::V2_3);
    let files = stage.site.files(&stage.leaves.good, "sender")?;
    let server = smtp::clients::Server::for_certificates(stage.postfix());
    for (client, sender, goes) in
        [("curl", AUTOMATE, true), ("smtplib", AUTOMATE, true), ("curl", AUTRE, false), ("smtplib", AUTRE, false)]
    {
        let subject = format!("{client} from {sender}");
        let message = smtp::clients::Message { sender, recipient: SECRETARIAT, subject: &subject };
        let seen = match client {
            "curl" => smtp::clients::curl_with_certificate(&server, &files, sender, message).await?,
            _ => smtp::clients::smtplib_with_certificate(&server, &files, sender, message).await?,
        };
        // The login itself proves nothing yet.
        ensure!(seen.login.starts_with("235 ") && seen.sent == goes, "{client} {sender}: {seen:?}");
        if goes {
            stage.postfix().delivered(SECRETARIAT, &subject).await?;
        }
    }
    Ok(())
}
