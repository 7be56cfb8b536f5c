//! A retry with the same `Idempotency-Key` and the same request gets the first answer again.
//!
//! The answer is kept in the transaction of the write itself: either both are on disk or neither is. The same key
//! with another request is a conflict. Answers are forgotten after a day (a setting); a retry later than that is a
//! new write.

use rusqlite::{Connection, OptionalExtension};

use super::Tx;
use crate::error::{Error, Result};
use crate::mask::quoted;
use crate::time::Timestamp;

/// The key a caller gave and what tells one request from another.
#[derive(Debug, Clone)]
pub struct Key {
    pub workspace: i64,
    pub key: String,
    /// SHA-256 of method, path, query and body.
    pub fingerprint: [u8; 32],
}

/// An answer in the form it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// The answer that was given before; `None` the first time.
///
/// # Errors
/// `Conflict` when the key came with another request.
pub fn find(connection: &Connection, key: &Key) -> Result<Option<Answer>> {
    let found = connection
        .prepare_cached(
            "SELECT fingerprint, status, body FROM idempotency WHERE workspace = ?1 AND key = ?2",
        )?
        .query_row((key.workspace, &key.key), |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, Answer { status: row.get(1)?, body: row.get(2)? }))
        })
        .optional()?;
    match found {
        Some((fingerprint, _)) if fingerprint != key.fingerprint => Err(Error::conflict(
            "idempotency_key_reused",
            format!("the Idempotency-Key {} was used before with another request", quoted(&key.key)),
        )),
        found => Ok(found.map(|(_, answer)| answer)),
    }
}

pub fn keep(tx: &Tx<'_>, key: &Key, answer: &Answer) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO idempotency (workspace, key, fingerprint, status, body, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((key.workspace, &key.key, &key.fingerprint[..], answer.status, &answer.body, tx.believed))?;
    Ok(())
}

/// Forgets the answers of a workspace that are `meant`; says how many.
pub fn erase(tx: &Tx<'_>, workspace: i64, is_meant: impl Fn(&str) -> bool) -> Result<usize> {
    let mut statement = tx.prepare("SELECT key, body FROM idempotency WHERE workspace = ?1")?;
    let mut rows = statement.query([workspace])?;
    let mut keys: Vec<String> = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get("key")?;
        if is_meant(&key) || is_meant(&String::from_utf8_lossy(&row.get::<_, Vec<u8>>("body")?)) {
            keys.push(key);
        }
    }
    drop(rows);
    for key in &keys {
        tx.execute("DELETE FROM idempotency WHERE workspace = ?1 AND key = ?2", (workspace, key))?;
    }
    Ok(keys.len())
}

/// After the clock was put right: answers given in the future would be kept until then.
pub fn date_back(tx: &Tx<'_>) -> Result<()> {
    tx.execute("UPDATE idempotency SET created_at = ?1 WHERE created_at > ?1", [tx.now])?;
    Ok(())
}

/// Forgets up to `limit` answers given before `cutoff`; says how many.
pub fn forget(tx: &Tx<'_>, cutoff: Timestamp, limit: i64) -> Result<usize> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM idempotency WHERE (workspace, key) IN
                 (SELECT workspace, key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        )?
        .execute((cutoff, limit))?)
}
