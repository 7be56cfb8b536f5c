//! Log 3, activity: who did what in a project or a workspace, in SendDock's words. Rows are never changed after
//! they are recorded.
//!
//! `sql` has the one door for writing (`record`) and the list, `api` the routes. mailtrail's own changes come in by
//! the same door: `note` is wired as the store's sink, in the transaction of the change.

pub mod api;
pub mod redact;
pub mod sql;

use redact::Metadata;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::check_not_ahead;
use crate::auth::{self, FIRST_WORKSPACE, address};
use crate::error::{Error, Result};
use crate::http::json::Fields;
use crate::ids::{Ulid, Uuid, sha256};
use crate::imports::Identity;
use crate::mask::quoted;
use crate::owners::projects;
use crate::store::{Note, Tx};
use crate::time::Timestamp;

/// An activity as the wire shows it: the vendor's fields in the vendor's order, ours after them.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub id: Ulid,
    pub user_id: Option<String>,
    pub action: String,
    pub target_type: Option<String>,
    pub target_id: Option<String>,
    pub metadata: Metadata,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub project_id: Option<Uuid>,
    /// Who it was, as named at the time: an email, a key, `operator`; `key NAME for EMAIL` where a key says so.
    pub actor: Option<String>,
    pub recorded_at: Timestamp,
    /// The number of the row in the whole appliance: it only rises, in the order of recording.
    pub seq: i64,
    /// Names of the members of `metadata` that were left out, since they say that they are a secret.
    pub redacted: Vec<String>,
    /// Who recorded it; `None`: recorded before this was kept.
    pub recorded_by: Option<String>,
}

impl Entry {
    /// As `NewEntry` has it, of one with a time of its own or without.
    pub fn identity(&self, is_dated: bool) -> Identity {
        identity(
            [&self.user_id, &self.target_type, &self.target_id, &self.ip_address, &self.user_agent],
            &self.action,
            &self.metadata,
            is_dated.then_some(self.created_at),
        )
    }
}

/// Members of metadata may come in any order.
fn identity(
    texts: [&Option<String>; 5],
    action: &str,
    metadata: &Metadata,
    created_at: Option<Timestamp>,
) -> Identity {
    let mut metadata: Value = serde_json::from_str(metadata.as_str()).unwrap_or_default();
    metadata.sort_all_objects();
    sha256(json!([texts, action, metadata, created_at]).to_string().as_bytes())
}

/// The columns of a CSV export, in the order of `Entry`.
pub const COLUMNS: &[&str] = &[
    "id",
    "user_id",
    "action",
    "target_type",
    "target_id",
    "metadata",
    "ip_address",
    "user_agent",
    "created_at",
    "project_id",
    "actor",
    "recorded_at",
    "seq",
    "redacted",
    "recorded_by",
];

/// Where an activity is recorded: in a workspace, perhaps in one of its projects (key and id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub workspace: i64,
    pub project: Option<(i64, Uuid)>,
}

/// An activity to be recorded.
#[derive(Debug, Clone, Default)]
pub struct NewEntry {
    pub user_id: Option<String>,
    pub actor: Option<String>,
    pub action: String,
    pub target_type: Option<String>,
    pub target_id: Option<String>,
    pub metadata: Metadata,
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    /// `None`: now.
    pub created_at: Option<Timestamp>,
}

/// What mailtrail itself notes, and nobody else may record: whoever reads one of these must be able to believe it.
pub const OWN_ACTIONS: [&str; 43] = [
    "activity.export",
    "api_key.create",
    "api_key.revoke",
    "api_key.rotate",
    "auth.denied",
    "auth.login",
    "auth.login_failed",
    "auth.logout",
    "backup.create",
    "backup.restore",
    "check.repair",
    "checkpoint.renew",
    "clock.accept",
    "enforcement.export",
    "license.issue",
    "mailbox.create",
    "mailbox.delete",
    "mailbox.policy_update",
    "mailbox.update",
    "messages.export",
    "person.erase",
    "project.create",
    "project.delete",
    "project.update",
    "retention.run",
    "retention.update",
    "settings.change",
    "tenant.create",
    "tenant.delete",
    "tenant.update",
    "user.password_change",
    "user.password_change_failed",
    "user.password_reset",
    "workspace.create",
    "workspace.delete",
    "workspace.invitation_withdrawn",
    "workspace.member_added",
    "workspace.member_invited",
    "workspace.member_removed",
    "workspace.member_role_changed",
    "workspace.rename",
    "workspace.update",
    "workspace.user_created",
];

