//! What a route is: method, path, whose words it answers in, and who may call it.
//!
//! Access is in the type: a handler that needs a session takes one, and cannot be wired without.

use super::{Method, Query, Request, Response};
use crate::app::App;
use crate::auth::{Admin, Caller, Scope, Session};
use crate::error::Result;
use crate::store::Asker;

/// The base URL for the Python package `mailbuttons` 0.1.0: the routes of mailboxes answer under it as it reads them.
pub const PACKAGE: &str = "/sdk/mailbuttons-0.1/";

pub struct Route {
    pub method: Method,
    /// Segments; `{name}` stands for one.
    pub path: &'static str,
    pub dialect: Dialect,
    pub body: BodyLimit,
    /// Whether the last `{name}` stands for all segments that are left.
    pub has_tail: bool,
    /// Whether a retry with the same `Idempotency-Key` gets the first answer; otherwise one is refused.
    pub keeps_answers: bool,
    /// Whether it is answered whatever others ask for: it looks at little, and waits for nothing.
    pub is_brief: bool,
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
    /// Whoever has a key or a session, or the operator; anybody where `public_tlog` says so.
    Tree(fn(&App, Asker, &Request) -> Result<Response>),
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

/// How large a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// 4 KiB: of a question, and of what strangers may send.
    Small,
    /// 64 KiB: of a setting.
    Setting,
    /// `max_body`: of one row.
    Single,
    /// `max_bulk_body`: of many, or of a message.
    Bulk,
}

impl BodyLimit {
    /// In bytes. Where less than that is configured for one row, for a question and a setting too.
    pub fn bytes(self, single: usize, bulk: usize) -> usize {
        match self {
            Self::Small => single.min(4 * 1024),
            Self::Setting => single.min(64 * 1024),
            Self::Single => single,
            Self::Bulk => bulk,
        }
    }
}

/// A route in one line of a slice's table. Its body is that of a question or of a setting, by the method.
pub const fn route(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    let body = match method {
        Method::Get | Method::Head | Method::Delete | Method::Options => BodyLimit::Small,
        Method::Post | Method::Put | Method::Patch => BodyLimit::Setting,
    };
    let keeps_answers = !method.is_safe();
    Route { method, path, dialect, body, has_tail: false, keeps_answers, is_brief: false, handler }
}

/// A route that takes no `Idempotency-Key`: what it does is no other thing the second time.
pub const fn unkept(route: Route) -> Route {
    Route { keeps_answers: false, ..route }
}

/// A route that is answered whatever others ask for.
pub const fn brief(route: Route) -> Route {
    Route { is_brief: true, ..route }
}

/// A route for strangers, who may send little.
pub const fn small(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { body: BodyLimit::Small, ..route(method, path, dialect, handler) }
}

/// A route whose body is one row, or what is added to one.
pub const fn single(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { body: BodyLimit::Single, ..route(method, path, dialect, handler) }
}

/// A route whose body may be large: batches and messages.
pub const fn bulk(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { body: BodyLimit::Bulk, ..route(method, path, dialect, handler) }
}

/// A route whose last `{name}` stands for one segment or more.
pub const fn tail(method: Method, path: &'static str, dialect: Dialect, handler: Handler) -> Route {
    Route { has_tail: true, ..route(method, path, dialect, handler) }
}

/// The values of a path's `{names}`, decoded.
pub type Parameters = Vec<(&'static str, String)>;

impl Route {
    /// The values of the path's `{names}`, decoded, when `path` (raw) is of this route's shape.
    pub fn matches(&self, path: &str) -> Option<Parameters> {
        let mut parameters = Vec::new();
        let mut pattern = self.path.split('/').peekable();
        let mut rest = path;
        loop {
            let (Some(expected), segment) = (pattern.next(), rest) else { return None };
            let is_last = pattern.peek().is_none();
            let (segment, after) = match segment.split_once('/') {
                Some((segment, after)) if !(is_last && self.has_tail) => (segment, Some(after)),
                _ => (segment, None),
            };
            if let Some(name) = expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                let value = super::query::decode_path_segment(segment).ok().filter(|v| !v.is_empty())?;
                parameters.push((name, value));
            } else if expected != segment {
                return None;
            }
            match (is_last, after) {
                (true, None) => return Some(parameters),
                (false, Some(after)) => rest = after,
                _ => return None,
            }
        }
    }
}

/// How many, and where to start: `limit` 50 unless given, kept within 1 to 200 in all three dialects.
pub fn limit(query: &Query) -> Result<i64> {
    Ok(query.integer("limit", "1 to 200")?.unwrap_or(50).clamp(1, 200))
}
