//! What people call things: wherever an id is taken so is a name, where it is one thing's alone. What lives goes before
//! what is deleted, whose log is still there.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

use crate::canonical::{self, unbracketed};
use crate::error::{Error, Result};
use crate::ids::Uuid;

/// What has names, by the word in its routes' paths.
const KINDS: [(&str, &str); 7] = [
    (
        "workspaces",
        "SELECT uuid, name, id AS workspace, deleted_at IS NOT NULL FROM workspaces WHERE name = ?1 COLLATE NOCASE",
    ),
    (
        "tenants",
        "SELECT uuid, name, workspace, deleted_at IS NOT NULL FROM tenants WHERE name = ?1 COLLATE NOCASE",
    ),
    (
        "mailboxes",
        "SELECT id, address, workspace, deleted_at IS NOT NULL FROM mailboxes
         WHERE address = ?1 COLLATE NOCASE OR CAST(id AS TEXT) = ?1 OR canonical = ?2",
    ),
    (
        "projects",
        "SELECT uuid, name, workspace, deleted_at IS NOT NULL FROM projects WHERE name = ?1 COLLATE NOCASE",
    ),
    (
        "keys",
        "SELECT uuid, name, workspace, revoked_at IS NOT NULL FROM api_keys WHERE name = ?1 COLLATE NOCASE",
    ),
    (
        "users",
        "SELECT uuid, email, workspace, deleted_at IS NOT NULL OR removed_at IS NOT NULL
         FROM users JOIN members ON members.user = users.id WHERE email = ?1 COLLATE NOCASE OR canonical = ?2",
    ),
    ("invitations", "SELECT uuid, email, workspace, 0 FROM invitations WHERE email = ?1 COLLATE NOCASE"),
];

/// The words of what has names.
pub fn kinds() -> [&'static str; 7] {
    KINDS.map(|(word, _)| word)
}

/// Something of that name.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// As the routes take it.
    pub id: String,
    pub name: String,
    #[serde(skip)]
    pub workspace: i64,
    pub deleted: bool,
}

/// As many as a refusal lists.
const MOST: usize = 20;

/// What is called so in those workspaces that `may_see` allows: what lives, else what is deleted.
pub fn list(
    connection: &Connection,
    kind: &str,
    name: &str,
    may_see: impl Fn(i64) -> bool,
) -> Result<Vec<Named>> {
    let Some((_, sql)) = KINDS.iter().find(|(word, _)| *word == kind) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(sql)?;
    // An address has many spellings.
    let name = unbracketed(name);
    let spellings = [name.to_owned(), canonical::address(name)];
    let n_parameters = statement.parameter_count();
    let mut rows = statement.query(rusqlite::params_from_iter(&spellings[..n_parameters]))?;
    let mut found: Vec<Named> = Vec::new();
    while let Some(row) = rows.next()? {
        let workspace = row.get(2)?;
        let id = match row.get_ref(0)? {
            ValueRef::Integer(number) => number.to_string(),
            _ => row.get::<_, Uuid>(0)?.to_string(),
        };
        // Somebody may be a member of several workspaces.
        if may_see(workspace) && found.iter().all(|known| known.id != id || known.workspace != workspace) {
            found.push(Named { id, name: row.get(1)?, workspace, deleted: row.get(3)? });
        }
    }
    if found.iter().any(|named| !named.deleted) {
        found.retain(|named| !named.deleted);
    }
    found.dedup_by(|one, other| one.id == other.id);
    found.truncate(MOST);
    Ok(found)
}

/// The only one; `None`: there is none.
///
/// # Errors
/// `Conflict` with the candidates.
pub fn only(found: Vec<Named>) -> Result<Option<Named>> {
    if found.len() < 2 {
        return Ok(found.into_iter().next());
    }
    let candidates: Vec<String> = found
        .iter()
        .map(|named| format!("{}{}", named.id, if named.deleted { " (deleted)" } else { "" }))
        .collect();
    let message =
        format!("several are called {}; name one by its id: {}", found[0].name, candidates.join(", "));
    Err(Error::conflict("ambiguous_name", message))
}

/// Whether it can be an id of that kind.
pub fn is_id(kind: &str, text: &str) -> bool {
    match kind {
        "mailboxes" => text.parse::<i64>().is_ok(),
        _ => Uuid::parse(text).is_some(),
    }
}
