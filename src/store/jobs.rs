//! What each job of the scheduler did last: for `/readyz`, `stats` and the next start.

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

pub fn started(tx: &Tx<'_>, name: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO jobs (name, started_at) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET started_at = excluded.started_at, finished_at = NULL",
        (name, tx.now),
    )?;
    Ok(())
}

pub fn finished(tx: &Tx<'_>, name: &str, outcome: &serde_json::Value) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET finished_at = ?2, outcome = ?3 WHERE name = ?1",
        (name, tx.now, outcome.to_string()),
    )?;
    Ok(())
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

/// When a job last began; `None`: never.
pub fn last_start(connection: &Connection, name: &str) -> Result<Option<Timestamp>> {
    Ok(connection
        .query_row("SELECT started_at FROM jobs WHERE name = ?1", [name], |row| row.get(0))
        .optional()?)
}
