//! The directory's part of the embedded store: reads it whole, and writes only what an import changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, params};

use super::StoreError;
use crate::evidence::certificate::{Fingerprint, StructureId};
use crate::evidence::directory::{CertificateLimits, IdNat, Mailbox, MailboxAddress, MailboxKind, Person};

/// Kinds of limits on certificates, as they stand in the table.
const LIMITS: [&str; 3] = ["cn", "issuer", "sha256"];

/// Every mailbox, in the order of addresses, as of one moment.
pub(super) fn load(connection: &Connection) -> Result<Vec<Mailbox>, StoreError> {
    // One read transaction: an import between two of the queries is not seen by half.
    let transaction = connection.unchecked_transaction()?;
    let mut mailboxes = BTreeMap::new();
    each(&transaction, "SELECT address, kind, 0, 0 FROM mailbox", |address, kind, _, _| {
        let kind = MailboxKind::parse(kind).ok_or("an unknown kind of mailbox")?;
        let empty = Mailbox {
            address: parse(address)?,
            kind,
            persons: vec![],
            aliases: vec![],
            structures: vec![],
            certificates: CertificateLimits::none(),
        };
        mailboxes.insert(address.to_owned(), empty);
        Ok(())
    })?;
    let persons = "SELECT mailbox, id, position, synonym FROM person ORDER BY mailbox, position, synonym";
    each(&transaction, persons, |mailbox, id, _, synonym| {
        let id = IdNat::parse(id).map_err(|_| "an impossible idNat")?;
        let persons = &mut mailboxes.get_mut(mailbox).ok_or("a person of no mailbox")?.persons;
        match persons.last_mut() {
            Some(person) if synonym > 0 => person.synonyms.push(id),
            Some(_) | None => persons.push(Person { id, synonyms: vec![] }),
        }
        Ok(())
    })?;
    let aliases = "SELECT mailbox, address, position, 0 FROM alias ORDER BY mailbox, position";
    each(&transaction, aliases, |mailbox, address, _, _| {
        mailboxes.get_mut(mailbox).ok_or("an alias of no mailbox")?.aliases.push(parse(address)?);
        Ok(())
    })?;
    certificates(&transaction, &mut mailboxes)?;
    Ok(mailboxes.into_values().collect())
}

/// What certificates may open each mailbox.
fn certificates(transaction: &Transaction<'_>, mailboxes: &mut BTreeMap<String, Mailbox>) -> Result<(), StoreError> {
    let structures = "SELECT mailbox, structure, position, 0 FROM mailbox_structure ORDER BY mailbox, position";
    each(transaction, structures, |mailbox, structure, _, _| {
        let structure = StructureId::parse(structure).map_err(|_| "an impossible structure")?;
        mailboxes.get_mut(mailbox).ok_or("a structure of no mailbox")?.structures.push(structure);
        Ok(())
    })?;
    for what in LIMITS {
        let limits = format!(
            "SELECT mailbox, value, position, 0 FROM certificate_limit WHERE what = '{what}' ORDER BY mailbox, position"
        );
        each(transaction, &limits, |mailbox, value, _, _| {
            let mailbox = mailboxes.get_mut(mailbox).ok_or("a limit of no mailbox")?;
            let limits = Arc::make_mut(&mut mailbox.certificates);
            match what {
                "cn" => limits.common_names.push(value.to_owned()),
                "issuer" => limits.issuers.push(value.to_owned()),
                _ => limits.fingerprints.push(Fingerprint::parse(value).map_err(|_| "an impossible fingerprint")?),
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Puts `mailboxes` in the place of the directory, in one transaction that touches only what differs: a large
/// directory is imported daily with few changes, and logins wait meanwhile.
pub(super) fn replace(connection: &mut Connection, mailboxes: &[Mailbox]) -> Result<(), StoreError> {
    // A directory that can't be read is replaced entirely: that is how an operator mends it.
    let present = load(connection).ok();
    let transaction = connection.transaction()?;
    let mut present: BTreeMap<MailboxAddress, Mailbox> = match present {
        Some(present) => present.into_iter().map(|mailbox| (mailbox.address.clone(), mailbox)).collect(),
        None => {
            transaction.execute_batch(
                "DELETE FROM certificate_limit; DELETE FROM mailbox_structure; DELETE FROM alias; DELETE FROM person;
                 DELETE FROM mailbox;",
            )?;
            BTreeMap::new()
        }
    };
    for mailbox in mailboxes {
        match present.remove(&mailbox.address) {
            Some(same) if same == *mailbox => {}
            Some(_) => {
                remove(&transaction, &mailbox.address)?;
                insert(&transaction, mailbox)?;
            }
            None => insert(&transaction, mailbox)?,
        }
    }
    for gone in present.keys() {
        remove(&transaction, gone)?;
    }
    transaction.commit()?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, address: &MailboxAddress) -> Result<(), StoreError> {
    // Persons, aliases, structures and limits go with it (ON DELETE CASCADE).
    transaction.prepare_cached("DELETE FROM mailbox WHERE address = ?1")?.execute([address.as_str()])?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, mailbox: &Mailbox) -> Result<(), StoreError> {
    let address = mailbox.address.as_str();
    let mut row = transaction.prepare_cached("INSERT INTO mailbox (address, kind) VALUES (?1, ?2)")?;
    row.execute([address, mailbox.kind.code()])?;
    let mut row =
        transaction.prepare_cached("INSERT INTO person (mailbox, position, synonym, id) VALUES (?1, ?2, ?3, ?4)")?;
    for (position, person) in (0_i64..).zip(&mailbox.persons) {
        for (synonym, id) in (0_i64..).zip(std::iter::once(&person.id).chain(&person.synonyms)) {
            row.execute(params![address, position, synonym, id.as_str()])?;
        }
    }
    let mut row = transaction.prepare_cached("INSERT INTO alias (mailbox, position, address) VALUES (?1, ?2, ?3)")?;
    for (position, alias) in (0_i64..).zip(&mailbox.aliases) {
        row.execute(params![address, position, alias.as_str()])?;
    }
    let mut row = transaction
        .prepare_cached("INSERT INTO mailbox_structure (mailbox, position, structure) VALUES (?1, ?2, ?3)")?;
    for (position, structure) in (0_i64..).zip(&mailbox.structures) {
        row.execute(params![address, position, structure.as_str()])?;
    }
    let CertificateLimits { common_names, issuers, fingerprints } = &*mailbox.certificates;
    let fingerprints: Vec<_> = fingerprints.iter().map(ToString::to_string).collect();
    let mut row = transaction
        .prepare_cached("INSERT INTO certificate_limit (mailbox, what, position, value) VALUES (?1, ?2, ?3, ?4)")?;
    for (what, values) in LIMITS.into_iter().zip([common_names, issuers, &fingerprints]) {
        for (position, value) in (0_i64..).zip(values) {
            row.execute(params![address, what, position, value])?;
        }
    }
    Ok(())
}

/// Calls `take` for each row of a query of two texts and two numbers.
fn each(
    transaction: &Transaction<'_>,
    query: &str,
    mut take: impl FnMut(&str, &str, i64, i64) -> Result<(), &'static str>,
) -> Result<(), StoreError> {
    let mut query = transaction.prepare_cached(query)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (one, other): (String, String) = (row.get(0)?, row.get(1)?);
        take(&one, &other, row.get(2)?, row.get(3)?).map_err(|what| StoreError::Corrupt(what.to_owned()))?;
    }
    Ok(())
}

fn parse(address: &str) -> Result<MailboxAddress, &'static str> {
    MailboxAddress::parse(address).map_err(|_| "an impossible address")
}
