//! The way from a command to the routes: over the server's Unix socket while one serves, else in this process.

use std::cell::RefCell;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use super::Context;
use super::table::cell;
use super::terminal::tell;
use crate::app::App;
use crate::auth::WORKSPACE_HEADER;
use crate::auth::operator::{self, OPERATOR_HEADER};
use crate::checkpoints;
use crate::config::Config;
use crate::data_directory::{self, Lock, PATIENCE, State, Turn, still_taken};
use crate::error::{Error, Result, Subject};
use crate::http::{Body, Line, Method, Peer, Query, Request, client};
use crate::ids::random_hex;
use crate::owners::names;
use crate::privileges;
use crate::routes;
use crate::store::{backup, migrate};
use crate::time::Clock;

/// Who runs this command, as it was at the first time of asking: `cli::main` asks before this process may become
/// somebody else.
pub fn who_asks() -> &'static str {
    static WHO: OnceLock<String> = OnceLock::new();
    WHO.get_or_init(operator::of_this_process)
}

/// Owners of a page, of lists that are shown whole.
const OWNERS: i64 = 1000;

/// Between two looks for a server that went away.
const LOOK: Duration = Duration::from_millis(20);

/// What a command asks. A server may come or go between two calls: the next one finds the way there is then.
pub struct Client {
    way: RefCell<Way>,
    workspace: Option<String>,
    /// Of the data directory; `None`: there is no other way.
    config: Option<Config>,
}

enum Way {
    /// A server holds the directory.
    Socket(PathBuf),
    /// We hold it ourselves.
    Here(Box<App>),
}

/// One call: what the command says of the request.
pub struct Call<'a> {
    pub method: Method,
    /// Percent-encoded where it has names in it (`encoded`).
    pub path: String,
    pub query: Vec<(&'a str, String)>,
    pub headers: Vec<(&'a str, String)>,
    pub body: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Box<dyn Read + Send>,
}

impl Client {
    /// Takes the directory, or finds the server that has it. Another command may have it for a moment, as when a
    /// mail server records several messages at once, and a server may start or stop: then it waits its turn.
    ///
    /// # Errors
    /// `Unavailable` when the turn does not come.
    pub fn open(context: &Context) -> Result<Self> {
        let way = find(&context.config, PATIENCE)?;
        if let Way::Socket(_) = way {
            context.must_not_set()?;
        }
        let (workspace, config) = (context.workspace.clone(), Some(context.config.clone()));
        Ok(Self { way: RefCell::new(way), workspace, config })
    }

    /// The server alone, if there is one.
    pub fn of_server(context: &Context) -> Self {
        Self::at(context.config.socket())
    }

    /// The server that listens here.
    pub fn at(socket: PathBuf) -> Self {
        Self { way: RefCell::new(Way::Socket(socket)), workspace: None, config: None }
    }

    /// Of a directory that we hold.
    pub fn here(app: App) -> Self {
        Self { way: RefCell::new(Way::Here(Box::new(app))), workspace: None, config: None }
    }

    /// From now on it does not take the directory itself, should the server go: a command that takes long would keep it
    /// from coming back. False where there is no server.
    pub fn stays_with_server(&mut self) -> bool {
        self.config = None;
        matches!(*self.way.borrow(), Way::Socket(_))
    }

    /// The answer as it comes; a refusal becomes an error. Where no server listens any more, nothing was sent, and it
    /// goes on with the one that comes, or without; so it does with a call that may be made twice, when the server went
    /// away without an answer.
    pub fn send(&self, call: Call<'_>) -> Result<Answer> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let sent = match &*self.way.borrow() {
                Way::Socket(path) => over_socket(path, self.workspace.as_deref(), &call),
                Way::Here(app) => break in_process(app, self.workspace.as_deref(), call).accepted(),
            };
            match (sent, &self.config) {
                (Ok(answer), _) => break answer.accepted(),
                (Err(error), Some(config)) if Instant::now() < give_up && may_go_on(&error, &call) => {
                    std::thread::sleep(LOOK);
                    let found = find(config, give_up.saturating_duration_since(Instant::now()))?;
                    *self.way.borrow_mut() = found;
                }
                (Err(error), _) => break Err(error),
            }
        }
    }

    pub fn get(&self, path: &str, query: Vec<(&str, String)>) -> Result<Value> {
        let call =
            Call { method: Method::Get, path: path.into(), query, headers: Vec::new(), body: Vec::new() };
        self.send(call)?.json()
    }

    /// The id of something that is given by id or name.
    pub fn id_of(&self, kind: &str, given: &str) -> Result<String> {
        match names::is_id(kind, given) {
            true => Ok(given.to_owned()),
            false => Ok(cell(&self.named(kind, given)?["id"])),
        }
    }

    /// The only one that is called so, also where it is deleted: its `id` and its `name`.
    pub fn named(&self, kind: &str, given: &str) -> Result<Value> {
        let mut query = vec![("kind", kind.to_owned()), ("name", given.to_owned())];
        let named = self.workspace.iter().filter(|_| kind != "workspaces");
        query.extend(named.map(|workspace| ("workspace_id", workspace.clone())));
        let found = self.get("/api/v1/admin/names", query)?;
        match found["names"].as_array().map(Vec::as_slice) {
            Some([only]) => Ok(only.clone()),
            Some([_, ..]) => {
                let found = found["names"].as_array().into_iter().flatten();
                let candidates: Vec<String> = found
                    .map(|named| {
                        format!(
                            "{}{}",
                            cell(&named["id"]),
                            if named["deleted"] == true { " (deleted)" } else { "" }
                        )
                    })
                    .collect();
                Err(Error::usage(
                    format!("several of the {kind} are called {given}: {}", candidates.join(", ")),
                    "name one by its id",
                ))
            }
            _ => Err(Error::usage(
                format!("none of the {kind} is called {given}"),
                format!(
                    "`mailtrail {} list` shows what there is",
                    kind.trim_end_matches('s').replace("mailboxe", "mailbox")
                ),
            )),
        }
    }

    /// A list of owners, page by page, until `is_enough` says so of a page's.
    pub fn pages(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        word: &str,
        mut is_enough: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<()> {
        let mut cursor = Value::Null;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", OWNERS.to_string()));
            if !cursor.is_null() {
                query.push(("cursor", cell(&cursor)));
            }
            let mut page = self.get(path, query)?;
            let Value::Array(rows) = page[word].take() else { return Ok(()) };
            cursor = page["next_cursor"].take();
            if is_enough(rows) || cursor.is_null() {
                return Ok(());
            }
        }
    }

    /// Sends JSON; `null` comes back where there is no body.
    pub fn change(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(Call { method, path: path.into(), query: Vec::new(), headers, body })?.json()
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.change(Method::Post, path, body)
    }

    pub fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.change(Method::Patch, path, body)
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        self.change(Method::Delete, path, &Value::Null)
    }
}

