//! The real server on port 0, with real SQLite in a directory of its own and a clock that tests move.
//!
//! Everything goes in by the doors a user has: the operator's over the Unix socket, the others over TCP. Only what is
//! named `db_…` goes round them.

#![allow(dead_code, reason = "not every module uses every helper")]

pub mod document;
pub mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use mailtrail::config::Config;
use mailtrail::http::{Method, client};
use mailtrail::serve::Running;
use mailtrail::store::migrate;
use mailtrail::time::{Clock, Timestamp};
use serde_json::{Value, json};

/// Where every test's clock stands at first: the time of SendDock's example.
pub const START: &str = "2026-04-30T14:22:11Z";

pub const OWNER: &str = "ada@example.org";
pub const PASSWORD: &str = "correct horse battery";

pub const SCOPES: [&str; 6] =
    ["enforcement:read", "enforcement:write", "messages:read", "messages:write", "activity:write", "admin"];

/// An RFC 3339 time that a test writes down.
#[track_caller]
pub fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is not a time"))
}

pub struct Server {
    pub clock: Clock,
    /// A key with every scope, of the first workspace.
    pub key: String,
    /// The first workspace.
    pub workspace: String,
    running: Option<Running>,
    settings: Vec<(String, String)>,
    directory: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings, as `--set key=value` gives them.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut server = Self::not_started(settings);
        let config = server.config();
        mailtrail::data_directory::create(&config.data).expect("a data directory");
        migrate::prepare(&config.database(), mailtrail::app::LOGS).expect("a database");
        server.restart();
        let (workspace, key) = server.add_workspace("Main", OWNER);
        (server.workspace, server.key) = (workspace, key);
        server.operator(Method::Post, "/api/v1/admin/licenses", &json!({ "holder": "Main" })).good();
        server
    }

    fn not_started(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut all = vec![
            ("data".to_owned(), directory.path().join("data").display().to_string()),
            ("listen".to_owned(), "127.0.0.1:0".to_owned()),
        ];
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Self {
            clock: Clock::standing(time(START)),
            key: String::new(),
            workspace: String::new(),
            running: None,
            settings: all,
            directory,
        }
    }

    /// On a database of an older version, from its SQL; nothing is added to it. The clock stands at `now`.
    pub fn start_on(sql: &str, now: &str, key: &str, workspace: &str, checkpoint_key: Option<&str>) -> Self {
        let mut server = Self::not_started(&[]);
        server.clock.set(time(now));
        (server.key, server.workspace) = (key.to_owned(), workspace.to_owned());
        mailtrail::data_directory::create(&server.config().data).expect("a data directory");
        restore_sql(&server.database(), sql);
        if let Some(key) = checkpoint_key {
            mailtrail::data_directory::put(&server.config().data.join("checkpoint.key"), key).expect("a key");
        }
        server.restart();
        server
    }

    pub fn config(&self) -> Config {
        Config::load(&self.settings, None, |_| None).expect("settings that are right")
    }

    /// A setting that counts from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Stops it in good order, when it runs, and starts it again on the same files.
    pub fn restart(&mut self) {
        self.stop();
        let running = Running::start(self.config(), self.clock.clone()).expect("a server");
        // At its start every job is due: one that ran later would meddle with what a test has written by then.
        while running.app.rounds.last().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.running = Some(running);
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().expect("a clean end");
        }
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("a running server")
    }

    pub fn url(&self) -> String {
        self.running().url()
    }

    pub fn database(&self) -> PathBuf {
        self.config().database()
    }

    /// A scratch directory beside the data.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// A workspace with its owner (password `PASSWORD`) and a key with every scope: (workspace id, key).
    pub fn add_workspace(&self, name: &str, owner: &str) -> (String, String) {
        let made = self.operator(Method::Post, "/api/v1/admin/workspaces", &json!({ "name": name })).good();
        let workspace = made.text("id");
        let user =
            json!({ "workspace_id": workspace, "email": owner, "role": "owner", "password": PASSWORD });
        self.operator(Method::Post, "/api/v1/admin/users", &user).good();
        (workspace.clone(), self.add_key(&workspace, &SCOPES))
    }

    pub fn add_key(&self, workspace: &str, scopes: &[&str]) -> String {
        let make = |name: &str| {
            let key = json!({ "workspace_id": workspace, "name": name, "scopes": scopes });
            self.operator(Method::Post, "/api/v1/admin/keys", &key)
        };
        let made = match make("test") {
            // Another living key has the name.
            taken if taken.status == 409 => make(&format!("test {}", mailtrail::ids::random_hex::<4>())),
            made => made,
        };
        made.good().text("key")
    }

    pub fn add_user(&self, workspace: &str, email: &str, role: &str) -> Answer {
        let user = json!({ "workspace_id": workspace, "email": email, "role": role, "password": PASSWORD });
        self.operator(Method::Post, "/api/v1/admin/users", &user).good()
    }

    /// Invites somebody, as the operator; the link's path.
    pub fn invite(&self, workspace: &str, email: &str, role: &str) -> String {
        let user = json!({ "workspace_id": workspace, "email": email, "role": role });
        self.operator(Method::Post, "/api/v1/admin/users", &user).status(201).text("path")
    }

    /// Has somebody whose password is their own (`choose_password`) join a workspace.
    pub fn join(&self, workspace: &str, email: &str, role: &str) {
        let path = self.invite(workspace, email, role);
        self.request(Method::Post, &path).json(&json!({ "password": PASSWORD })).send().good();
    }

    /// Has somebody choose their password themselves: `PASSWORD` again, in the end. Their sessions end.
    pub fn choose_password(&self, email: &str) {
        for (current, new) in [(PASSWORD, "one for a moment"), ("one for a moment", PASSWORD)] {
            let cookie = self.login_with(email, current);
            let body = json!({ "current": current, "new": new });
            self.request(Method::Put, "/api/v1/me/password").cookie(&cookie).json(&body).send().status(204);
        }
    }

    pub fn add_tenant(&self, workspace: &str, name: &str) -> String {
        let tenant = json!({ "workspace_id": workspace, "name": name });
        self.operator(Method::Post, "/api/v1/admin/tenants", &tenant).good().text("id")
    }

    /// In the first workspace, in a tenant or in none.
    pub fn add_mailbox(
        &self,
        workspace: &str,
        address: &str,
        tenant: Option<&str>,
        limit: Option<i64>,
    ) -> i64 {
        let mailbox = json!({
            "workspace_id": workspace, "address": address, "tenant_id": tenant, "daily_send_limit": limit,
        });
        let made = self.operator(Method::Post, "/api/v1/admin/mailboxes", &mailbox).good();
        made.json()["id"].as_i64().expect("an integer id")
    }

    pub fn add_project(&self, workspace: &str, name: &str) -> String {
        let project = json!({ "workspace_id": workspace, "name": name });
        self.operator(Method::Post, "/api/v1/admin/projects", &project).good().text("id")
    }

    /// Puts a policy in force.
    pub fn put_policy(&self, mailbox: i64, policy: &Value) -> Answer {
        self.operator(Method::Put, &format!("/v1/mailboxes/{mailbox}/policy"), policy)
    }

    /// The session cookie of a person, as `name=value`.
    pub fn login(&self, email: &str) -> String {
        self.login_with(email, PASSWORD)
    }

    pub fn login_with(&self, email: &str, password: &str) -> String {
        let answer = self
            .request(Method::Post, "/api/v1/auth/login")
            .json(&json!({ "email": email, "password": password }))
            .send();
        let cookie =
            answer.header("set-cookie").unwrap_or_else(|| panic!("no session: {answer:?}")).to_owned();
        cookie.split(';').next().unwrap_or_default().to_owned()
    }

    /// A request of the operator, over the Unix socket.
    #[track_caller]
    pub fn operator(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("content-type", "application/json")];
        let answer = client::call(&self.config().socket(), method, path, &headers, &body).expect("an answer");
        let (status, headers) = (answer.status, answer.headers.clone());
        let answer = Answer { status, headers, body: answer.read().expect("a whole answer") };
        document::check(method, path, ("application/json", &body), &answer);
        answer
    }

    /// As the operator, who is whoever runs the tests, is named in rows.
    pub fn operator_name() -> String {
        let users = std::fs::read_to_string("/etc/passwd").expect("users");
        let uid = rustix::process::getuid().as_raw().to_string();
        let user = users.lines().find(|line| line.split(':').nth(2) == Some(&uid)).expect("our user");
        format!("operator {}", user.split(':').next().unwrap_or_default())
    }

    /// A request over TCP, without anybody's key.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let (server, target) = (self.url(), path.to_owned());
        Request { server, target, method, headers: Vec::new(), body: Vec::new() }
    }

    /// GET with the first workspace's key.
    pub fn get(&self, path: &str) -> Answer {
        self.request(Method::Get, path).key(&self.key).send()
    }

    /// POST of JSON with the first workspace's key.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::Post, path).key(&self.key).json(body).send()
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::Patch, path).key(&self.key).json(body).send()
    }

    /// Bytes as they are on a connection of their own; everything that comes back until the server closes.
    pub fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let address = self.url().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(bytes).expect("a send");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// The live database, for looking only.
    pub fn db(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        rusqlite::Connection::open_with_flags(self.database(), flags).expect("the database")
    }

    /// One number from the database.
    pub fn db_number(&self, sql: &str) -> i64 {
        self.db().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs every job that is due at the clock's time, now and not at the scheduler's next look.
    pub fn run_jobs(&self) {
        mailtrail::jobs::Due::default().run(&self.running().app);
    }
}

