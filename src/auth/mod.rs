//! Who is asking, and what they may see.
//!
//! Three kinds of caller, each a type that a handler takes: `Caller`, an API key bound to one workspace; `Session`,
//! a person logged in; `Admin`, whoever may change settings. The **operator**, at the command line with the data
//! directory's own uid or root, passes as any of the three: who can read the file needs no key (`operator`).
//!
//! Keys are never taken from a cookie, nor sessions from a header.

pub mod address;
pub mod api;
pub mod denials;
pub mod keys;
pub mod license;
pub mod logins;
pub mod operator;
pub mod password;
pub mod places;
pub mod rates;
pub mod sessions;
pub mod sound;
pub mod sources;
pub mod standing;
pub mod throttle;

pub use keys::Scope;
pub use standing::Standing;

use rusqlite::Connection;

use crate::app::App;
use crate::error::{Error, Result, Subject, Unauthenticated};
use crate::http::{Peer, Request};
use crate::ids::{Uuid, sha256};
use crate::mask::{masked, quoted};
use crate::owners::names;
use crate::owners::users::Role;
use crate::owners::workspaces;
use crate::store::{Asker, By};

/// An API key, or the operator, with the one workspace it may see.
#[derive(Debug, Clone)]
pub struct Caller {
    pub workspace: i64,
    pub by: By,
    pub is_operator: bool,
    /// For the log line: `key <id>` or `operator`, never the key or its name.
    pub log_id: String,
    pub standing: Standing,
}

/// A person, or the operator, with the workspaces they may see.
#[derive(Debug, Clone)]
pub struct Session {
    /// `None`: the operator.
    pub user: Option<i64>,
    pub by: By,
    pub standing: Standing,
    reach: Reach,
}

/// Whoever may change settings, with the workspaces where they may.
#[derive(Debug, Clone)]
pub struct Admin {
    pub by: By,
    /// For the log line.
    pub log_id: String,
    pub standing: Standing,
    reach: Reach,
}

#[derive(Debug, Clone)]
enum Reach {
    /// The operator.
    All,
    /// The operator, who named a workspace: nothing else is meant.
    One(i64),
    Workspaces(Vec<(i64, Role)>),
}

impl Reach {
    /// The operator owns all that they reach.
    fn role(&self, workspace: i64) -> Option<Role> {
        match self {
            Self::All => Some(Role::Owner),
            Self::One(named) => (*named == workspace).then_some(Role::Owner),
            Self::Workspaces(list) => list.iter().find(|(id, _)| *id == workspace).map(|(_, role)| *role),
        }
    }
}

/// The operator, in log lines and notes.
pub const OPERATOR: &str = "operator";

/// The header by which the operator says which workspace is meant, where there are several.
pub const WORKSPACE_HEADER: &str = "mailtrail-workspace";

/// The workspace that `init` made: the appliance's own. Its owners and admins answer for what belongs to no
/// workspace: licenses, backups, retention runs, further workspaces.
pub const FIRST_WORKSPACE: i64 = 1;

impl Session {
    /// For the log line.
    pub fn log_id(&self) -> String {
        self.by.user.map_or_else(|| OPERATOR.to_owned(), |id| format!("user {id}"))
    }

    /// The workspaces of this person, with the role in each, in the order of their keys.
    pub fn roles(&self) -> &[(i64, Role)] {
        match &self.reach {
            Reach::Workspaces(list) => list,
            Reach::All | Reach::One(_) => &[],
        }
    }

    /// The role in a workspace, `None` where this person is no member.
    pub fn role(&self, workspace: i64) -> Option<Role> {
        self.reach.role(workspace)
    }
}

impl Admin {
    /// The operator, as jobs and `init` act.
    fn operator(app: &App, by: By) -> Self {
        Self { by, log_id: OPERATOR.into(), standing: Standing::operator(app), reach: Reach::All }
    }

    /// The operator of a request. One that names a workspace reaches that workspace alone.
    fn of_operator(app: &App, request: &Request) -> Result<Self> {
        let admin = Self::operator(app, operator(app, request));
        let Some(named) = request.header(WORKSPACE_HEADER) else { return Ok(admin) };
        let workspace = app.store.read(|snapshot| admin.workspace(snapshot, Some(named)))?;
        Ok(Self { reach: Reach::One(workspace), ..admin })
    }

    pub fn is_operator(&self) -> bool {
        matches!(self.reach, Reach::All | Reach::One(_))
    }

    /// The role in a workspace, `None` where this caller administers nothing.
    pub fn role(&self, workspace: i64) -> Option<Role> {
        self.reach.role(workspace)
    }

    /// Refuses an object of a workspace this caller does not administer as if it were not there.
    pub fn must_see(&self, workspace: i64, subject: Subject) -> Result<()> {
        if self.role(workspace).is_some() { Ok(()) } else { Err(Error::NotFound(subject)) }
    }

