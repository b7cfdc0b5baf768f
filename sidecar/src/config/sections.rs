//! The whole file, section by section, then what only several sections together can show.
//!
//! Each reader goes on after a problem with a stand-in value; the configuration is only built when nothing was
//! reported.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::files::Base;
use super::problem::Problem;
use super::reader::{At, Report, Section};
use super::{
    Audit, Check, Config, Dovecot, DovecotServer, DovecotVersion, Issuer, Metrics, Policy, PostfixServer, Rails,
    Server, Tls,
};
use super::{chain, domain, evidence, issuer, policy, postfix, throttle, trust};
use crate::evidence::directory::MailboxAddress;

/// Most issuers: a bound for the tables that are kept per issuer.
const MAX_ISSUERS: usize = 16;

/// Reads `text`, the content of `path`.
pub(super) fn configuration(path: &Path, text: &str) -> Result<Config, Vec<Problem>> {
    let report = Report::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        report.add(
            "",
            &span,
            format!("not TOML: {}", error.message()),
            "correct the syntax; the rest is checked after",
        );
    }
    // A document recovered from broken syntax would only be complained about for what its author did write.
    let config = match report.is_clean() {
        true => read(&report, document.get_ref(), path),
        false => None,
    };
    match config {
        Some(config) if report.is_clean() => Ok(config),
        _ => Err(report.into_problems()),
    }
}

/// Reads `[server]` alone, of a file that may not hold otherwise.
pub(super) fn admin_socket(path: &Path, text: &str) -> Result<PathBuf, Vec<Problem>> {
    let report = Report::new(text);
    let (document, _) = DeTable::parse_recoverable(text);
    let base = Base(path.parent().unwrap_or(Path::new("/")));
    let server = server(Section::root(&report, document.get_ref()).section("server"), &base);
    if report.is_clean() { Ok(server.admin_socket) } else { Err(report.into_problems()) }
}

/// Reads the document; `None` where a required part is missing or wrong: the report has it.
pub(super) fn read(report: &Report<'_>, document: &DeTable<'_>, path: &Path) -> Option<Config> {
    let base = Base(path.parent().unwrap_or(Path::new("/")));
    let mut root = Section::root(report, document);
    let server = server(root.section("server"), &base);
    let audit = audit(root.section("audit"), &base, &server.state_dir);
    let dovecot = root.optional_section("dovecot").and_then(|section| dovecot(section, &base));
    let postfix = root.optional_section("postfix").map(|section| postfix::postfix(section, &base));
    let issuers = issuers(&mut root, &base);
    let (chains, crl) = chain::chains(&mut root, &base);
    let rails = rails(root.section("rails"));
    let throttle = throttle::throttle(root.section("throttle"));
    let policy = policy_section(root.section("policy"), &base);
    let check = check(root.section("check"), &base);
    let metrics = root.optional_section("metrics").map(metrics);
    root.finish();
    Some(Config {
        server,
        dovecot,
        postfix,
        issuers: issuers?,
        chains,
        crl,
        rails,
        throttle,
        policy,
        audit,
        metrics,
        check,
    })
}

fn server(mut section: Section<'_, '_>, base: &Base<'_>) -> Server {
    let state_dir = base.path(&mut section, "state_dir", "/var/lib/octroi").value;
    let gate_socket = base.path(&mut section, "gate_socket", "/run/octroi/gate.sock");
    let gate_uids = uids(&mut section, "gate_uids");
    let remedy = "name a group of this machine, or give its number as a text";
    let gate_group = section.parsed("gate_group", remedy, domain::gid).map(|at| at.value);
    let ticket_seconds = section.number("ticket_seconds", 60, 1..=60);
    let admin_socket = base.path(&mut section, "admin_socket", "/run/octroi/admin.sock");
    let admin_uids = uids(&mut section, "admin_uids");
    let max_in_flight = section.number("max_in_flight", 256, 1..=65_536);
    let remembered_signatures = section.number("remembered_signatures", 16_384, 0..=1_048_576);
    if gate_socket.value == admin_socket.value {
        let expected = "expected a socket of its own: whoever asks for decisions must not change the directory";
        admin_socket.complain(section.report(), expected, "give admin_socket another path");
    }
    for socket in [&gate_socket, &admin_socket] {
        // sockaddr_un.sun_path of Linux: 108 bytes with the final NUL.
        if socket.value.as_os_str().len() > 107 {
            socket.complain(section.report(), "expected a path of at most 107 bytes", "choose a shorter path");
        }
    }
    section.finish();
    Server {
        state_dir,
        gate_socket: gate_socket.value,
        gate_uids,
        gate_group,
        ticket_seconds,
        admin_socket: admin_socket.value,
        admin_uids,
        max_in_flight: usize::try_from(max_in_flight).unwrap_or(usize::MAX),
        remembered_signatures: usize::try_from(remembered_signatures).unwrap_or(usize::MAX),
    }
}