/// Who has the data directory, once those have left it that are over soon.
pub enum Found {
    /// The server that listens here.
    Server(PathBuf),
    Nobody(Lock),
}

impl Found {
    pub fn of(config: &Config, patience: Duration) -> Result<Self> {
        let socket = config.socket();
        // As root still: a server is told who asks. Nothing of the directory is read for it.
        if privileges::is_root_for_now() && client::is_answered(&socket) {
            return Ok(Self::Server(socket));
        }
        let is_served = |_| client::is_answered(&socket);
        let is_watched = std::io::stderr().is_terminal();
        let wait = |what: &str| {
            if is_watched {
                tell(what);
            }
        };
        match Lock::wait(&config.data, State::Command, patience, is_served, wait)? {
            Turn::Ours(lock) => Ok(Self::Nobody(lock)),
            Turn::Served => Ok(Self::Server(socket)),
            Turn::Taken(holder) => Err(still_taken(&config.data, holder)),
        }
    }
}

/// The way there is at this moment, or will be in a while.
fn find(config: &Config, patience: Duration) -> Result<Way> {
    Ok(match Found::of(config, patience)? {
        Found::Server(socket) => Way::Socket(socket),
        Found::Nobody(lock) => Way::Here(Box::new(App::open(config.clone(), Clock::system(), lock)?)),
    })
}

/// The database itself, for those who only look at it.
pub enum Looked {
    Server(Box<Client>),
    File(Box<AtRest>),
}

/// A database that nobody serves, as it is.
pub struct AtRest {
    pub connection: Connection,
    pub version: i64,
    /// Of the data directory that it is in: its checkpoint stands beside it.
    pub data: Option<PathBuf>,
    _lock: Option<Lock>,
}

