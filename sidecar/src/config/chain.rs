//! `[[chain]]` and `[crl]`: whose client certificates are accepted, and how their revocation lists are held.

use std::fs;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::files::Base;
use super::reader::{At, Section};
use super::sections::each;
use super::{DovecotVersion, domain};
use crate::evidence::certificate::{Chain, ChainKind};

/// Most chains: each certificate is held against every one.
const MAX_CHAINS: usize = 16;
/// Largest file of authorities, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// `[[chain]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSettings {
    /// `name`, `test` (default false: production), `mailbox_domains`, `imap_listen` (default none), and the authorities
    /// read from `ca_files`.
    pub chain: Chain,
    /// `ca_files`: certificates of the authorities, PEM or DER. Required.
    pub ca_files: Vec<PathBuf>,
    /// `crl_urls`: addresses of the revocation lists, one for each authority, in any order. http as well as https:
    /// lists are signed (RFC 5280 section 8). Required.
    pub crl_urls: Vec<Url>,
}

/// `[crl]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlSettings {
    /// `refresh_seconds`: time between two fetches of a list. Default 3600, 60 to 86 400.
    pub refresh: Duration,
    /// `max_stale_seconds`: how long after its nextUpdate a list stays usable. Default 0, to 604 800. Dovecot itself
    /// knows no such time, and refuses every certificate from nextUpdate on.
    pub max_stale: Duration,
    /// `dovecot_folder` and what goes with it. Default none.
    pub dovecot: Option<DovecotCrl>,
}

/// What Dovecot is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DovecotCrl {
    /// `dovecot_folder`: NAME.pem and NAME-crl.conf are written here for each chain.
    pub folder: PathBuf,
    /// `dovecot_version`: `"2.3"` or `"2.4"`. Required with the folder.
    pub version: DovecotVersion,
    /// `dovecot_reload`: command that makes it read them, word by word. Default: it is not told. Required where a chain
    /// has `imap_listen`.
    pub reload: Vec<String>,
}

/// One chain as it stands in the file, with its places.
struct Read {
    chain: Option<Chain>,
    /// Where `ca_files` stands.
    authorities: At<()>,
    name: Option<At<String>>,
    kind: ChainKind,
    domains: Vec<At<String>>,
    listen: Vec<At<IpAddr>>,
    ca_files: Vec<PathBuf>,
    urls: Vec<At<Url>>,
}

/// Reads `[[chain]]` and `[crl]`. What is missing was reported.
pub(super) fn chains(root: &mut Section<'_, '_>, base: &Base<'_>) -> (Vec<ChainSettings>, CrlSettings) {
    let mut read = Vec::new();
    for (number, mut section) in root.sections("chain").into_iter().enumerate() {
        if number == MAX_CHAINS {
            section.place().complain(
                section.report(),
                format!("expected at most {MAX_CHAINS} chains"),
                "take some out",
            );
        }
        read.push(chain(&mut section, base));
        section.finish();
    }
    let crl = crl(root.section("crl"), base, read.iter().any(|chain| !chain.listen.is_empty()));
    together(root, &read);
    let settings = read.into_iter().filter_map(|read| {
        let crl_urls = read.urls.into_iter().map(|at| at.value).collect();
        Some(ChainSettings { chain: read.chain?, ca_files: read.ca_files, crl_urls })
    });
    (settings.collect(), crl)
}

