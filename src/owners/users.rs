//! People, and their role in each workspace.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::Serialize;

use crate::auth::{sessions, sources};
use crate::canonical;
use crate::error::{Error, Result};
use crate::ids::{Uuid, fingerprint};
use crate::store::Tx;
use crate::time::Timestamp;

/// What a member may do: an auditor reads, an admin changes settings, an owner also names owners. In rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Role {
    Auditor = 1,
    Admin = 2,
    Owner = 3,
}

impl Role {
    pub const WORDS: [(&'static str, Self); 3] =
        [("owner", Self::Owner), ("admin", Self::Admin), ("auditor", Self::Auditor)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }

    pub(super) fn from_number(number: i64) -> Self {
        match number {
            3 => Self::Owner,
            2 => Self::Admin,
            _ => Self::Auditor,
        }
    }
}

impl Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[derive(Debug, Clone)]
pub struct User {
    pub key: i64,
    pub id: Uuid,
    pub email: String,
    pub name: String,
    pub password: String,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// The workspace that made the account.
    pub maker: Option<i64>,
    /// When they chose their password themselves; `None`: it was given to them.
    pub own_password_at: Option<Timestamp>,
}

impl User {
    /// What the trail says of the password that is stored: enough to see that it is another one, nothing to guess by.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.password.as_bytes())
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("id")?,
            id: row.get("uuid")?,
            email: row.get("email")?,
            name: row.get("name")?,
            password: row.get("password")?,
            created_at: row.get("created_at")?,
            deleted_at: row.get("deleted_at")?,
            maker: row.get("maker")?,
            own_password_at: row.get("own_password_at")?,
        })
    }
}

/// A person in a workspace, as SendDock's members route shows them.
#[derive(Debug, Clone, Serialize)]
pub struct Member {
    #[serde(skip)]
    pub key: i64,
    pub user_id: Uuid,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub joined_at: Timestamp,
    /// Whether they agreed to it. An older version asked nobody.
    #[serde(skip)]
    pub has_agreed: bool,
}

impl Member {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get("user")?,
            user_id: row.get("uuid")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: Role::from_number(row.get("role")?),
            joined_at: row.get("joined_at")?,
            has_agreed: row.get::<_, Option<Timestamp>>("accepted_at")?.is_some(),
        })
    }
}

const COLUMNS: &str = "id, uuid, email, name, password, created_at, deleted_at, maker, own_password_at";

pub fn find_by_key(connection: &Connection, key: i64) -> Result<Option<User>> {
    Ok(connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE id = ?1"))?
        .query_row([key], User::from_row)
        .optional()?)
}

/// The living account of an address, however it is written: of twins that an older version made, the one that is spelled
/// so, else the first.
pub fn find_by_email(connection: &Connection, email: &str) -> Result<Option<User>> {
    let as_spelled = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM users WHERE email = ?1 COLLATE NOCASE AND deleted_at IS NULL"
        ))?
        .query_row([email], User::from_row)
        .optional()?;
    if as_spelled.is_some() {
        return Ok(as_spelled);
    }
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM users WHERE canonical = ?1 AND deleted_at IS NULL ORDER BY id LIMIT 1"
        ))?
        .query_row([canonical::address(email)], User::from_row)
        .optional()?;
    // The column is believed only where it is true: who could write it could give an account away.
    Ok(found.filter(|user| canonical::is_same_address(&user.email, email)))
}

/// The email of a user who is, or was, a member of the workspace, so that old entries have a name; another
/// workspace's must not show.
pub fn member_email(connection: &Connection, workspace: i64, id: Uuid) -> Result<Option<String>> {
    Ok(connection
        .prepare_cached(
            "SELECT users.email FROM users JOIN members ON members.user = users.id
             WHERE users.uuid = ?1 AND members.workspace = ?2",
        )?
        .query_row((id, workspace), |row| row.get(0))
        .optional()?)
}

/// An account that is to be made.
pub struct NewUser<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub password_hash: &'a str,
    /// The workspace that makes it.
    pub maker: i64,
    /// Whether they chose the password themselves.
    pub is_own_password: bool,
}

pub fn create(tx: &Tx<'_>, new: &NewUser<'_>) -> Result<User> {
    super::check_own_address("email", new.email)?;
    if find_by_email(tx, new.email)?.is_some() {
        return Err(Error::conflict("user_exists", format!("there is an account for {} already", new.email)));
    }
    let (id, now) = (Uuid::at(tx.now), tx.now.truncated());
    tx.execute(
        "INSERT INTO users (uuid, email, name, password, created_at, maker, own_password_at, canonical)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            id,
            new.email,
            new.name,
            new.password_hash,
            now,
            new.maker,
            new.is_own_password.then_some(now),
            canonical::address(new.email),
        ),
    )?;
    find_by_key(tx, tx.last_insert_rowid())?.ok_or_else(|| Error::Internal("a new user is not there".into()))
}

