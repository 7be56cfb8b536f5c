//! Projects: SendDock's unit, whose people's activity is recorded.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::store::Tx;
use crate::time::Timestamp;

#[derive(Debug, Clone, Serialize)]
pub struct Project {
    #[serde(skip)]
    pub key: i64,
    #[serde(skip)]
    pub workspace: i64,
    pub id: Uuid,
    pub name: String,
    pub legal_hold: bool,
    pub created_at: Timestamp,
    /// The trail outlives its project: a deleted one is still found for reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

impl Project {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            workspace: row.get("workspace")?,
            id: row.get("uuid")?,
            name: row.get("name")?,
            legal_hold: row.get("hold")?,
            created_at: row.get("created_at")?,
            deleted_at: row.get("deleted_at")?,
        })
    }
}

const SELECT: &str = "SELECT id, uuid, workspace, name, hold, created_at, deleted_at FROM projects";

pub fn create(tx: &Tx<'_>, workspace: i64, name: &str) -> Result<Project> {
    let id = Uuid::at(tx.now);
    tx.execute(
        "INSERT INTO projects (uuid, workspace, name, created_at) VALUES (?1, ?2, ?3, ?4)",
        (id, workspace, name, tx.now.truncated()),
    )?;
    find(tx, id)?.ok_or_else(|| Error::Internal("a new project is not there".into()))
}

/// Up to so many of a workspace that live, after this key.
pub fn page(connection: &Connection, workspace: i64, after: i64, limit: i64) -> Result<Vec<Project>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE workspace = ?1 AND id > ?2 AND deleted_at IS NULL ORDER BY id LIMIT ?3"
    ))?;
    Ok(statement.query_map((workspace, after, limit), Project::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection, workspace: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM projects WHERE workspace = ?1 AND deleted_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([workspace], |row| row.get(0))?)
}

/// A project of any workspace, deleted or not: the caller decides who may see it.
pub fn find(connection: &Connection, id: Uuid) -> Result<Option<Project>> {
    Ok(connection
        .prepare_cached(&format!("{SELECT} WHERE uuid = ?1"))?
        .query_row([id], Project::from_row)
        .optional()?)
}

/// The keys of all projects of a workspace, deleted or not: the trail outlives them.
pub fn keys(connection: &Connection, workspace: i64) -> Result<Vec<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM projects WHERE workspace = ?1 ORDER BY id")?;
    Ok(statement.query_map([workspace], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether a project, deleted or not, is on legal hold.
pub fn is_on_hold(connection: &Connection, key: i64) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT projects.hold OR workspaces.hold FROM projects JOIN workspaces ON workspaces.id = projects.workspace
             WHERE projects.id = ?1")?
        .query_row([key], |row| row.get(0))?)
}

/// The outer id of a project, for showing an entry.
pub fn id_of(connection: &Connection, key: i64) -> Result<Option<Uuid>> {
    Ok(connection
        .prepare_cached("SELECT uuid FROM projects WHERE id = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub fn rename(tx: &Tx<'_>, key: i64, name: &str) -> Result<()> {
    tx.execute("UPDATE projects SET name = ?2 WHERE id = ?1", (key, name))?;
    Ok(())
}

pub fn set_hold(tx: &Tx<'_>, key: i64, hold: bool) -> Result<()> {
    tx.execute("UPDATE projects SET hold = ?2 WHERE id = ?1", (key, hold))?;
    Ok(())
}

pub fn delete(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.execute("UPDATE projects SET deleted_at = ?2 WHERE id = ?1", (key, tx.now))?;
    Ok(())
}