fn chain(section: &mut Section<'_, '_>, base: &Base<'_>) -> Read {
    let name = name(section);
    let kind = if section.flag("test") { ChainKind::Test } else { ChainKind::Production };
    let remedy = "list the mail domains whose mailboxes these certificates may open";
    let domains = required(section, "mailbox_domains", "a list of mail domains", remedy, domain::mail_domain);
    let remedy = "write the IP address, without a port, at which Dovecot asks for these certificates";
    let listen = places(section, "imap_listen", remedy, |text| {
        text.parse::<IpAddr>().map_err(|_| format!("expected an IP address, found {text:?}"))
    });
    let remedy = "write the http or https address of the list";
    let urls = required(section, "crl_urls", "the address of each authority's revocation list", remedy, list_url);
    let remedy = "name the files with the certificates of the root and of the authorities below it";
    let place = section.has("ca_files").then(|| section.list("ca_files")).flatten();
    let place = place.unwrap_or_else(|| section.default("ca_files", Vec::new()));
    if place.value.is_empty() {
        place.complain(section.report(), "expected at least one file", remedy);
    }
    let files = each(section.report(), &place, "put the file there, readable by the sidecar's user", |text| {
        let path = base.0.join(text);
        authority_file(&path).map(|content| (path, content))
    });
    let chain = if files.is_empty() || files.len() < place.value.len() {
        None
    } else {
        let (domains, listen) = (values(&domains), values(&listen));
        match Chain::new(name.as_ref().map_or("", |at| &at.value), kind, domains, listen, &files) {
            Ok(chain) => Some(chain),
            Err(error) => {
                place.complain(section.report(), error.to_string(), remedy);
                None
            }
        }
    };
    let authorities = chain.as_ref().map_or(0, |chain| chain.authorities().len());
    if chain.is_some() && !urls.is_empty() && urls.len() != authorities {
        let expected = format!("expected {authorities} addresses, one for each authority, found {}", urls.len());
        let remedy = "the root has a list too: without one the authorities below it can't be known to be good";
        section.default("crl_urls", ()).complain(section.report(), expected, remedy);
    }
    let ca_files = files.into_iter().map(|(path, _)| path).collect();
    let authorities = At { value: (), key: place.key.clone(), span: place.span.clone() };
    Read { chain, authorities, name, kind, domains, listen, ca_files, urls }
}

fn name(section: &mut Section<'_, '_>) -> Option<At<String>> {
    const REMEDY: &str = "write 1 to 32 of a to z, 0 to 9 and -";
    if !section.has("name") {
        section.missing("name", "a name", REMEDY);
    }
    section.parsed("name", REMEDY, |text| {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let holds = (1..=32).contains(&text.len()) && text.bytes().all(good);
        holds.then(|| text.to_owned()).ok_or_else(|| format!("expected a name of a to z, 0 to 9 and -, found {text:?}"))
    })
}

/// The members of a list that hold, each with its place; the others are reported.
fn places<T>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<At<T>> {
    let Some(list) = section.list(key) else { return Vec::new() };
    let mut places = Vec::new();
    for at in list.value {
        match parse(at.value) {
            Ok(value) => places.push(At { value, key: at.key, span: at.span }),
            Err(expected) => at.complain(section.report(), expected, remedy),
        }
    }
    places
}

/// The same of a list that must be there and hold something.
fn required<T>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    expected: &str,
    remedy: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<At<T>> {
    if !section.has(key) || section.list(key).is_some_and(|list| list.value.is_empty()) {
        section.missing(key, expected, remedy);
    }
    places(section, key, remedy, parse)
}

fn values<T: Clone>(places: &[At<T>]) -> Vec<T> {
    places.iter().map(|at| at.value.clone()).collect()
}

/// The address of a list: http or https, whatever the host; no user, no fragment.
fn list_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error}), found {text:?}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("expected http or https, found {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("expected a URL without user, password or fragment".to_owned());
    }
    Ok(url)
}

fn authority_file(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("expected a readable file at {shown}: {error}");
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    let whole = content.len() as u64 <= MAX_FILE;
    whole.then_some(content).ok_or_else(|| format!("expected at most {MAX_FILE} bytes in {shown}"))
}

