//! Workspaces: each sees its own rows alone; the operator sees all.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::store::Tx;
use crate::time::Timestamp;

#[derive(Debug, Clone, Serialize)]
pub struct Workspace {
    #[serde(skip)]
    pub key: i64,
    pub id: Uuid,
    pub name: String,
    pub created_at: Timestamp,
    pub legal_hold: bool,
}

impl Workspace {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            id: row.get("uuid")?,
            name: row.get("name")?,
            created_at: row.get("created_at")?,
            legal_hold: row.get("hold")?,
        })
    }
}

const COLUMNS: &str = "id, uuid, name, created_at, hold";

pub fn create(tx: &Tx<'_>, name: &str) -> Result<Workspace> {
    let id = Uuid::at(tx.now);
    tx.execute(
        "INSERT INTO workspaces (uuid, name, created_at) VALUES (?1, ?2, ?3)",
        (id, name, tx.now.truncated()),
    )?;
    find(tx, id)?.ok_or_else(|| Error::Internal("a new workspace is not there".into()))
}

/// Up to so many that live, after this key.
pub fn page(connection: &Connection, after: i64, limit: i64) -> Result<Vec<Workspace>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM workspaces WHERE id > ?1 AND deleted_at IS NULL ORDER BY id LIMIT ?2"
    ))?;
    Ok(statement.query_map((after, limit), Workspace::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection) -> Result<i64> {
    let sql = "SELECT count(*) FROM workspaces WHERE deleted_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub fn find(connection: &Connection, id: Uuid) -> Result<Option<Workspace>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE uuid = ?1 AND deleted_at IS NULL"))?
        .query_row([id], Workspace::from_row)
        .optional()?)
}

/// Also a deleted one.
pub fn find_known(connection: &Connection, id: Uuid) -> Result<Option<Workspace>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE uuid = ?1"))?
        .query_row([id], Workspace::from_row)
        .optional()?)
}

pub fn find_by_key(connection: &Connection, key: i64) -> Result<Option<Workspace>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM workspaces WHERE id = ?1 AND deleted_at IS NULL"))?
        .query_row([key], Workspace::from_row)
        .optional()?)
}

/// The outer id of a workspace, deleted or not.
pub fn id_of(connection: &Connection, key: i64) -> Result<Option<Uuid>> {
    Ok(connection
        .prepare_cached("SELECT uuid FROM workspaces WHERE id = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub fn rename(tx: &Tx<'_>, key: i64, name: &str) -> Result<()> {
    tx.execute("UPDATE workspaces SET name = ?2 WHERE id = ?1", (key, name))?;
    Ok(())
}

/// Whether nothing of a workspace may go, deleted or not.
pub fn is_on_hold(connection: &Connection, key: i64) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT hold FROM workspaces WHERE id = ?1")?
        .query_row([key], |row| row.get(0))?)
}

pub fn set_hold(tx: &Tx<'_>, key: i64, hold: bool) -> Result<()> {
    tx.execute("UPDATE workspaces SET hold = ?2 WHERE id = ?1", (key, hold))?;
    Ok(())
}

/// Marks a workspace as deleted; its keys stop at once, its log stays.
pub fn delete(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.execute("UPDATE workspaces SET deleted_at = ?2 WHERE id = ?1", (key, tx.now))?;
    tx.execute(
        "UPDATE api_keys SET revoked_at = min(coalesce(revoked_at, ?2), ?2) WHERE workspace = ?1",
        (key, tx.now.truncated()),
    )?;
    Ok(())
}

/// Every workspace, deleted or not: its key and its outer id.
pub fn all_ids(connection: &Connection) -> Result<Vec<(i64, Uuid)>> {
    let mut statement = connection.prepare("SELECT id, uuid FROM workspaces")?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}
