//! The trust space's part of the embedded store: one edition of the list, replaced whole.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::StoreError;
use crate::clock::UnixSeconds;
use crate::evidence::trust_space::{DomainName, TrustList};

/// The list, as of one moment; `None` before the first import.
pub(super) fn load(connection: &Connection) -> Result<Option<TrustList>, StoreError> {
    // One read transaction: an import between the two queries is not seen by half.
    let transaction = connection.unchecked_transaction()?;
    let edition = transaction
        .query_row("SELECT generated, imported FROM trust_space", [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((generated, imported)) = edition else { return Ok(None) };
    let mut query = transaction.prepare_cached("SELECT name FROM trust_space_domain")?;
    let mut rows = query.query([])?;
    let mut domains = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let domain = DomainName::parse(&name)
            .map_err(|_| StoreError::Corrupt("an impossible domain of the trust space".to_owned()))?;
        domains.insert(domain);
    }
    Ok(Some(TrustList { generated, imported: UnixSeconds(imported.unsigned_abs()), domains }))
}

/// Puts `list` in the place of the one before, in one transaction.
pub(super) fn replace(connection: &mut Connection, list: &TrustList) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute_batch("DELETE FROM trust_space; DELETE FROM trust_space_domain;")?;
    let imported = i64::try_from(list.imported.0).unwrap_or(i64::MAX);
    transaction.execute(
        "INSERT INTO trust_space (only_one, generated, imported) VALUES (1, ?1, ?2)",
        params![list.generated, imported],
    )?;
    {
        let mut row = transaction.prepare_cached("INSERT INTO trust_space_domain (name) VALUES (?1)")?;
        for domain in &list.domains {
            row.execute([domain.as_str()])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
