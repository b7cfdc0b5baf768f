//! One line: its four columns, and what they must be together.

use super::Notes;
use crate::evidence::directory::{IdNat, Mailbox, MailboxAddress, MailboxKind, Person};

/// Reads a line; `None` where anything in it is wrong: the notes have it, every column of it.
pub(super) fn mailbox([address, kind, persons, aliases]: [&str; 4], line: u64, notes: &mut Notes) -> Option<Mailbox> {
    let before = notes.total;
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
    let mailbox = Mailbox { address: address?, kind: kind?, persons, aliases };
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
