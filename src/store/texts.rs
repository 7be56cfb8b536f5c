//! Texts that come again and again (a user, an action, a user agent, the kind of a target) are kept once and named by
//! a small integer. An integer in a row must always mean the same: a text is removed only when a person's rows were
//! erased and no other row names it (`Tx::remove_texts`).

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;

/// The numbers of texts that the writer used lately. Those given out in a transaction are in it before the commit, so
/// it must be forgotten whenever anything is rolled back.
#[derive(Default)]
pub struct Texts(HashMap<String, i64>);

/// More are not remembered: 4,096 user agents of the longest kind are 2 MB.
const REMEMBERED: usize = 4096;

impl Texts {
    /// The number of a text, given to it now when it is new.
    pub(super) fn number(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        if let Some(number) = self.0.get(text) {
            return Ok(*number);
        }
        let number = match known(connection, text)? {
            Some(number) => number,
            None => {
                let number: i64 = connection
                    .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM texts")?
                    .query_row([], |row| row.get(0))?;
                connection
                    .prepare_cached(
                        "INSERT INTO texts (id, text, checksum) VALUES (?1, ?2, checksum_of(?1, ?2))",
                    )?
                    .execute((number, text))?;
                number
            }
        };
        if self.0.len() == REMEMBERED {
            self.forget();
        }
        self.0.insert(text.to_owned(), number);
        Ok(number)
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Visits the texts with larger numbers than `after`, in the order of their numbers, for as long as `visit` says so.
pub fn each(connection: &Connection, after: i64, mut visit: impl FnMut(i64, &str) -> bool) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT id, text FROM texts WHERE id > ?1 ORDER BY id")?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        if !visit(row.get("id")?, row.get_ref("text")?.as_str().unwrap_or_default()) {
            break;
        }
    }
    Ok(())
}

/// No text has this number, and no row.
pub const NONE: i64 = i64::MAX;

/// The number of a text, for a search; `NONE`: no row has it.
pub fn find(connection: &Connection, text: &str) -> Result<i64> {
    Ok(known(connection, text)?.unwrap_or(NONE))
}

/// The text of a number.
pub fn of(connection: &Connection, number: i64) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached("SELECT text FROM texts WHERE id = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?)
}

fn known(connection: &Connection, text: &str) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM texts WHERE text = ?1")?
        .query_row([text], |row| row.get(0))
        .optional()?)
}