fn uids(section: &mut Section<'_, '_>, key: &'static str) -> Vec<u32> {
    let Some(list) = section.list(key) else { return vec![0] };
    if list.value.is_empty() {
        list.complain(section.report(), "expected at least one user, found an empty list", "name who may connect");
    }
    let remedy = "name a user of this machine, or give its number as a text";
    each(section.report(), &list, remedy, domain::uid)
}

/// Parses every member of a list and reports each that does not hold.
pub(super) fn each<T>(
    report: &Report<'_>,
    list: &At<Vec<At<&str>>>,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut values = Vec::with_capacity(list.value.len());
    for text in &list.value {
        match parse(text.value) {
            Ok(value) => values.push(value),
            Err(expected) => text.complain(report, expected, remedy),
        }
    }
    values
}

fn audit(mut section: Section<'_, '_>, base: &Base<'_>, state_dir: &Path) -> Audit {
    let file = base.optional_path(&mut section, "file").map_or_else(|| state_dir.join("audit.jsonl"), |at| at.value);
    section.finish();
    Audit { file }
}

fn metrics(mut section: Section<'_, '_>) -> Metrics {
    let remedy = "keep it on this machine, for instance \"127.0.0.1:9181\"";
    let listen = section.parsed("listen", remedy, domain::loopback);
    section.finish();
    Metrics { listen: listen.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9181)), |at| at.value) }
}

fn dovecot(mut section: Section<'_, '_>, base: &Base<'_>) -> Option<Dovecot> {
    let remedy = "keep it on this machine, for instance \"127.0.0.1:9180\"";
    let listen = section.parsed("listen", remedy, domain::loopback);
    let purpose = "name the file that holds the password of Dovecot's introspection URL";
    let introspection = base.secret(&mut section, "introspection_secret_file", Some(purpose));
    let purpose = "name the file that holds the password of Dovecot's auth-policy URL";
    let policy = base.secret(&mut section, "policy_secret_file", Some(purpose));
    let handle_seconds = section.number("handle_seconds", 30, 1..=300);
    let other_mechanisms = section.list("other_mechanisms").map_or_else(
        || vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        |list| each(section.report(), &list, "name a mechanism such as \"PLAIN\"", domain::other_mechanism),
    );
    let uncounted_users = section.list("uncounted_users").map_or_else(Vec::new, |list| {
        each(section.report(), &list, "write the user name as Dovecot has it", |text| {
            let holds = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            holds.then(|| text.to_ascii_lowercase()).ok_or_else(|| format!("expected a user name, found {text:?}"))
        })
    });
    if let (Some(one), Some(other)) = (&introspection, &policy)
        && one.value == other.value
    {
        let expected = "expected a secret of its own: each door has one, so that one leak opens one door";
        other.complain(section.report(), expected, "put another secret into this file");
    }
    section.finish();
    Some(Dovecot {
        listen: listen.map_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9180)), |at| at.value),
        introspection_secret: introspection?.value,
        policy_secret: policy?.value,
        handle_seconds,
        other_mechanisms,
        uncounted_users,
    })
}

fn issuers(root: &mut Section<'_, '_>, base: &Base<'_>) -> Option<Vec<Issuer>> {
    let all = (evidence::keys(root.section("keys")), evidence::introspection(root.section("introspection")));
    if !root.has("issuer") {
        root.missing("issuer", "at least one [[issuer]]", "add an [[issuer]]: without one every token is refused");
        root.sections("issuer");
        return None;
    }
    let sections = root.sections("issuer");
    let wanted = sections.len();
    let mut issuers: Vec<Issuer> = Vec::with_capacity(wanted);
    for (number, section) in sections.into_iter().enumerate() {
        let place = section.place();
        if number == MAX_ISSUERS {
            place.complain(root.report(), format!("expected at most {MAX_ISSUERS} issuers"), "take some out");
        }
        let Some(read) = issuer::issuer(section, base, all) else { continue };
        if issuers.iter().any(|known| known.issuer == read.issuer) {
            place.complain(root.report(), format!("{} has an [[issuer]] already", read.issuer), "take one of them out");
        }
        issuers.push(read);
    }
    (issuers.len() == wanted).then_some(issuers)
}

fn rails(mut section: Section<'_, '_>) -> Rails {
    let leeway_seconds = section.number("leeway_seconds", 5, 0..=30);
    let session_max_seconds = section.number("session_max_seconds", 14_400, 60..=14_400);
    section.finish();
    Rails { leeway_seconds, session_max_seconds }
}

