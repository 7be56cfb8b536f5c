//! What the log says that settings are, held against the settings: names, addresses, limits, tenants, holds, and whether
//! something was deleted. Somebody who writes the file could release a hold or exchange two mailboxes, and the trail would
//! say otherwise.
//!
//! What mailtrail noted is folded: each note of a creation or a change says what is so from then on. Retention removes the
//! oldest notes, so what is left may say less, and of what it does not say nothing is held against a row.
//!
//! # Bounds
//! Of each owner a number for each of its settings, a hash of the value: some 200 bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::activity::redact::Metadata;
use crate::activity::sql::Noted;
use crate::auth::FIRST_WORKSPACE;
use crate::error::Result;
use crate::ids::Uuid;
use crate::owners::settings;

/// What is said of owners and licenses, in the words of the notes.
const SETTINGS: [&str; 12] = [
    "name",
    "address",
    "domain",
    "daily_send_limit",
    "tenant_id",
    "legal_hold",
    "is_deleted",
    "retention_days",
    "policy_version",
    "document",
    "holder",
    "expires_at",
];

/// What is noted of them.
pub const ACTIONS: [&str; 15] = [
    "license.issue",
    "mailbox.create",
    "mailbox.delete",
    "mailbox.policy_update",
    "mailbox.update",
    "project.create",
    "project.delete",
    "project.update",
    "tenant.create",
    "tenant.delete",
    "tenant.update",
    "workspace.create",
    "workspace.delete",
    "workspace.rename",
    "workspace.update",
];

/// Kind, workspace, and the id: of a mailbox its number.
type Owner = (&'static str, i64, u128);

/// By setting, a hash of its value; 0: nothing is said.
type Hashes = [u64; SETTINGS.len()];

#[derive(Default)]
pub struct Told {
    owners: HashMap<Owner, Hashes>,
    hasher: RandomState,
}

impl Told {
    pub fn add(&mut self, noted: &Noted) {
        let Some((word, deed)) = noted.action.split_once('.') else { return };
        if let ("policy_update", Some(number), Some(version)) =
            (deed, noted.number, noted.metadata["version"].as_i64())
        {
            let id = number.unsigned_abs().into();
            let days = &noted.metadata["after"]["auditLog"]["retentionDays"];
            let said = json!({ "policy_version": version, "retention_days": days });
            self.say(("mailbox", noted.workspace, id), &said);
            let id = settings::policy_id(number, version);
            self.say(("policy", noted.workspace, id), &json!({ "document": noted.metadata["after"] }));
            return;
        }
        let Some(kind) = settings::KINDS.iter().map(|(kind, ..)| *kind).find(|kind| *kind == word) else {
            return;
        };
        let id = match (noted.target, noted.number) {
            (Some(id), _) => u128::from_be_bytes(id.0),
            (None, Some(number)) => number.unsigned_abs().into(),
            (None, None) => return,
        };
        let said = match deed {
            "create" => json!({ "legal_hold": false, "is_deleted": false, "policy_version": 0 }),
            "delete" => json!({ "is_deleted": true }),
            "issue" | "update" | "rename" => Value::Null,
            _ => return,
        };
        let workspace = if kind == "license" { FIRST_WORKSPACE } else { noted.workspace };
        let metadata = match deed {
            "update" | "rename" => &noted.metadata["after"],
            // What it was: an older name of it may have been meant.
            "delete" => &Value::Null,
            _ => &noted.metadata,
        };
        self.say((kind, workspace, id), &said);
        self.say((kind, workspace, id), metadata);
        // Other days are another version of the policy, where there is one.
        if noted.metadata["before"]["retention_days"] != metadata["retention_days"]
            && let Some(hashes) = self.owners.get_mut(&(kind, workspace, id))
        {
            let known = hashes.iter_mut().zip(SETTINGS).find(|(_, name)| *name == "policy_version");
            known.into_iter().for_each(|(hash, _)| *hash = 0);
        }
    }

    fn say(&mut self, owner: Owner, settings: &Value) {
        let mut hashes = self.owners.get(&owner).copied().unwrap_or_default();
        for (hash, name) in hashes.iter_mut().zip(SETTINGS) {
            if let Some(value) = settings.get(name) {
                *hash = self.hash(name, value);
            }
        }
        self.owners.insert(owner, hashes);
    }

    /// Tells each row that contradicts what is said, in the workspaces in which the last word is there still.
    pub fn hold(
        &self,
        connection: &Connection,
        is_told: impl Fn(i64) -> bool,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        settings::each(connection, |kind, workspace, id, values| {
            let Some(hashes) = self.owners.get(&(kind, workspace, id)).filter(|_| is_told(workspace)) else {
                return;
            };
            // An erasure may have put something else in place of them.
            let is_erasable = kind == "mailbox" && values.contains(&("is_deleted", Value::Bool(true)));
            for (name, value) in values {
                let at = SETTINGS.iter().position(|setting| setting == name).unwrap_or_default();
                let is_passed_over = hashes[at] == 0 || is_erasable && matches!(*name, "name" | "address");
                if !is_passed_over && self.hash(name, value) != hashes[at] {
                    let id = match kind {
                        "mailbox" => id.to_string(),
                        "policy" => format!("{} of mailbox {}", id as u64, id >> 64),
                        _ => Uuid(id.to_be_bytes()).to_string(),
                    };
                    let value: String = value.to_string().chars().take(200).collect();
                    tell(format!("the {name} of the {kind} {id} is {value}, but the log says otherwise"));
                }
            }
        })
    }

    /// Of a setting as a note has it, also one of before something counted as a secret: what looks like one is left out.
    fn hash(&self, name: &str, value: &Value) -> u64 {
        let noted = as_noted(name, value);
        self.hasher.hash_one(noted.as_ref().unwrap_or(value).to_string()).max(1)
    }
}

/// A setting as it stands in a note.
pub fn as_noted(name: &str, value: &Value) -> Option<Value> {
    let metadata = Metadata::redacted(Map::from_iter([(name.to_owned(), value.clone())]));
    serde_json::from_str::<Value>(metadata.as_str()).ok()?.get(name).cloned()
}
