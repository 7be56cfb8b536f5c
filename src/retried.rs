//! What tells one write from another under an `Idempotency-Key`: what it says, however it is written.
//!
//! The members of JSON may come in any order and with any space between, and what a route takes for granted may be said
//! or left out. Any other body counts as its bytes.
//!
//! An older version hashed the bytes of every body. What it kept is still found: a key has the hash of both.

use serde_json::{Map, Value};

use crate::enforcement;
use crate::http::json::{self, Read};
use crate::http::{Method, Request};
use crate::ids::{Hasher, sha256};

/// The fingerprint of a request, and the one that an older version made of it.
pub fn fingerprints(request: &Request) -> ([u8; 32], [u8; 32]) {
    // `/api/v1/…` is another name of `/v1/…`.
    let path = request.path.strip_prefix("/api").unwrap_or(&request.path);
    let head = format!("{} {path} {:?}\n", method(request), request.query);
    let former = sha256(&[head.as_bytes(), &request.body].concat());
    let Some(body) = said(request, Kind::of(path)) else { return (former, former) };
    let mut query: Vec<_> = request.query.pairs().collect();
    query.sort_unstable();
    let mut hasher = Hasher::default();
    hasher.add(format!("{} {path} {query:?}\n", method(request)).as_bytes());
    hasher.add(&body);
    (hasher.done(), former)
}

fn method(request: &Request) -> &'static str {
    match request.method {
        Method::Head => "GET",
        other => other.as_str(),
    }
}

/// What is written: what its list is called, and what goes without saying.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Sends,
    Messages,
    Activities,
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        if path == "/v1/enforcement/events" {
            Self::Events
        } else if path == "/v1/enforcement/sends" {
            Self::Sends
        } else if path.contains("/audit-logs") || path.ends_with("/inbound") {
            Self::Messages
        } else if path.ends_with("/audit-log") {
            Self::Activities
        } else {
            Self::Other
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Messages => "items",
            Self::Activities => "entries",
            Self::Sends | Self::Other => "",
        }
    }

    /// Whether a member of a row says no more than would be so without it.
    fn goes_without_saying(self, name: &str, value: &Value) -> bool {
        match (self, name, value) {
            // Of a setting, null and an empty text say something.
            (Self::Other, ..) => false,
            (_, _, Value::Null) => true,
            (Self::Sends, "recipients", value) => json::whole(value) == Some(1),
            (Self::Activities, "metadata", Value::Object(members)) => members.is_empty(),
            (Self::Activities, "target_type" | "target_id" | "ip_address" | "user_agent", value)
            | (Self::Messages, "thread_id" | "sender_address", value) => value.as_str() == Some(""),
            _ => false,
        }
    }
}

/// The body as what it says; `None`: it is no JSON, or not such that anything will be recorded.
fn said(request: &Request, kind: Kind) -> Option<Vec<u8>> {
    let mut said = Vec::new();
    if json::is_lines(request) {
        let body = json::without_bom(&request.body);
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            add(&mut said, json::parse(line).ok()?, kind);
        }
        return Some(said);
    }
    json::check_media_type(request).ok()?;
    let others = match json::read_items(&request.body, kind.word(), usize::MAX, |item| {
        add(&mut said, item, kind);
    }) {
        Ok(Read::Items(others)) => Value::Object(others),
        Ok(Read::Other(value)) => value,
        Err(_) => return None,
    };
    // What stands around a list is no row, unless it is one itself.
    said.push(b'\n');
    add(&mut said, others, kind);
    Some(said)
}

fn add(said: &mut Vec<u8>, mut row: Value, kind: Kind) {
    if let Value::Object(members) = &mut row {
        without_defaults(members, kind);
    }
    row.sort_all_objects();
    said.extend_from_slice(row.to_string().as_bytes());
    said.push(b'\n');
}

fn without_defaults(members: &mut Map<String, Value>, kind: Kind) {
    members.retain(|name, value| !kind.goes_without_saying(name, value));
    for value in members.values_mut().filter(|value| value.is_f64()) {
        if let Some(whole) = json::whole(value) {
            *value = whole.into();
        }
    }
    if kind == Kind::Events
        && let Some(message) = members.get("message").and_then(Value::as_str)
        && enforcement::is_usual(message, members)
    {
        members.shift_remove("message");
    }
}
