//! What a route is: method, path, whose words it answers in, and who may call it.
//!
//! Access is in the type: a handler that needs a session takes one, and cannot be wired without.

use super::{Method, Query, Request, Response};
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Session};
use crate::error::Result;

pub struct Route {
    pub method: Method,
    /// Segments; `{name}` stands for one.
    pub path: &'static str,
    pub dialect: Dialect,
    pub body: BodyLimit,
    pub handler: Handler,
}

#[derive(Clone, Copy)]
pub enum Handler {
    /// Anybody.
    Open(fn(&App, &Request) -> Result<Response>),
    /// An API key with this scope, or the operator, bound to one workspace.
    Key(Scope, fn(&App, &Caller, &Request) -> Result<Response>),
    /// A person with a session, or the operator.
    Session(fn(&App, &Session, &Request) -> Result<Response>),
    /// A key with `admin`, the session of an owner or admin, or the operator.
    Admin(fn(&App, &Admin, &Request) -> Result<Response>),
}

/// In whose words errors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `{"detail":{"message":…,"code":…}}`
    TenantCore,
    /// `{"error":…}`, `{"errors":[…]}` for 400 and 422
    Mailbuttons,
    /// `{"error":…}`, refused parameters are 400
    SendDock,
    /// RFC 9457, for routes that are ours
    Problem,
}

/// Which of the two configured limits a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    Single,
    Bulk,
}

/// A route in one line of a slice's table.
pub const fn route(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { method, path, dialect, body: BodyLimit::Single, handler }
}

/// A route whose body may be large: batches and messages.
pub const fn bulk(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { method, path, dialect, body: BodyLimit::Bulk, handler }
}

/// The values of a path's `{names}`, decoded.
pub type Parameters = Vec<(&'static str, String)>;

impl Route {
    /// The values of the path's `{names}`, decoded, when `path` (raw) is of this route's shape.
    pub fn matches(&self, path: &str) -> Option<Parameters> {
        let mut parameters = Vec::new();
        let mut pattern = self.path.split('/');
        let mut segments = path.split('/');
        loop {
            match (pattern.next(), segments.next()) {
                (None, None) => return Some(parameters),
                (Some(expected), Some(segment)) => {
                    if let Some(name) = expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                        let value =
                            super::query::decode_path_segment(segment).ok().filter(|v| !v.is_empty())?;
                        parameters.push((name, value));
                    } else if expected != segment {
                        return None;
                    }
                }
                _ => return None,
            }
        }
    }
}

/// How many, and where to start: `limit` 50 unless given, kept within 1 to 200 in all three dialects.
pub fn limit(query: &Query) -> Result<i64> {
    Ok(query.integer("limit", "1 to 200")?.unwrap_or(50).clamp(1, 200))
}
