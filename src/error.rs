//! What can go wrong, in the words of the product.
//!
//! One enum for the whole program. `http` turns a variant into a status and each vendor's body, `cli` into an
//! exit code and a hint; both match without a catch-all, so that the compiler asks at each new variant.
//!
//! Two audiences are never mixed: the message of a 4xx is for the caller and names the parameter, what came and
//! what is accepted; the inside of a 5xx (`Database`, `Io`, `Internal`) goes to the log under the request id only.

use std::fmt;
use std::io::ErrorKind;

use log::Level;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Parameters or members that were understood and are not acceptable. Never empty.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),

    /// A body that could not be read at all: not JSON, not UTF-8, not a mail message.
    #[error("{0}")]
    Malformed(String),

    /// Nobody we know.
    #[error("{0}")]
    Unauthenticated(Unauthenticated),

    /// The activity log's read without a valid license.
    #[error("license required for the audit log: {0}")]
    LicenseRequired(String),

    /// Somebody we know, who may not do this.
    #[error("{0}")]
    Forbidden(String),

    /// Unknown, or another workspace's: the answer is the same.
    #[error("{0} not found")]
    NotFound(Subject),

    /// A refusal of one of many: `place` names the item or the line.
    #[error("{place}: {error}")]
    OfItem { place: String, error: Box<Self> },

    /// It contradicts what is recorded. `code` is stable, the message is for people.
    #[error("{message}")]
    Conflict { code: &'static str, message: String },

    /// The request as HTTP: method, size, media type, framing. The status is part of the refusal.
    #[error("{message}")]
    Http { status: u16, message: String },

    /// Too many of something; worth another try after so many seconds.
    #[error("{message}")]
    TooMany { retry_after: u32, message: String },

    /// The server is full or going down; worth another try after so many seconds.
    #[error("{message}")]
    Unavailable { retry_after: u32, message: String },

    /// A server that is there and not well: which of its checks fail, and what to do.
    #[error("{message}")]
    NotReady { message: String, hint: String },

    /// A configuration or a data directory that is not safe to run with. Nothing was touched.
    #[error("{message}")]
    Refused { message: String, hint: String },

    /// A command line that cannot be carried out.
    #[error("{message}")]
    Usage { message: String, hint: String },

    /// What is stored is not what was recorded.
    #[error("{0}")]
    Mismatch(String),

    /// It does not verify, for a reason that a person can look at and settle.
    #[error("{message}")]
    Unsettled { message: String, hint: String },

    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),

    #[error("{context}: {source}")]
    Io { context: String, source: std::io::Error },

    /// A broken promise of our own.
    #[error("internal error: {0}")]
    Internal(String),
}

/// What helps, by what the operating system said.
fn io_hint(context: &str, kind: ErrorKind) -> &'static str {
    let is_socket = context.starts_with("the server's socket");
    match kind {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused if is_socket => {
            "no server runs here: start it with `mailtrail serve`, or name its data directory with --data"
        }
        ErrorKind::PermissionDenied if is_socket => {
            "run it as root or as the user of the server, whose data directory it is"
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock if is_socket => {
            "the server is there and does not answer: its log says why; start it anew when it does not come back"
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe if is_socket => {
            "the server went away without an answer: look whether it was done before trying again"
        }
        ErrorKind::AddrInUse => {
            "somebody else listens there (`ss -ltnp` says who): stop it, or name another address with --listen"
        }
        ErrorKind::AddrNotAvailable => {
            "name an address of this machine with --listen (`ip address` lists them)"
        }
        ErrorKind::NotFound => "there is no such path: name one that is there, or make its directory",
        ErrorKind::PermissionDenied => {
            "this user may not do that there: check the owner and mode of the path (ls -ld)"
        }
        ErrorKind::ReadOnlyFilesystem => "name a path on a file system that can be written",
        _ => "check the path, its owner and mode, and the space on the disk",
    }
}

/// One refused parameter: its name, and what came against what is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub parameter: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Mailbuttons' own wording, "auditLog.retentionDays must be >= 1", has no colon.
        let colon = if self.message.starts_with("must ") { "" } else { ":" };
        write!(f, "{}{colon} {}", self.parameter, self.message)
    }
}

/// Refusals of several parameters or members: the first few are told, the rest counted, for there may be thousands.
#[derive(Debug, Default)]
pub struct Problems {
    told: Vec<Problem>,
    more: usize,
}

impl Problems {
    const MOST: usize = 8;

    pub fn add(&mut self, parameter: impl Into<String>, message: impl Into<String>) {
        if self.told.len() < Self::MOST {
            self.told.push(Problem { parameter: parameter.into(), message: message.into() });
        } else {
            self.more += 1;
        }
    }

