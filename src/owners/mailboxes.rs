//! Mailboxes: an address, maybe a tenant, a daily send limit, a policy.
//!
//! The send count of the day lives here too (`enforcement/limits.rs` decides with it), and what the policy in force
//! says about the log, so that recording a message reads one row.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::canonical;
use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::store::Tx;
use crate::time::Timestamp;

/// In the words of TenantCore's mailbox list, ours after them.
#[derive(Debug, Clone, Serialize)]
pub struct Mailbox {
    pub id: i64,
    #[serde(skip)]
    pub workspace: i64,
    #[serde(skip)]
    pub tenant: Option<i64>,
    pub display_name: Option<String>,
    pub primary_smtp: String,
    pub account_enabled: bool,
    pub daily_send_limit: Option<i64>,
    pub sends_today: i64,
    pub blocked_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub domain_name: String,
    pub tenant_name: Option<String>,
    pub tenant_id: Option<Uuid>,
    pub policy_version: i64,
    pub retention_days: Option<i64>,
    #[serde(skip)]
    pub include_body_hash: bool,
    pub legal_hold: bool,
    #[serde(skip)]
    pub window_start: Timestamp,
    #[serde(skip)]
    pub deleted: bool,
}

impl Mailbox {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let address: String = row.get("address")?;
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
        Ok(Self {
            id: row.get("id")?,
            workspace: row.get("workspace")?,
            tenant: row.get("tenant")?,
            display_name: row.get("name")?,
            primary_smtp: address,
            account_enabled: true,
            daily_send_limit: row.get("daily_send_limit")?,
            sends_today: row.get("sent_count")?,
            blocked_at: row.get("blocked_at")?,
            created_at: row.get("created_at")?,
            domain_name: domain,
            tenant_name: row.get("tenant_name")?,
            tenant_id: row.get("tenant_uuid")?,
            policy_version: row.get("policy_version")?,
            retention_days: row.get("retention_days")?,
            include_body_hash: row.get("include_body_hash")?,
            legal_hold: row.get("hold")?,
            window_start: row.get("window_start")?,
            deleted: row.get("is_deleted")?,
        })
    }
}

const SELECT: &str = "SELECT mailboxes.id, mailboxes.workspace, mailboxes.tenant, mailboxes.address, mailboxes.name,
     mailboxes.daily_send_limit, mailboxes.policy_version, mailboxes.retention_days, mailboxes.include_body_hash,
     mailboxes.hold, mailboxes.window_start, mailboxes.sent_count, mailboxes.blocked_at, mailboxes.created_at,
     mailboxes.deleted_at IS NOT NULL AS is_deleted, tenants.name AS tenant_name, tenants.uuid AS tenant_uuid
     FROM mailboxes LEFT JOIN tenants ON tenants.id = mailboxes.tenant";

pub struct NewMailbox {
    pub workspace: i64,
    pub tenant: Option<i64>,
    pub address: String,
    pub name: Option<String>,
    pub daily_send_limit: Option<i64>,
}

pub fn create(tx: &Tx<'_>, new: &NewMailbox) -> Result<Mailbox> {
    super::check_own_address("address", &new.address)?;
    if find_by_address(tx, new.workspace, &new.address)?.is_some() {
        return Err(Error::conflict("mailbox_exists", format!("there is a mailbox {} already", new.address)));
    }
    tx.execute(
        "INSERT INTO mailboxes (workspace, tenant, address, name, daily_send_limit, created_at, canonical)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            new.workspace,
            new.tenant,
            &new.address,
            &new.name,
            new.daily_send_limit,
            tx.now.truncated(),
            canonical::address(&new.address),
        ),
    )?;
    find(tx, new.workspace, tx.last_insert_rowid())?
        .ok_or_else(|| Error::Internal("a new mailbox is not there".into()))
}

/// Whose mailboxes are listed.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    Workspace(i64),
    /// Those of a workspace that do not live any more.
    Deleted(i64),
    Tenant(i64),
}

impl Of {
    fn condition(self) -> (&'static str, i64) {
        match self {
            Self::Workspace(key) => ("mailboxes.workspace = ?1 AND mailboxes.deleted_at IS NULL", key),
            Self::Deleted(key) => ("mailboxes.workspace = ?1 AND mailboxes.deleted_at IS NOT NULL", key),
            Self::Tenant(key) => ("mailboxes.tenant = ?1 AND mailboxes.deleted_at IS NULL", key),
        }
    }
}