/// A database file of our own from what `sqlite3 .dump` wrote.
pub fn restore_sql(path: &std::path::Path, sql: &str) {
    let connection = rusqlite::Connection::open(path).expect("a new file");
    connection.execute_batch(sql).expect("the dump");
    drop(connection);
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
}

/// Changes rows that nothing lets be changed, and leaves the schema as it was.
#[track_caller]
pub fn edit_rows(path: &std::path::Path, sql: &str) {
    try_edit_rows(path, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub fn try_edit_rows(path: &std::path::Path, sql: &str) -> rusqlite::Result<()> {
    let connection = rusqlite::Connection::open(path)?;
    let mut statement = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let triggers: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    drop(statement);
    let dropped: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};")).collect();
    let made: String = triggers.iter().map(|(_, sql)| format!("{sql};")).collect();
    connection.execute_batch(&format!(
        "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; {dropped} {sql}; {made}"
    ))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop();
        }
    }
}

/// A request in the making.
pub struct Request {
    server: String,
    target: String,
    method: Method,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    #[track_caller]
    pub fn send(self) -> Answer {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .allow_non_standard_methods(true)
                .build(),
        );
        let url = format!("{}{}", self.server, self.target);
        let mut request = ureq::http::Request::builder().method(self.method.as_str()).uri(&url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body.clone()).unwrap_or_else(|error| panic!("{url}: {error}"));
        let mut answer = agent.run(request).unwrap_or_else(|error| panic!("{url}: {error}"));
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("a whole body");
        let answer = Answer { status, headers, body };
        if answer.header("content-encoding").is_some() {
            return answer;
        }
        let media_type = self.headers.iter().find(|(name, _)| name == "content-type");
        let is_coded = self.headers.iter().any(|(name, _)| name == "content-encoding");
        let media_type =
            media_type.filter(|_| !is_coded).map(|(_, value)| value.as_str()).unwrap_or_default();
        document::check(self.method, &self.target, (media_type, &self.body), &answer);
        answer
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    /// Fails the test unless it is a 2xx.
    #[track_caller]
    pub fn good(self) -> Self {
        assert!((200..300).contains(&self.status), "{self:?}");
        self
    }

    /// Fails the test unless it has this status.
    #[track_caller]
    pub fn status(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "{self:?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A member that is text.
    #[track_caller]
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}