    /// Owners may do what admins may not: name owners, end a workspace.
    pub fn must_own(&self, workspace: i64) -> Result<()> {
        match self.role(workspace) {
            Some(Role::Owner) => Ok(()),
            _ => Err(Error::Forbidden("only an owner of the workspace may do this".into())),
        }
    }

    /// What concerns the appliance as a whole is for the operator and the first workspace. A workspace that is named
    /// would be left aside in silence, and retention would delete everybody's rows: so it is refused.
    pub fn must_run_the_appliance(&self) -> Result<()> {
        if let Reach::One(_) = self.reach {
            return Err(Error::invalid(
                WORKSPACE_HEADER,
                "cannot be given here: this concerns all workspaces together",
            ));
        }
        match self.role(FIRST_WORKSPACE) {
            Some(_) => Ok(()),
            None => Err(Error::Forbidden(
                "this concerns the whole appliance; only the operator and the first workspace's admins may do it".into(),
            )),
        }
    }

    /// The workspace that is meant: the one named, else the only one this caller administers.
    pub fn workspace(&self, connection: &Connection, named: Option<&str>) -> Result<i64> {
        if let Some(text) = named {
            let id = match Uuid::parse(text) {
                Some(id) => workspaces::find(connection, id)?.map(|found| found.key),
                None => {
                    let may_see = |key| self.role(key).is_some();
                    let found = names::list(connection, "workspaces", text, may_see)?;
                    let living = found.into_iter().filter(|named| !named.deleted).collect();
                    let found = names::only(living)?;
                    let named = found.ok_or_else(|| not_called("workspace_id", text, "workspace"))?;
                    Some(named.workspace)
                }
            };
            let id = id.ok_or(Error::NotFound(Subject::Workspace))?;
            self.must_see(id, Subject::Workspace)?;
            return Ok(id);
        }
        match &self.reach {
            Reach::Workspaces(list) if list.len() == 1 => Ok(list[0].0),
            Reach::One(named) => Ok(*named),
            Reach::All => only_workspace(connection),
            Reach::Workspaces(_) => Err(several()),
        }
    }

    /// Every workspace this caller administers.
    pub fn workspaces(&self, connection: &Connection) -> Result<Vec<workspaces::Workspace>> {
        self.workspaces_after(connection, 0, i64::MAX)
    }

    /// Up to so many of them after this key, in the order of keys.
    pub fn workspaces_after(
        &self,
        connection: &Connection,
        after: i64,
        limit: i64,
    ) -> Result<Vec<workspaces::Workspace>> {
        let mut keys: Vec<i64> = match &self.reach {
            Reach::All => return workspaces::page(connection, after, limit),
            Reach::One(named) => vec![*named],
            Reach::Workspaces(list) => list.iter().map(|(key, _)| *key).collect(),
        };
        keys.retain(|key| *key > after);
        keys.sort_unstable();
        let found = keys.into_iter().map(|key| workspaces::find_by_key(connection, key));
        found.filter_map(Result::transpose).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect()
    }

    /// How many they are.
    pub fn count_workspaces(&self, connection: &Connection) -> Result<i64> {
        match &self.reach {
            Reach::All => workspaces::count(connection),
            Reach::One(_) | Reach::Workspaces(_) => Ok(self.workspaces(connection)?.len() as i64),
        }
    }
}

/// Neither an id nor a name.
pub fn not_called(parameter: &str, text: &str, what: &str) -> Error {
    let text = quoted(text);
    Error::invalid(
        parameter,
        format!("{text} is not a UUID (36 characters, 8-4-4-4-12), and no {what} is called so"),
    )
}

fn several() -> Error {
    Error::invalid(
        "workspace_id",
        "is required, since there are several workspaces; accepted: the UUID of one",
    )
}

fn only_workspace(connection: &Connection) -> Result<i64> {
    match workspaces::page(connection, 0, 2)?.as_slice() {
        [only] => Ok(only.key),
        [] => Err(Error::NotFound(Subject::Workspace)),
        _ => Err(several()),
    }
}

/// What the operator's requests have in their heads: what our own command line sends, and curl and scripts do. There is
/// no end of headers by which a proxy shows that it speaks for somebody else, or a browser that a page does, so it is
/// not these that are known but those which say nothing of the kind.
const OF_THE_OPERATOR: [&str; 13] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "if-none-match",
    operator::OPERATOR_HEADER,
    WORKSPACE_HEADER,
    "transfer-encoding",
    "user-agent",
];

/// Whether the kernel, not the client, says that this is the operator. A proxy with our uid on the Unix socket speaks
/// for strangers: what it passes on is nobody's until it has a key or a session.
fn is_operator(app: &App, request: &Request) -> bool {
    let trusted = match request.peer {
        Peer::Local => true,
        Peer::Unix { uid } => uid == 0 || uid == app.uid,
        Peer::Tcp(_) => false,
    };
    trusted && request.headers.iter().all(|(name, _)| OF_THE_OPERATOR.contains(&name.as_str()))
}

