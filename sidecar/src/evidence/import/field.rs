//! One line: its columns, and what they must be together.

use super::{HEADER, Notes};
use crate::evidence::certificate::{Fingerprint, StructureId};
use crate::evidence::directory::{CertificateLimits, IdNat, Mailbox, MailboxAddress, MailboxKind, Person};

/// Longest name that a limit may have, bytes.
const MAX_NAME: usize = 1024;

/// Reads a line; `None` where anything in it is wrong: the notes have it, every column of it.
pub(super) fn mailbox(columns: [&str; HEADER.len()], line: u64, notes: &mut Notes) -> Option<Mailbox> {
    let before = notes.total;
    let [address, kind, persons, aliases, structures, certificates] = columns;
    let address = MailboxAddress::parse(trimmed(address, line, notes)).map_err(|rule| notes.bad(line, 1, rule)).ok();
    let kind = MailboxKind::parse(trimmed(kind, line, notes));
    if kind.is_none() {
        notes.bad(line, 2, "expected PER, ORG or APP");
    }
    let persons: Vec<Person> = parts(persons, '|').filter_map(|text| person(text, line, notes)).collect();
    let aliases: Vec<MailboxAddress> = parts(aliases, '|')
        .filter_map(|text| {
            MailboxAddress::parse(trimmed(text, line, notes)).map_err(|rule| notes.bad(line, 4, rule)).ok()
        })
        .collect();
    let structures: Vec<StructureId> = parts(structures, '|')
        .filter_map(|text| StructureId::parse(trimmed(text, line, notes)).map_err(|rule| notes.bad(line, 5, rule)).ok())
        .collect();
    let certificates = limits(certificates, line, notes).shared();
    let mailbox = Mailbox { address: address?, kind: kind?, persons, aliases, structures, certificates };
    if notes.total == before {
        together(&mailbox, line, notes);
    }
    (notes.total == before).then_some(mailbox)
}

/// Identifiers of one person, joined by `=`: the first is the one by which the operator knows them.
fn person(text: &str, line: u64, notes: &mut Notes) -> Option<Person> {
    let mut ids = Vec::new();
    for part in text.split('=') {
        match IdNat::parse(trimmed(part, line, notes)) {
            Ok(id) => ids.push(id),
            Err(rule) => {
                notes.bad(line, 3, rule);
                return None;
            }
        }
    }
    let mut ids = ids.into_iter();
    ids.next().map(|id| Person { id, synonyms: ids.collect() })
}

/// Limits on certificates: `cn=`, `issuer=` and `sha256=`, of each as many as wished.
fn limits(text: &str, line: u64, notes: &mut Notes) -> CertificateLimits {
    let mut limits = CertificateLimits::default();
    for part in parts(text, '|') {
        let part = trimmed(part, line, notes);
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = trimmed(value, line, notes);
        let taken = match key {
            "cn" => name(value).map(|name| put(&mut limits.common_names, name)),
            "issuer" => name(value).map(|name| put(&mut limits.issuers, name)),
            "sha256" => Fingerprint::parse(value).map(|print| put(&mut limits.fingerprints, print)).map_err(Into::into),
            _ => Err("expected cn=NAME, issuer=NAME or sha256=FINGERPRINT (for a name that holds | the fingerprint)"
                .to_owned()),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => notes.bad(line, 6, "expected each limit once in a line"),
            Err(rule) => notes.bad(line, 6, rule),
        }
    }
    limits
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!(
            "expected a name of 1 to {MAX_NAME} bytes without control characters, as octroi certificate list prints it"
        ));
    }
    Ok(text.to_owned())
}

/// Adds what is not there yet; whether it did.
fn put<T: PartialEq>(list: &mut Vec<T>, value: T) -> bool {
    let new = !list.contains(&value);
    if new {
        list.push(value);
    }
    new
}

/// What no single column can show.
fn together(mailbox: &Mailbox, line: u64, notes: &mut Notes) {
    match (mailbox.kind, mailbox.persons.len()) {
        (MailboxKind::Per, 1) | (MailboxKind::Org, 1..) | (MailboxKind::App, 0) => {}
        (MailboxKind::Per, count) => notes.bad(line, 3, format!("expected exactly one person for PER, found {count}")),
        (MailboxKind::Org, _) => notes.bad(line, 3, "expected at least one person for ORG, found none"),
        (MailboxKind::App, _) => notes.bad(line, 3, "expected no person for APP: software opens it, never a token"),
    }
    let mut ids: Vec<&IdNat> = mailbox.persons.iter().flat_map(|p| std::iter::once(&p.id).chain(&p.synonyms)).collect();
    let listed = ids.len();
    ids.sort();
    ids.dedup();
    if ids.len() < listed {
        notes.bad(line, 3, "expected each idNat once in a line");
    }
    certificates(mailbox, line, notes);
}

/// What structures and limits must be for a mailbox of this kind.
fn certificates(mailbox: &Mailbox, line: u64, notes: &mut Notes) {
    let Mailbox { kind, structures, certificates, .. } = mailbox;
    let mut distinct: Vec<_> = structures.iter().collect();
    distinct.sort();
    distinct.dedup();
    if distinct.len() < structures.len() {
        notes.bad(line, 5, "expected each structure once in a line");
    }
    if *kind == MailboxKind::Per && !structures.is_empty() {
        notes.bad(line, 5, "expected no structure for PER: a certificate names a structure and no person");
    }
    if structures.is_empty() && **certificates != CertificateLimits::default() {
        notes.bad(line, 6, "expected no limits where no structure stands: no certificate opens this mailbox");
    }
    if *kind == MailboxKind::App && structures.is_empty() {
        notes.remark(line, "no structure stands at this APP mailbox: neither a token nor a certificate opens it");
    }
    if **certificates != CertificateLimits::default() {
        // Dovecot passes on the structure of a certificate and nothing else of it.
        notes.remark(
            line,
            "limited by cn, issuer or sha256: SMTP alone can use this mailbox by certificate, for IMAP tells no certificates of a \
             structure apart",
        );
    }
}

/// The parts of a list; an empty column is an empty list.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let empty = text.trim_ascii().is_empty();
    text.split(separator).filter(move |_| !empty)
}

/// The text without blanks around it, which are remarked on: spreadsheets add them, nobody means them.
fn trimmed<'t>(text: &'t str, line: u64, notes: &mut Notes) -> &'t str {
    let trimmed = text.trim_ascii();
    if trimmed.len() < text.len() {
        notes.remark(line, "blanks around a value were left out");
    }
    trimmed
}
