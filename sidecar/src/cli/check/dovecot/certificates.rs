//! How a Dovecot takes client certificates: at an address of its own, of the right chain, with a current list of every
//! authority, and through the integration's passdb alone.

use std::io::Read as _;
use std::path::Path;

use super::parse::Block;
use super::{Look, Report, words};
use crate::clock::UnixSeconds;
use crate::config::{ChainSettings, DovecotVersion};
use crate::evidence::certificate::{Certificate, Chain, Crl};

/// Largest file of authorities and lists that is read, bytes.
const MAX_FILE: u64 = 64 << 20;

/// Looks at a server that is to take certificates, or does.
pub(super) fn examine(look: &Look<'_>, chains: &[ChainSettings], now: UnixSeconds, report: &mut Report) {
    let names = Names::of(look.version);
    let chains: Vec<&Chain> =
        chains.iter().map(|settings| &settings.chain).filter(|chain| !chain.listen().is_empty()).collect();
    let offered = offers(look);
    if chains.is_empty() {
        if offered {
            let what = "EXTERNAL is offered, and no [[chain]] has imap_listen: every certificate is refused";
            report.mistake(
                look.place,
                what,
                "add imap_listen to its [[chain]], or take EXTERNAL out of auth_mechanisms",
            );
        }
        return;
    }
    if !offered {
        // Another server may be the one for certificates.
        let remedy = "where it is to: include the integration's octroi-certificates.conf after octroi.conf";
        report.unchecked(look.place, "takes no certificates: auth_mechanisms does not offer EXTERNAL", remedy);
        return;
    }
    passdbs(look, &names, report);
    switches(look, report);
    elsewhere(look, &names, report);
    for chain in chains {
        for address in chain.listen() {
            let place = look.conf.named("local").find(|local| local.argument == address.to_string());
            match place {
                Some(local) => listener(look, &names, chain, local, now, report),
                None => {
                    let what = format!("no certificate of {} is asked for at {address}", chain.name());
                    let remedy = format!("add the integration's block `local {address} {{ ... }}`");
                    report.mistake(look.place, what, remedy);
                }
            }
        }
    }
}

/// What the settings are called.
struct Names {
    asks: &'static str,
    field: &'static str,
    authorities: &'static str,
    lists: &'static str,
    filter: &'static str,
}

impl Names {
    const fn of(version: DovecotVersion) -> Self {
        match version {
            DovecotVersion::V23 => Self {
                asks: "ssl_verify_client_cert",
                field: "ssl_cert_username_field",
                authorities: "ssl_ca",
                lists: "ssl_require_crl",
                filter: "mechanisms",
            },
            DovecotVersion::V24 => Self {
                asks: "ssl_server_request_client_cert",
                field: "ssl_server_cert_username_field",
                authorities: "ssl_server_ca_file",
                lists: "ssl_server_require_crl",
                filter: "mechanisms_filter",
            },
        }
    }
}

/// A setting by its whole name, where a block of 2.4 may have it in a group: `ssl_server { require_crl }`.
fn setting<'a>(block: &'a Block, name: &str) -> Option<&'a str> {
    let inner = name.strip_prefix("ssl_server_").and_then(|key| block.grouped("ssl_server", key));
    inner.or_else(|| block.setting(name))
}

fn offers(look: &Look<'_>) -> bool {
    let list = look.conf.setting("auth_mechanisms").unwrap_or_default();
    let blocks = look.conf.named("auth_mechanisms");
    words(list).any(|word| word.eq_ignore_ascii_case("external"))
        || blocks.into_iter().any(|block| block.setting("external") == Some("yes"))
}

/// One passdb answers EXTERNAL, and it is the integration's: any other one's yes would come before the second lock.
fn passdbs(look: &Look<'_>, names: &Names, report: &mut Report) {
    let takes = |passdb: &&Block| {
        let filter = passdb.setting(names.filter);
        filter.is_none_or(|list| words(list).any(|word| word.eq_ignore_ascii_case("external")))
    };
    let mut ours = 0;
    for passdb in look.conf.named("passdb").filter(takes) {
        let file = passdb.setting("args").or_else(|| passdb.setting("passwd_file_path")).unwrap_or_default();
        let is_ours = passdb.setting("driver") == Some("passwd-file")
            && passdb.setting("master") == Some("yes")
            && passdb.setting(names.filter).is_some_and(|list| words(list).count() == 1)
            && file.ends_with("/structures");
        if is_ours {
            ours += 1;
            continue;
        }
        let name = passdb.setting("driver").unwrap_or("without a driver");
        let what = format!("passdb {name} answers EXTERNAL, too: its yes lets any certificate of the chain in");
        report.mistake(look.place, what, format!("add {} = plain login to it", names.filter));
    }
    if ours != 1 {
        let what =
            "no passdb of the integration answers EXTERNAL, or several: structures are not held against the list";
        report.mistake(look.place, what, "take the passdb of octroi-certificates.conf, once");
    }
}

