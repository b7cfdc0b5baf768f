//! The folder of one Exim: the operator's very files with this server's ports and sockets, its certificate and its
//! mail.
//!
//! Owns what is written below that folder. Must never change an operator's file in any other place than the site's
//! lines.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{PASSWORD, Ports, Setup};
use crate::pki::Pki;
use crate::servers::{Place, put};

/// What must be there before the sidecar opens its sockets.
pub(super) fn prepare(folder: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for name in ["etc", "run", "spool", "log", "mail"] {
        let path = folder.join(name);
        fs::create_dir_all(&path)?;
        if !["etc", "run"].contains(&name) {
            chown(&path, Some(uid), Some(gid)).context("the tests run as root")?;
        }
    }
    Ok(())
}

/// Fills the server's folder.
pub(super) fn write(place: &Place, (uid, gid): (u32, u32), setup: &Setup, ports: Ports, pki: &Pki) -> Result<()> {
    let (etc, seen_as) = (place.folder.join("etc"), place.seen_as.as_str());
    for (name, text) in [
        ("server.pem", pki.certificate_pem.as_str()),
        ("authority.pem", &pki.authority_pem),
        ("exim.conf", &server(seen_as, setup, ports)),
        ("mailboxes", &setup.mailboxes.iter().map(|mailbox| format!("{mailbox}: {mailbox}\n")).collect::<String>()),
        ("octroi-main.conf", &site(seen_as, setup, ports)?),
        ("octroi-acl.conf", include_str!("../../../integrations/exim/octroi-acl.conf")),
        ("octroi-auth.conf", include_str!("../../../integrations/exim/octroi-auth.conf")),
    ] {
        put(&etc.join(name), text, 0o644)?;
    }
    let key = etc.join("server.key");
    put(&key, &pki.key_pem, 0o600)?;
    Ok(chown(key, Some(uid), Some(gid))?)
}

/// The server apart from Octroi: what every site has already.
fn server(seen_as: &str, setup: &Setup, ports: Ports) -> String {
    let name = seen_as.rsplit('/').next().unwrap_or("exim").to_lowercase();
    include_str!("../../exim/exim.conf")
        .replace("@DIR@", seen_as)
        .replace("@MAIN@", &setup.main)
        .replace("@NAME@", &name)
        .replace("@SUBMISSION@", &ports.submission.to_string())
        .replace("@SUBMISSIONS@", &ports.submissions.to_string())
        .replace("@MX@", &ports.mx.to_string())
        .replace("@PASSWORD@", PASSWORD)
}

/// The lines that a site edits. Fails if the shipped file does not hold exactly these.
fn site(seen_as: &str, setup: &Setup, ports: Ports) -> Result<String> {
    let mut file = include_str!("../../../integrations/exim/octroi-main.conf").to_owned();
    for (shipped, ours) in [
        ("OCTROI_PORTS = 465 : 587", format!("OCTROI_PORTS = {} : {}", ports.submissions, ports.submission)),
        ("OCTROI_SASL_SOCKET = /run/octroi/exim/sasl", format!("OCTROI_SASL_SOCKET = {seen_as}/run/sasl")),
        (
            "OCTROI_POLICY_SOCKET = /run/octroi/exim/policy",
            format!("OCTROI_POLICY_SOCKET = {seen_as}/run/{}", setup.policy_socket),
        ),
        ("OCTROI_OTHER_AUTHENTICATORS =", format!("OCTROI_OTHER_AUTHENTICATORS = {}", setup.other_authenticators)),
    ] {
        let shipped = format!("\n{shipped}\n");
        ensure!(file.matches(&shipped).count() == 1, "the shipped file lacks {shipped}");
        file = file.replace(&shipped, &format!("\n{ours}\n"));
    }
    Ok(file)
}
