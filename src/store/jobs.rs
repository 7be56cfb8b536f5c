//! What each job of the scheduler did last: for `stats` and the next start.

use rusqlite::{Connection, OptionalExtension};

use super::Tx;
use crate::error::Result;
use crate::time::Timestamp;

#[derive(Debug, serde::Serialize)]
pub struct Run {
    pub name: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub outcome: Option<serde_json::Value>,
}

pub fn note(tx: &Tx<'_>, name: &str, started_at: Timestamp, outcome: &serde_json::Value) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (name, started_at, finished_at, outcome) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET started_at = excluded.started_at, finished_at = excluded.finished_at,
             outcome = excluded.outcome",
        (name, started_at, tx.now, outcome.to_string()),
    )?;
    Ok(())
}

/// Notes that something begins that may be broken off at any moment; `note` says how it ended.
pub fn begin(tx: &Tx<'_>, name: &str, what: &serde_json::Value) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (name, started_at, finished_at, outcome) VALUES (?1, ?2, NULL, ?3)
         ON CONFLICT DO UPDATE SET started_at = excluded.started_at, finished_at = NULL, outcome = excluded.outcome",
        (name, tx.now, what.to_string()),
    )?;
    Ok(())
}

/// Ends what a row alone says has begun: somebody else wrote it.
pub fn note_unknown(tx: &Tx<'_>, name: &str, started_at: Timestamp) -> Result<()> {
    log::error!("{name} is said to be under way by the database, and not by the log: it was altered");
    note(tx, name, started_at, &serde_json::json!({ "error": "the log does not say that it began" }))
}

/// What began and has not ended.
pub fn unfinished(connection: &Connection, name: &str) -> Result<Option<(Timestamp, serde_json::Value)>> {
    let found: Option<(Timestamp, String)> = connection
        .prepare_cached("SELECT started_at, outcome FROM jobs WHERE name = ?1 AND finished_at IS NULL")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(at, what)| (at, serde_json::from_str(&what).unwrap_or_default())))
}

/// Notes how far something is that has begun: a member of what `begin` noted.
pub fn progress(tx: &Tx<'_>, name: &str, member: &str, value: &serde_json::Value) -> Result<()> {
    tx.prepare_cached(
        "UPDATE jobs SET outcome = json_set(outcome, '$.' || ?2, json(?3)) WHERE name = ?1 AND finished_at IS NULL",
    )?
    .execute((name, member, value.to_string()))?;
    Ok(())
}

/// When a job last ran.
pub fn started_at(connection: &Connection, name: &str) -> Result<Option<Timestamp>> {
    Ok(connection
        .prepare_cached("SELECT started_at FROM jobs WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

pub fn list(connection: &Connection) -> Result<Vec<Run>> {
    let mut statement =
        connection.prepare("SELECT name, started_at, finished_at, outcome FROM jobs ORDER BY name")?;
    let rows = statement.query_map([], |row| {
        let outcome: Option<String> = row.get("outcome")?;
        Ok(Run {
            name: row.get("name")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            outcome: outcome.and_then(|text| serde_json::from_str(&text).ok()),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