    /// # Errors
    /// `Invalid`, unless there is none.
    pub fn none(mut self) -> Result<()> {
        if self.told.is_empty() {
            return Ok(());
        }
        if let (Some(last), true) = (self.told.last_mut(), self.more > 0) {
            last.message += &format!(" (and {} more)", self.more);
        }
        Err(Error::Invalid(self.told))
    }
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

/// The ways of not being known. TenantCore names the first three (its authentication page).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// No `Authorization` header, or not `Bearer …`.
    Header,
    /// `Bearer` and nothing after it.
    MissingKey,
    /// Wrong form, unknown, expired or revoked: a caller cannot tell which.
    Key,
    /// No session cookie, or one that is unknown or over.
    Session,
    /// Neither an API key nor a session, where either would do.
    Nobody,
    /// Wrong email or password: a caller cannot tell which.
    Login,
}

impl Unauthenticated {
    pub fn code(self) -> &'static str {
        match self {
            Self::Header => "invalid_auth_header",
            Self::MissingKey => "missing_api_key",
            Self::Key => "invalid_api_key",
            Self::Session => "missing_session",
            Self::Nobody => "not_authenticated",
            Self::Login => "invalid_login",
        }
    }
}

impl fmt::Display for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "Missing or malformed Authorization header; expected: Bearer <api key>",
            Self::MissingKey => "The bearer token is empty; expected: Bearer <api key>",
            Self::Key => "Invalid API key",
            Self::Session => "Missing or expired session; log in at POST /api/v1/auth/login",
            Self::Nobody => "An API key with the scope admin, or the session of an owner or admin, is needed",
            Self::Login => "Wrong email or password",
        })
    }
}

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Workspace,
    User,
    Member,
    Invitation,
    Tenant,
    Mailbox,
    Project,
    Policy,
    Message,
    Event,
    Activity,
    Tile,
    Control,
    Key,
    License,
    Route,
}

impl Subject {
    pub fn code(self) -> &'static str {
        match self {
            Self::Workspace => "workspace_not_found",
            Self::User => "user_not_found",
            Self::Member => "member_not_found",
            Self::Invitation => "invitation_not_found",
            Self::Tenant => "tenant_not_found",
            Self::Mailbox => "mailbox_not_found",
            Self::Project => "project_not_found",
            Self::Policy => "policy_not_found",
            Self::Message => "message_not_found",
            Self::Event => "event_not_found",
            Self::Activity => "activity_not_found",
            Self::Tile => "tile_not_found",
            Self::Control => "control_not_found",
            Self::Key => "key_not_found",
            Self::License => "license_not_found",
            Self::Route => "route_not_found",
        }
    }
}

impl Subject {
    const ALL: [Self; 16] = [
        Self::Workspace,
        Self::User,
        Self::Member,
        Self::Invitation,
        Self::Tenant,
        Self::Mailbox,
        Self::Project,
        Self::Policy,
        Self::Message,
        Self::Event,
        Self::Activity,
        Self::Tile,
        Self::Control,
        Self::Key,
        Self::License,
        Self::Route,
    ];

    /// What a refusal says was not found, in any vendor's words.
    pub fn of_refusal(message: &str) -> Option<Self> {
        let name = message.strip_suffix(" not found")?;
        Self::ALL.into_iter().find(|subject| subject.to_string().eq_ignore_ascii_case(name))
    }

    /// The command that shows what there is of it.
    pub fn shown_by(self) -> &'static str {
        match self {
            Self::Workspace => "workspace list",
            Self::User | Self::Member => "user list",
            Self::Invitation => "invitation list",
            Self::Tenant => "tenant list",
            Self::Mailbox => "mailbox list",
            Self::Project => "project list",
            Self::Message => "query messages --wide",
            Self::Event => "query enforcement --json",
            Self::Activity => "query activity --json",
            Self::Control => "query control",
            Self::Key => "key list",
            Self::License => "license list",
            Self::Policy => "mailbox policy ID",
            Self::Tile => "checkpoint",
            Self::Route => "--help",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workspace => "Workspace",
            Self::User => "User",
            Self::Member => "Member",
            Self::Invitation => "Invitation",
            Self::Tenant => "Tenant",
            Self::Mailbox => "Mailbox",
            Self::Project => "Project",
            Self::Policy => "Policy",
            Self::Message => "Message",
            Self::Event => "Event",
            Self::Activity => "Activity",
            Self::Tile => "Tile",
            Self::Control => "Control",
            Self::Key => "Key",
            Self::License => "License",
            Self::Route => "Route",
        })
    }
}