/// Stores the hash of a password that somebody else gave them, which ends every session.
pub fn set_password(tx: &Tx<'_>, key: i64, hash: &str) -> Result<()> {
    tx.execute("UPDATE users SET password = ?2 WHERE id = ?1", (key, hash))?;
    sources::forget_all(tx, key)?;
    sessions::end_all(tx, key)
}

/// Stores the hash of a password that they chose themselves, which ends every session but the one with this token.
pub fn set_own_password(tx: &Tx<'_>, key: i64, hash: &str, keep: Option<&str>) -> Result<()> {
    let sql = "UPDATE users SET password = ?2, own_password_at = ?3 WHERE id = ?1";
    tx.execute(sql, (key, hash, tx.now.truncated()))?;
    sources::forget_all(tx, key)?;
    sessions::end_others(tx, key, keep)
}

/// Makes a user a member, who agrees to it.
pub fn join(tx: &Tx<'_>, workspace: i64, user: i64, role: Role) -> Result<()> {
    tx.execute(
        "INSERT INTO members (workspace, user, role, joined_at, accepted_at) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT DO UPDATE SET role = excluded.role, joined_at = excluded.joined_at,
             accepted_at = excluded.accepted_at, removed_at = NULL",
        (workspace, user, role as i64, tx.now.truncated()),
    )?;
    Ok(())
}

/// A member whom an older version added unasked agrees.
pub fn agree(tx: &Tx<'_>, workspace: i64, user: i64) -> Result<()> {
    tx.execute(
        "UPDATE members SET accepted_at = ?3 WHERE workspace = ?1 AND user = ?2",
        (workspace, user, tx.now.truncated()),
    )?;
    Ok(())
}

pub fn set_role(tx: &Tx<'_>, workspace: i64, user: i64, role: Role) -> Result<()> {
    let sql = "UPDATE members SET role = ?3 WHERE workspace = ?1 AND user = ?2";
    tx.execute(sql, (workspace, user, role as i64))?;
    Ok(())
}

/// Ends a membership. Without another one the account ends too.
pub fn leave(tx: &Tx<'_>, workspace: i64, user: i64) -> Result<()> {
    tx.execute(
        "UPDATE members SET removed_at = ?3 WHERE workspace = ?1 AND user = ?2",
        (workspace, user, tx.now),
    )?;
    if roles(tx, user)?.is_empty() {
        tx.execute("UPDATE users SET deleted_at = ?2 WHERE id = ?1", (user, tx.now))?;
        sources::forget_all(tx, user)?;
        sessions::end_all(tx, user)?;
    }
    Ok(())
}

/// Puts something that names nobody in place of the address and the name of those deleted accounts that were members
/// here and in which something is `meant`; says how many.
pub fn forget(tx: &Tx<'_>, workspace: i64, is_meant: impl Fn(&str) -> bool) -> Result<usize> {
    let mut statement = tx.prepare(
        "SELECT id, email, name FROM users WHERE deleted_at IS NOT NULL
           AND EXISTS (SELECT 1 FROM members WHERE members.user = users.id AND members.workspace = ?1)",
    )?;
    let mut rows = statement.query([workspace])?;
    let mut n = 0;
    while let Some(row) = rows.next()? {
        let (id, email, name): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if is_meant(&email) || is_meant(&name) {
            let email = if is_meant(&email) { format!("erased-{id}@user.invalid") } else { email };
            let canonical = canonical::address(&email);
            let sql = "UPDATE users SET email = ?2, name = '', canonical = ?3 WHERE id = ?1";
            n += tx.execute(sql, (id, email, canonical))?;
        }
    }
    Ok(n)
}