impl Looked {
    /// A file that nobody serves, or the data directory's: through the server where one runs, else as it is, for to look
    /// at a database is not to upgrade it. On read-only media nobody can have it, and there is no lock.
    pub fn at(context: &Context, file: Option<&Path>) -> Result<Self> {
        let (data, database) = (&context.config.data, context.config.database());
        if let Some(path) = file {
            must_be_file(path)?;
            privileges::descend()?;
            return AtRest::open(path, backup::open_at_rest(path)?, None, None);
        }
        if privileges::is_root_for_now() && client::is_answered(&context.config.socket()) {
            return Ok(Self::Server(Box::new(Client::open(context)?)));
        }
        privileges::descend()?;
        data_directory::refuse_links(data)?;
        if let Err(refused) = data_directory::refuse_read_only(data) {
            let opened = backup::open_at_rest(&database).map_err(|_| refused)?;
            return AtRest::open(&database, opened, Some(data.clone()), None);
        }
        match Found::of(&context.config, PATIENCE)? {
            Found::Server(_) => Ok(Self::Server(Box::new(Client::open(context)?))),
            Found::Nobody(lock) => {
                data_directory::examine(data)?;
                AtRest::open(&database, backup::open_alone(&database)?, Some(data.clone()), Some(lock))
            }
        }
    }
}

/// # Errors
/// `Usage` for the name of something else.
pub fn must_be_file(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    Err(Error::usage(
        format!("{} is not a file", path.display()),
        "name a database that nobody serves, as `mailtrail backup` writes it",
    ))
}

impl AtRest {
    fn open(
        path: &Path,
        connection: Connection,
        data: Option<PathBuf>,
        lock: Option<Lock>,
    ) -> Result<Looked> {
        let version = migrate::version(&connection, path)?;
        Ok(Looked::File(Box::new(Self { connection, version, data, _lock: lock })))
    }

    /// Why the checkpoint beside it, if there is one, is not of it.
    pub fn contradiction(&self) -> Result<Option<String>> {
        let Some(data) = &self.data else { return Ok(None) };
        checkpoints::contradiction(data, &self.connection, self.version)
    }
}

/// Whether nothing was done, or would be done once more to no effect: what reads, a raw message, which is recorded once
/// however often it comes, and what names an `Idempotency-Key`.
fn may_go_on(error: &Error, call: &Call<'_>) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};
    let Error::Io { source, .. } = error else { return false };
    let has = |name: &str, value: Option<&str>| {
        call.headers.iter().any(|(n, v)| *n == name && value.is_none_or(|value| *v == value))
    };
    match source.kind() {
        NotFound | ConnectionRefused => true,
        UnexpectedEof | ConnectionReset | BrokenPipe => {
            call.method == Method::Get
                || has("content-type", Some("message/rfc822"))
                || has("content-type", Some("text/rfc822-headers"))
                || has("idempotency-key", None)
        }
        _ => false,
    }
}

impl Answer {
    fn accepted(self) -> Result<Self> {
        if self.status < 400 { Ok(self) } else { Err(refusal(self)) }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn bytes(mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body).map_err(Error::io("cannot read the answer"))?;
        Ok(body)
    }

    pub fn text(self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| Error::Internal("the answer is no UTF-8".into()))
    }

    pub fn json(self) -> Result<Value> {
        let body = self.bytes()?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| Error::Internal(format!("the answer is not JSON: {error}")))
    }
}

fn over_socket(path: &Path, workspace: Option<&str>, call: &Call<'_>) -> Result<Answer> {
    let mut target = call.path.clone();
    if !call.query.is_empty() {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
        target = format!("{target}?{query}");
    }
    let mut headers: Vec<(&str, &str)> =
        call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend(workspace.map(|workspace| (WORKSPACE_HEADER, workspace)));
    headers.push((OPERATOR_HEADER, who_asks()));
    let answer = client::call(path, call.method, &target, &headers, &call.body)?;
    Ok(Answer { status: answer.status, headers: answer.headers, body: answer.body })
}

fn in_process(app: &App, workspace: Option<&str>, call: Call<'_>) -> Answer {
    let mut headers: Vec<(String, String)> =
        call.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    headers.extend(workspace.map(|workspace| (WORKSPACE_HEADER.to_owned(), workspace.to_owned())));
    headers.push((OPERATOR_HEADER.to_owned(), who_asks().to_owned()));
    let query = call.query.into_iter().map(|(name, value)| (name.to_owned(), value));
    let request = Request {
        id: random_hex::<8>(),
        method: call.method,
        path: call.path,
        parameters: Vec::new(),
        query: Query::from_pairs(query),
        headers,
        body: call.body,
        peer: Peer::Local,
        asker: crate::store::Asker::default(),
        line: Line::default(),
    };
    let response = routes::answer(app, request);
    let headers = response.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let body: Box<dyn Read + Send> = match response.body {
        Body::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
        Body::Text(text) => Box::new(text.as_bytes()),
        Body::Stream(pieces) => Box::new(Pieces { pieces, current: std::io::Cursor::default() }),
    };
    Answer { status: response.status, headers, body }
}