/// Up to so many of them, after this number.
pub fn page(connection: &Connection, of: Of, after: i64, limit: i64) -> Result<Vec<Mailbox>> {
    let (condition, key) = of.condition();
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE {condition} AND mailboxes.id > ?2 ORDER BY mailboxes.id LIMIT ?3"
    ))?;
    Ok(statement.query_map((key, after, limit), Mailbox::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count(connection: &Connection, of: Of) -> Result<i64> {
    let (condition, key) = of.condition();
    let sql = format!("SELECT count(*) FROM mailboxes WHERE {condition}");
    Ok(connection.prepare_cached(&sql)?.query_row([key], |row| row.get(0))?)
}

/// The numbers of a workspace's mailboxes, and whether each lives.
pub fn numbers(connection: &Connection, workspace: i64) -> Result<Vec<(i64, bool)>> {
    let mut statement = connection
        .prepare_cached("SELECT id, deleted_at IS NULL FROM mailboxes WHERE workspace = ?1 ORDER BY id")?;
    let numbers = statement.query_map([workspace], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(numbers.collect::<rusqlite::Result<_>>()?)
}

/// The numbers of all mailboxes of a workspace, deleted or not.
pub fn ids(connection: &Connection, workspace: i64) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id FROM mailboxes WHERE workspace = ?1")?;
    Ok(statement.query_map([workspace], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Whether a workspace has more than so many mailboxes, deleted or not.
pub fn are_more_than(connection: &Connection, workspace: i64, n: usize) -> Result<bool> {
    let sql = "SELECT count(*) > ?2 FROM (SELECT 1 FROM mailboxes WHERE workspace = ?1 LIMIT ?2 + 1)";
    Ok(connection.prepare_cached(sql)?.query_row((workspace, n as i64), |row| row.get(0))?)
}

/// A mailbox of this workspace, also a deleted one (its log may still be read); `None`: unknown or another's.
pub fn find(connection: &Connection, workspace: i64, id: i64) -> Result<Option<Mailbox>> {
    Ok(find_anywhere(connection, id)?.filter(|mailbox| mailbox.workspace == workspace))
}

/// A mailbox of any workspace: the caller decides who may see it.
pub fn find_anywhere(connection: &Connection, id: i64) -> Result<Option<Mailbox>> {
    Ok(connection
        .prepare_cached(&format!("{SELECT} WHERE mailboxes.id = ?1"))?
        .query_row([id], Mailbox::from_row)
        .optional()?)
}

/// The living mailbox of an address, however it is written: of twins that an older version made, the one that is spelled
/// so, else the first.
pub fn find_by_address(connection: &Connection, workspace: i64, address: &str) -> Result<Option<Mailbox>> {
    let as_spelled = connection
        .prepare_cached(&format!(
            "{SELECT} WHERE mailboxes.workspace = ?1 AND mailboxes.address = ?2 COLLATE NOCASE
             AND mailboxes.deleted_at IS NULL"
        ))?
        .query_row((workspace, address), Mailbox::from_row)
        .optional()?;
    if as_spelled.is_some() {
        return Ok(as_spelled);
    }
    let found = connection
        .prepare_cached(&format!(
            "{SELECT} WHERE mailboxes.workspace = ?1 AND mailboxes.canonical = ?2
             AND mailboxes.deleted_at IS NULL ORDER BY mailboxes.id LIMIT 1"
        ))?
        .query_row((workspace, canonical::address(address)), Mailbox::from_row)
        .optional()?;
    // The column is believed only where it is true: who could write it could give a mailbox away.
    Ok(found.filter(|mailbox| canonical::is_same_address(&mailbox.primary_smtp, address)))
}

/// Mailboxes that are blocked since before `window_start`, at most `limit`.
pub fn list_blocked_before(
    connection: &Connection,
    window_start: Timestamp,
    limit: i64,
) -> Result<Vec<Mailbox>> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE mailboxes.blocked_at IS NOT NULL AND mailboxes.window_start < ?1
         ORDER BY mailboxes.window_start LIMIT ?2"
    ))?;
    Ok(statement.query_map((window_start, limit), Mailbox::from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// Every mailbox that retention may prune, with its own days: not on hold, nor its tenant.
pub fn list_for_retention(connection: &Connection) -> Result<Vec<(i64, Option<i64>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT mailboxes.id, mailboxes.retention_days FROM mailboxes
         JOIN workspaces ON workspaces.id = mailboxes.workspace
         LEFT JOIN tenants ON tenants.id = mailboxes.tenant
         WHERE mailboxes.hold = 0 AND coalesce(tenants.hold, 0) = 0 AND workspaces.hold = 0 ORDER BY mailboxes.id",
    )?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}

/// Up to `limit` mailboxes with days of their own, by number, those above `after`.
pub fn list_own_days(connection: &Connection, after: i64, limit: i64) -> Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, retention_days FROM mailboxes WHERE id > ?1 AND retention_days IS NOT NULL ORDER BY id LIMIT ?2",
    )?;
    let days = statement.query_map((after, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(days.collect::<rusqlite::Result<_>>()?)
}

/// The own days of a mailbox that retention may prune; `None`: it or its tenant is on hold.
pub fn find_for_retention(connection: &Connection, id: i64) -> Result<Option<Option<i64>>> {
    Ok(connection
        .prepare_cached(
            "SELECT mailboxes.retention_days FROM mailboxes JOIN workspaces ON workspaces.id = mailboxes.workspace
             LEFT JOIN tenants ON tenants.id = mailboxes.tenant
             WHERE mailboxes.id = ?1 AND mailboxes.hold = 0 AND coalesce(tenants.hold, 0) = 0 AND workspaces.hold = 0",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

/// The version of the policy in force; `None`: none was ever put.
pub fn policy_version(connection: &Connection, id: i64) -> Result<Option<i64>> {
    let version: i64 = connection
        .prepare_cached("SELECT policy_version FROM mailboxes WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    Ok(Some(version).filter(|version| *version > 0))
}

/// The number and address of each living mailbox of a workspace.
pub fn addresses(connection: &Connection, workspace: i64) -> Result<Vec<(i64, String)>> {
    let mut statement = connection.prepare(
        "SELECT id, address FROM mailboxes WHERE workspace = ?1 AND deleted_at IS NULL ORDER BY id",
    )?;
    Ok(statement
        .query_map([workspace], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?)
}

/// Puts something that names nobody in place of the address and the name of those deleted mailboxes in which something
/// is `meant`; says how many. By its address a mailbox on hold keeps the events of enforcement, so it keeps its address.
pub fn forget(tx: &Tx<'_>, workspace: i64, is_meant: impl Fn(&str) -> bool) -> Result<usize> {
    let mut statement = tx
        .prepare("SELECT id, address, name FROM mailboxes WHERE workspace = ?1 AND deleted_at IS NOT NULL AND hold = 0")?;
    let mut rows = statement.query([workspace])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        let (id, address, name): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if is_meant(&address) || name.as_deref().is_some_and(&is_meant) {
            let address = if is_meant(&address) { format!("erased-{id}@mailbox.invalid") } else { address };
            let canonical = canonical::address(&address);
            let sql = "UPDATE mailboxes SET address = ?2, name = NULL, canonical = ?3 WHERE id = ?1";
            n += tx.execute(sql, (id, address, canonical))?;
        }
    }
    Ok(n)
}

/// How many policy documents of a workspace's mailboxes, those that are no longer in force with them, say something
/// that is `meant`.
pub fn count_policies(
    connection: &Connection,
    workspace: i64,
    is_meant: impl Fn(&str) -> bool,
) -> Result<i64> {
    let mut statement = connection.prepare(
        "SELECT document FROM policies JOIN mailboxes ON mailboxes.id = policies.mailbox WHERE workspace = ?1",
    )?;
    let mut rows = statement.query([workspace])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        n += i64::from(is_meant(row.get_ref(0)?.as_str().unwrap_or_default()));
    }
    Ok(n)
}

/// The day's count and the block, as they now are.
pub fn set_sends(
    tx: &Tx<'_>,
    id: i64,
    window_start: Timestamp,
    sent_count: i64,
    blocked_at: Option<Timestamp>,
) -> Result<()> {
    tx.prepare_cached(
        "UPDATE mailboxes SET window_start = ?2, sent_count = ?3, blocked_at = ?4 WHERE id = ?1",
    )?
    .execute((id, window_start, sent_count, blocked_at))?;
    Ok(())
}

pub fn set_limit(tx: &Tx<'_>, id: i64, limit: Option<i64>) -> Result<()> {
    tx.execute("UPDATE mailboxes SET daily_send_limit = ?2 WHERE id = ?1", (id, limit))?;
    Ok(())
}

pub fn set_tenant(tx: &Tx<'_>, id: i64, tenant: Option<i64>) -> Result<()> {
    tx.execute("UPDATE mailboxes SET tenant = ?2 WHERE id = ?1", (id, tenant))?;
    Ok(())
}

/// A workspace that has mailboxes without a tenant, as older versions made them; `None`: there is none.
pub fn workspace_without_tenant(connection: &Connection) -> Result<Option<i64>> {
    Ok(connection
        .query_row("SELECT workspace FROM mailboxes WHERE tenant IS NULL LIMIT 1", [], |row| row.get(0))
        .optional()?)
}

/// Gives up to so many of them one; says how many.
pub fn give_tenant(tx: &Tx<'_>, workspace: i64, tenant: i64, limit: i64) -> Result<usize> {
    let sql = "UPDATE mailboxes SET tenant = ?2 WHERE id IN
                   (SELECT id FROM mailboxes WHERE workspace = ?1 AND tenant IS NULL LIMIT ?3)";
    Ok(tx.execute(sql, (workspace, tenant, limit))?)
}

pub fn set_name(tx: &Tx<'_>, id: i64, name: Option<&str>) -> Result<()> {
    tx.execute("UPDATE mailboxes SET name = ?2 WHERE id = ?1", (id, name))?;
    Ok(())
}

/// Of a mailbox without a policy.
pub fn set_days(tx: &Tx<'_>, id: i64, days: Option<i64>) -> Result<()> {
    tx.execute("UPDATE mailboxes SET retention_days = ?2 WHERE id = ?1", (id, days))?;
    Ok(())
}

pub fn set_hold(tx: &Tx<'_>, id: i64, hold: bool) -> Result<()> {
    tx.execute("UPDATE mailboxes SET hold = ?2 WHERE id = ?1", (id, hold))?;
    Ok(())
}

pub fn delete(tx: &Tx<'_>, id: i64) -> Result<()> {
    tx.execute("UPDATE mailboxes SET deleted_at = ?2, blocked_at = NULL WHERE id = ?1", (id, tx.now))?;
    Ok(())
}

/// Puts a policy document in force; returns its version. Earlier ones are kept.
pub fn put_policy(
    tx: &Tx<'_>,
    id: i64,
    document: &str,
    retention_days: i64,
    include_body_hash: bool,
) -> Result<i64> {
    let version = tx.query_row(
        "UPDATE mailboxes SET policy_version = policy_version + 1, retention_days = ?2, include_body_hash = ?3
         WHERE id = ?1 RETURNING policy_version",
        (id, retention_days, include_body_hash),
        |row| row.get(0),
    )?;
    tx.execute(
        "INSERT INTO policies (mailbox, version, document, put_at, checksum)
         VALUES (?1, ?2, ?3, ?4, checksum_of(?1, ?2, ?3, ?4))",
        (id, version, document, tx.now),
    )?;
    Ok(version)
}

/// After the clock was put right: a day of sends that began in the future would last until then.
pub fn begin_day_after_step(tx: &Tx<'_>, window: Timestamp) -> Result<()> {
    tx.execute("UPDATE mailboxes SET window_start = ?1 WHERE window_start > ?1", [window])?;
    Ok(())
}

/// The document in force; `None` when none was ever put.
pub fn policy(connection: &Connection, id: i64) -> Result<Option<(i64, String)>> {
    Ok(connection
        .prepare_cached(
            "SELECT policies.version, policies.document FROM mailboxes
             JOIN policies ON policies.mailbox = mailboxes.id AND policies.version = mailboxes.policy_version
             WHERE mailboxes.id = ?1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}