/// The roles of a user in the workspaces that live.
pub fn roles(connection: &Connection, user: i64) -> Result<Vec<(i64, Role)>> {
    let mut statement = connection.prepare_cached(
        "SELECT members.workspace, members.role FROM members
         JOIN workspaces ON workspaces.id = members.workspace
         WHERE members.user = ?1 AND members.removed_at IS NULL AND workspaces.deleted_at IS NULL
         ORDER BY members.workspace",
    )?;
    let rows = statement.query_map([user], |row| Ok((row.get(0)?, Role::from_number(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The living workspaces of a user, and whether they agreed to be there.
pub fn memberships(connection: &Connection, user: i64) -> Result<Vec<(i64, bool)>> {
    let mut statement = connection.prepare_cached(
        "SELECT members.workspace, members.accepted_at IS NOT NULL FROM members
         JOIN workspaces ON workspaces.id = members.workspace
         WHERE members.user = ?1 AND members.removed_at IS NULL AND workspaces.deleted_at IS NULL
         ORDER BY members.workspace",
    )?;
    let rows = statement.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const MEMBERS: &str =
    "SELECT members.user, users.uuid, users.email, users.name, members.role, members.joined_at, members.accepted_at
     FROM members JOIN users ON users.id = members.user
     WHERE members.workspace = ?1 AND members.removed_at IS NULL";

/// Up to so many members after this key of a user.
pub fn members(connection: &Connection, workspace: i64, after: i64, limit: i64) -> Result<Vec<Member>> {
    let sql = format!("{MEMBERS} AND members.user > ?2 ORDER BY members.user LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map((workspace, after, limit), Member::from_row)?.collect::<rusqlite::Result<_>>()?)
}

pub fn count_members(connection: &Connection, workspace: i64) -> Result<i64> {
    let sql = "SELECT count(*) FROM members WHERE workspace = ?1 AND removed_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([workspace], |row| row.get(0))?)
}

/// Whether a workspace has more than one owner.
pub fn has_several_owners(connection: &Connection, workspace: i64) -> Result<bool> {
    let sql = "SELECT count(*) > 1 FROM
        (SELECT 1 FROM members WHERE workspace = ?1 AND role = 3 AND removed_at IS NULL LIMIT 2)";
    Ok(connection.prepare_cached(sql)?.query_row([workspace], |row| row.get(0))?)
}

/// The key of somebody with this id, whoever they are.
pub fn key_of(connection: &Connection, id: Uuid) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM users WHERE uuid = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

/// The id of somebody who is a member, or was.
pub fn find_known_member(connection: &Connection, workspace: i64, user: Uuid) -> Result<Option<Uuid>> {
    Ok(connection
        .prepare_cached(
            "SELECT users.uuid FROM members JOIN users ON users.id = members.user
             WHERE members.workspace = ?1 AND users.uuid = ?2",
        )?
        .query_row((workspace, user), |row| row.get(0))
        .optional()?)
}

pub fn find_member(connection: &Connection, workspace: i64, user: Uuid) -> Result<Option<Member>> {
    Ok(connection
        .prepare_cached(&format!("{MEMBERS} AND users.uuid = ?2"))?
        .query_row((workspace, user), Member::from_row)
        .optional()?)
}

/// An account as it stands in a file, which may be of any version and by anybody.
pub struct HeldUser {
    pub id: Uuid,
    pub email: String,
    pub created_at: Timestamp,
    pub is_deleted: bool,
    pub fingerprint: String,
    /// Where they are or were members.
    pub workspaces: Vec<i64>,
}

/// Tells every account, in the order of their making.
pub fn each_held(connection: &Connection, mut tell: impl FnMut(HeldUser) -> Result<()>) -> Result<()> {
    let mut statement = connection
        .prepare("SELECT id, uuid, email, created_at, deleted_at, password FROM users ORDER BY id")?;
    let mut of = connection.prepare("SELECT workspace FROM members WHERE user = ?1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let workspaces = of.query_map([row.get::<_, i64>("id")?], |row| row.get(0))?;
        tell(HeldUser {
            id: row.get("uuid")?,
            email: row.get("email")?,
            created_at: row.get("created_at")?,
            is_deleted: row.get::<_, Option<i64>>("deleted_at")?.is_some(),
            fingerprint: fingerprint(row.get::<_, String>("password")?.as_bytes()),
            workspaces: workspaces.collect::<rusqlite::Result<_>>()?,
        })?;
    }
    Ok(())
}

/// Tells every living account whose password is not the person's own choice, and then every membership that was not
/// agreed to, with its workspace.
pub fn each_without_consent(
    connection: &Connection,
    mut tell: impl FnMut(Uuid, Option<i64>) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT uuid, NULL FROM users WHERE own_password_at IS NULL AND deleted_at IS NULL
         UNION ALL SELECT users.uuid, members.workspace FROM members JOIN users ON users.id = members.user
             WHERE members.accepted_at IS NULL AND members.removed_at IS NULL AND users.deleted_at IS NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tell(row.get(0)?, row.get(1)?)?;
    }
    Ok(())
}

/// A living membership of a living account as it stands in a file.
pub struct HeldMember {
    pub workspace: i64,
    pub user: Uuid,
    pub role: Role,
    pub joined_at: Timestamp,
}

/// Tells every one of them in workspaces that live.
pub fn each_held_member(
    connection: &Connection,
    mut tell: impl FnMut(HeldMember) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(
        "SELECT members.workspace, users.uuid, members.role, members.joined_at FROM members
         JOIN users ON users.id = members.user JOIN workspaces ON workspaces.id = members.workspace
         WHERE members.removed_at IS NULL AND users.deleted_at IS NULL AND workspaces.deleted_at IS NULL
         ORDER BY members.workspace, members.user",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        tell(HeldMember {
            workspace: row.get(0)?,
            user: row.get(1)?,
            role: Role::from_number(row.get(2)?),
            joined_at: row.get(3)?,
        })?;
    }
    Ok(())
}
