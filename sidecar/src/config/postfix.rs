//! `[postfix]`: the two doors for Postfix or Exim: unix sockets in its queue directory, and loopback addresses.

use super::files::Base;
use super::reader::Section;
use super::{Postfix, User, domain};

/// Longest path of a unix socket: `sun_path` of Linux is 108 bytes with the final NUL. The name under which it is first
/// bound is four bytes longer.
const MAX_PATH: usize = 103;

/// Reads the section. Whether the user exists is found out when the doors open: a file may be checked elsewhere.
pub(super) fn postfix(mut section: Section<'_, '_>, base: &Base<'_>) -> Postfix {
    let sasl_socket = base.path(&mut section, "sasl_socket", "/var/spool/postfix/octroi/sasl");
    let delegation_socket = base.path(&mut section, "delegation_socket", "/var/spool/postfix/octroi/policy");
    let certificate_socket = base.optional_path(&mut section, "certificate_sasl_socket");
    let remedy = "keep it on this machine, for instance \"127.0.0.1:9181\"";
    let sasl_listen = section.parsed("sasl_listen", remedy, domain::loopback);
    let remedy = "keep it on this machine, for instance \"127.0.0.1:9182\"";
    let delegation_listen = section.parsed("delegation_listen", remedy, domain::loopback);
    let remedy = "write the name of the user, as in /etc/passwd, or the numbers \"UID:GID\" of one that this system does not know";
    let user = section.parsed("user", remedy, |text| {
        user(text).ok_or_else(|| format!("expected the name of a user or UID:GID, found {text:?}"))
    });
    if sasl_socket.value == delegation_socket.value {
        let expected = "expected a socket of its own: the two speak different protocols";
        delegation_socket.complain(section.report(), expected, "give delegation_socket another path");
    }
    if let (Some(sasl), Some(delegation)) = (&sasl_listen, &delegation_listen)
        && sasl.value == delegation.value
    {
        let expected = "expected an address of its own: the two speak different protocols";
        delegation.complain(section.report(), expected, "give delegation_listen another port");
    }
    if let Some(certificates) = &certificate_socket
        && [&sasl_socket.value, &delegation_socket.value].contains(&&certificates.value)
    {
        let expected = "expected a socket of its own: whoever is told yes on it has proven nothing yet";
        certificates.complain(section.report(), expected, "give certificate_sasl_socket another path");
    }
    for socket in [Some(&sasl_socket), Some(&delegation_socket), certificate_socket.as_ref()].into_iter().flatten() {
        if socket.value.as_os_str().len() > MAX_PATH {
            socket.complain(section.report(), "expected a path of at most 103 bytes", "choose a shorter path");
        }
    }
    section.finish();
    Postfix {
        sasl_socket: sasl_socket.value,
        delegation_socket: delegation_socket.value,
        certificate_sasl_socket: certificate_socket.map(|at| at.value),
        sasl_listen: sasl_listen.map(|at| at.value),
        delegation_listen: delegation_listen.map(|at| at.value),
        user: user.map_or_else(|| User::Name("postfix".to_owned()), |at| at.value),
    }
}

fn user(text: &str) -> Option<User> {
    // -1 means "nobody in particular" to the kernel.
    let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
    if let Some((uid, gid)) = text.split_once(':') {
        let plain = [uid, gid].iter().all(|number| number.bytes().all(|b| b.is_ascii_digit()));
        return Some(User::Numbers { uid: number(uid)?, gid: number(gid)? }).filter(|_| plain);
    }
    let holds = !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_graphic());
    holds.then(|| User::Name(text.to_owned()))
}