/// Without these another structure's certificate opens a mailbox, or every certificate is refused: what the sidecar
/// decides a login by certificate on (`doors/dovecot_policy/request.rs`).
fn switches(look: &Look<'_>, report: &mut Report) {
    if look.conf.setting("auth_ssl_username_from_cert") != Some("yes") {
        let what = "auth_ssl_username_from_cert is not yes: a certificate's structure is not who logs in";
        report.mistake(look.place, what, "take octroi-certificates.conf as it stands");
    }
    for (attribute, variable) in [
        ("cert", "%{cert}"),
        ("cert_id", "%{passdb:cert_id"),
        ("real_lip", "%{real_l"),
        ("master_user", "%{master_user}"),
        ("auth_user", "%{auth_user}"),
    ] {
        if !super::policy::sends(look, attribute, variable) {
            let what = format!("auth_policy_request_attributes sends no {attribute}: every certificate is refused");
            report.mistake(look.place, what, "include octroi-certificates.conf after octroi.conf");
        }
    }
}

/// A certificate takes the place of the user's name in every mechanism: it must be asked for nowhere else.
fn elsewhere(look: &Look<'_>, names: &Names, report: &mut Report) {
    if setting(look.conf, names.asks) == Some("yes") {
        let what =
            format!("{} = yes for every client: whoever shows a certificate is refused with a token", names.asks);
        report.mistake(look.place, what, "set it within `local ADDRESS { ... }` alone");
    }
    for block in look.conf.named("local_name").filter(|block| setting(block, names.asks).is_some()) {
        let what = format!("local_name {}: a certificate is never asked for by the server's name", block.argument);
        report.mistake(look.place, what, "give the certificates an address of their own: `local ADDRESS { ... }`");
    }
}

fn listener(look: &Look<'_>, names: &Names, chain: &Chain, local: &Block, now: UnixSeconds, report: &mut Report) {
    let place = format!("{}, {}", look.place, local.argument);
    for (key, wanted, danger) in [
        (names.asks, "yes", "no certificate is asked for"),
        (names.field, "organizationalUnitName", "who logs in is not the structure"),
    ] {
        let found = setting(local, key).unwrap_or("not set");
        if found != wanted {
            report.mistake(&place, format!("{key} is {found}: {danger}"), format!("set {key} = {wanted}"));
        }
    }
    let file = setting(local, names.authorities).unwrap_or_default().trim_start_matches('<').trim();
    let path = look.root.join(file.trim_start_matches('/'));
    lists(names, chain, local, &path, (&place, report));
    match read(&path).map(|text| trusted(&text, chain, now)) {
        Ok(wrong) if wrong.is_empty() => {
            report.good(&place, format!("the authorities of {} and their lists", chain.name()))
        }
        Ok(wrong) => {
            for (what, remedy) in wrong {
                report.mistake(&place, format!("{}: {what}", path.display()), remedy);
            }
        }
        Err(error) => {
            let remedy = format!("name the file that the sidecar keeps, {}.pem in its dovecot_folder", chain.name());
            report.mistake(&place, format!("{} {} can't be read ({error})", names.authorities, path.display()), remedy);
        }
    }
}

