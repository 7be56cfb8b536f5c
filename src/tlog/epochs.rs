//! Under which names the tree's checkpoints are signed, and those of them that are kept for good.

use rusqlite::{Connection, OptionalExtension};

use super::note::Verifier;
use super::schema_version;
use crate::error::{Error, Result};
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    pub epoch: i64,
    pub verifier: Verifier,
}

/// The one in force; `None` before the first start.
pub fn current(connection: &Connection) -> Result<Option<Epoch>> {
    Ok(all(connection)?.pop())
}

/// The version of the schema that has them first; in an older file nothing was ever signed.
const SINCE: i64 = 4;

fn are_there(connection: &Connection) -> Result<bool> {
    Ok(schema_version(connection)? >= SINCE)
}

/// # Errors
/// `Mismatch` for a key that is none.
pub fn all(connection: &Connection) -> Result<Vec<Epoch>> {
    if !are_there(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached("SELECT epoch, verifier FROM epochs ORDER BY epoch")?;
    let mut rows = statement.query([])?;
    let mut epochs = Vec::new();
    while let Some(row) = rows.next()? {
        let (epoch, text): (i64, String) = (row.get(0)?, row.get(1)?);
        let verifier = Verifier::parse(&text)
            .ok_or_else(|| Error::Mismatch(format!("the key of epoch {epoch} is none: {text:?}")))?;
        epochs.push(Epoch { epoch, verifier });
    }
    Ok(epochs)
}

/// The keys of all epochs, oldest first.
pub fn verifiers(connection: &Connection) -> Result<Vec<Verifier>> {
    Ok(all(connection)?.into_iter().map(|epoch| epoch.verifier).collect())
}

pub fn add(connection: &Connection, epoch: &Epoch, now: Timestamp) -> Result<()> {
    connection.execute(
        "INSERT INTO epochs (epoch, verifier, began_at) VALUES (?1, ?2, ?3)",
        (epoch.epoch, epoch.verifier.to_string(), now),
    )?;
    Ok(())
}

/// Keeps a checkpoint for good; the same tree is sealed once, and a note that goes on with more signatures takes the
/// place of the one it begins with.
pub fn seal(connection: &Connection, size: u64, note: &str, now: Timestamp) -> Result<()> {
    connection.execute(
        "INSERT INTO seals (size, note, sealed_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET note = excluded.note WHERE instr(excluded.note, note) = 1",
        (i64::try_from(size).unwrap_or(i64::MAX), note, now),
    )?;
    Ok(())
}

pub fn is_sealed(connection: &Connection, size: u64) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM seals WHERE size = ?1")?
        .exists([i64::try_from(size).unwrap_or(i64::MAX)])?)
}

/// When the last seal was set, and over how many leaves.
pub fn last_seal(connection: &Connection) -> Result<Option<(Timestamp, i64)>> {
    Ok(connection
        .prepare_cached("SELECT sealed_at, size FROM seals ORDER BY size DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// All seals, smallest tree first, as they are stored.
pub(super) fn seals(connection: &Connection) -> Result<Vec<(i64, String)>> {
    if !are_there(connection)? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached("SELECT size, note FROM seals ORDER BY size")?;
    let seals = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(seals.collect::<rusqlite::Result<_>>()?)
}
