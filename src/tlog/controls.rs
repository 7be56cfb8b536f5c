//! What happened to the tree itself: it began over rows that were there, rows were removed. Each is a leaf like any
//! other, is never removed, and says nothing of a person.
//!
//! A removal names why, how many rows went, and the SHA-256 of their numbers; the numbers stand in `holes`. The leaves
//! of what went stay: they show that something was there, and nothing of what it was. How long rows are kept is a leaf
//! too: a removal can be held against what was on record before it.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::holes::{self, Hole, Removing};
use super::rows::{Column, Rows};
use crate::error::{Error, Result};
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
    /// For how long something is kept from now on.
    Setting = 4,
}

impl Kind {
    fn word(number: i64) -> Option<&'static str> {
        match number {
            1 => Some("begin"),
            2 => Some("removal"),
            3 => Some("epoch"),
            4 => Some("setting"),
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
    numbers: Vec<i64>,
) -> Result<()> {
    record(connection, number, Kind::Removal, now, why, &holes::ranges(numbers))
}

/// Records what a run has gathered, a row for each reason; `next` gives their numbers.
pub fn record_gathered(connection: &Connection, mut next: impl FnMut() -> i64, now: Timestamp) -> Result<()> {
    for Removing { why, holes } in holes::removing(connection)? {
        record(connection, next(), Kind::Removal, now, why, &holes)?;
    }
    holes::forget_removing(connection)
}

/// Records that the log goes on under another name, and why.
pub fn record_epoch(connection: &Connection, number: i64, now: Timestamp, why: Value) -> Result<()> {
    record(connection, number, Kind::Epoch, now, why, &[])
}

/// Records for how long something is kept from now on.
pub fn record_setting(connection: &Connection, number: i64, now: Timestamp, setting: Value) -> Result<()> {
    record(connection, number, Kind::Setting, now, setting, &[])
}

pub(super) fn record(
    connection: &Connection,
    number: i64,
    kind: Kind,
    now: Timestamp,
    mut body: Value,
    holes: &[Hole],
) -> Result<()> {
    body["n"] = holes::total(holes).into();
    body["holes"] = holes::digest(holes).into();
    connection
        .prepare_cached(
            "INSERT INTO controls (seq, kind, body, recorded_at, salt) VALUES (?1, ?2, ?3, ?4, randomblob(16))",
        )?
        .execute((number, kind as i64, body.to_string(), now))?;
    if !holes.is_empty() {
        holes::add(connection, number, holes)?;
    }
    Ok(())
}

/// The days in force by the settings, by log, as they are on record; all null before the first.
pub fn days(connection: &Connection) -> Result<Value> {
    let mut statement = connection.prepare_cached(
        "SELECT body -> '$.days' FROM controls WHERE kind = ?1 AND body -> '$.days' IS NOT NULL ORDER BY seq DESC LIMIT 1",
    )?;
    let found: Option<String> = statement.query_row([Kind::Setting as i64], |row| row.get(0)).optional()?;
    let days = found.and_then(|text| serde_json::from_str(&text).ok());
    Ok(days.unwrap_or_else(|| json!({ "enforcement": null, "messages": null, "activity": null })))
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

/// Tells the beginning of the tree over rows that were there, and every removal, also one that is under way: whether it
/// is the former, what it says, and when it was recorded.
pub fn each(connection: &Connection, mut tell: impl FnMut(bool, Value, Timestamp)) -> Result<()> {
    // One that cannot be read is a finding of `verify`.
    for Removing { why, .. } in holes::removing(connection).unwrap_or_default() {
        tell(false, why, Timestamp::MAX);
    }
    let mut statement = connection
        .prepare("SELECT kind, body, recorded_at FROM controls WHERE kind IN (?1, ?2) ORDER BY seq")?;
    let mut rows = statement.query((Kind::Begin as i64, Kind::Removal as i64))?;
    while let Some(row) = rows.next()? {
        let body = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
        tell(row.get::<_, i64>(0)? == Kind::Begin as i64, body, row.get(2)?);
    }
    Ok(())
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

/// Up to so many rows with a smaller number than this, the newest first.
pub fn list(connection: &Connection, before: i64, limit: i64) -> Result<Vec<Value>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, kind, body, recorded_at FROM controls WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let rows = statement.query_map((before, limit), |row| {
        let (kind, body): (i64, String) = (row.get(1)?, row.get(2)?);
        let recorded_at: Timestamp = row.get(3)?;
        let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.remove("holes");
        }
        Ok(json!({ "id": row.get::<_, i64>(0)?, "kind": Kind::word(kind), "body": body, "recorded_at": recorded_at }))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether there is a row with this number.
pub fn exists(connection: &Connection, number: i64) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM controls WHERE seq = ?1")?.exists([number])?)
}

/// Tells what is wrong with the holes: one that overlaps another, that nothing explains, or that is not what its
/// explanation says.
pub(super) fn find_false_holes(connection: &Connection, tell: &mut dyn FnMut(String)) -> Result<()> {
    let mut last = 0;
    for hole in holes::all(connection)? {
        if hole.first <= last || hole.last < hole.first {
            tell(format!("the hole {}-{} lies in another", hole.first, hole.last));
        }
        last = hole.last;
    }
    for control in holes::controls(connection)? {
        if !exists(connection, control)? {
            tell(format!("nothing says why rows were removed, as row {control} of control did"));
        }
    }
    let mut controls = connection.prepare("SELECT seq, body FROM controls ORDER BY seq")?;
    let mut rows = controls.query([])?;
    while let Some(row) = rows.next()? {
        let (number, body): (i64, String) = (row.get(0)?, row.get(1)?);
        let holes = match holes::of(connection, number) {
            Err(Error::Mismatch(why)) => {
                tell(why);
                continue;
            }
            holes => holes?,
        };
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let is_before = holes.last().is_none_or(|hole| hole.last < number);
        if body["holes"] != json!(holes::digest(&holes))
            || body["n"] != json!(holes::total(&holes))
            || !is_before
        {
            tell(format!("the removed rows are not those that row {number} of control says"));
        }
    }
    Ok(())
}