/// Whether Dovecot wants lists. While the check is suspended the sidecar's own file, beside that of the authorities,
/// says no.
fn lists(names: &Names, chain: &Chain, local: &Block, authorities: &Path, (place, report): (&str, &mut Report)) {
    let key = names.lists;
    let found = setting(local, key).unwrap_or("not set");
    if found == "yes" {
        return;
    }
    let own = read(&authorities.with_file_name(format!("{}-crl.conf", chain.name()))).unwrap_or_default();
    let own = String::from_utf8_lossy(&own);
    let says_no = own.lines().filter_map(|line| line.split_once('=')).any(|(k, v)| k.trim() == key && v.trim() == "no");
    if found == "no" && says_no {
        let what = format!("the check is suspended ({key} is no): revoked certificates are let in");
        report.unchecked(
            place,
            what,
            "end the suspension (`octroi certificate crl resume`) once lists can be had again",
        );
    } else {
        let remedy =
            format!("end the suspension (`octroi certificate crl resume`), or set {key} = yes where there is none");
        report.mistake(place, format!("{key} is {found}: revoked certificates are let in"), remedy);
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(text)
}

/// What is wrong with a file of authorities and lists: each with its remedy.
fn trusted(text: &[u8], chain: &Chain, now: UnixSeconds) -> Vec<(String, String)> {
    let sidecars = || "let it be the file that the sidecar keeps, and nothing else in it".to_owned();
    let Ok(text) = str::from_utf8(text) else { return vec![("it is no PEM file".to_owned(), sidecars())] };
    let (certificates, lists) = (pieces(text, "CERTIFICATE"), pieces(text, "X509 CRL"));
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for piece in certificates {
        match Certificate::read_all(piece.as_bytes()).as_deref() {
            Ok([certificate]) => known.push(certificate.clone()),
            Ok(_) => wrong.push(("a certificate in it is not one".to_owned(), sidecars())),
            Err(error) => wrong.push((format!("a certificate in it: {error}"), sidecars())),
        }
    }
    let ours = |certificate: &Certificate| {
        chain.authorities().iter().any(|known| known.certificate().fingerprint() == certificate.fingerprint())
    };
    for stranger in known.iter().filter(|certificate| !ours(certificate)) {
        let what =
            format!("{} is no authority of {}: its certificates would be let in", stranger.subject(), chain.name());
        wrong.push((what, sidecars()));
    }
    for authority in chain.authorities() {
        let (name, print) = (authority.certificate().subject(), authority.certificate().fingerprint());
        if !known.iter().any(|certificate| certificate.fingerprint() == print) {
            wrong.push((format!("the authority {name} is not in it: every certificate is refused"), sidecars()));
        }
    }
    wrong.extend(outdated(&lists, chain, now));
    wrong
}

/// One list of each authority, each of them current: with one missing or outdated Dovecot refuses every certificate.
fn outdated(lists: &[String], chain: &Chain, now: UnixSeconds) -> Vec<(String, String)> {
    let remedy = || "see `octroi certificate crl status`, and whether its dovecot_reload works".to_owned();
    let mut wrong = Vec::new();
    let mut found = vec![false; chain.authorities().len()];
    for list in lists {
        match Crl::read(list.as_bytes(), chain.authorities(), now) {
            Err(error) => wrong.push((format!("a revocation list in it: {error}"), remedy())),
            Ok((at, list)) => {
                if let Some(found) = found.get_mut(at) {
                    *found = true;
                }
                if list.next_update() < now {
                    let name = chain.authorities().get(at).map_or("", |authority| authority.certificate().subject());
                    let what = format!("the revocation list of {name} has run out: every certificate is refused");
                    wrong.push((what, remedy()));
                }
            }
        }
    }
    for (authority, _) in chain.authorities().iter().zip(&found).filter(|(_, found)| !**found) {
        let name = authority.certificate().subject();
        wrong.push((format!("no revocation list of {name}: every certificate is refused"), remedy()));
    }
    wrong
}

/// Whole PEM blocks of one kind.
fn pieces(text: &str, label: &str) -> Vec<String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let blocks = text.split(begin.as_str()).skip(1).filter_map(|rest| rest.split_once(end.as_str()));
    blocks.map(|(body, _)| format!("{begin}{body}{end}\n")).collect()
}

#[cfg(test)]
mod tests {
    use octroi_igc::{Igc, Names as Authorities};

    use super::*;
    use crate::cli::check::report::Weight;
    use crate::evidence::certificate::ChainKind;

