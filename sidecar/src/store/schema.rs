//! The tables of the embedded store, and how an older store becomes a current one.
//!
//! A migration is never changed once released: a new one is added. Each is one transaction together with its record.

use rusqlite::Connection;

use super::StoreError;

/// Migrations, the first one brings an empty file to version 1.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE mailbox (address TEXT PRIMARY KEY, kind TEXT NOT NULL) STRICT, WITHOUT ROWID;
    -- A person is a position within a mailbox; synonym 0 is the identifier itself.
    CREATE TABLE person (
        mailbox TEXT NOT NULL REFERENCES mailbox ON DELETE CASCADE,
        position INTEGER NOT NULL,
        synonym INTEGER NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (mailbox, position, synonym)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE alias (
        mailbox TEXT NOT NULL REFERENCES mailbox ON DELETE CASCADE,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (mailbox, position)
    ) STRICT, WITHOUT ROWID;
    -- No reference to mailbox: what was authenticated stays known after the mailbox is gone.
    CREATE TABLE authentication (
        mailbox TEXT NOT NULL,
        means TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (mailbox, means)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- The edition of the trust space's list: at most one.
    CREATE TABLE trust_space (
        only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
        generated TEXT NOT NULL,
        imported INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE trust_space_domain (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
",
    "
    -- Structures whose certificates may open a mailbox.
    CREATE TABLE mailbox_structure (
        mailbox TEXT NOT NULL REFERENCES mailbox ON DELETE CASCADE,
        position INTEGER NOT NULL,
        structure TEXT NOT NULL,
        PRIMARY KEY (mailbox, position)
    ) STRICT, WITHOUT ROWID;
    -- Which of their certificates may: what is cn, issuer or sha256.
    CREATE TABLE certificate_limit (
        mailbox TEXT NOT NULL REFERENCES mailbox ON DELETE CASCADE,
        what TEXT NOT NULL,
        position INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (mailbox, what, position)
    ) STRICT, WITHOUT ROWID;
    -- Enrolled certificates. What was withdrawn stays, so that it is not enrolled again.
    CREATE TABLE certificate (
        fingerprint TEXT PRIMARY KEY,
        der BLOB NOT NULL,
        enrolled_at INTEGER NOT NULL,
        withdrawn_at INTEGER
    ) STRICT;
",
];

/// Brings the store to the current version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_with(connection, MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, at TEXT NOT NULL) STRICT;",
    )?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found: u32 = connection.query_row("SELECT coalesce(max(version), 0) FROM migration", [], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, sql) in (1_u32..).zip(migrations).skip_while(|(version, _)| *version <= found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute("INSERT INTO migration (version, at) VALUES (?1, datetime('now'))", [version])?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("INSERT INTO migration VALUES (99, 'later')", []).unwrap();
        assert!(matches!(migrate(&mut connection), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_store_of_the_version_before_keeps_what_it_held() {
        let mut connection = Connection::open_in_memory().unwrap();
        let (before, _) = MIGRATIONS.split_at(2);
        migrate_with(&mut connection, before).unwrap();
        connection.execute("INSERT INTO mailbox VALUES ('a@x.test', 'APP')", []).unwrap();
        migrate(&mut connection).unwrap();
        let kept: String = connection.query_row("SELECT address FROM mailbox", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "a@x.test");
        connection.execute("INSERT INTO mailbox_structure VALUES ('a@x.test', 0, '31')", []).unwrap();
    }

    #[test]
    fn a_migration_that_fails_leaves_the_store_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [MIGRATIONS[0], "CREATE TABLE later (x); INSERT INTO nowhere VALUES (1);"];
        assert!(migrate_with(&mut connection, &broken).is_err());
        assert!(connection.prepare("SELECT * FROM later").is_err());
        migrate(&mut connection).unwrap();
    }
}
