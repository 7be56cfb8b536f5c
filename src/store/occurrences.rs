//! How often each line of a file came so far, and how far its rows were found: what an import keeps in mind of a file of
//! any size. It is a database of its own, which goes with its connection: what a little memory does not hold is on disk.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;

pub struct Occurrences(Connection);

/// A line that was counted: what it is counted with, and which of those it is.
#[derive(Debug, Clone)]
pub struct Counted {
    key: Vec<u8>,
    pub n: i64,
}

impl Occurrences {
    pub fn open() -> Result<Self> {
        let connection = Connection::open("")?;
        connection.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
             CREATE TABLE lines (
                 key    BLOB PRIMARY KEY,
                 n      INTEGER NOT NULL,           -- how many came
                 found  INTEGER NOT NULL DEFAULT 0, -- how many of them have a row that is known
                 number INTEGER NOT NULL DEFAULT 0  -- of the last of these rows
             ) STRICT, WITHOUT ROWID;
             BEGIN;",
        )?;
        Ok(Self(connection))
    }

    /// Counts a line. Lines that an export gave an id are counted by themselves, each id once.
    pub fn count(&self, identity: &[u8; 32], id: Option<&str>) -> Result<Counted> {
        let mut key = identity.to_vec();
        key.push(u8::from(id.is_some()));
        let of_id = id.map(|id| [identity, &b"\x02"[..], id.as_bytes()].concat());
        if let Some(of_id) = &of_id {
            let known = self
                .0
                .prepare_cached("SELECT n FROM lines WHERE key = ?1")?
                .query_row([of_id], |row| row.get(0))
                .optional()?;
            if let Some(n) = known {
                return Ok(Counted { key, n });
            }
        }
        let n = self
            .0
            .prepare_cached(
                "INSERT INTO lines (key, n) VALUES (?1, 1) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n",
            )?
            .query_row([&key], |row| row.get(0))?;
        if let Some(of_id) = &of_id {
            self.0.prepare_cached("INSERT INTO lines (key, n) VALUES (?1, ?2)")?.execute((of_id, n))?;
        }
        Ok(Counted { key, n })
    }

    /// How many of the equal lines have a row that is known, and the number of the last of these.
    pub fn found(&self, line: &Counted) -> Result<(i64, i64)> {
        let mut statement = self.0.prepare_cached("SELECT found, number FROM lines WHERE key = ?1")?;
        Ok(statement.query_row([&line.key], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The row of a line is known.
    pub fn set_found(&self, line: &Counted, number: i64) -> Result<()> {
        self.0
            .prepare_cached("UPDATE lines SET found = ?2, number = ?3 WHERE key = ?1 AND found < ?2")?
            .execute((&line.key, line.n, number))?;
        Ok(())
    }
}
