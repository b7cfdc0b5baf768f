//! The directory's part of the embedded store: reads it whole, and writes only what an import changed.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::StoreError;
use crate::evidence::directory::{IdNat, Mailbox, MailboxAddress, MailboxKind, Person};

/// Every mailbox, in the order of addresses, as of one moment.
pub(super) fn load(connection: &Connection) -> Result<Vec<Mailbox>, StoreError> {
    // One read transaction: an import between two of the queries is not seen by half.
    let transaction = connection.unchecked_transaction()?;
    let mut mailboxes = BTreeMap::new();
    each(&transaction, "SELECT address, kind, 0, 0 FROM mailbox", |address, kind, _, _| {
        let kind = MailboxKind::parse(kind).ok_or("an unknown kind of mailbox")?;
        let empty = Mailbox { address: parse(address)?, kind, persons: vec![], aliases: vec![] };
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
    Ok(mailboxes.into_values().collect())
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
            transaction.execute_batch("DELETE FROM alias; DELETE FROM person; DELETE FROM mailbox;")?;
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
    // Persons and aliases go with it (ON DELETE CASCADE).
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
