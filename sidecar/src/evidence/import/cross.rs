//! What only several lines together can show: duplicates, clashes of aliases, near-equal identifiers, and persons with
//! more mailboxes than one answer carries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Line, MAX_MAILBOXES_OF_A_PERSON, Notes, Surroundings};
use crate::evidence::directory::{IdNat, MailboxKind};

/// Checks all lines against each other.
pub(super) fn check(lines: &[Line], surroundings: &Surroundings, notes: &mut Notes) {
    addresses(lines, notes);
    around(lines, surroundings, notes);
    identifiers(lines, notes);
}

/// What the rest of the installation says about an address.
fn around(lines: &[Line], surroundings: &Surroundings, notes: &mut Notes) {
    for line in lines {
        let address = &line.mailbox.address;
        if surroundings.reserved.contains(address) {
            notes.bad(line.number, 1, "expected a mailbox of somebody: this address is reserved for the live probe");
        }
        if line.mailbox.aliases.iter().any(|alias| surroundings.reserved.contains(alias)) {
            notes.bad(line.number, 4, "expected no address that is reserved for the live probe");
        }
        let open = line.mailbox.kind == MailboxKind::App || surroundings.domains.is_empty();
        if !open && !surroundings.domains.iter().any(|domain| domain == address.domain()) {
            let domain = address.domain();
            notes
                .remark(line.number, &format!("no issuer's mailbox_domains has {domain}: no token opens this mailbox"));
        }
    }
}

/// An address is one mailbox, or one alias of one mailbox.
fn addresses(lines: &[Line], notes: &mut Notes) {
    let mut seen: HashMap<&str, u64> = HashMap::with_capacity(lines.len());
    for line in lines {
        match seen.entry(line.mailbox.address.as_str()) {
            Entry::Vacant(place) => drop(place.insert(line.number)),
            Entry::Occupied(first) => {
                notes.bad(line.number, 1, format!("expected each address once, line {} has it too", first.get()));
            }
        }
    }
    for line in lines {
        for alias in &line.mailbox.aliases {
            match seen.entry(alias.as_str()) {
                Entry::Vacant(place) => drop(place.insert(line.number)),
                Entry::Occupied(first) => {
                    let expected =
                        format!("expected an alias of this mailbox alone, {alias} stands in line {} too", first.get());
                    notes.bad(line.number, 4, expected);
                }
            }
        }
    }
}

fn identifiers(lines: &[Line], notes: &mut Notes) {
    let mut mailboxes: HashMap<&IdNat, usize> = HashMap::new();
    let mut spellings: HashMap<String, (&IdNat, u64)> = HashMap::new();
    for line in lines {
        let ids = line.mailbox.persons.iter().flat_map(|person| std::iter::once(&person.id).chain(&person.synonyms));
        for id in ids {
            let count = mailboxes.entry(id).or_default();
            *count += 1;
            if *count == MAX_MAILBOXES_OF_A_PERSON + 1 {
                let expected = format!(
                    "expected at most {MAX_MAILBOXES_OF_A_PERSON} mailboxes for one person: a login's answer carries no more"
                );
                notes.bad(line.number, 3, expected);
            }
            let (known, first) = *spellings.entry(id.as_str().to_ascii_lowercase()).or_insert((id, line.number));
            if known != id {
                notes.remark(
                    line.number,
                    &format!("an idNat differs from one in line {first} by case alone: they are two persons"),
                );
            }
        }
    }
}