/// Who is asking, by a name that stays true.
fn by(app: &App, request: &Request, user: Option<Uuid>, name: String) -> By {
    By {
        user,
        recorded_by: name.clone(),
        name,
        ip_address: address::client(request, &app.config.trusted_proxies).map(|ip| ip.to_string()),
        user_agent: user_agent(request),
    }
}

/// The request's `User-Agent`, as `agent` has it.
pub fn user_agent(request: &Request) -> Option<String> {
    request.header("user-agent").and_then(agent)
}

/// What a program calls itself, as it is recorded: without control characters and keys, cut to 512 characters.
pub fn agent(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|c| !c.is_control()).take(512).collect();
    Some(masked(&kept).into_owned()).filter(|agent| !agent.is_empty())
}

fn operator(app: &App, request: &Request) -> By {
    By { ip_address: None, ..by(app, request, None, operator::name(request)) }
}

/// The nameless caller of a route that is open: what is recorded of failed logins is seen by mailtrail alone.
pub fn anonymous(app: &App, request: &Request) -> By {
    By { recorded_by: "mailtrail: login".into(), ..by(app, request, None, String::new()) }
}

/// The API key of a request, with `scope`.
pub fn caller(app: &App, request: &Request, scope: Scope) -> Result<Caller> {
    if is_operator(app, request) {
        let admin = Admin::of_operator(app, request)?;
        let workspace = app.store.read(|snapshot| admin.workspace(snapshot, None))?;
        let standing = Standing::operator(app);
        return Ok(Caller { workspace, by: admin.by, is_operator: true, log_id: OPERATOR.into(), standing });
    }
    let key = keys::authenticate(app, request)?;
    if !key.scopes.contains(scope) {
        return Err(Error::Forbidden(format!("this API key lacks the scope {scope}")));
    }
    let log_id = format!("key {}", key.id);
    let by = By { recorded_by: key.short_label(), ..by(app, request, None, key.label()) };
    let standing = Standing::of_key(app, key.key, scope);
    Ok(Caller { workspace: key.workspace, by, is_operator: false, log_id, standing })
}

/// Who asks, also for the log line: the operator, whoever has a key of any scope, or a session.
pub fn known(app: &App, request: &Request) -> Result<(Asker, String)> {
    if is_operator(app, request) {
        return Ok((Asker::Operator, OPERATOR.into()));
    }
    if request.header("authorization").is_some() {
        let key = keys::authenticate(app, request)?;
        return Ok((Asker::Key(key.key), format!("key {}", key.id)));
    }
    let session = session(app, request).map_err(or_nobody)?;
    Ok((session.standing.asker, session.log_id()))
}

/// Where a key would do as well, nothing is said of sessions.
fn or_nobody(error: Error) -> Error {
    match error {
        Error::Unauthenticated(Unauthenticated::Session) => Error::Unauthenticated(Unauthenticated::Nobody),
        other => other,
    }
}

/// The session of a request.
pub fn session(app: &App, request: &Request) -> Result<Session> {
    if is_operator(app, request) {
        let Admin { by, standing, reach, .. } = Admin::of_operator(app, request)?;
        return Ok(Session { user: None, by, standing, reach });
    }
    let user = sessions::authenticate(app, request)?;
    let roles = app.store.read(|snapshot| crate::owners::users::roles(snapshot, user.key))?;
    let reach = Reach::Workspaces(roles);
    let hash = sha256(sessions::token(app, request).unwrap_or_default().as_bytes());
    let standing = Standing::of_session(app, hash, user.key);
    Ok(Session { user: Some(user.key), by: by(app, request, Some(user.id), user.email), standing, reach })
}

/// Whoever may change settings: an `admin` key, the session of an owner or admin, or the operator.
pub fn admin(app: &App, request: &Request) -> Result<Admin> {
    if is_operator(app, request) {
        return Admin::of_operator(app, request);
    }
    if request.header("authorization").is_some() {
        let caller = caller(app, request, Scope::ADMIN)?;
        // A key can do what an admin can, not what an owner can.
        let reach = Reach::Workspaces(vec![(caller.workspace, Role::Admin)]);
        return Ok(Admin { by: caller.by, log_id: caller.log_id, standing: caller.standing, reach });
    }
    let session = session(app, request).map_err(or_nobody)?;
    let log_id = session.log_id();
    let roles: Vec<_> = session.roles().iter().copied().filter(|(_, role)| *role >= Role::Admin).collect();
    if roles.is_empty() {
        return Err(Error::Forbidden("your role does not allow this action; needed: owner or admin".into()));
    }
    Ok(Admin { by: session.by, log_id, standing: session.standing, reach: Reach::Workspaces(roles) })
}
