//! The words of HTTP for the rest of the program: a request that was read whole, an answer that knows its status.
//!
//! `server` accepts and writes answers and is the only place that names tiny_http; `framing` turns bytes into requests,
//! `conversation` takes a connection through them, `turns` says who is answered next, `connections` says who may be connected, `wire` keeps the
//! deadlines; `coding` folds and unfolds gzip, `negotiate` reads what a client would like; `client` is the command line's way in, `remote` the way to other servers. `query` has the typed parameters;
//! `route` says what a route is.
//! Nothing here knows a log, an owner or a caller.

mod account;
pub mod batch;
pub mod client;
pub mod coding;
mod connections;
mod conversation;
pub mod framing;
pub mod json;
pub mod listing;
mod limits;
mod negotiate;
pub mod query;
pub mod remote;
pub mod route;
pub mod server;
pub mod stream;
mod turns;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::store::Asker;
pub use query::Query;

/// The methods any route has. Others are refused while the head is read (501).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    /// What a path takes, for who asks first; no route has it in its table.
    Options,
}

impl Method {
    /// Case-sensitive, as RFC 9110 section 9.1 has it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether a request with it may change something.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

/// The other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(IpAddr),
    /// A Unix socket; the uid is the kernel's word, not the client's.
    Unix {
        uid: u32,
    },
    /// The command line, in the same process.
    Local,
}

/// A request, read whole and held to RFC 9112 before anybody sees it.
#[derive(Debug)]
pub struct Request {
    /// Named in every answer and log line. Made here; a client's own `X-Request-Id` is taken over when it is sane.
    pub id: String,
    pub method: Method,
    /// As sent, still percent-encoded, without the query.
    pub path: String,
    /// The values of the route's `{names}`, decoded; `routes` fills them in.
    pub parameters: route::Parameters,
    pub query: Query,
    /// Lower-case names in the order of arrival; values are visible ASCII, tabs and bytes above 0x7F (lossy UTF-8).
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub peer: Peer,
    /// Whose share it is; `routes` fills it in where a caller is known.
    pub asker: Asker,
    pub line: Line,
}

/// The way back to who sent a request.
#[derive(Clone, Default)]
pub struct Line(Option<Arc<connections::Connection>>);

impl Line {
    /// Whether nobody is there any more to be answered. Who has closed their half of the connection counts as gone: it
    /// is asked only for what takes long.
    pub fn is_dead(&self) -> bool {
        self.0.as_ref().is_some_and(|connection| connection.is_dead())
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Request {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The one header of this name; `Err` when it came more than once.
    pub fn single_header(&self, name: &str) -> Result<Option<&str>> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let first = found.next().map(|(_, value)| value.as_str());
        match found.next() {
            Some(_) => Err(Error::http(400, format!("the header {name} came more than once"))),
            None => Ok(first),
        }
    }

    /// The value of a `{name}` of the route; empty when the route has no such name.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// A `{name}` of the route that is the number of something: digits alone and no zero in front, since a number has
    /// one path.
    pub fn number(&self, name: &str) -> Option<i64> {
        let text = self.parameter(name);
        let is_canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_canonical)
    }

    /// The media type of the body, lower-case, without parameters; empty when none was named.
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// What every answer says, unless it says otherwise itself: that a browser does no more with it than show it, embeds
/// it nowhere, and that nothing on the way keeps a copy, since the logs hold personal data. `server` adds them to all
/// that leaves, its own refusals included; a page sets those of its own that it has to widen.
pub const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// An answer before it is written.
pub struct Response {
    pub status: u16,
    /// Values are checked before they reach the wire: no control characters.
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

pub enum Body {
    Bytes(Vec<u8>),
    /// The same to everybody, and so in memory once.
    Text(&'static str),
    /// Made as it is sent, a piece at a time, in bounded memory. An `Err` ends the connection without the last
    /// chunk, so that the client sees a cut answer and not a short one; one that says when to come again
    /// (`Error::retry_after`) does not: the next piece is asked for then.
    Stream(Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>),
}

impl Response {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: Body::Bytes(body.into()) }
    }

    /// An object as JSON.
    pub fn json(status: u16, value: &impl serde::Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self::new(status, "application/json", body))
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the server asks of the program behind it. Implemented by `routes`, and by the server's own tests.
pub trait Service: Send + Sync + 'static {
    /// Looks at a request of which only the head is there: who sends it, and how much of a body it may have. `Err` is
    /// the answer, and the body is never read.
    fn admit(&self, head: Request) -> Result<Admitted<'_>, Response>;

    /// Words a refusal that was decided before there was a whole request: framing, size, deadline, load.
    fn refuse(&self, refused: &Refused<'_>) -> Response;
}

/// A request that was let in by its head.
pub struct Admitted<'a> {
    /// The largest body it may have, in bytes.
    pub body_limit: usize,
    /// Whose share its body and its answer take, and whose turn it is answered in.
    pub holder: Holder,
    /// Whether it is answered at once, and takes nobody's turn.
    pub is_brief: bool,
    /// Answers it, with its body.
    pub answer: Box<dyn FnOnce(Vec<u8>) -> Response + 'a>,
}

/// Whose share of the memory something takes (`account`): the service says who it is, the server what that is worth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Nobody the service knows, from this address (a /64 in IPv6) where there is one.
    Stranger(Option<IpAddr>),
    /// Somebody it knows, by a name that is theirs alone.
    Known(String),
    /// Ourselves: the operator at the command line, and the mail that is recorded with it.
    Operator,
}

/// What was refused before there was a whole request.
pub struct Refused<'a> {
    pub request_id: &'a str,
    pub peer: Peer,
    /// Raw, as far as it was read.
    pub path: &'a str,
    /// As far as they were read and nobody has looked at them yet.
    pub headers: &'a [(String, String)],
    /// Whether `admit` has let it in.
    pub is_admitted: bool,
    pub error: &'a Error,
}
