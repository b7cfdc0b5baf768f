//! A Postfix's settings against what the integration needs, and against what would undo it.
//!
//! Reads what `postconf`, `postconf -M` and `postconf -P` print (postconf(1)): the parameters, the services of
//! master.cf and what each of them overrides. Only services of smtpd(8) are looked at; the files of `integrations/`
//! pass every rule.

mod certificates;
mod restrictions;
mod rules;
mod settings;

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use self::settings::{Postconf, Service};
use super::command;
use super::report::Report;
use crate::app::account;
use crate::config::{Postfix, PostfixServer};

/// Where findings are.
const PLACE: &str = "Postfix";
const FILES: &str =
    "append integrations/postfix/main.cf and master.cf to Postfix's, in the place of its own submission services";

/// What a rule needs to know beside the service.
struct Look<'a> {
    root: &'a Path,
    ours: &'a Postfix,
    conf: &'a Postconf,
    /// Bytes of a line that holds the largest token.
    line: usize,
}

/// A door of ours, as Postfix may call it.
#[derive(Clone, Copy)]
struct Door<'a> {
    socket: &'a Path,
    listen: Option<SocketAddr>,
}

/// Looks at the server.
pub(super) async fn look(server: &PostfixServer, ours: Option<&Postfix>, line: usize, report: &mut Report) {
    let Some(ours) = ours else {
        report.mistake(PLACE, "the doors for Postfix are closed", "add a [postfix] section to the configuration");
        return;
    };
    let mut printed = Vec::new();
    for argument in [None, Some("-M"), Some("-P")] {
        let words: Vec<_> = server.postconf.iter().cloned().chain(argument.map(str::to_owned)).collect();
        match command::printed(&words).await {
            Ok(text) => printed.push(text),
            Err(error) => {
                let what = format!("`{}` can't be run: {error}", words.join(" "));
                report.mistake(PLACE, what, "correct postconf in [check.postfix], and run this check as root");
                return;
            }
        }
    }
    let [parameters, services, overrides] = &printed[..] else { return };
    let conf = Postconf::read(parameters, services, overrides);
    examine(&Look { root: &server.root, ours, conf: &conf, line }, report);
}

fn examine(look: &Look<'_>, report: &mut Report) {
    let Some(version) = look.conf.main("mail_version") else {
        let what = "the command printed something else than `postconf` does";
        report.mistake(PLACE, what, "correct postconf in [check.postfix]");
        return;
    };
    let before = report.mistakes();
    let (ours, others): (Vec<_>, Vec<_>) =
        look.conf.smtpds().partition(|service| look.logs_in_at(service, Some(look.sasl())));
    let (with_certificates, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|service| look.logs_in_at(service, look.certificate_sasl()));
    if ours.is_empty() {
        let what = "no smtpd service of master.cf logs in through Octroi (smtpd_sasl_auth_enable = yes, \
                    smtpd_sasl_type = dovecot, smtpd_sasl_path = its socket)";
        report.mistake(PLACE, what, FILES);
    }
    for service in &ours {
        rules::of_ours(look, service, report);
    }
    for service in &with_certificates {
        certificates::of_certificates(look, service, report);
    }
    if with_certificates.is_empty() {
        certificates::unused(look, report);
    }
    for service in others {
        rules::of_another(look, service, report);
    }
    rules::logs(look, report);
    look.sockets(report);
    if report.mistakes() == before {
        let names: Vec<_> = ours.iter().chain(&with_certificates).map(|service| service.name.as_str()).collect();
        report.good(PLACE, format!("{version}: {} are as the integration has them", names.join(" and ")));
    }
}

impl<'a> Look<'a> {
    fn sasl(&self) -> Door<'a> {
        Door { socket: &self.ours.sasl_socket, listen: self.ours.sasl_listen }
    }

    fn delegation(&self) -> Door<'a> {
        Door { socket: &self.ours.delegation_socket, listen: self.ours.delegation_listen }
    }

    /// The one for clients with a certificate, where it is open.
    fn certificate_sasl(&self) -> Option<Door<'a>> {
        self.ours.certificate_sasl_socket.as_deref().map(|socket| Door { socket, listen: None })
    }

    fn logs_in_at(&self, service: &Service, door: Option<Door<'_>>) -> bool {
        let is = |key: &str, value: &str| self.conf.effective(service, key) == value;
        is("smtpd_sasl_auth_enable", "yes")
            && is("smtpd_sasl_type", "dovecot")
            && door.is_some_and(|door| self.leads_to(service, &self.conf.effective(service, "smtpd_sasl_path"), door))
    }

    /// Whether a name by which Postfix connects (`unix:path`, a path, `inet:host:port`) is that door.
    fn leads_to(&self, service: &Service, name: &str, door: Door<'_>) -> bool {
        if let Some(address) = name.strip_prefix("inet:") {
            let address = address.replace("localhost:", "127.0.0.1:");
            return door.listen.is_some_and(|listen| listen.to_string() == address);
        }
        let path = Path::new(name.strip_prefix("unix:").unwrap_or(name));
        let queue = self.queue();
        let below = path.strip_prefix("/").unwrap_or(path);
        let full = if path.is_relative() || service.chroot { queue.join(below) } else { self.root.join(below) };
        full == door.socket
    }

    fn queue(&self) -> PathBuf {
        let queue = self.conf.main("queue_directory").unwrap_or("/var/spool/postfix");
        self.root.join(queue.trim_start_matches('/'))
    }

    /// The sidecar makes its sockets for Postfix's user; a server that looks elsewhere finds none.
    fn sockets(&self, report: &mut Report) {
        let account = match account(&self.ours.user) {
            Ok((user, group)) => (user.as_raw(), group.as_raw()),
            Err(error) => {
                return report.mistake(PLACE, format!("{error:#}"), "correct [postfix] user");
            }
        };
        let both = [(&self.ours.sasl_socket, "sasl_socket"), (&self.ours.delegation_socket, "delegation_socket")];
        let third = self.ours.certificate_sasl_socket.as_ref().map(|path| (path, "certificate_sasl_socket"));
        for (path, key) in both.into_iter().chain(third) {
            let shown = path.display();
            let is_there = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
            if !is_there {
                let what = format!("{shown} ([postfix] {key}) is no socket");
                report.mistake(PLACE, what, "start the sidecar, and look in its log why it does not listen there");
            } else if !may_connect(path, account) {
                let (user, group) = account;
                let what = format!("{shown}: Postfix's user ({user}:{group}) may not connect to it");
                report.mistake(PLACE, what, "restart the sidecar, which makes it anew, and leave its rights alone");
            }
            let confined = self.conf.smtpds().any(|service| service.chroot);
            if confined && !path.starts_with(self.queue()) {
                let what = format!("{shown} lies outside {}, where Postfix is confined", self.queue().display());
                report.mistake(PLACE, what, format!("put {key} of [postfix] below the queue directory"));
            }
        }
    }
}

/// Whether a user with this group alone may write to the socket, and pass through its folder (unix(7)).
fn may_connect(path: &Path, account: (u32, u32)) -> bool {
    let folder = path.parent().unwrap_or(path);
    has(path, account, 0o2) && has(folder, account, 0o1)
}

fn has(path: &Path, (user, group): (u32, u32), right: u32) -> bool {
    let Ok(found) = std::fs::metadata(path) else { return false };
    let shift = if found.uid() == user {
        6
    } else if found.gid() == group {
        3
    } else {
        0
    };
    found.mode() >> shift & right == right
}

#[cfg(test)]
mod tests;
