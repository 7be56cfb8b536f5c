//! Which backups were made, in the order of their making: neither the time in a file's name nor the clock says that.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::Tx;
use crate::error::Result;
use crate::time::Timestamp;

/// Of those that somebody asked for, so many are remembered.
const MOST_BY_HAND: i64 = 100;

#[derive(Debug, Clone)]
pub struct Made {
    pub number: i64,
    pub file: PathBuf,
    /// When it was begun: nothing recorded later is in it.
    pub made_at: Timestamp,
    /// By the schedule, not by hand.
    pub is_scheduled: bool,
}

impl Made {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let file: Vec<u8> = row.get("file")?;
        Ok(Self {
            number: row.get("number")?,
            file: PathBuf::from(std::ffi::OsStr::from_bytes(&file)),
            made_at: row.get("made_at")?,
            is_scheduled: row.get("scheduled")?,
        })
    }
}

pub fn add(tx: &Tx<'_>, file: &Path, made_at: Timestamp, is_scheduled: bool) -> Result<()> {
    tx.execute(
        "INSERT INTO backups (file, made_at, scheduled) VALUES (?1, ?2, ?3)",
        (file.as_os_str().as_bytes(), made_at, is_scheduled),
    )?;
    tx.execute(
        "DELETE FROM backups WHERE scheduled = 0 AND number NOT IN
             (SELECT number FROM backups WHERE scheduled = 0 ORDER BY number DESC LIMIT ?1)",
        [MOST_BY_HAND],
    )?;
    Ok(())
}

/// Those that are remembered, the one made last first.
pub fn list(connection: &Connection) -> Result<Vec<Made>> {
    let mut statement = connection
        .prepare_cached("SELECT number, file, made_at, scheduled FROM backups ORDER BY number DESC")?;
    Ok(statement.query_map([], Made::from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// Forgets those with these numbers: their files are gone.
pub fn forget(tx: &Tx<'_>, numbers: &[i64]) -> Result<()> {
    let sql = "DELETE FROM backups WHERE number IN (SELECT value FROM json_each(?1))";
    tx.execute(sql, [super::numbers_as_json(numbers)])?;
    Ok(())
}

/// A backup that was put in place knows of none that was made after it.
pub fn forget_all(tx: &Tx<'_>) -> Result<()> {
    tx.execute("DELETE FROM backups", [])?;
    Ok(())
}