    /// How it is told that the setting is this, where the sidecar's file holds `own`: the weight, and the remedy.
    fn told(found: &str, own: Option<&str>) -> Vec<(Weight, String)> {
        let igc = Igc::new(Authorities::Production).unwrap();
        let file = ("authorities.pem".into(), igc.bundle().into_bytes());
        let chain = Chain::new("igc", ChainKind::Production, Vec::new(), Vec::new(), &[file]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        if let Some(own) = own {
            std::fs::write(folder.path().join("igc-crl.conf"), own).unwrap();
        }
        let conf = format!("# 2.4.1\nlocal 192.0.2.10 {{\n  ssl_server_require_crl = {found}\n}}\n");
        let (_, conf) = super::super::parse::parse(&conf).unwrap();
        let (names, mut report) = (Names::of(DovecotVersion::V24), Report::default());
        lists(&names, &chain, &conf.blocks[0], &folder.path().join("igc.pem"), ("here", &mut report));
        let told =
            report.findings().iter().inspect(|told| assert!(told.what.contains("revoked certificates are let in")));
        told.map(|told| (told.weight, told.remedy.clone())).collect()
    }

    /// What is told of the attributes of the question that the integration's files ask for, without those for which
    /// `left` says no.
    fn told_of_attributes(version: DovecotVersion, left: impl Fn(&str) -> bool) -> Vec<String> {
        let attributes = match version {
            DovecotVersion::V23 => {
                let file = include_str!("../../../../../integrations/dovecot-2.3/octroi-certificates.conf");
                let line =
                    file.lines().find_map(|line| line.strip_prefix("auth_policy_request_attributes = ")).unwrap();
                let kept: Vec<&str> = line.split(' ').filter(|pair| left(pair)).collect();
                format!("auth_policy_request_attributes = {}\n", kept.join(" "))
            }
            DovecotVersion::V24 => {
                let block = |file: &'static str| {
                    file.split_once("\nauth_policy_request_attributes {\n").unwrap().1.split_once("\n}").unwrap().0
                };
                let files = [
                    include_str!("../../../../../integrations/dovecot-2.4/octroi.conf"),
                    include_str!("../../../../../integrations/dovecot-2.4/octroi-certificates.conf"),
                ];
                let kept = files.into_iter().flat_map(|file| block(file).lines()).filter(|line| left(line.trim()));
                format!("auth_policy {{\nrequest_attributes {{\n{}\n}}\n}}\n", kept.collect::<Vec<_>>().join("\n"))
            }
        };
        let text = format!("# {}.1 (x): y\nauth_ssl_username_from_cert = yes\n{attributes}", version.code());
        let (_, conf) = super::super::parse::parse(&text).unwrap();
        let ours = super::super::tests::ours();
        let mut report = Report::default();
        switches(&Look { place: "here", version, root: Path::new("/"), ours: &ours, conf: &conf }, &mut report);
        let told = report.findings().iter();
        let remedy = "include octroi-certificates.conf after octroi.conf";
        told.inspect(|told| assert_eq!((told.weight, told.remedy.as_str()), (Weight::Mistake, remedy)))
            .map(|told| told.what.clone())
            .collect()
    }

    #[test]
    fn an_attribute_that_a_certificate_is_decided_on_and_dovecot_does_not_send_is_told() {
        for version in [DovecotVersion::V23, DovecotVersion::V24] {
            assert_eq!(told_of_attributes(version, |_| true), Vec::<String>::new());
            for attribute in ["cert", "cert_id", "real_lip", "master_user", "auth_user"] {
                let told = told_of_attributes(version, |pair| {
                    pair.split_once('=').is_none_or(|(name, _)| name.trim() != attribute)
                });
                let expected =
                    format!("auth_policy_request_attributes sends no {attribute}: every certificate is refused");
                assert_eq!(told, [expected], "{version:?}");
            }
        }
    }

    #[test]
    fn a_dovecot_that_wants_no_lists_is_a_mistake_unless_the_check_is_suspended() {
        let (yes, no) = ("ssl_server_require_crl = yes\n", "ssl_server_require_crl = no\n");
        assert_eq!(told("yes", Some(no)), []);
        for (found, own) in
            [("no", None), ("no", Some(yes)), ("other", Some(no)), ("no", Some("ssl_require_crl = no\n"))]
        {
            let told = told(found, own);
            assert!(told.len() == 1 && told[0].0 == Weight::Mistake, "{found} {own:?}: {told:?}");
            assert!(told[0].1.ends_with("or set ssl_server_require_crl = yes where there is none"), "{told:?}");
        }
        let told = told("no", Some(no));
        assert!(told.len() == 1 && told[0].0 == Weight::Unchecked, "{told:?}");
        assert!(told[0].1.starts_with("end the suspension (`octroi certificate crl resume`)"), "{told:?}");
    }
}
