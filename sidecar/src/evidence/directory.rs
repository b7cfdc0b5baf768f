//! Whose mailbox it is: the operator's directory, held in memory as one immutable snapshot.
//!
//! A login reads it without a lock, a disk or an await. An import publishes a new snapshot and never changes one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use super::certificate::{Certificate, Fingerprint, StructureId};

/// A national identifier (idNat) exactly as Pro Sante Connect prints it: 1 to 128 printable ASCII characters without
/// blanks, compared byte for byte. `Debug` hides it: it names a professional.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdNat(String);

impl IdNat {
    /// Longest accepted, in bytes.
    pub const MAX: usize = 128;

    /// Parses an identifier.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("an idNat must not be empty");
        }
        if text.len() > Self::MAX {
            return Err("an idNat has at most 128 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("an idNat is printable ASCII without blanks");
        }
        Ok(Self(text.to_owned()))
    }

    /// The identifier. For a policy, a store or a digest; never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdNat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdNat(..)")
    }
}

impl std::borrow::Borrow<str> for IdNat {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A mailbox address: lower-case ASCII `local@domain`, at most 254 bytes (RFC 5321 section 4.5.3.1 and erratum 1690).
///
/// The local part holds letters, digits and `!#$&'+-/=_.{}~`: what Dovecot's `auth_username_chars` can be made to
/// accept and what a regular expression can carry in brackets. `*` and `%` are refused, they mean something to Dovecot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxAddress(String);

impl MailboxAddress {
    /// Longest accepted, in bytes.
    pub const MAX: usize = 254;

    /// Parses an address and lower-cases it.
    ///
    /// # Errors
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::MAX {
            return Err("a mailbox address has at most 254 characters");
        }
        if !text.is_ascii() {
            return Err("a mailbox address is ASCII here (an IMAP login carries no more)");
        }
        let Some((local, domain)) = text.split_once('@') else {
            return Err("a mailbox address has the form local@domain");
        };
        let local_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$&'+-/=_.{}~".contains(&b);
        if local.is_empty() || local.len() > 64 || !local.bytes().all(local_char) {
            return Err("the local part is 1 to 64 letters, digits or one of !#$&'+-/=_.{}~");
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !domain.split('.').all(label) {
            return Err("the domain is dot-separated labels of letters, digits and hyphens");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for MailboxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for MailboxAddress {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Kinds of MSSante mailbox (domain term: "personnelle", "organisationnelle", "applicative").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxKind {
    /// One professional.
    Per,
    /// A service or a team.
    Org,
    /// Software, without a person.
    App,
}

impl MailboxKind {
    /// The code used in files and tables.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Per => "PER",
            Self::Org => "ORG",
            Self::App => "APP",
        }
    }

    /// Parses a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "PER" => Some(Self::Per),
            "ORG" => Some(Self::Org),
            "APP" => Some(Self::App),
            _ => None,
        }
    }
}

/// One person of a mailbox: an identifier and its synonyms (an ADELI number beside the RPPS one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The identifier by which the operator knows the person.
    pub id: IdNat,
    /// Other identifiers of the same person.
    pub synonyms: Vec<IdNat>,
}

/// One mailbox of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Its address.
    pub address: MailboxAddress,
    /// Its kind. PER has exactly one person, ORG at least one, APP none: checked at import.
    pub kind: MailboxKind,
    /// Who may open it.
    pub persons: Vec<Person>,
    /// Other addresses from which its persons may send.
    pub aliases: Vec<MailboxAddress>,
    /// Structures whose certificates may open it. A PER mailbox has none: a certificate names no person.
    pub structures: Vec<StructureId>,
    /// Which of their certificates may; shared, since most mailboxes limit nothing.
    pub certificates: Arc<CertificateLimits>,
}

impl Mailbox {
    /// Whether its structures and its limits let this certificate open it. Says nothing of whether the certificate is
    /// enrolled, valid or revoked.
    #[must_use]
    pub fn admits(&self, certificate: &Certificate) -> bool {
        certificate.structure().is_ok_and(|structure| self.structures.contains(&structure))
            && self.certificates.admit(certificate)
    }
}

/// Which certificates of its structures may open a mailbox. A list that is empty limits nothing; of each other list one
/// value must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateLimits {
    /// Common names (CN), compared byte for byte.
    pub common_names: Vec<String>,
    /// Issuers as RFC 4514 text, compared byte for byte.
    pub issuers: Vec<String>,
    /// SHA-256 fingerprints.
    pub fingerprints: Vec<Fingerprint>,
}

impl CertificateLimits {
    /// The limits of a mailbox that has none: one for all.
    #[must_use]
    pub fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<CertificateLimits>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    /// Limits to be kept: those that limit nothing take no room.
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        if self == Self::default() { Self::none() } else { Arc::new(self) }
    }

    /// Whether a certificate is within them.
    #[must_use]
    pub fn admit(&self, certificate: &Certificate) -> bool {
        let named = |name: &str| self.common_names.iter().any(|listed| listed == name);
        (self.common_names.is_empty() || certificate.common_name().is_some_and(named))
            && (self.issuers.is_empty() || self.issuers.iter().any(|issuer| issuer == certificate.issuer()))
            && (self.fingerprints.is_empty() || self.fingerprints.contains(&certificate.fingerprint()))
    }
}

/// The mailboxes at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    mailboxes: Vec<Mailbox>,
    by_address: HashMap<MailboxAddress, usize>,
    by_person: HashMap<IdNat, Vec<usize>>,
    by_structure: HashMap<StructureId, Vec<usize>>,
}