/// What only several chains together can show.
fn together(root: &Section<'_, '_>, chains: &[Read]) {
    let report = root.report();
    for (number, chain) in chains.iter().enumerate() {
        let before = chains.get(..number).unwrap_or_default();
        let names = |at: &At<String>| before.iter().filter_map(|b| b.name.as_ref()).any(|b| b.value == at.value);
        if let Some(at) = chain.name.as_ref().filter(|at| names(at)) {
            at.complain(
                report,
                format!("the name {:?} is another chain's", at.value),
                "give each chain a name of its own",
            );
        }
        for (place, at) in chain.listen.iter().enumerate() {
            let mut others = before.iter().flat_map(|b| &b.listen).chain(chain.listen.iter().take(place));
            if others.any(|other| other.value == at.value) {
                let remedy = "give each an address of its own: there a certificate of any of its chains would do";
                at.complain(report, format!("{} stands here already", at.value), remedy);
            }
        }
        for (place, at) in chain.urls.iter().enumerate() {
            let mut others = before.iter().flat_map(|b| &b.urls).chain(chain.urls.iter().take(place));
            if others.any(|other| other.value == at.value) {
                at.complain(report, "the address stands here already", "write the address of each list once");
            }
        }
        for at in &chain.domains {
            let other = before.iter().filter(|b| b.kind != chain.kind).flat_map(|b| &b.domains);
            if other.into_iter().any(|other| other.value == at.value) {
                let expected = format!("{} belongs to a test chain and to a production chain", at.value);
                at.complain(report, expected, "take it out of one: anybody may get a test certificate");
            }
        }
        own_authorities(root, chain, before);
    }
}

/// An authority tells the chain of a certificate: in a second one it would never count.
fn own_authorities(root: &Section<'_, '_>, chain: &Read, before: &[Read]) {
    for authority in chain.chain.iter().flat_map(Chain::authorities) {
        let print = authority.certificate().fingerprint();
        let has = |other: &&Chain| other.authorities().iter().any(|known| known.certificate().fingerprint() == print);
        if let Some(other) = before.iter().filter_map(|b| b.chain.as_ref()).find(has) {
            let expected = format!(
                "the authority {} is the chain {:?}'s already",
                authority.certificate().subject(),
                other.name()
            );
            let remedy =
                "make one chain of both, with all mailbox domains and addresses: the second would never be used";
            chain.authorities.complain(root.report(), expected, remedy);
        }
    }
}

fn crl(mut section: Section<'_, '_>, base: &Base<'_>, listens: bool) -> CrlSettings {
    let refresh = Duration::from_secs(section.number("refresh_seconds", 3600, 60..=86_400));
    let max_stale = Duration::from_secs(section.number("max_stale_seconds", 0, 0..=604_800));
    let folder = base.optional_path(&mut section, "dovecot_folder");
    let versions = [("2.3", DovecotVersion::V23), ("2.4", DovecotVersion::V24)];
    let version = section.choice("dovecot_version", &versions);
    let reload = section.list("dovecot_reload");
    if folder.is_none() && listens {
        let remedy = "name the folder that Dovecot reads them from (ssl_ca in 2.3, ssl_server_ca_file in 2.4; !include_try): \
                      it can't refuse without";
        section.missing("dovecot_folder", "a folder, as a chain has imap_listen", remedy);
    }
    if folder.is_some() && !section.has("dovecot_version") {
        section.missing("dovecot_version", "\"2.3\" or \"2.4\"", "write which Dovecot reads the files");
    }
    if listens && !section.has("dovecot_reload") {
        let remedy = "write for instance [\"doveadm\", \"reload\"]: Dovecot never sees a new list without";
        section.missing("dovecot_reload", "a command, as a chain has imap_listen", remedy);
    }
    if let Some(list) = reload.as_ref().filter(|list| list.value.first().is_none_or(|word| word.value.is_empty())) {
        list.complain(
            section.report(),
            "expected a command, word by word",
            "write for instance [\"doveadm\", \"reload\"]",
        );
    }
    section.finish();
    let reload = reload.map_or_else(Vec::new, |list| list.value.iter().map(|word| word.value.to_owned()).collect());
    let dovecot = folder.zip(version);
    let dovecot = dovecot.map(|(folder, version)| DovecotCrl { folder: folder.value, version: version.value, reload });
    CrlSettings { refresh, max_stale, dovecot }
}
