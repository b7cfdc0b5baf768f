//! What `postconf` prints: parameters, services, and what a service overrides. Reading alone.

use std::collections::HashMap;

/// Deepest chain of `$name` that is followed. Postfix itself stops at 100; nobody writes five.
const DEPTH: usize = 10;

/// The settings of one Postfix.
#[derive(Debug, Default)]
pub(super) struct Postconf {
    parameters: HashMap<String, String>,
    services: Vec<Service>,
}

/// A service of master.cf.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// `name/type`, as `postconf -P` writes it.
    pub(super) name: String,
    /// Whether it is confined to the queue directory.
    pub(super) chroot: bool,
    program: String,
    arguments: Vec<String>,
    overrides: HashMap<String, String>,
}

impl Postconf {
    pub(super) fn read(parameters: &str, services: &str, overrides: &str) -> Self {
        let parameters: HashMap<_, _> = parameters.lines().filter_map(assignment).collect();
        // Before compatibility level 1 a service without a word was confined.
        let level = parameters.get("compatibility_level").map_or("0", String::as_str);
        let confined_by_default = level == "0";
        let mut services: Vec<_> = services.lines().filter_map(|line| service(line, confined_by_default)).collect();
        for (place, value) in overrides.lines().filter_map(assignment) {
            let Some((name, key)) = place.rsplit_once('/') else { continue };
            if let Some(service) = services.iter_mut().find(|service| service.name == name) {
                service.overrides.insert(key.to_owned(), value);
            }
        }
        Self { parameters, services }
    }

    /// A parameter of main.cf, or its default.
    pub(super) fn main(&self, key: &str) -> Option<&str> {
        self.parameters.get(key).map(String::as_str)
    }

    /// The services of smtpd(8).
    pub(super) fn smtpds(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.program == "smtpd")
    }

    /// What counts for a service, `$name` replaced; empty where nothing is set.
    pub(super) fn effective(&self, service: &Service, key: &str) -> String {
        self.expanded(service, &format!("${key}"), DEPTH).trim().to_owned()
    }

    fn expanded(&self, service: &Service, text: &str, depth: usize) -> String {
        let Some((before, rest)) = text.split_once('$').filter(|_| depth > 0) else { return text.to_owned() };
        let (name, after) = match rest.chars().next() {
            Some('{') => rest.trim_start_matches('{').split_once('}').unwrap_or((rest, "")),
            Some('(') => rest.trim_start_matches('(').split_once(')').unwrap_or((rest, "")),
            _ => rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())),
        };
        let value = service.overrides.get(name).or_else(|| self.parameters.get(name)).map_or("", String::as_str);
        let value = self.expanded(service, value, depth - 1);
        format!("{before}{value}{}", self.expanded(service, after, depth))
    }
}

impl Service {
    /// Where other operators deliver.
    pub(super) fn is_port_25(&self) -> bool {
        let name = self.name.split('/').next().unwrap_or_default();
        let port = name.rsplit(':').next().unwrap_or_default();
        port == "smtp" || port == "25"
    }

    /// Whether it writes whole dialogues into the log.
    pub(super) fn is_verbose(&self) -> bool {
        self.arguments.iter().any(|word| word.starts_with("-v"))
    }
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    Some((key.trim().to_owned(), value.trim().to_owned()))
}

/// `name type private unpriv chroot wakeup maxproc command arguments` (master(5)).
fn service(line: &str, confined_by_default: bool) -> Option<Service> {
    let mut words = line.split_whitespace();
    let (name, kind) = (words.next()?, words.next()?);
    let chroot = words.nth(2)?;
    let program = words.nth(2)?;
    Some(Service {
        name: format!("{name}/{kind}"),
        chroot: chroot == "y" || chroot == "-" && confined_by_default,
        program: program.rsplit('/').next().unwrap_or(program).to_owned(),
        arguments: words.map(str::to_owned).collect(),
        overrides: HashMap::new(),
    })
}
