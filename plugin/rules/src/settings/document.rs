//! The settings document: JSON as a person wrote it, read key by key.
//!
//! Owns keys, defaults and bounds, and the sentences that say what is wrong. It lists every problem it finds and
//! repeats none of the document's values.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::{FORMAT, Issuer, Problem, Settings};
use crate::certificate::Structures;
use crate::contract::{Algorithm, Introspect};
use crate::json;
use crate::submission::{Encryption, Sending};

/// Keys of the document, in the order in which they are described.
pub(super) const KEYS: [&str; 10] = [
    "issuers",
    "algorithms",
    "leeway_seconds",
    "acr",
    "azp",
    "audience",
    "session_max_seconds",
    "identity_disagreement",
    "submission",
    "certificate",
];
/// Keys of `submission`.
pub(super) const SUBMISSION_KEYS: [&str; 6] =
    ["senders", "plus_extension", "null_sender", "tls_min", "recipients_max", "recipient_domains"];

/// Keys of `certificate`.
pub(super) const CERTIFICATE_KEYS: [&str; 1] = ["structure_types"];
/// Types of structure: FINESS, SIRET and cabinets by RPPS are those that certificates of IGC-Santé were seen with;
/// cabinets by ADELI (0) and SIREN (2) can be added.
pub(super) const DEFAULT_STRUCTURE_TYPES: [&str; 3] = ["1", "3", "4"];
const STRUCTURE_TYPES: [&str; 5] = ["0", "1", "2", "3", "4"];

/// RS256 is what Pro Santé Connect signs with; the other two are what it announces and hosts verify as well.
pub(super) const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256];
/// Clock difference granted, seconds. A token lives 120 s.
pub(super) const DEFAULT_LEEWAY: u64 = 5;
/// Largest clock difference that can be granted, seconds.
pub(super) const MAX_LEEWAY: u64 = 30;
/// Levels of Pro Santé Connect. Clients ask for `eidas1`; `eidas3` has been seen in answers.
pub(super) const DEFAULT_ACR: [&str; 3] = ["eidas1", "eidas2", "eidas3"];
/// Total length of a Pro Santé Connect session, seconds: 4 h, default and upper bound at once.
pub(super) const MAX_SESSION: u64 = 14_400;

/// Recipients of one message by default. RFC 5321 section 4.5.3.1.8 wants a server to take at least 100.
pub(super) const DEFAULT_RECIPIENTS: u64 = 100;
/// Most recipients that can be allowed: Postfix's own default limit.
pub(super) const MAX_RECIPIENTS: u64 = 1_000;

/// Most entries in a list.
const MAX_ENTRIES: usize = 64;
/// Longest string, in bytes.
const MAX_STRING: usize = 512;

pub(super) fn read(document: &str) -> Result<Vec<u8>, Vec<Problem>> {
    let whole = |message: String| Vec::from([Problem { pointer: String::new(), message }]);
    json::has_no_duplicates(document).map_err(|fault| whole(format!("not usable as JSON: {fault}; mend it there")))?;
    let value: Value =
        serde_json::from_str(document).map_err(|fault| whole(format!("not JSON: {fault}; mend it there")))?;
    let Value::Object(members) = &value else {
        return Err(whole(format!("found {}, expected an object with at least the key `issuers`", kind(&value))));
    };
    let mut reader = Reader { problems: Vec::new() };
    let settings = reader.settings(members);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    postcard::to_allocvec(&settings).map_err(|_| whole("the settings could not be prepared; shorten them".to_string()))
}

