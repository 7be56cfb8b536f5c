//! Tenants: TenantCore's unit, a group of mailboxes.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::store::Tx;
use crate::time::Timestamp;

/// In TenantCore's words, as far as they mean something here.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    #[serde(skip)]
    pub key: i64,
    #[serde(skip)]
    pub workspace: i64,
    pub id: Uuid,
    /// The vendor has an inner and an outer id; here they are one.
    pub tenant_id: Uuid,
    pub tenant_name: String,
    pub tenant_domain: Option<String>,
    pub mailbox_count: i64,
    pub status: &'static str,
    pub legal_hold: bool,
    pub created_at: Timestamp,
}

impl Tenant {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            workspace: row.get("workspace")?,
            id: row.get("uuid")?,
            tenant_id: row.get("uuid")?,
            tenant_name: row.get("name")?,
            tenant_domain: row.get("domain")?,
            mailbox_count: row.get("n_mailboxes")?,
            status: "active",
            legal_hold: row.get("hold")?,
            created_at: row.get("created_at")?,
        })
    }
}

const SELECT: &str = "SELECT id, uuid, workspace, name, domain, hold, created_at,
     (SELECT count(*) FROM mailboxes WHERE tenant = tenants.id AND deleted_at IS NULL) AS n_mailboxes
     FROM tenants";

pub struct NewTenant {
    pub workspace: i64,
    /// A Microsoft tenant's own GUID, for a client that knows it already; otherwise one is made.
    pub id: Option<Uuid>,
    pub name: String,
    pub domain: Option<String>,
}

pub fn create(tx: &Tx<'_>, new: &NewTenant) -> Result<Tenant> {
    let id = new.id.unwrap_or_else(|| Uuid::at(tx.now));
    let taken: bool = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM tenants WHERE uuid = ?1 AND workspace = ?2)",
        (id, new.workspace),
        |row| row.get(0),
    )?;
    if taken {
        return Err(Error::conflict("tenant_exists", format!("the tenant id {id} is taken")));
    }
    tx.execute(
        "INSERT INTO tenants (uuid, workspace, name, domain, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, new.workspace, &new.name, &new.domain, tx.now.truncated()),
    )?;
    find(tx, new.workspace, id)?.ok_or_else(|| Error::Internal("a new tenant is not there".into()))
}

/// What mailboxes belong to for which no tenant is named: a limit counts within one.
pub const DEFAULT: &str = "default";

/// The tenant of that name, and whether it was made just now.
pub fn default_of(tx: &Tx<'_>, workspace: i64) -> Result<(Tenant, bool)> {
    let sql =
        format!("{SELECT} WHERE workspace = ?1 AND name = ?2 AND deleted_at IS NULL ORDER BY id LIMIT 1");
    let known = tx.prepare_cached(&sql)?.query_row((workspace, DEFAULT), Tenant::from_row).optional()?;
    match known {
        Some(known) => Ok((known, false)),
        None => {
            let new = NewTenant { workspace, id: None, name: DEFAULT.into(), domain: None };
            Ok((create(tx, &new)?, true))
        }
    }
}

/// Up to so many of a workspace that live, after this key.
pub fn page(connection: &Connection, workspace: i64, after: i64, limit: i64) -> Result<Vec<Tenant>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE workspace = ?1 AND id > ?2 AND deleted_at IS NULL ORDER BY id LIMIT ?3"
    ))?;
    Ok(statement.query_map((workspace, after, limit), Tenant::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection, workspace: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM tenants WHERE workspace = ?1 AND deleted_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([workspace], |row| row.get(0))?)
}

/// A tenant of this workspace; `None` when it is unknown or another's.
pub fn find(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<Tenant>> {
    Ok(connection
        .prepare_cached(&format!("{SELECT} WHERE deleted_at IS NULL AND uuid = ?1 AND workspace = ?2"))?
        .query_row((id, workspace), Tenant::from_row)
        .optional()?)
}

/// A tenant of any workspace, deleted or not: the caller decides who may see it.
pub fn find_known(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<Tenant>> {
    Ok(connection
        .prepare_cached(&format!("{SELECT} WHERE uuid = ?1 AND workspace = ?2"))?
        .query_row((id, workspace), Tenant::from_row)
        .optional()?)
}

/// The key of a tenant whose log may be read: also of a deleted one.
pub fn find_key(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM tenants WHERE uuid = ?1 AND workspace = ?2")?
        .query_row((id, workspace), |row| row.get(0))
        .optional()?)
}

/// The key of a tenant that may be written to: one that lives.
pub fn find_living_key(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM tenants WHERE uuid = ?1 AND workspace = ?2 AND deleted_at IS NULL")?
        .query_row((id, workspace), |row| row.get(0))
        .optional()?)
}

/// The outer id of a tenant, deleted or not.
pub fn id_of(connection: &Connection, key: i64) -> Result<Option<Uuid>> {
    Ok(connection
        .prepare_cached("SELECT uuid FROM tenants WHERE id = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub fn rename(tx: &Tx<'_>, key: i64, name: &str) -> Result<()> {
    tx.execute("UPDATE tenants SET name = ?2 WHERE id = ?1", (key, name))?;
    Ok(())
}

pub fn set_hold(tx: &Tx<'_>, key: i64, hold: bool) -> Result<()> {
    tx.execute("UPDATE tenants SET hold = ?2 WHERE id = ?1", (key, hold))?;
    Ok(())
}

/// Whether a tenant, deleted or not, is on legal hold.
pub fn is_on_hold(connection: &Connection, key: i64) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT tenants.hold OR workspaces.hold FROM tenants JOIN workspaces ON workspaces.id = tenants.workspace
             WHERE tenants.id = ?1")?
        .query_row([key], |row| row.get(0))?)
}

/// Marks a tenant as deleted. Its mailboxes stay as they are: its log still grows by the end of their blocks.
pub fn delete(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.execute("UPDATE tenants SET deleted_at = ?2 WHERE id = ?1", (key, tx.now))?;
    Ok(())
}