impl Snapshot {
    /// Indexes mailboxes. Addresses must be unique: the import sees to it, a later duplicate is ignored here.
    #[must_use]
    pub fn new(mut mailboxes: Vec<Mailbox>) -> Self {
        mailboxes.sort_by(|a, b| a.address.cmp(&b.address));
        mailboxes.dedup_by(|a, b| a.address == b.address);
        let mut by_address = HashMap::with_capacity(mailboxes.len());
        let mut by_person: HashMap<IdNat, Vec<usize>> = HashMap::new();
        let mut by_structure: HashMap<StructureId, Vec<usize>> = HashMap::new();
        for (at, mailbox) in mailboxes.iter().enumerate() {
            by_address.insert(mailbox.address.clone(), at);
            for id in mailbox.persons.iter().flat_map(|p| std::iter::once(&p.id).chain(&p.synonyms)) {
                let listed = by_person.entry(id.clone()).or_default();
                if listed.last() != Some(&at) {
                    listed.push(at);
                }
            }
            for structure in &mailbox.structures {
                let listed = by_structure.entry(structure.clone()).or_default();
                if listed.last() != Some(&at) {
                    listed.push(at);
                }
            }
        }
        Self { mailboxes, by_address, by_person, by_structure }
    }

    /// Every mailbox to which `identity` is listed, in the order of addresses.
    pub fn of_person(&self, identity: &str) -> impl Iterator<Item = &Mailbox> {
        self.by_person.get(identity).into_iter().flatten().filter_map(|at| self.mailboxes.get(*at))
    }

    /// Every mailbox to which `structure` is listed, in the order of addresses. Its limits are to be looked at as well:
    /// [`Mailbox::admits`].
    pub fn of_structure(&self, structure: &str) -> impl Iterator<Item = &Mailbox> {
        self.by_structure.get(structure).into_iter().flatten().filter_map(|at| self.mailboxes.get(*at))
    }

    /// The mailbox with this address (lower-case).
    #[must_use]
    pub fn mailbox(&self, address: &str) -> Option<&Mailbox> {
        self.by_address.get(address).and_then(|at| self.mailboxes.get(*at))
    }

    /// Every mailbox, in the order of addresses.
    #[must_use]
    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }
}

/// The current snapshot, shared by all.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<ArcSwap<Snapshot>>);

impl Directory {
    /// The snapshot as it stands; later imports do not change it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts a new snapshot in place.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(address: &str, kind: MailboxKind, persons: &[&str]) -> Mailbox {
        Mailbox {
            address: MailboxAddress::parse(address).unwrap(),
            kind,
            persons: persons.iter().map(|id| Person { id: IdNat::parse(id).unwrap(), synonyms: vec![] }).collect(),
            aliases: vec![],
            structures: vec![],
            certificates: CertificateLimits::none(),
        }
    }

    #[test]
    fn a_person_finds_exactly_the_mailboxes_to_which_they_are_listed() {
        let directory = Snapshot::new(vec![
            mailbox("b@x.test", MailboxKind::Org, &["1", "2"]),
            mailbox("a@x.test", MailboxKind::Per, &["1"]),
            mailbox("c@x.test", MailboxKind::Per, &["3"]),
        ]);
        let of = |id| directory.of_person(id).map(|m| m.address.as_str()).collect::<Vec<_>>();
        assert_eq!(of("1"), ["a@x.test", "b@x.test"]);
        assert_eq!(of("2"), ["b@x.test"]);
        assert!(of("").is_empty());
        assert!(of("12").is_empty());
    }

    #[test]
    fn a_synonym_leads_to_the_same_mailbox_once() {
        let mut one = mailbox("a@x.test", MailboxKind::Per, &["8100"]);
        one.persons[0].synonyms = vec![IdNat::parse("0100").unwrap(), IdNat::parse("8100").unwrap()];
        let directory = Snapshot::new(vec![one]);
        assert_eq!(directory.of_person("0100").count(), 1);
        assert_eq!(directory.of_person("8100").count(), 1);
    }

    #[test]
    fn a_structure_finds_exactly_the_mailboxes_to_which_it_is_listed() {
        let structure = |text| StructureId::parse(text).unwrap();
        let mut one = mailbox("b@x.test", MailboxKind::Org, &["1"]);
        one.structures = vec![structure("499700367909006"), structure("318751275100020")];
        let mut other = mailbox("a@x.test", MailboxKind::App, &[]);
        other.structures = vec![structure("499700367909006")];
        let directory = Snapshot::new(vec![one, other, mailbox("c@x.test", MailboxKind::App, &[])]);
        let of = |id| directory.of_structure(id).map(|m| m.address.as_str()).collect::<Vec<_>>();
        assert_eq!(of("499700367909006"), ["a@x.test", "b@x.test"]);
        assert_eq!(of("318751275100020"), ["b@x.test"]);
        assert!(of("").is_empty() && of("49970036790900").is_empty());
    }

    #[test]
    fn limits_that_limit_nothing_take_no_room_in_a_mailbox() {
        assert!(Arc::ptr_eq(&CertificateLimits::default().shared(), &CertificateLimits::none()));
        assert!(size_of::<Mailbox>() <= 128, "{}", size_of::<Mailbox>());
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for text in [
            "",
            "a",
            "@x.test",
            "a@",
            "a@x..test",
            "a@-x.test",
            "a b@x.test",
            "a@x.test\n",
            "a*b@x.test",
            "%u@x.test",
            "a@b@x.test",
            "(a)@x.test",
            "a|b@x.test",
            "caf\u{e9}@x.test",
            "a\\@x.test",
            "a^@x.test",
            "a[b]@x.test",
        ] {
            assert!(MailboxAddress::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(MailboxAddress::parse("Dr.A+b@X.Test").unwrap().as_str(), "dr.a+b@x.test");
    }
}