fn policy_section(mut section: Section<'_, '_>, base: &Base<'_>) -> Policy {
    let component = base.file(&mut section, "component");
    let settings = section.free("settings").map_or_else(serde_json::Map::new, |at| {
        policy::json_object(at.value).unwrap_or_else(|expected| {
            at.complain(section.report(), expected, "correct the number");
            serde_json::Map::new()
        })
    });
    let trust = trust::trust(&mut section);
    let vectors = base.optional_path(&mut section, "vectors").map(|at| at.value);
    let probation_seconds = section.number("probation_seconds", 900, 0..=86_400);
    let persons = section.number("probation_persons", 3, 1..=1000);
    let probation_persons = usize::try_from(persons).unwrap_or(usize::MAX);
    let recording_megabytes = section.optional_section("recording").map(|mut recording| {
        let megabytes = recording.number("megabytes", 64, 1..=10_000);
        recording.finish();
        megabytes
    });
    section.finish();
    Policy { component, settings, trust, vectors, probation_seconds, probation_persons, recording_megabytes }
}

fn check(mut section: Section<'_, '_>, base: &Base<'_>) -> Check {
    let remedy = "write an address reserved for the probe, which is nobody's mailbox";
    let canary = section.parsed("canary", remedy, domain::mailbox);
    let non_member = section.parsed("non_member", remedy, domain::mailbox);
    match (&canary, &non_member) {
        (Some(one), Some(other)) if one.value == other.value => {
            let expected = "expected an address other than the canary's: one must open, the other must not";
            other.complain(section.report(), expected, remedy);
        }
        (Some(_), None) if !section.has("non_member") => section.missing("non_member", "an address", remedy),
        (None, Some(_)) if !section.has("canary") => section.missing("canary", "an address", remedy),
        (Some(_) | None, Some(_) | None) => {}
    }
    let servers = section.sections("dovecot");
    let dovecot = servers.into_iter().filter_map(|server| dovecot_server(server, base)).collect();
    let postfix = section.optional_section("postfix").map(|server| postfix_server(server, base));
    section.finish();
    let address = |at: Option<At<MailboxAddress>>| at.map(|at| at.value);
    Check { canary: address(canary), non_member: address(non_member), dovecot, postfix }
}

fn postfix_server(mut section: Section<'_, '_>, base: &Base<'_>) -> PostfixServer {
    let root = base.path(&mut section, "root", "/").value;
    let postconf = command(&mut section, "postconf", &["postconf"]);
    section.finish();
    PostfixServer { root, postconf }
}

/// A command, word by word.
fn command(section: &mut Section<'_, '_>, key: &'static str, default: &[&str]) -> Vec<String> {
    let Some(list) = section.list(key) else { return default.iter().map(ToString::to_string).collect() };
    if list.value.is_empty() {
        let remedy = format!("write {default:?}");
        list.complain(section.report(), "expected a command, found an empty list", &remedy);
    }
    list.value.iter().map(|word| word.value.to_owned()).collect()
}

fn dovecot_server(mut section: Section<'_, '_>, base: &Base<'_>) -> Option<DovecotServer> {
    let versions = [("2.3", DovecotVersion::V23), ("2.4", DovecotVersion::V24)];
    if !section.has("version") {
        section.missing("version", "\"2.3\" or \"2.4\"", "write what `dovecot --version` begins with");
    }
    let version = section.choice("version", &versions);
    let remedy = "write for instance \"127.0.0.1:993\"";
    let imap = section.parsed("imap", remedy, domain::host_and_port);
    let imap = imap.map_or_else(|| "127.0.0.1:993".to_owned(), |at| at.value);
    let tls = section.choice("tls", &[("implicit", Tls::Implicit), ("starttls", Tls::StartTls)]);
    let ca_file: Option<PathBuf> = base.file(&mut section, "ca_file");
    let server_name = section.parsed("server_name", "write the name on the server's certificate", |text| {
        let holds = rustls::pki_types::ServerName::try_from(text).is_ok();
        holds.then(|| text.to_owned()).ok_or_else(|| format!("expected a host name or an IP address, found {text:?}"))
    });
    let root = base.path(&mut section, "root", "/").value;
    let doveconf = command(&mut section, "doveconf", &["doveconf", "-n"]);
    let server = version.map(|version| DovecotServer {
        version: version.value,
        tls: tls.map_or(Tls::Implicit, |at| at.value),
        ca_file,
        server_name: server_name.map_or_else(|| domain::host(&imap).to_owned(), |at| at.value),
        imap,
        root,
        doveconf,
    });
    section.finish();
    server
}
