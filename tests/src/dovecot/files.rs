//! The folder of one test server: the operator's very files with this server's port and secrets, certificates and mail.
//!
//! Owns what is written below that folder. Must never change an operator's file in any other place than the site's
//! lines.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Ports, Setup, Version};
use crate::pki::Pki;
use crate::servers::{MAIL_UID, MailFolder, Place, put};

/// Where an operator installs the files; each server of the tests has its own folder instead.
const INSTALLED: &str = "/etc/dovecot/";

/// Fills the server's folder.
pub(super) fn write(place: &Place, setup: &Setup, ports: Ports, pki: &Pki) -> Result<()> {
    let Place { folder, seen_as, .. } = place;
    let mail = match &setup.mail {
        Some(mail) => mail.clone(),
        None => MailFolder::within(place),
    };
    ensure!(mail.folder.starts_with(&place.root), "the mailboxes lie in another root");
    // Dovecot's own users must pass through; the folder for tests is made for its owner alone.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let etc = folder.join("etc");
    for folder in [&etc, &mail.folder] {
        fs::create_dir_all(folder)?;
    }
    put(&etc.join("server.pem"), &pki.certificate_pem, 0o644)?;
    put(&etc.join("server.key"), &pki.key_pem, 0o600)?;
    put(&etc.join("authority.pem"), &pki.authority_pem, 0o644)?;
    put(&etc.join("dovecot.conf"), &server(seen_as, &mail, setup, ports), 0o644)?;
    operator_files(&etc, seen_as, setup)?;
    for (from, to) in &setup.edited {
        edit(&etc, from, to)?;
    }
    chown(&mail.folder, Some(MAIL_UID), Some(MAIL_UID)).context("the tests run as root")?;
    setup.mailboxes.iter().try_for_each(|mailbox| deliver(&mail.folder, mailbox))
}

/// The server apart from Octroi: what every site has already.
fn server(seen_as: &str, mail: &MailFolder, setup: &Setup, ports: Ports) -> String {
    let template = match setup.version {
        Version::V2_3 => include_str!("../../dovecot/dovecot-2.3.conf"),
        Version::V2_4 => include_str!("../../dovecot/dovecot-2.4.conf"),
    };
    let name = seen_as.rsplit('/').next().unwrap_or("octroi");
    let rendered = template
        .replace("@DIR@", seen_as)
        .replace("@MAIL@", &mail.seen_as)
        .replace("@NAME@", name)
        .replace("@IMAP@", &ports.imap.to_string())
        .replace("@IMAPS@", &ports.imaps.to_string())
        .replace("@UID@", &MAIL_UID.to_string())
        .replace("@PASSWORD@", super::PASSWORD)
        .replace(
            "@PASSWORD_MECHANISMS@",
            match (setup.passwords_filtered, setup.version) {
                (false, _) => "",
                (true, Version::V2_3) => "mechanisms = plain login",
                (true, Version::V2_4) => "mechanisms_filter = plain login",
            },
        );
    let rendered = match &setup.certificates {
        Some(_) => rendered
            .replace("listen = 127.0.0.1\n", &format!("listen = 127.0.0.1, {}\n", crate::certificates::ADDRESS))
            .replace("!include octroi.conf\n", "!include octroi.conf\n!include octroi-certificates.conf\n"),
        None => rendered,
    };
    let before = if setup.tickets.is_some() { "!include octroi-checkpassword.conf\n" } else { "" };
    format!("{before}{rendered}\n{}\n", setup.after)
}