impl Error {
    /// A refusal of one parameter or member.
    pub fn invalid(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Problem { parameter: parameter.into(), message: message.into() }])
    }

    pub fn http(status: u16, message: impl Into<String>) -> Self {
        Self::Http { status, message: message.into() }
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, message: message.into() }
    }

    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: hint.into() }
    }

    /// A refusal that was made without knowing of the others in the batch, with its place in it.
    #[must_use]
    pub fn of_item(self, place: &str) -> Self {
        match self {
            Self::Invalid(mut problems) => {
                for problem in problems.iter_mut().filter(|problem| !problem.parameter.starts_with(place)) {
                    problem.parameter = format!("{place}.{}", problem.parameter);
                }
                Self::Invalid(problems)
            }
            Self::NotFound(_) | Self::Conflict { .. } => {
                Self::OfItem { place: place.to_owned(), error: Box::new(self) }
            }
            other => other,
        }
    }

    /// For `map_err`: says what was being done when the operating system refused.
    pub fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let context = context.into();
        move |source| Self::Io { context, source }
    }

    /// Stable machine-readable name, for envelopes that carry one.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_parameter",
            Self::Malformed(_) => "malformed_body",
            Self::Unauthenticated(why) => why.code(),
            Self::LicenseRequired(_) => "license_required",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(subject) => subject.code(),
            Self::OfItem { error, .. } => error.code(),
            Self::Conflict { code, .. } => code,
            Self::Http { status, .. } => match status {
                403 => "forbidden",
                405 => "method_not_allowed",
                408 => "request_timeout",
                411 => "length_required",
                413 => "body_too_large",
                414 => "uri_too_long",
                415 => "unsupported_media_type",
                417 => "expectation_failed",
                431 => "header_too_large",
                501 => "not_implemented",
                505 => "http_version_not_supported",
                507 => "insufficient_storage",
                _ => "bad_request",
            },
            Self::TooMany { .. } => "too_many_requests",
            Self::Unavailable { .. } => "unavailable",
            Self::NotReady { .. } => "not_ready",
            Self::Refused { .. } => "refused",
            Self::Usage { .. } => "usage",
            Self::Mismatch(_) | Self::Unsettled { .. } => "mismatch",
            Self::Database(_) | Self::Io { .. } | Self::Internal(_) => "internal_error",
        }
    }

    /// Whether something of ours has failed. All else is expected: a refusal, whoever can do something about it, and that
    /// there is no room or no time at this moment.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Mismatch(_)
                | Self::Unsettled { .. }
                | Self::Database(_)
                | Self::Io { .. }
                | Self::Internal(_)
        )
    }

    /// How it is told in the log.
    pub fn level(&self) -> Level {
        if self.is_ours() { Level::Error } else { Level::Warn }
    }

    /// Seconds after which another try is worth it; `None`: it is not said that it ever is.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::TooMany { retry_after, .. } | Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// What a person at a terminal can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotReady { hint, .. }
            | Self::Refused { hint, .. }
            | Self::Usage { hint, .. }
            | Self::Unsettled { hint, .. } => hint.clone(),
            Self::Invalid(_) | Self::Malformed(_) => "correct the input named above and run it again".into(),
            Self::Unauthenticated(_) => {
                "run it as the user that owns the data directory, or give a valid key".into()
            }
            Self::LicenseRequired(_) => {
                "issue one with `mailtrail license issue --holder NAME` and put it into SENDDOCK_LICENSE_KEY"
                    .into()
            }
            Self::Forbidden(_) => "ask an owner of the workspace for the role or the scope".into(),
            Self::NotFound(Subject::Policy) => "`mailtrail mailbox policy ID FILE` puts one in force".into(),
            Self::NotFound(subject) => {
                format!("`mailtrail {}` shows what there is", subject.shown_by())
            }
            Self::OfItem { error, .. } => error.hint(),
            Self::Conflict { .. } => "look at what is recorded before trying again".into(),
            Self::Http { status: 507, .. } => "make room on that disk; nothing else is wrong".into(),
            Self::Http { .. } => "see the README for what this route accepts".into(),
            Self::TooMany { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                format!("try again in {retry_after} s")
            }
            Self::Mismatch(_) => "keep this file as it is and compare it with a backup".into(),
            Self::Database(_) => "`mailtrail check` looks at the database; keep the file as it is".into(),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "make room there: check the space on the disk (df) and its inodes (df -i)".into()
            }
            Self::Io { context, source } => io_hint(context, source.kind()).into(),
            Self::Internal(_) => {
                "this is a fault of mailtrail; please report it with the message above".into()
            }
        }
    }
}
