//! Invitations: an account is nobody's to add to a workspace but its person's.
//!
//! The inviter gets a link that is shown once and hands it over. Accepting takes it and the account's password, or one
//! for a new account. Only the SHA-256 of the link's token is stored. A row is an open invitation: accepted, withdrawn,
//! replaced or over, it is removed, and the trail says what became of it.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use super::users::Role;
use crate::canonical::is_same_address;
use crate::error::{Error, Result};
use crate::ids::{Uuid, fingerprint, random_hex, sha256};
use crate::store::Tx;
use crate::time::Timestamp;

/// Days that somebody has to accept one.
pub const DAYS: i64 = 7;
/// Open ones of a workspace.
pub const MOST: i64 = 100;

#[derive(Debug, Clone, Serialize)]
pub struct Invitation {
    #[serde(skip)]
    pub key: i64,
    pub id: Uuid,
    #[serde(skip)]
    pub workspace: i64,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Invitation {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            id: row.get("uuid")?,
            workspace: row.get("workspace")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: Role::from_number(row.get("role")?),
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    }
}

const COLUMNS: &str = "id, uuid, workspace, email, name, role, created_at, expires_at";

/// Makes one in place of an earlier one to the same address, and returns it with its token, which is shown this once.
pub fn create(
    tx: &Tx<'_>,
    workspace: i64,
    email: &str,
    name: &str,
    role: Role,
) -> Result<(Invitation, String)> {
    super::check_own_address("email", email)?;
    forget_email(tx, workspace, email)?;
    let n_open = count_open(tx, workspace, tx.now)?;
    if n_open >= MOST {
        let message = format!("{n_open} invitations are open; accepted: up to {MOST}; withdraw some first");
        return Err(Error::conflict("too_many_invitations", message));
    }
    let (id, token, now) = (Uuid::at(tx.now), random_hex::<32>(), tx.now.truncated());
    tx.execute(
        "INSERT INTO invitations (uuid, workspace, email, name, role, hash, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (id, workspace, email, name, role as i64, &sha256(token.as_bytes())[..], now, now.plus_days(DAYS)),
    )?;
    let made = find(tx, id)?.ok_or_else(|| Error::Internal("a new invitation is not there".into()))?;
    Ok((made, token))
}

/// An invitation, over or not.
pub fn find(connection: &Connection, id: Uuid) -> Result<Option<Invitation>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM invitations WHERE uuid = ?1"))?
        .query_row([id], Invitation::from_row)
        .optional()?)
}

/// That of an address, over or not. A workspace has few.
pub fn find_by_email(connection: &Connection, workspace: i64, email: &str) -> Result<Option<Invitation>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM invitations WHERE workspace = ?1"))?;
    for found in statement.query_map([workspace], Invitation::from_row)? {
        let found = found?;
        if is_same_address(&found.email, email) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The open invitation of a token, into a workspace that lives.
pub fn find_by_token(connection: &Connection, token: &str, now: Timestamp) -> Result<Option<Invitation>> {
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM invitations WHERE hash = ?1 AND expires_at > ?2
             AND EXISTS (SELECT 1 FROM workspaces WHERE id = workspace AND deleted_at IS NULL)"
        ))?
        .query_row((&sha256(token.as_bytes())[..], now), Invitation::from_row)
        .optional()?)
}

/// Up to so many of the open ones of a workspace, after this key.
pub fn page(
    connection: &Connection,
    (workspace, now): (i64, Timestamp),
    after: i64,
    limit: i64,
) -> Result<Vec<Invitation>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM invitations WHERE workspace = ?1 AND expires_at > ?2 AND id > ?3
         ORDER BY id LIMIT ?4"
    ))?;
    let rows = statement.query_map((workspace, now, after, limit), Invitation::from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of a workspace that are open.
pub fn count_open(connection: &Connection, workspace: i64, now: Timestamp) -> Result<i64> {
    let sql = "SELECT count(*) FROM invitations WHERE workspace = ?1 AND expires_at > ?2";
    Ok(connection.prepare_cached(sql)?.query_row((workspace, now), |row| row.get(0))?)
}

pub fn remove(tx: &Tx<'_>, key: i64) -> Result<()> {
    tx.execute("DELETE FROM invitations WHERE id = ?1", [key])?;
    Ok(())
}

/// Removes those of an address.
pub fn forget_email(tx: &Tx<'_>, workspace: i64, email: &str) -> Result<()> {
    while let Some(found) = find_by_email(tx, workspace, email)? {
        remove(tx, found.key)?;
    }
    Ok(())
}

/// Removes those of a workspace in which something is `meant`; says how many.
pub fn erase(tx: &Tx<'_>, workspace: i64, is_meant: impl Fn(&str) -> bool) -> Result<usize> {
    let mut statement = tx.prepare("SELECT id, email, name FROM invitations WHERE workspace = ?1")?;
    let mut rows = statement.query([workspace])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        let (id, email, name): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if is_meant(&email) || is_meant(&name) {
            remove(tx, id)?;
            n += 1;
        }
    }
    Ok(n)
}

/// Forgets up to `limit` of them that were over before `cutoff`; says how many.
pub fn forget(tx: &Tx<'_>, cutoff: Timestamp, limit: i64) -> Result<usize> {
    Ok(tx.execute(
        "DELETE FROM invitations WHERE id IN
             (SELECT id FROM invitations WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        (cutoff, limit),
    )?)
}

pub fn count(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT count(*) FROM invitations", [], |row| row.get(0))?)
}

/// Removes everybody's.
pub fn remove_all(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM invitations", [])?;
    Ok(())
}

/// After the clock was put right: none is open for longer than one that is made now.
pub fn date_back(tx: &Tx<'_>) -> Result<()> {
    tx.execute(
        "UPDATE invitations SET created_at = min(created_at, ?1), expires_at = ?2 WHERE expires_at > ?2",
        (tx.now, tx.now.plus_days(DAYS)),
    )?;
    Ok(())
}

/// An open invitation as it stands in a file, which may be by anybody.
pub struct HeldInvitation {
    pub id: Uuid,
    pub workspace: i64,
    pub email: String,
    pub role: Role,
    pub created_at: Timestamp,
    pub fingerprint: String,
}

/// Tells every one that is open.
pub fn each_held(
    connection: &Connection,
    now: Timestamp,
    mut tell: impl FnMut(HeldInvitation) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT uuid, workspace, email, role, created_at, hash FROM invitations WHERE expires_at > ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([now])?;
    while let Some(row) = rows.next()? {
        tell(HeldInvitation {
            id: row.get("uuid")?,
            workspace: row.get("workspace")?,
            email: row.get("email")?,
            role: Role::from_number(row.get("role")?),
            created_at: row.get("created_at")?,
            fingerprint: fingerprint(&row.get::<_, Vec<u8>>("hash")?),
        })?;
    }
    Ok(())
}

/// The fingerprint of what is stored of a link.
pub fn fingerprint_of(token: &str) -> String {
    fingerprint(&sha256(token.as_bytes()))
}
