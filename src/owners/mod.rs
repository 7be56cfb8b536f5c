//! Who owns what: workspaces, their people, tenants, mailboxes and projects.
//!
//! One owner, three vendor words: a **workspace** is TenantCore's account and Mailbuttons' customer. Nobody sees
//! another workspace's rows: every `find` a handler calls takes the workspace. Owners are marked as deleted and
//! never removed, since their log outlives them. Inside they are small integers (`key`), outside UUIDs (`id`),
//! mailboxes integers, as the vendors have it.

pub mod api;
pub mod invitations;
pub mod mailboxes;
pub mod projects;
pub mod tenants;
pub mod users;
pub mod workspaces;

use crate::error::{Error, Result};
use crate::mask::quoted;

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
