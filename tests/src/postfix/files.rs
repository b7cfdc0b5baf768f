//! The folder of one test server: Debian's own `master.cf`, a site's `main.cf`, and behind each the operator's very
//! file.
//!
//! Owns what is written below that folder. Must never change a shipped file in any other place than the ports, and the
//! number of processes where a test wants one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Ports, Setup};
use crate::pki::Pki;
use crate::servers::{MAIL_UID, MailFolder, Place, put};

/// Fills the folder for the user `account` of the root.
pub(super) fn write(place: &Place, setup: &Setup, ports: Ports, account: (u32, u32), pki: &Pki) -> Result<()> {
    let Place { folder, root, .. } = place;
    // Postfix's own user must pass through; the folder for tests is made for its owner alone.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for name in ["etc", "queue", "data", "mail"] {
        fs::create_dir_all(folder.join(name))?;
    }
    chown(folder.join("data"), Some(account.0), None).context("the tests run as root")?;
    chown(folder.join("mail"), Some(MAIL_UID), Some(MAIL_UID))?;
    let etc = folder.join("etc");
    put(&etc.join("server.pem"), &pki.certificate_pem, 0o644)?;
    put(&etc.join("server.key"), &pki.key_pem, 0o600)?;
    put(&etc.join("authority.pem"), &pki.authority_pem, 0o644)?;
    let mailboxes: String = setup.mailboxes.iter().map(|address| format!("{address} {address}/\n")).collect();
    put(&etc.join("mailboxes"), &mailboxes, 0o644)?;
    put(&etc.join("main.cf"), &main(place, setup), 0o644)?;
    put(&etc.join("master.cf"), &master(root, setup, ports)?, 0o644)?;
    fs::copy(root.join("etc/postfix/dynamicmaps.cf"), etc.join("dynamicmaps.cf"))?;
    Ok(())
}

fn main(place: &Place, setup: &Setup) -> String {
    let site = include_str!("../../postfix/main.cf")
        .replace("@DIR@", &place.seen_as)
        .replace("@MAIL@", &MailFolder::within(place).seen_as)
        .replace("@UID@", &MAIL_UID.to_string());
    format!("{site}{}\n{}", setup.main, include_str!("../../../integrations/postfix/main.cf"))
}

fn master(root: &Path, setup: &Setup, ports: Ports) -> Result<String> {
    let debian = fs::read_to_string(root.join("etc/postfix/master.cf.proto"))?;
    let debian = service(&debian, "smtp      inet", ports.smtp)?;
    let ours = include_str!("../../../integrations/postfix/master.cf");
    let ours = service(&service(ours, "submission inet", ports.submission)?, "submissions inet", ports.submissions)?;
    let most = "-       y       -       -       smtpd";
    ensure!(ours.matches(most).count() == 2, "a shipped service has another shape");
    let ours = match setup.processes {
        Some(processes) => ours.replace(most, &format!("-       y       -       {processes}       smtpd")),
        None => ours,
    };
    let certificates = match &setup.certificates {
        Some(folder) => {
            let file = include_str!("../../../integrations/postfix/master-certificates.cf");
            let seen = "smtpd_tls_CAfile=/var/lib/octroi-dovecot/";
            ensure!(file.matches(seen).count() == 1, "another shipped file");
            let file = file.replace(seen, &format!("smtpd_tls_CAfile={folder}/"));
            service(&file, "10465 inet", ports.certificates)?
        }
        None => String::new(),
    };
    Ok(format!("{debian}\n{ours}\n{certificates}"))
}

/// One service on another port. Fails if the file does not hold exactly one of that name.
fn service(file: &str, name: &str, port: u16) -> Result<String> {
    let begins = format!("\n{name} ");
    ensure!(file.matches(&begins).count() == 1, "not exactly one service {name:?}");
    Ok(file.replace(&begins, &format!("\n127.0.0.1:{port} inet ")))
}
