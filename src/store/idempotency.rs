//! A retry with the same `Idempotency-Key` and the same request gets the first answer again.
//!
//! What is needed for that is kept in the transaction of the write itself: either both are on disk or neither is. The
//! same key with another request is a conflict. Answers are forgotten after a day (a setting), to the second: a retry
//! later than that is a new write.
//!
//! What is kept stands in a file that others may write, and is no leaf of the tree. So it ends with a seal: a hash over
//! it and the Idempotency-Key itself, which is not in the file. An answer without the right one is not given. Who knows
//! or guesses the key that somebody will send again can make the seal too.

use rusqlite::{Connection, OptionalExtension};

use super::{Tx, numbers_as_json};
use crate::error::{Error, Result};
use crate::ids::{hex, sha256};
use crate::mask::quoted;
use crate::time::Timestamp;

/// The key a caller gave and what tells one request from another.
#[derive(Debug, Clone)]
pub struct Key {
    pub workspace: i64,
    /// Whose it is, by a name that stays.
    pub caller: String,
    pub key: String,
    /// SHA-256 of method, path, query, and what the body says.
    pub fingerprint: [u8; 32],
    /// As an older version kept it: of the bytes of the body.
    pub former_fingerprint: [u8; 32],
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Body { status: u16, body: Vec<u8> },
    /// Which rows it showed and how, in the words of who answers (`kept`).
    Rows(String),
    /// What it was about, without what it showed for the only time.
    ShownOnce(String),
    /// Nothing: what it showed was erased.
    Gone,
}

impl Kept {
    /// As they are stored: what it is, the status, the body.
    fn stored(&self) -> (i64, u16, &[u8]) {
        match self {
            Self::Body { status, body } => (0, *status, body),
            Self::Rows(text) => (1, 200, text.as_bytes()),
            Self::ShownOnce(what) => (2, 409, what.as_bytes()),
            Self::Gone => (3, 409, &[]),
        }
    }

    /// Without the right seal, as before there were any, nothing is given.
    fn read(key: &Key, kind: i64, status: i64, mut body: Vec<u8>) -> Self {
        let seal = body.split_off(body.len().saturating_sub(SEAL));
        let text = |body: Vec<u8>| String::from_utf8_lossy(&body).into_owned();
        match (kind, u16::try_from(status)) {
            (_, Ok(status)) if seal != key.seal(kind, status, &body) => Self::Gone,
            (0, Ok(status)) => Self::Body { status, body },
            (1, Ok(_)) => Self::Rows(text(body)),
            (2, Ok(_)) => Self::ShownOnce(text(body)),
            _ => Self::Gone,
        }
    }
}

/// Bytes of a seal.
const SEAL: usize = 32;

impl Key {
    fn seal(&self, kind: i64, status: u16, body: &[u8]) -> [u8; SEAL] {
        let Self { workspace, caller, key, fingerprint, .. } = self;
        let mut sealed = format!("{workspace} {caller}\n{key}\n{kind} {status}\n").into_bytes();
        sealed.extend_from_slice(fingerprint);
        sealed.extend_from_slice(body);
        sha256(&sealed)
    }

    /// As it is stored: its hash, with whose it is, behind what no key begins with. People put addresses into keys.
    fn hidden(&self) -> String {
        hidden(&format!("{}\n{}", self.caller, self.key))
    }
}

fn hidden(key: &str) -> String {
    format!("{HIDDEN}{}", hex(&sha256(key.as_bytes())))
}

const HIDDEN: char = '\u{1}';

/// What was kept under this key; `None` the first time, or when that was before `oldest`.
///
/// # Errors
/// `Conflict` when the key came with another request.
pub fn find(connection: &Connection, key: &Key, oldest: Timestamp) -> Result<Option<Kept>> {
    let found = connection
        .prepare_cached(
            "SELECT fingerprint, kind, status, body FROM idempotency
             WHERE workspace = ?1 AND key IN (?2, ?3, ?4) AND created_at >= ?5 ORDER BY key = ?4 DESC",
        )?
        .query_row((key.workspace, &key.key, hidden(&key.key), key.hidden(), oldest), |row| {
            let kept = Kept::read(key, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get::<_, Vec<u8>>(0)?, kept))
        })
        .optional()?;
    match found {
        Some((fingerprint, _))
            if ![key.fingerprint, key.former_fingerprint].iter().any(|known| known[..] == fingerprint) =>
        {
            Err(Error::conflict(
                "idempotency_key_reused",
                format!("the Idempotency-Key {} was used before with another request", quoted(&key.key)),
            ))
        }
        found => Ok(found.map(|(_, kept)| kept)),
    }
}

/// Keeps what `find` did not find; one that is too old gives its place.
pub fn keep(tx: &Tx<'_>, key: &Key, kept: &Kept) -> Result<()> {
    let (kind, status, body) = kept.stored();
    let body = [body, &key.seal(kind, status, body)].concat();
    tx.prepare_cached(
        "INSERT INTO idempotency (workspace, key, fingerprint, status, body, created_at, kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
             body = excluded.body, created_at = excluded.created_at, kind = excluded.kind",
    )?
    .execute((key.workspace, key.hidden(), &key.fingerprint[..], status, body, tx.believed, kind))?;
    Ok(())
}

/// How many rows of a table, one of our own literals, have these numbers.
pub fn count_there(connection: &Connection, table: &'static str, numbers: &[i64]) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM {table} WHERE seq IN (SELECT value FROM json_each(?1))");
    Ok(connection.prepare_cached(&sql)?.query_row([numbers_as_json(numbers)], |row| row.get(0))?)
}

/// Forgets what answers of a workspace showed that is `meant`; says how many. That they were given is kept: a retry
/// must not record again what was erased.
pub fn erase(tx: &Tx<'_>, workspace: i64, is_meant: impl Fn(&str) -> bool) -> Result<usize> {
    let mut statement = tx.prepare("SELECT key, body FROM idempotency WHERE workspace = ?1")?;
    let mut rows = statement.query([workspace])?;
    let (mut plain, mut meant): (Vec<String>, Vec<String>) = Default::default();
    while let Some(row) = rows.next()? {
        let key: String = row.get("key")?;
        if is_meant(&key) || is_meant(&String::from_utf8_lossy(&row.get::<_, Vec<u8>>("body")?)) {
            meant.push(key.clone());
        }
        // Stored before keys were hidden, a day ago at most.
        if !key.starts_with(HIDDEN) {
            plain.push(key);
        }
    }
    drop(rows);
    let (kind, status, body) = Kept::Gone.stored();
    for key in &meant {
        tx.prepare_cached(
            "UPDATE idempotency SET kind = ?3, status = ?4, body = ?5 WHERE workspace = ?1 AND key = ?2",
        )?
        .execute((workspace, key, kind, status, body))?;
    }
    for key in &plain {
        tx.prepare_cached("UPDATE OR REPLACE idempotency SET key = ?3 WHERE workspace = ?1 AND key = ?2")?
            .execute((workspace, key, hidden(key)))?;
    }
    Ok(meant.len())
}

/// After the clock was put right: answers given in the future would be kept until then.
pub fn date_back(tx: &Tx<'_>) -> Result<()> {
    tx.execute("UPDATE idempotency SET created_at = ?1 WHERE created_at > ?1", [tx.now])?;
    Ok(())
}

/// A backup that was put in place knows of no answers: they are older than it, and anybody's who had the file.
pub fn forget_all(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM idempotency", [])?;
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