/// A stream of pieces, read as one.
struct Pieces {
    pieces: Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>,
    current: std::io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let n = self.current.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            match self.pieces.next() {
                None => return Ok(0),
                Some(Ok(piece)) => self.current = std::io::Cursor::new(piece),
                Some(Err(error)) => return Err(std::io::Error::other(error)),
            }
        }
    }
}

/// A segment of a path.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A refusal in any vendor's words, as an error of ours: the status says whose fault it is.
fn refusal(answer: Answer) -> Error {
    let status = answer.status;
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let body = match answer.json() {
        Ok(body) => body,
        Err(error) => return error,
    };
    let list = |value: &Value| {
        value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
    };
    let message = [&body["detail"]["message"], &body["detail"], &body["error"]]
        .into_iter()
        .find_map(|value| value.as_str().map(str::to_owned))
        .or_else(|| list(&body["errors"]))
        .unwrap_or_else(|| format!("the server answered {status}"));
    match (status, retry_after) {
        (400, _) => return Error::Malformed(message),
        // This process was held up in the middle of its request, as by a machine that slept.
        (408, _) => return Error::Unavailable { retry_after: 1, message },
        (413, _) => return Error::http(status, message),
        (429, Some(retry_after)) => return Error::TooMany { retry_after, message },
        (500.., Some(retry_after)) => return Error::Unavailable { retry_after, message },
        (503 | 507, None) => return Error::Unavailable { retry_after: 60, message },
        (500.., None) => return Error::Internal(message),
        _ => {}
    }
    let hint = match (body["hint"].as_str(), status) {
        (Some(hint), _) => hint.to_owned(),
        (None, _) if message.starts_with("workspace_id: ") => {
            "name it with --workspace; `mailtrail workspace list` shows them".into()
        }
        (None, 402) => "issue a license with `mailtrail license issue --holder NAME`".into(),
        (None, 404) => Subject::of_refusal(&message)
            .map_or_else(|| "`mailtrail --help` lists what there is".into(), |it| Error::NotFound(it).hint()),
        (None, 409) if message.contains("name one by its id") => "name one by its id".into(),
        (None, 409) => {
            let code = body["code"].as_str().or_else(|| body["detail"]["code"].as_str());
            conflict_hint(code.unwrap_or_default()).into()
        }
        (None, _) => "correct the input named above and run it again".into(),
    };
    Error::Usage { message, hint }
}

/// What to do about what contradicts it, by the code of the refusal.
fn conflict_hint(code: &str) -> &'static str {
    match code {
        "clock_not_behind" => "nothing is to be done; `mailtrail clock` shows the times",
        "clock_stepped_back" => {
            "put the clock of the machine right; `mailtrail clock` shows how far off it is"
        }
        "first_workspace" => "leave it, and give it another name with `mailtrail workspace set`",
        "last_owner" => "`mailtrail user set ADDRESS --role owner` makes another owner",
        "member_exists" => "`mailtrail user set` changes a member",
        "policy_in_force" => "`mailtrail mailbox policy ID FILE` puts another policy in force",
        "legal_hold" => "end the hold first, with the command `release`",
        "key_ended" => "`mailtrail key create` makes another key",
        "key_name_taken" => "take another name, or look at that key with `mailtrail key list`",
        "mailbox_exists" => "`mailtrail mailbox list` shows it",
        "tenant_exists" => "leave --id out, and one is made",
        "already_running" => "wait until that has ended",
        _ => "look at what is recorded before trying again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_wait_is_as_the_server_says() {
        for (status, retry_after, code, hint) in [
            (429, Some("7"), "too_many_requests", "try again in 7 s"),
            (503, Some("5"), "unavailable", "try again in 5 s"),
            (507, Some("60"), "unavailable", "try again in 60 s"),
            (503, None, "unavailable", "try again in 60 s"),
            (408, None, "unavailable", "try again in 1 s"),
        ] {
            let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned()));
            let body = Box::new(&br#"{"detail":"why"}"#[..]);
            let error = refusal(Answer { status, headers: headers.into_iter().collect(), body });
            assert_eq!(
                (error.to_string().as_str(), error.code(), error.hint().as_str()),
                ("why", code, hint)
            );
        }
    }
}
