//! What is set of owners and licenses, as it stands in a file: to be held against what the log says of it.

use rusqlite::{Connection, Row};
use serde_json::{Value, json};

use crate::error::Result;
use crate::ids::Uuid;
use crate::time::Timestamp;

/// Of each kind its rows: workspace, id, settings in the words of the notes.
pub const KINDS: [(&str, &str, &[&str]); 6] = [
    (
        "workspace",
        "SELECT id, uuid, name, hold, deleted_at IS NOT NULL FROM workspaces",
        &["name", "legal_hold", "is_deleted"],
    ),
    (
        "tenant",
        "SELECT workspace, uuid, name, domain, hold, deleted_at IS NOT NULL
         FROM tenants",
        &["name", "domain", "legal_hold", "is_deleted"],
    ),
    (
        "mailbox",
        "SELECT mailboxes.workspace, mailboxes.id, mailboxes.name, address, daily_send_limit, tenants.uuid,
             retention_days, policy_version, mailboxes.hold, mailboxes.deleted_at IS NOT NULL
         FROM mailboxes LEFT JOIN tenants ON tenants.id = mailboxes.tenant",
        &[
            "name",
            "address",
            "daily_send_limit",
            "tenant_id",
            "retention_days",
            "policy_version",
            "legal_hold",
            "is_deleted",
        ],
    ),
    (
        "project",
        "SELECT workspace, uuid, name, hold, deleted_at IS NOT NULL
         FROM projects",
        &["name", "legal_hold", "is_deleted"],
    ),
    (
        "policy",
        "SELECT workspace, mailbox, document, version FROM policies JOIN mailboxes ON mailboxes.id = mailbox",
        &["document"],
    ),
    ("license", "SELECT 1, uuid, holder, expires_at FROM licenses", &["holder", "expires_at"]),
];

/// Tells every one of them: its kind, workspace, id (of a mailbox its number), and its settings.
pub fn each(
    connection: &Connection,
    mut tell: impl FnMut(&'static str, i64, u128, &[(&'static str, Value)]),
) -> Result<()> {
    for (kind, sql, settings) in KINDS {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values = (2..).zip(settings).map(|(at, name)| Ok((*name, value_of(row, at, name)?)));
            let id = if kind == "policy" { policy_id(row.get(1)?, row.get(3)?) } else { id_of(row)? };
            tell(kind, row.get(0)?, id, &values.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(())
}

/// Of a policy: its mailbox's number and its version.
pub fn policy_id(mailbox: i64, version: i64) -> u128 {
    u128::from(mailbox.unsigned_abs()) << 64 | u128::from(version.unsigned_abs())
}

fn id_of(row: &Row<'_>) -> Result<u128> {
    match row.get::<_, Uuid>(1) {
        Ok(id) => Ok(u128::from_be_bytes(id.0)),
        Err(_) => Ok(row.get::<_, i64>(1)?.unsigned_abs().into()),
    }
}

fn value_of(row: &Row<'_>, at: usize, name: &str) -> Result<Value> {
    Ok(match name {
        "legal_hold" | "is_deleted" => json!(row.get::<_, bool>(at)?),
        "document" => serde_json::from_str(&row.get::<_, String>(at)?).unwrap_or_default(),
        "policy_version" => json!(row.get::<_, i64>(at)?),
        "daily_send_limit" | "retention_days" => json!(row.get::<_, Option<i64>>(at)?),
        "tenant_id" => json!(row.get::<_, Option<Uuid>>(at)?),
        "expires_at" => json!(row.get::<_, Option<Timestamp>>(at)?),
        _ => json!(row.get::<_, Option<String>>(at)?),
    })
}
