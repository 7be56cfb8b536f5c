//! Who owns what: workspaces, their people, tenants, mailboxes and projects.
//!
//! One owner, three vendor words: a **workspace** is TenantCore's account and Mailbuttons' customer. Nobody sees
//! another workspace's rows: every `find` a handler calls takes the workspace. Owners are marked as deleted and
//! never removed, since their log outlives them. Inside they are small integers (`key`), outside UUIDs (`id`),
//! mailboxes integers, as the vendors have it.

pub mod api;
pub mod invitations;
pub mod mailboxes;
pub mod names;
pub mod projects;
pub mod settings;
pub mod tenants;
pub mod twins;
pub mod users;
pub mod workspaces;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

use crate::canonical;
use crate::canonical::{lookalike, misleading_in_address};
use crate::error::{Error, Result};
use crate::ids::Uuid;
use crate::mask::quoted;

/// A name that somebody gave: of what, which one, and the name.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    pub what: String,
    pub id: String,
    pub name: String,
}

/// Names that people gave in a workspace, of what is deleted too, and of those mailboxes and people that are not.
pub fn names(connection: &Connection, workspace: i64) -> Result<Vec<Named>> {
    let mut statement = connection.prepare(
        "SELECT 'workspace' AS what, uuid AS id, name FROM workspaces WHERE id = ?1
         UNION ALL SELECT 'api_key', uuid, name FROM api_keys WHERE workspace = ?1
         UNION ALL SELECT 'tenant', uuid, name FROM tenants WHERE workspace = ?1
         UNION ALL SELECT 'tenant', uuid, domain FROM tenants WHERE workspace = ?1 AND domain IS NOT NULL
         UNION ALL SELECT 'project', uuid, name FROM projects WHERE workspace = ?1
         UNION ALL SELECT 'mailbox', id, name FROM mailboxes
             WHERE workspace = ?1 AND name IS NOT NULL AND deleted_at IS NULL
         UNION ALL SELECT 'mailbox', id, address FROM mailboxes WHERE workspace = ?1 AND deleted_at IS NULL
         UNION ALL SELECT 'user', uuid, name FROM users WHERE deleted_at IS NULL AND EXISTS
             (SELECT 1 FROM members WHERE members.user = users.id AND members.workspace = ?1)",
    )?;
    let names = statement.query_map([workspace], |row| {
        let id = match row.get_ref("id")? {
            ValueRef::Integer(number) => number.to_string(),
            _ => row.get::<_, Uuid>("id")?.to_string(),
        };
        Ok(Named { what: row.get("what")?, id, name: row.get("name")? })
    })?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// An address that a mailbox, an account or a rule is to have: a mail address in which every character can be seen.
pub fn check_own_address(parameter: &str, address: &str) -> Result<()> {
    check_address(parameter, address)?;
    if let Some(c) = misleading_in_address(address) {
        let message =
            format!("holds U+{:04X}, which cannot be seen; accepted: characters that can", c as u32);
        return Err(Error::invalid(parameter, message));
    }
    let Some(c) = lookalike(address) else { return Ok(()) };
    let message =
        format!("holds {c:?}, another way to write {:?}; accepted: that", canonical::look(&c.to_string()));
    Err(Error::invalid(parameter, message))
}

/// A mail address as an owner's name: one `@`, something on both sides, no spaces or control characters. Whether
/// it can be delivered to is the mail server's business.
pub fn check_address(parameter: &str, address: &str) -> Result<()> {
    let well_formed = address.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains(['@', ' '])
            && address.chars().count() <= 320
    }) && !address.chars().any(|c| c.is_control() || c == ' ');
    if well_formed {
        return Ok(());
    }
    Err(Error::invalid(
        parameter,
        format!("{} is not a mail address; accepted: local@domain", quoted(address)),
    ))
}