/// What a value is, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads values and collects what is wrong with them. A value at fault reads as empty: it never leaves with a problem.
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    fn settings<'d>(&mut self, members: &'d Map<String, Value>) -> Settings<'d> {
        self.known_keys("", members, &KEYS);
        let (azp_allow, azp_deny) = self.clients(members.get("azp"));
        Settings {
            format: FORMAT,
            issuers: self.issuers(members.get("issuers")),
            algorithms: self.algorithms(members.get("algorithms")),
            leeway: self.seconds(members, "leeway_seconds", 0..=MAX_LEEWAY, DEFAULT_LEEWAY),
            session_max: self.seconds(members, "session_max_seconds", 1..=MAX_SESSION, MAX_SESSION),
            acr: self.strings(members.get("acr"), "/acr").unwrap_or(DEFAULT_ACR.to_vec()),
            azp_allow,
            azp_deny,
            audience: self.strings(members.get("audience"), "/audience").unwrap_or_default(),
            refuse_disagreement: self.choice(
                members.get("identity_disagreement"),
                "/identity_disagreement",
                &[("record", false), ("refuse", true)],
                false,
            ),
            sending: self.sending(members.get("submission")),
            structures: self.structures(members.get("certificate")),
        }
    }

    /// The members of an object that may be left out.
    fn group<'d>(&mut self, value: Option<&'d Value>, at: &str, known: &[&str]) -> Cow<'d, Map<String, Value>> {
        match value {
            None => Cow::Owned(Map::new()),
            Some(Value::Object(members)) => {
                self.known_keys(at, members, known);
                Cow::Borrowed(members)
            }
            Some(other) => {
                self.problem(at, format!("found {}, expected an object; write one", kind(other)));
                Cow::Owned(Map::new())
            }
        }
    }

    fn structures(&mut self, value: Option<&Value>) -> Structures {
        let members = self.group(value, "/certificate", &CERTIFICATE_KEYS);
        let at = "/certificate/structure_types";
        let types = self.strings(members.get("structure_types"), at).unwrap_or(DEFAULT_STRUCTURE_TYPES.to_vec());
        let mut bits = 0;
        for (index, name) in types.into_iter().enumerate() {
            let expected = || format!("not a type of structure, expected one of {}; remove it", list(&STRUCTURE_TYPES));
            match STRUCTURE_TYPES.iter().position(|known| *known == name) {
                Some(digit) => bits |= 1 << digit,
                None => self.problem(format!("{at}/{index}"), expected()),
            }
        }
        Structures { types: bits }
    }

    fn sending(&mut self, value: Option<&Value>) -> Sending {
        let members = &*self.group(value, "/submission", &SUBMISSION_KEYS);
        let encryptions = [("1.2", Encryption::Tls12), ("1.3", Encryption::Tls13)];
        let senders = [("login", false), ("person", true)];
        let domains = [("any", false), ("trust-space", true)];
        let recipients =
            self.number(members, "/submission", "recipients_max", "", 1..=MAX_RECIPIENTS, DEFAULT_RECIPIENTS);
        Sending {
            as_person: self.choice(members.get("senders"), "/submission/senders", &senders, false),
            plus_extension: self.flag(members.get("plus_extension"), "/submission/plus_extension", false),
            null_sender: self.flag(members.get("null_sender"), "/submission/null_sender", true),
            tls_min: self.choice(members.get("tls_min"), "/submission/tls_min", &encryptions, Encryption::Tls12),
            recipients_max: u32::try_from(recipients).unwrap_or(u32::MAX),
            trust_space: self.choice(
                members.get("recipient_domains"),
                "/submission/recipient_domains",
                &domains,
                false,
            ),
        }
    }

    fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { pointer: pointer.into(), message: message.into() });
    }

    fn known_keys(&mut self, at: &str, members: &Map<String, Value>, known: &[&str]) {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            self.problem(
                format!("{at}/{escaped}"),
                format!("unknown key, expected one of {}; remove or rename it", list(known)),
            );
        }
    }

    /// The providers: at least one, each named once.
    fn issuers<'d>(&mut self, value: Option<&'d Value>) -> Vec<Issuer<'d>> {
        let items = match value {
            Some(Value::Array(items)) if !items.is_empty() && items.len() <= MAX_ENTRIES => items,
            Some(Value::Array(items)) if items.is_empty() => {
                self.problem(
                    "/issuers",
                    "found an empty list, expected at least one issuer; name the provider's `iss`",
                );
                return Vec::new();
            }
            Some(Value::Array(_)) => {
                self.problem("/issuers", format!("too many entries, expected at most {MAX_ENTRIES}; remove some"));
                return Vec::new();
            }
            Some(other) => {
                self.problem("/issuers", format!("found {}, expected an array of issuers; write one", kind(other)));
                return Vec::new();
            }
            None => {
                self.problem(
                    "/issuers",
                    "missing, expected an array of issuers; add the provider whose tokens are taken",
                );
                return Vec::new();
            }
        };
        let mut issuers: Vec<Issuer<'d>> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("/issuers/{index}");
            let Some(issuer) = self.issuer(item, &at) else { continue };
            if issuers.iter().any(|earlier| earlier.url == issuer.url) {
                self.problem(format!("{at}/issuer"), "named twice, expected each issuer once; remove one of the two");
            }
            issuers.push(issuer);
        }
        issuers
    }

    fn issuer<'d>(&mut self, item: &'d Value, at: &str) -> Option<Issuer<'d>> {
        let Value::Object(members) = item else {
            let expected = "expected an object with `issuer` and `introspection`; write one";
            self.problem(at, format!("found {}, {expected}", kind(item)));
            return None;
        };
        self.known_keys(at, members, &["issuer", "introspection"]);
        let url = match members.get("issuer") {
            Some(Value::String(url)) if is_issuer_url(url) => url.as_str(),
            _ => {
                let expected = "expected the provider's `iss`, an https or http URL without query and fragment";
                self.problem(
                    format!("{at}/issuer"),
                    format!("missing or not usable, {expected}; copy it from its discovery document"),
                );
                ""
            }
        };
        let modes = [("off", Introspect::Never), ("preferred", Introspect::Prefer), ("required", Introspect::Must)];
        let pointer = format!("{at}/introspection");
        if !members.contains_key("introspection") {
            self.problem(pointer.as_str(), "missing, expected \"off\", \"preferred\" or \"required\"; choose one");
        }
        let introspect = self.choice(members.get("introspection"), &pointer, &modes, Introspect::Must);
        Some(Issuer { url, introspect })
    }

    /// Asymmetric algorithms only; the empty list would refuse everybody and is a mistake.
    fn algorithms(&mut self, value: Option<&Value>) -> Vec<Algorithm> {
        let Some(names) = self.strings(value, "/algorithms") else { return DEFAULT_ALGORITHMS.to_vec() };
        if names.is_empty() && matches!(value, Some(Value::Array(items)) if items.is_empty()) {
            self.problem(
                "/algorithms",
                "found an empty list, expected at least one algorithm; add \"RS256\" or leave the key out",
            );
        }
        let mut algorithms = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            match Algorithm::from_name(name) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let known = list(&Algorithm::ALL.map(Algorithm::name));
                    self.problem(
                        format!("/algorithms/{index}"),
                        format!("not an asymmetric signature algorithm, expected one of {known}; remove it"),
                    );
                }
            }
        }
        algorithms
    }

    fn clients<'d>(&mut self, value: Option<&'d Value>) -> (Vec<&'d str>, Vec<&'d str>) {
        match value {
            None => (Vec::new(), Vec::new()),
            Some(Value::Object(members)) => {
                self.known_keys("/azp", members, &["allow", "deny"]);
                let allow = self.strings(members.get("allow"), "/azp/allow").unwrap_or_default();
                let deny = self.strings(members.get("deny"), "/azp/deny").unwrap_or_default();
                if allow.iter().any(|client| deny.contains(client)) {
                    self.problem(
                        "/azp/deny",
                        "a client is both allowed and denied, expected one of the two; remove it from one list",
                    );
                }
                (allow, deny)
            }
            Some(other) => {
                self.problem(
                    "/azp",
                    format!("found {}, expected an object with `allow` and `deny`; write one", kind(other)),
                );
                (Vec::new(), Vec::new())
            }
        }
    }

    fn seconds(
        &mut self,
        members: &Map<String, Value>,
        key: &str,
        range: core::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        self.number(members, "", key, " of seconds", range, default)
    }

    fn number(
        &mut self,
        members: &Map<String, Value>,
        at: &str,
        key: &str,
        unit: &str,
        range: core::ops::RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(value) = members.get(key) else { return default };
        value.as_u64().filter(|number| range.contains(number)).unwrap_or_else(|| {
            let (least, most) = range.into_inner();
            let found = if value.is_number() { "a number out of range" } else { kind(value) };
            self.problem(
                format!("{at}/{key}"),
                format!("found {found}, expected a whole number{unit} from {least} to {most}; correct it"),
            );
            default
        })
    }

    fn flag(&mut self, value: Option<&Value>, at: &str, default: bool) -> bool {
        let Some(value) = value else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.problem(at, format!("found {}, expected true or false; choose one", kind(value)));
            default
        })
    }

    /// A list of distinct strings without control characters. `None`: the key is absent.
    fn strings<'d>(&mut self, value: Option<&'d Value>, at: &str) -> Option<Vec<&'d str>> {
        let items = match value? {
            Value::Array(items) if items.len() <= MAX_ENTRIES => items,
            Value::Array(_) => {
                self.problem(at, format!("too many entries, expected at most {MAX_ENTRIES}; remove some"));
                return Some(Vec::new());
            }
            other => {
                self.problem(at, format!("found {}, expected an array of strings; put it in brackets", kind(other)));
                return Some(Vec::new());
            }
        };
        let mut strings = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}/{index}");
            match item {
                Value::String(text) if strings.contains(&text.as_str()) => {
                    self.problem(at, "named twice, expected each entry once; remove one of the two");
                }
                Value::String(text) if is_plain(text) => {}
                other => self.problem(at, format!("found {}, {PLAIN}", kind(other))),
            }
            strings.push(item.as_str().unwrap_or_default());
        }
        Some(strings)
    }

    fn choice<T: Copy>(&mut self, value: Option<&Value>, at: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = value else { return default };
        let chosen = choices.iter().find(|(name, _)| value.as_str() == Some(name));
        chosen.map(|(_, choice)| *choice).unwrap_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.problem(at, format!("found {}, expected one of {}; choose one", kind(value), list(&names)));
            default
        })
    }
}

const PLAIN: &str = "expected a string of 1 to 512 bytes without control characters; correct it";

fn is_plain(text: &str) -> bool {
    (1..=MAX_STRING).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// An `iss` as OpenID Connect Discovery section 3 has it: scheme, host, no query, no fragment; visible ASCII only.
/// `http` is taken: a stand-in provider on loopback has no certificate. Whether it may be used is the host's to say.
fn is_issuer_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    url.len() <= MAX_STRING
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['?', '#', '@'])
        && rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
