//! The enrolled certificates' part of the embedded store. Rows are added and marked, never removed.

use rusqlite::{Connection, params};

use super::{StoreError, StoredCertificate, StoredCertificates};
use crate::clock::UnixSeconds;
use crate::evidence::certificate::Fingerprint;

/// Every certificate, in the order of fingerprints.
pub(super) fn load(connection: &Connection) -> Result<StoredCertificates, StoreError> {
    let mut query = connection
        .prepare_cached("SELECT fingerprint, der, enrolled_at, withdrawn_at FROM certificate ORDER BY fingerprint")?;
    let mut rows = query.query([])?;
    let mut found = StoredCertificates::default();
    while let Some(row) = rows.next()? {
        let (fingerprint, der): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let withdrawn_at = row.get::<_, Option<i64>>(3)?.map(moment);
        if Fingerprint::of(&der).to_string() != fingerprint {
            // One damaged row must not keep every mailbox closed. That of a certificate in use can be imported again.
            tracing::error!(
                fingerprint,
                withdrawn = withdrawn_at.is_some(),
                "a certificate is damaged in the store and not used: import it again; a withdrawn one: restore the store"
            );
            found.damaged.extend(Fingerprint::parse(&fingerprint).ok().map(|print| (print, withdrawn_at)));
            continue;
        }
        found.whole.push(StoredCertificate { der, enrolled_at: moment(row.get(2)?), withdrawn_at });
    }
    Ok(found)
}

/// Adds certificates in one transaction; those that are there keep their dates, and what was damaged of them is whole
/// again.
pub(super) fn enrol(connection: &mut Connection, certificates: &[StoredCertificate]) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    {
        let mut row = transaction.prepare_cached(
            "INSERT INTO certificate (fingerprint, der, enrolled_at, withdrawn_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (fingerprint) DO UPDATE SET der = excluded.der",
        )?;
        for StoredCertificate { der, enrolled_at, withdrawn_at } in certificates {
            let fingerprint = Fingerprint::of(der).to_string();
            row.execute(params![fingerprint, der, seconds(*enrolled_at), withdrawn_at.map(seconds)])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Marks one as withdrawn, where it is not yet.
pub(super) fn withdraw(connection: &Connection, certificate: Fingerprint, at: UnixSeconds) -> Result<bool, StoreError> {
    let mut row = connection
        .prepare_cached("UPDATE certificate SET withdrawn_at = ?2 WHERE fingerprint = ?1 AND withdrawn_at IS NULL")?;
    Ok(row.execute(params![certificate.to_string(), seconds(at)])? > 0)
}

const fn moment(seconds: i64) -> UnixSeconds {
    UnixSeconds(seconds.unsigned_abs())
}

fn seconds(at: UnixSeconds) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}
