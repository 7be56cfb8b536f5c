//! Texts that come again and again (an action, a user agent, the kind of a target) are kept once and named by a
//! small integer. They are never removed: an integer in a row must always mean the same.

use rusqlite::{Connection, OptionalExtension};

use super::Tx;
use crate::error::Result;

/// The number of a text, given to it now when it is new.
pub fn number(tx: &Tx<'_>, text: &str) -> Result<i64> {
    if let Some(number) = find(tx, text)? {
        return Ok(number);
    }
    tx.prepare_cached("INSERT INTO texts (text) VALUES (?1)")?.execute([text])?;
    Ok(tx.last_insert_rowid())
}

/// The number of a text; `None`: no row has it.
pub fn find(connection: &Connection, text: &str) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM texts WHERE text = ?1")?
        .query_row([text], |row| row.get(0))
        .optional()?)
}