/// Octroi's files as they are shipped, but for the lines that the site is told to edit, and the folder.
fn operator_files(etc: &Path, seen_as: &str, setup: &Setup) -> Result<()> {
    let conf = match setup.version {
        Version::V2_3 => include_str!("../../../integrations/dovecot-2.3/octroi.conf"),
        Version::V2_4 => include_str!("../../../integrations/dovecot-2.4/octroi.conf"),
    };
    put(&etc.join("octroi.conf"), &conf.replace(INSTALLED, &format!("{seen_as}/etc/")), 0o644)?;
    if setup.version == Version::V2_3 {
        let oauth2 = include_str!("../../../integrations/dovecot-2.3/octroi-oauth2.conf.ext");
        put(&etc.join("octroi-oauth2.conf.ext"), &site(oauth2, setup, "introspection")?, 0o640)?;
    }
    if let Some(tickets) = &setup.tickets {
        let file = include_str!("../../../integrations/dovecot-2.3/octroi-checkpassword.conf");
        let args = "args = /usr/lib/octroi/octroi-checkpassword --socket /run/octroi/gate.sock";
        ensure!(file.matches(args).count() == 1, "the shipped file lacks {args}");
        let own = format!("args = {} --socket {}", tickets.program, tickets.socket);
        put(&etc.join("octroi-checkpassword.conf"), &file.replace(args, &own), 0o644)?;
    }
    if let Some(folder) = &setup.certificates {
        let file = match setup.version {
            Version::V2_3 => include_str!("../../../integrations/dovecot-2.3/octroi-certificates.conf"),
            Version::V2_4 => include_str!("../../../integrations/dovecot-2.4/octroi-certificates.conf"),
        };
        let [address, seen] = ["192.0.2.10", "/var/lib/octroi-dovecot"];
        ensure!(
            file.contains(&format!("local {address} {{")) && file.matches(seen).count() >= 3,
            "another shipped file"
        );
        let own = file.replace(address, &crate::certificates::ADDRESS.to_string()).replace(seen, folder);
        put(&etc.join("octroi-certificates.conf"), &own, 0o644)?;
    }
    if !setup.site_file {
        return Ok(());
    }
    let file = match setup.version {
        Version::V2_3 => site(include_str!("../../../integrations/dovecot-2.3/octroi-site.conf"), setup, "policy")?,
        Version::V2_4 => {
            let file = include_str!("../../../integrations/dovecot-2.4/octroi-site.conf");
            site(&site(file, setup, "introspection")?, setup, "policy")?
        }
    };
    put(&etc.join("octroi-site.conf"), &file, 0o640)
}

/// One shipped address with this server's port and secret. Fails if the file does not hold exactly that address.
fn site(file: &str, setup: &Setup, door: &str) -> Result<String> {
    let (path, actual) = match door {
        "introspection" => ("introspect", &setup.introspection),
        _ => ("policy", &setup.policy),
    };
    let shipped = format!("http://{door}:CHANGE-ME-{}@127.0.0.1:8143/{path}", door.to_uppercase());
    ensure!(file.matches(&shipped).count() == 1, "a shipped file lacks {shipped}");
    Ok(file.replace(&shipped, &format!("http://{door}:{}@127.0.0.1:{}/{path}", actual.secret, actual.port)))
}

/// Replaces a text in every file of a folder. Fails if no file holds it.
pub fn edit(folder: &Path, from: &str, to: &str) -> Result<()> {
    let mut found = false;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if text.contains(from) {
            found = true;
            // Written in place: its mode stays.
            fs::write(&path, text.replace(from, to))?;
        }
    }
    ensure!(found, "no file of {} holds {from:?}", folder.display());
    Ok(())
}

/// One message that names its mailbox, so that a test sees whose mailbox it opened.
fn deliver(mail: &Path, mailbox: &str) -> Result<()> {
    let home = mail.join(mailbox);
    for folder in ["", "cur", "new", "tmp"] {
        let folder = home.join(folder);
        fs::create_dir_all(&folder)?;
        chown(&folder, Some(MAIL_UID), Some(MAIL_UID))?;
    }
    let message = home.join("new/1.1.localhost");
    let subject = super::subject(mailbox);
    put(
        &message,
        &format!("From: test@example.test\r\nTo: {mailbox}\r\nSubject: {subject}\r\n\r\nBonjour.\r\n"),
        0o600,
    )?;
    chown(&message, Some(MAIL_UID), Some(MAIL_UID))?;
    Ok(())
}
