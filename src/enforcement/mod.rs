//! Log 1, enforcement: each time a mailbox was blocked for sending too much, and unblocked again, in TenantCore's
//! words. Rows are never changed after they are recorded.
//!
//! `sql` has the one door for writing (`record`) and the list, `api` the routes, `limits` the send counting that
//! makes the events.

pub mod api;
pub mod limits;
pub mod sql;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::app::check_not_ahead;
use crate::error::Result;
use crate::http::json::Fields;
use crate::ids::{Uuid, sha256};
use crate::imports::Identity;
use crate::time::Timestamp;

/// What was done to the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Action {
    Blocked = 1,
    Unblocked = 2,
}

impl Action {
    pub const WORDS: [(&'static str, Self); 2] = [("blocked", Self::Blocked), ("unblocked", Self::Unblocked)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
        }
    }

    pub fn from_number(number: i64) -> Option<Self> {
        Self::WORDS.into_iter().map(|(_, action)| action).find(|action| *action as i64 == number)
    }
}

impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An event as the wire shows it: the vendor's fields in the vendor's order, ours after them.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub mailbox_address: String,
    pub action_taken: Action,
    pub sent_count: i64,
    pub limit_value: i64,
    pub message: String,
    pub created_at: Timestamp,
    pub recorded_at: Timestamp,
    /// The number of the row in the whole appliance: it only rises, in the order of recording.
    pub seq: i64,
    /// Who recorded it; `None`: recorded before this was kept.
    pub recorded_by: Option<String>,
}

/// The columns of a CSV export, in the order of `Event`.
pub const COLUMNS: &[&str] = &[
    "id",
    "tenant_id",
    "mailbox_address",
    "action_taken",
    "sent_count",
    "limit_value",
    "message",
    "created_at",
    "recorded_at",
    "seq",
    "recorded_by",
];

/// An event to be recorded.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub tenant_id: Uuid,
    pub mailbox_address: String,
    pub action: Action,
    pub sent_count: i64,
    pub limit_value: i64,
    /// `None`: the vendor's sentence.
    pub message: Option<String>,
    /// `None`: now.
    pub created_at: Option<Timestamp>,
}

/// Numbers up to here are the same in every client (2⁵³ − 1).
pub const LARGEST: i64 = (1 << 53) - 1;

impl NewEvent {
    /// What can be refused only at the time of recording.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        self.created_at.map_or(Ok(()), |created_at| check_not_ahead("created_at", created_at, now))
    }

    pub fn read(mut fields: Fields) -> Result<Self> {
        let tenant_id = fields.uuid("tenant_id")?;
        let tenant_id = fields.required("tenant_id", tenant_id)?;
        let mailbox_address = fields.mail_text("mailbox_address", 320)?;
        let mailbox_address = fields.required("mailbox_address", mailbox_address)?;
        crate::owners::check_address(&fields.named("mailbox_address"), &mailbox_address)?;
        let action = fields.word("action_taken", &Action::WORDS)?;
        let sent_count = fields.integer("sent_count", 0, LARGEST)?;
        let limit_value = fields.integer("limit_value", 0, LARGEST)?;
        let new = Self {
            tenant_id,
            mailbox_address,
            action: fields.required("action_taken", action)?,
            sent_count: fields.required("sent_count", sent_count)?,
            limit_value: fields.required("limit_value", limit_value)?,
            message: fields.text("message", 1000)?,
            created_at: fields.timestamp("created_at")?,
        };
        fields.done()?;
        Ok(new)
    }
}

impl NewEvent {
    /// What an import knows it by.
    pub fn identity(&self) -> Identity {
        let usual = sentence(self.action, self.sent_count, self.limit_value);
        let message = self.message.as_deref().unwrap_or(&usual);
        let said = json!([
            self.tenant_id,
            self.mailbox_address,
            self.action,
            self.sent_count,
            self.limit_value,
            message,
            self.created_at,
        ]);
        sha256(said.to_string().as_bytes())
    }
}

impl Event {
    /// As `NewEvent` has it, of one with a time of its own or without.
    pub fn identity(&self, is_dated: bool) -> Identity {
        let said = json!([
            self.tenant_id,
            self.mailbox_address,
            self.action_taken,
            self.sent_count,
            self.limit_value,
            self.message,
            is_dated.then_some(self.created_at),
        ]);
        sha256(said.to_string().as_bytes())
    }
}

/// Whether the message of an event, given as JSON, is the one that it has anyway.
pub fn is_usual(message: &str, members: &Map<String, Value>) -> bool {
    let number = |name| members.get(name).and_then(Value::as_i64);
    let action =
        Action::WORDS.iter().find(|(word, _)| members.get("action_taken").is_some_and(|w| w == word));
    match (action, number("sent_count"), number("limit_value")) {
        (Some((_, action)), Some(sent_count), Some(limit_value)) => {
            message == sentence(*action, sent_count, limit_value)
        }
        _ => false,
    }
}

/// The vendor's sentence: `Mailbox blocked: sent 26, limit 25`.
pub fn sentence(action: Action, sent_count: i64, limit_value: i64) -> String {
    format!("Mailbox {}: sent {sent_count}, limit {limit_value}", action.as_str())
}
