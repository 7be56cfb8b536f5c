//! What happened to the tree itself: it began over rows that were there, rows were removed. Each is a leaf like any
//! other, is never removed, and says nothing of a person.
//!
//! A removal names why, how many rows went, and the SHA-256 of their numbers; the numbers stand in `holes`. The leaves
//! of what went stay: they show that something was there, and nothing of what it was.

use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::rows::{Column, Rows};
use crate::error::Result;
use crate::ids::hex;
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Kind {
    /// The rows that were there got their leaves; what had been removed before has none of its own.
    Begin = 1,
    /// Rows were removed, by retention.
    Removal = 2,
    /// The log goes on under another name.
    Epoch = 3,
}

impl Kind {
    fn word(number: i64) -> Option<&'static str> {
        match number {
            1 => Some("begin"),
            2 => Some("removal"),
            3 => Some("epoch"),
            _ => None,
        }
    }
}

pub const ROWS: Rows = Rows {
    log: "control",
    table: "controls",
    columns: &[Column::Word("kind", Kind::word), Column::Value("body"), Column::Value("recorded_at")],
    added: &[],
};

/// Records that the rows with these numbers went, in any order.
pub fn record_removal(
    connection: &Connection,
    number: i64,
    now: Timestamp,
    why: Value,
    mut numbers: Vec<i64>,
) -> Result<()> {
    numbers.sort_unstable();
    record(connection, number, Kind::Removal, now, why, &ranges(&numbers))
}

/// Records that the log goes on under another name, and why.
pub fn record_epoch(connection: &Connection, number: i64, now: Timestamp, why: Value) -> Result<()> {
    record(connection, number, Kind::Epoch, now, why, &[])
}

pub(super) fn record(
    connection: &Connection,
    number: i64,
    kind: Kind,
    now: Timestamp,
    mut body: Value,
    holes: &[Hole],
) -> Result<()> {
    body["n"] = total(holes).into();
    body["holes"] = digest(holes).into();
    connection
        .prepare_cached(
            "INSERT INTO controls (seq, kind, body, recorded_at, salt) VALUES (?1, ?2, ?3, ?4, randomblob(16))",
        )?
        .execute((number, kind as i64, body.to_string(), now))?;
    let mut insert =
        connection.prepare_cached("INSERT INTO holes (first, last, control) VALUES (?1, ?2, ?3)")?;
    for hole in holes {
        insert.execute((hole.first, hole.last, number))?;
    }
    Ok(())
}

/// Numbers without a row, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub first: i64,
    pub last: i64,
}

impl Hole {
    fn n(&self) -> i64 {
        // Somebody may have written any number into the file.
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

pub(super) fn total(holes: &[Hole]) -> i64 {
    holes.iter().map(Hole::n).fold(0, i64::saturating_add)
}

/// Of rising numbers.
fn ranges(numbers: &[i64]) -> Vec<Hole> {
    let mut holes: Vec<Hole> = Vec::new();
    for &number in numbers {
        match holes.last_mut() {
            Some(hole) if hole.last + 1 == number => hole.last = number,
            _ => holes.push(Hole { first: number, last: number }),
        }
    }
    holes
}

/// SHA-256 of a line `first-last` for each, in hex.
fn digest(holes: &[Hole]) -> String {
    let mut hasher = Sha256::new();
    for hole in holes {
        hasher.update(format!("{}-{}\n", hole.first, hole.last));
    }
    hex(&hasher.finalize())
}

/// What each row above a number says of a removal, with its own number, oldest first.
pub fn removals_since(connection: &Connection, number: i64) -> Result<Vec<(i64, Value)>> {
    let mut statement = connection
        .prepare_cached("SELECT seq, body FROM controls WHERE seq > ?1 AND kind = ?2 ORDER BY seq")?;
    let rows = statement.query_map((number, Kind::Removal as i64), |row| {
        Ok((row.get(0)?, serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default()))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many rows say something that is `meant`.
pub fn count(connection: &Connection, is_meant: impl Fn(&str) -> bool) -> Result<i64> {
    let mut statement = connection.prepare("SELECT body FROM controls")?;
    let mut rows = statement.query([])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        n += i64::from(is_meant(row.get_ref(0)?.as_str().unwrap_or_default()));
    }
    Ok(n)
}

/// Whether there is a row with this number.
pub fn exists(connection: &Connection, number: i64) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM controls WHERE seq = ?1")?.exists([number])?)
}

/// All holes, in order.
pub(super) fn holes(connection: &Connection) -> Result<Vec<Hole>> {
    let mut statement = connection.prepare_cached("SELECT first, last FROM holes ORDER BY first")?;
    let holes = statement.query_map([], |row| Ok(Hole { first: row.get(0)?, last: row.get(1)? }))?;
    Ok(holes.collect::<rusqlite::Result<_>>()?)
}

/// Tells what is wrong with the holes: one that overlaps another, that nothing explains, or that is not what its
/// explanation says.
pub(super) fn find_false_holes(connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<()> {
    let mut last = 0;
    for hole in holes(connection)? {
        if hole.first <= last || hole.last < hole.first {
            tell(format!("the hole {}-{} lies in another", hole.first, hole.last));
        }
        last = hole.last;
    }
    let mut statement = connection.prepare(
        "SELECT first FROM holes WHERE NOT EXISTS
             (SELECT 1 FROM controls WHERE controls.seq = holes.control AND holes.last < controls.seq)",
    )?;
    for first in statement.query_map([], |row| row.get::<_, i64>(0))? {
        tell(format!("nothing says why the rows from {} on were removed", first?));
    }
    let mut controls = connection.prepare("SELECT seq, body FROM controls ORDER BY seq")?;
    let mut of = connection.prepare("SELECT first, last FROM holes WHERE control = ?1 ORDER BY first")?;
    let mut rows = controls.query([])?;
    while let Some(row) = rows.next()? {
        let (number, body): (i64, String) = (row.get(0)?, row.get(1)?);
        let holes = of
            .query_map([number], |row| Ok(Hole { first: row.get(0)?, last: row.get(1)? }))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        if body["holes"] != json!(digest(&holes)) || body["n"] != json!(total(&holes)) {
            tell(format!("the removed rows are not those that row {number} of control says"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        let hole = |first, last| Hole { first, last };
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[3]), [hole(3, 3)]);
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), [hole(1, 3), hole(5, 5), hole(7, 8)]);
        // printf '1-3\n5-5\n7-8\n' | sha256sum
        let expected = "cef86b42b7e64b9f74e79ee569c598837c05a7bd6857461b026a3af5e36e46c2";
        assert_eq!(digest(&ranges(&[1, 2, 3, 5, 7, 8])), expected);
    }
}