/// Metadata given from outside, as the JSON text that is stored (without secrets), may have so many bytes.
const LARGEST_METADATA: usize = 64 * 1024;

impl NewEntry {
    /// What an import knows it by.
    pub fn identity(&self) -> Identity {
        identity(
            [&self.user_id, &self.target_type, &self.target_id, &self.ip_address, &self.user_agent],
            &self.action,
            &self.metadata,
            self.created_at,
        )
    }

    /// Where it would stand, without what it says.
    pub fn like(&self) -> Self {
        Self {
            user_id: self.user_id.clone(),
            target_id: self.target_id.clone(),
            created_at: self.created_at,
            ..Self::default()
        }
    }

    /// What can be refused only at the time of recording.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        self.created_at.map_or(Ok(()), |created_at| check_not_ahead("created_at", created_at, now))
    }

    pub fn read(mut fields: Fields) -> Result<Self> {
        let user_id = fields.text("user_id", 64)?;
        let user_id = fields.required("user_id", user_id)?;
        if Uuid::parse(&user_id).is_none() && Ulid::parse(&user_id).is_none() {
            return Err(fields.refuse("user_id", format!("{} is not a UUID or a ULID", quoted(&user_id))));
        }
        let action = fields.text("action", 64)?;
        let action = fields.required("action", action)?;
        if !is_action(&action) {
            let message =
                format!("{} is not a dotted lower-case name; accepted: as in smtp.update", quoted(&action));
            return Err(fields.refuse("action", message));
        }
        let metadata = match fields.any("metadata") {
            None => Metadata::default(),
            Some(Value::Object(metadata)) => {
                let metadata = Metadata::redacted(metadata);
                let length = metadata.as_str().len();
                if length > LARGEST_METADATA {
                    let message = format!("has {length} bytes of JSON; accepted: up to {LARGEST_METADATA}");
                    return Err(fields.refuse("metadata", message));
                }
                metadata
            }
            Some(_) => return Err(fields.refuse("metadata", "is not an object")),
        };
        let ip_address = match fields.optional("ip_address", 64)? {
            None => None,
            Some(text) => Some(
                address::written(&text)
                    .ok_or_else(|| {
                        fields.refuse("ip_address", format!("{} is not an IP address", quoted(&text)))
                    })?
                    .to_string(),
            ),
        };
        let user_agent = fields.long_text("user_agent")?;
        let new = Self {
            user_id: Some(one_spelling(user_id)),
            actor: None,
            action,
            target_type: fields.optional("target_type", 64)?,
            target_id: fields.foreign_id("target_id", 255)?,
            metadata,
            ip_address,
            user_agent: user_agent.and_then(|text| auth::agent(&text)),
            created_at: fields.timestamp("created_at")?,
        };
        fields.done()?;
        Ok(new)
    }
}

/// The id of a person as it is kept: a UUID and a ULID have one spelling here, so that a filter finds it.
pub fn one_spelling(id: String) -> String {
    let uuid = Uuid::parse(&id).map(|id| id.to_string());
    uuid.or_else(|| Ulid::parse(&id).map(|id| id.to_string())).unwrap_or(id)
}

/// Lower-case words with dots between: SendDock's catalog is open, so ours is too.
fn is_action(action: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    action.contains('.') && action.split('.').all(is_word)
}

/// Records a change that mailtrail itself made or saw: the store's sink.
///
/// # Errors
/// `Internal` for an action that is not among `OWN_ACTIONS`: anybody could record it too.
pub fn note(tx: &mut Tx<'_>, note: Note) -> Result<()> {
    if !OWN_ACTIONS.contains(&note.action) {
        return Err(Error::Internal(format!("{} is not among OWN_ACTIONS", note.action)));
    }
    let metadata = match note.metadata {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    };
    let new = NewEntry {
        user_id: note.by.user.map(|user| user.to_string()),
        actor: Some(note.by.name).filter(|name| !name.is_empty()),
        action: note.action.to_owned(),
        target_type: Some(note.target_type.to_owned()),
        target_id: Some(note.target_id).filter(|id| !id.is_empty()),
        metadata: Metadata::redacted(metadata),
        ip_address: note.by.ip_address,
        user_agent: note.by.user_agent,
        created_at: None,
    };
    let project = match note.project {
        Some(key) => projects::id_of(tx, key)?.map(|id| (key, id)),
        None => None,
    };
    let place = Place { workspace: note.workspace.unwrap_or(FIRST_WORKSPACE), project };
    sql::record(tx, place, new, &note.by.recorded_by).map(|_| ())
}
