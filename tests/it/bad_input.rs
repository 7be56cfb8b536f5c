//! What is refused, in whose words, and that nothing of it is stored: one table over every vendor's routes, reading
//! and writing, and our own.
//!
//! Requests go out as bytes, so that a row can hold what no client library would send. Logins are not in the table:
//! a failed one is recorded (`activity.rs`).

use std::io::{Read, Write};
use std::net::TcpStream;

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{OWNER, Server};

/// What the rows speak of.
struct Place {
    server: Server,
    key: String,
    cookie: String,
    workspace: String,
    tenant: String,
    mailbox: i64,
    /// Its policy has a content guard.
    guarded: i64,
    project: String,
    /// The entry of `known@example.org`, in the thread `t1`.
    known: i64,
    user: String,
}

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

impl Place {
    fn new() -> Self {
        let server = Server::start_with(&[("max_body", "8KiB"), ("max_bulk_body", "128KiB")]);
        let (workspace, key) = (server.workspace.clone(), server.key.clone());
        let tenant = server.add_tenant(&workspace, "Acme");
        let mailbox = server.add_mailbox(&workspace, "sales@example.org", Some(&tenant), Some(25));
        let guarded = server.add_mailbox(&workspace, "guarded@example.org", None, None);
        let project = server.add_project(&workspace, "Site");
        let entry = json!({ "message_id": "known@example.org", "outcome": "delivered", "thread_id": "t1" });
        let known = server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
        let known = known.json()["id"].as_i64().expect("an id");
        let policy = json!({
            "defaultAction": "bounce",
            "senders": [{ "match": { "domain": "example.net" }, "capabilities": [] }],
            "contentGuards": [{ "reject": "(?i)ignore all", "reason": "injection" }],
            "auditLog": { "retentionDays": 30 },
        });
        server.put_policy(guarded, &policy).good();
        let cookie = server.login(OWNER);
        let me = server.request(Method::Get, "/api/v1/me").cookie(&cookie).send().good();
        let user = me.text("user_id");
        Self { server, key, cookie, workspace, tenant, mailbox, guarded, project, known, user }
    }
}

/// One request and the one answer to it.
struct Row {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

/// A request in the making; one of the last four methods, in a vendor's words, ends it.
struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn ask(method: &'static str, path: impl Into<String>) -> Ask {
    Ask { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

impl Ask {
    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    fn key(self, at: &Place) -> Self {
        let value = format!("Bearer {}", at.key);
        self.header("Authorization", value)
    }
    fn session(self, at: &Place) -> Self {
        let value = at.cookie.clone();
        self.header("Cookie", value)
    }
    fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        if media_type.is_empty() { self } else { self.header("Content-Type", media_type) }
    }
    fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }
    fn text(self, body: &str) -> Self {
        self.body("application/json", body)
    }

    fn answered(self, status: u16, answer: String) -> Row {
        let Self { method, path, headers, body } = self;
        Row { method, path, headers, body, status, answer }
    }
    fn tenantcore(self, status: u16, code: &str, message: &str) -> Row {
        self.answered(status, json!({ "detail": { "message": message, "code": code } }).to_string())
    }
    fn mailbuttons(self, status: u16, message: &str) -> Row {
        let body = match status {
            400 if message.starts_with('"')
                || message.starts_with("the header")
                || message.starts_with("the query") =>
            {
                json!({ "error": message })
            }
            400 | 422 => json!({ "errors": [message] }),
            _ => json!({ "error": message }),
        };
        self.answered(status, body.to_string())
    }
    fn senddock(self, status: u16, message: &str) -> Row {
        self.answered(status, json!({ "error": message }).to_string())
    }
    fn problem(self, status: u16, code: &str, message: &str) -> Row {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            422 => "Unprocessable Content",
            431 => "Request Header Fields Too Large",
            501 => "Not Implemented",
            505 => "HTTP Version Not Supported",
            _ => "Internal Server Error",
        };
        let mut body = json!({
            "type": "about:blank", "title": title, "status": status, "detail": message, "code": code,
        });
        if let (422, Some((parameter, message))) = (status, message.split_once(": ")) {
            body["errors"] = json!([{ "parameter": parameter, "message": message }]);
        }
        self.answered(status, body.to_string())
    }
}

impl Row {
    /// Sends it on a connection of its own; the status and the body of the answer.
    fn send(&self, server: &Server) -> (u16, String) {
        let address = server.url().trim_start_matches("http://").to_owned();
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut stream = TcpStream::connect(&address).expect("a connection");
        stream.write_all(head.as_bytes()).expect("a head is sent");
        // A body that is too large is refused before it has all been sent.
        let _ = stream.write_all(&self.body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        (status, body.to_owned())
    }

    fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        format!(
            "{} {} {:?} {}",
            self.method,
            self.path,
            self.headers,
            body.chars().take(300).collect::<String>()
        )
    }
}

#[test]
fn whatever_is_refused_is_refused_in_the_vendors_words_and_stores_nothing() {
    let at = Place::new();
    let mut rows = Vec::new();
    for part in [
        authorization,
        reading_events,
        writing_events,
        sends,
        reading_messages,
        writing_messages,
        appending,
        policies,
        reading_activity,
        writing_activity,
        owners,
        administration,
        media_types_and_sizes,
        routes,
    ] {
        rows.extend(part(&at));
    }
    // Who may not do it is noted in the trail, the first time in an hour, and nothing else is.
    let begun = at.server.db_number("SELECT last_seq FROM sequence");
    for row in rows.iter().filter(|row| [401, 403].contains(&row.status)) {
        row.send(&at.server);
    }
    let before = stored(&at.server);
    let denied = "SELECT count(*) FROM activity JOIN texts ON texts.id = action WHERE text = 'auth.denied'";
    assert_eq!(at.server.db_number("SELECT last_seq FROM sequence") - begun, at.server.db_number(denied));
    let mut wrong = Vec::new();
    for row in &rows {
        let (status, body) = row.send(&at.server);
        if (status, &body) != (row.status, &row.answer) {
            wrong.push(format!(
                "{}\n  got      {status} {body}\n  expected {} {}",
                row.shown(),
                row.status,
                row.answer
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 150, "{} rows", rows.len());
    assert_eq!(stored(&at.server), before);
}

/// RFC 9110 section 15.5.6: a 405 says what is allowed.
#[test]
fn a_method_that_is_not_allowed_is_told_which_are() {
    let server = Server::start();
    let answer = server.request(Method::Delete, "/v1/enforcement/events").send().status(405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    let answer = server.request(Method::Get, "/api/v1/auth/login").send().status(405);
    assert_eq!(answer.header("allow"), Some("POST"));
}

/// How many rows each table has, and the last number given out. `jobs` is the scheduler's.
fn stored(server: &Server) -> Vec<(String, i64)> {
    let database = server.db();
    let mut statement = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'jobs'")
        .expect("the schema");
    let names = statement.query_map([], |row| row.get::<_, String>(0)).expect("the tables");
    let mut counts: Vec<(String, i64)> = names
        .map(|name| {
            let name = name.expect("a name");
            let n = server.db_number(&format!("SELECT count(*) FROM \"{name}\""));
            (name, n)
        })
        .collect();
    counts.push(("last_seq".into(), server.db_number("SELECT last_seq FROM sequence")));
    counts
}

// ---------------------------------------------------------------------------------------------- who is asking

fn authorization(at: &Place) -> Vec<Row> {
    const HEADER: &str = "Missing or malformed Authorization header; expected: Bearer <api key>";
    const EMPTY: &str = "The bearer token is empty; expected: Bearer <api key>";
    const KEY: &str = "Invalid API key";
    const SESSION: &str = "Missing or expired session; log in at POST /api/v1/auth/login";
    let unknown = format!("mt_live_{}", "0".repeat(48));
    let upper = at.key.to_uppercase().replace("MT_LIVE_", "mt_live_");
    let events = "/v1/enforcement/events";
    let entries = format!("/v1/mailboxes/{}/audit-logs", at.mailbox);
    let project = format!("/api/v1/projects/{}/audit-log", at.project);
    let with = |value: &str| ask("GET", events).header("Authorization", value);
    let mut rows = vec![
        ask("GET", events).tenantcore(401, "invalid_auth_header", HEADER),
        with("").tenantcore(401, "invalid_auth_header", HEADER),
        with("Basic dXNlcjpwYXNz").tenantcore(401, "invalid_auth_header", HEADER),
        with(&at.key).tenantcore(401, "invalid_auth_header", HEADER),
        with(&format!("Bearer{}", at.key)).tenantcore(401, "invalid_auth_header", HEADER),
        with("Bearer").tenantcore(401, "missing_api_key", EMPTY),
        with("Bearer ").tenantcore(401, "missing_api_key", EMPTY),
        with("bearer").tenantcore(401, "missing_api_key", EMPTY),
        with("Bearer nope").tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {unknown}")).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {upper}")).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {} ", &at.key[..at.key.len() - 1])).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {}0", at.key)).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {} x", at.key)).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer \"{}\"", at.key)).tenantcore(401, "invalid_api_key", KEY),
        with(&format!("Bearer {}", at.key)).key(at).tenantcore(401, "invalid_auth_header", HEADER),
        ask("GET", events).session(at).tenantcore(401, "invalid_auth_header", HEADER),
        ask("POST", events).tenantcore(401, "invalid_auth_header", HEADER),
        ask("POST", "/v1/enforcement/sends").tenantcore(401, "invalid_auth_header", HEADER),
        ask("GET", "/v1/tenants").tenantcore(401, "invalid_auth_header", HEADER),
        ask("GET", entries.clone()).mailbuttons(401, HEADER),
        ask("GET", entries.clone()).header("Authorization", "Bearer").mailbuttons(401, EMPTY),
        ask("GET", entries.clone())
            .header("Authorization", format!("Bearer {unknown}"))
            .mailbuttons(401, KEY),
        ask("POST", entries).header("Authorization", format!("Bearer {unknown}")).mailbuttons(401, KEY),
        ask("POST", project.clone()).session(at).senddock(401, HEADER),
        ask("POST", project.clone()).header("Authorization", "Bearer x").senddock(401, KEY),
        // The activity log is for people: a key is no session.
        ask("GET", project.clone()).senddock(401, SESSION),
        ask("GET", project.clone()).key(at).senddock(401, SESSION),
        ask("GET", project.clone()).header("Cookie", "mailtrail_session=short").senddock(401, SESSION),
        ask("GET", project)
            .header("Cookie", format!("mailtrail_session={}", "0".repeat(64)))
            .senddock(401, SESSION),
        ask("GET", format!("/api/v1/workspaces/{}/audit-log", at.workspace)).senddock(401, SESSION),
        ask("GET", format!("/api/v1/workspaces/{}/members", at.workspace)).senddock(401, SESSION),
        ask("GET", "/api/v1/me").senddock(401, SESSION),
        ask("POST", "/api/v1/auth/logout").senddock(401, SESSION),
    ];
    let nobody = "An API key with the scope admin, or the session of an owner or admin, is needed";
    rows.push(ask("GET", "/api/v1/admin/workspaces").problem(401, "not_authenticated", nobody));
    rows.push(ask("POST", "/api/v1/admin/retention/run").problem(401, "not_authenticated", nobody));
    rows.push(ask("GET", "/api/v1/admin/keys").header("Authorization", "Bearer x").problem(
        401,
        "invalid_api_key",
        KEY,
    ));
    rows.push(ask("POST", "/v1/tenants").tenantcore(401, "not_authenticated", nobody));
    rows.push(ask("PUT", format!("/v1/mailboxes/{}/policy", at.mailbox)).mailbuttons(401, nobody));
    // A page of another origin that sends the cookie along.
    let foreign = "this request comes from a page of another origin";
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        rows.push(ask("POST", "/api/v1/auth/logout").session(at).header(name, value).senddock(403, foreign));
        rows.push(
            ask("POST", "/api/v1/admin/projects")
                .session(at)
                .header(name, value)
                .json(&json!({ "name": "x" }))
                .problem(403, "forbidden", foreign),
        );
    }
    rows
}

// ---------------------------------------------------------------------------------------------- enforcement

/// Query strings that every list refuses alike, with the message.
fn common_parameters() -> Vec<(&'static str, String)> {
    let mut rows: Vec<(&'static str, String)> = [
        ("limit=abc", "limit: \"abc\" is not an integer; accepted: 1 to 200"),
        ("limit=1.5", "limit: \"1.5\" is not an integer; accepted: 1 to 200"),
        ("limit=1e2", "limit: \"1e2\" is not an integer; accepted: 1 to 200"),
        ("limit=0x10", "limit: \"0x10\" is not an integer; accepted: 1 to 200"),
        ("limit=+5", "limit: \" 5\" is not an integer; accepted: 1 to 200"),
        ("limit=%2B5", "limit: \"+5\" is not an integer; accepted: 1 to 200"),
        ("limit=-", "limit: \"-\" is not an integer; accepted: 1 to 200"),
        ("limit=%D9%A3", "limit: \"٣\" is not an integer; accepted: 1 to 200"),
        ("limit=", "limit: is empty; leave the parameter out or give it a value"),
        ("limit", "limit: is empty; leave the parameter out or give it a value"),
        ("limit=5&limit=5", "limit: given more than once; accepted: once"),
        ("order=up", "order: \"up\" is unknown; accepted: desc, asc"),
        ("order=ASC", "order: \"ASC\" is unknown; accepted: desc, asc"),
        ("format=xml", "format: \"xml\" is unknown; accepted: json, csv, ndjson, proof"),
        (
            "format=csv&limit=5",
            "limit: cannot be given with CSV, NDJSON or proofs, which stream the whole result; narrow it with from and to",
        ),
        ("from=", "from: is empty; leave the parameter out or give it a value"),
    ]
    .map(|(query, message)| (query, message.to_owned()))
    .into();
    for query in [
        "from=yesterday",
        "to=2026-02-30T00:00:00Z",
        "from=2026-04-30T24:00:00Z",
        "from=2026-04-30T14:22:11",
        "from=2026-04-30",
        "to=1745159400",
        "to=10000-01-01T00:00:00Z",
        "to=2026-04-30T14:22:11Z[UTC]",
    ] {
        let (name, value) = query.split_once('=').unwrap_or_default();
        let accepted = "accepted: 2026-04-30T14:22:11Z, any offset";
        rows.push((query, format!("{name}: {value:?} is not an RFC 3339 timestamp; {accepted}")));
    }
    rows
}

/// Query strings that no route can read, with the message of their 400.
fn unreadable_queries() -> Vec<(&'static str, &'static str)> {
    vec![
        ("limit=%zz", "\"%zz\" has a % that two hex digits do not follow"),
        ("limit=5%", "\"5%\" has a % that two hex digits do not follow"),
        ("limit=%ff", "\"%ff\" is not UTF-8 once decoded"),
        ("limit=%00", "the query \"%00\" holds a control character"),
        ("limit=5%0A", "the query \"5%0A\" holds a control character"),
        ("%7f=1", "the query \"%7f\" holds a control character"),
    ]
}

fn reading_events(at: &Place) -> Vec<Row> {
    let get = |query: &str| ask("GET", format!("/v1/enforcement/events?{query}")).key(at);
    let known = "tenant_id, action, mailbox_address, limit, offset, cursor, after, from, to, order, format";
    let mut rows = Vec::new();
    for (query, message) in common_parameters() {
        rows.push(get(query).tenantcore(422, "invalid_parameter", &message));
    }
    for (query, message) in unreadable_queries() {
        rows.push(get(query).tenantcore(400, "bad_request", message));
    }
    let unknown = format!("tenant: unknown parameter; accepted: {known}");
    let two = format!("a: unknown parameter; accepted: {known}; b: unknown parameter; accepted: {known}");
    for (query, message) in [
        ("offset=-1", "offset: -1 is not acceptable; accepted: 0 or more"),
        ("offset=abc", "offset: \"abc\" is not an integer; accepted: 0 or more"),
        ("offset=", "offset: is empty; leave the parameter out or give it a value"),
        ("offset=1&offset=1", "offset: given more than once; accepted: once"),
        ("cursor=abc", "cursor: \"abc\" is not a cursor; accepted: one from a Link header"),
        ("cursor=5", "cursor: \"5\" is not a cursor; accepted: one from a Link header"),
        ("cursor=1-1&offset=0", "cursor: cannot be given with offset; accepted: one of the two"),
        (
            "format=ndjson&offset=0",
            "offset: cannot be given with CSV, NDJSON or proofs, which stream the whole result; narrow it with from and to",
        ),
        ("action=paused", "action: \"paused\" is unknown; accepted: blocked, unblocked"),
        ("action=Blocked", "action: \"Blocked\" is unknown; accepted: blocked, unblocked"),
        ("action=", "action: is empty; leave the parameter out or give it a value"),
        ("tenant_id=", "tenant_id: is empty; leave the parameter out or give it a value"),
        ("tenant=x", unknown.as_str()),
        ("a=1&b=2", two.as_str()),
        // A parameter that cannot be read goes before an owner that is not there.
        ("tenant_id=nope&limit=x", "limit: \"x\" is not an integer; accepted: 1 to 200"),
    ] {
        rows.push(get(query).tenantcore(422, "invalid_parameter", message));
    }
    for id in ["nope", NOBODY, &at.tenant[..35], &at.project] {
        rows.push(get(&format!("tenant_id={id}")).tenantcore(404, "tenant_not_found", "Tenant not found"));
    }
    let streamed = "limit: cannot be given with CSV, NDJSON or proofs, which stream the whole result; narrow it with from and to";
    rows.push(get("limit=5").header("Accept", "text/csv").tenantcore(422, "invalid_parameter", streamed));
    rows.push(ask("HEAD", "/v1/enforcement/events?limit=abc").key(at).answered(422, String::new()));
    rows
}

/// A good event, with one member changed; `null` in `value` stays `null`.
fn event(at: &Place, name: &str, value: Value) -> Value {
    let mut event = json!({
        "tenant_id": at.tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25,
    });
    if !name.is_empty() {
        event[name] = value;
    }
    event
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

/// Bodies that no JSON route can read, with the message of their 400.
fn unreadable_bodies() -> Vec<(Vec<u8>, &'static str)> {
    let deep = format!("{{\"message\":{}}}", nested(64)).into_bytes();
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        (bytes(""), "the body is empty; expected: JSON"),
        (bytes(" \r\n\t "), "the body is empty; expected: JSON"),
        (bytes("nope"), "the body is not acceptable JSON: expected ident at line 1 column 2"),
        (bytes("{"), "the body is not acceptable JSON: EOF while parsing an object at line 1 column 1"),
        (bytes("{} {}"), "the body is not acceptable JSON: trailing characters at line 1 column 4"),
        (bytes("{\"a\":1,}"), "the body is not acceptable JSON: trailing comma at line 1 column 8"),
        (bytes("{'a':1}"), "the body is not acceptable JSON: key must be a string at line 1 column 2"),
        (bytes("{\"a\":01}"), "the body is not acceptable JSON: invalid number at line 1 column 7"),
        (bytes("{\"a\":NaN}"), "the body is not acceptable JSON: expected value at line 1 column 6"),
        (bytes("{\"a\":1e400}"), "the body is not acceptable JSON: number out of range at line 1 column 10"),
        (
            bytes("{\"a\":1,\"a\":1}"),
            "the body is not acceptable JSON: the member \"a\" comes twice at line 1 column 10",
        ),
        (
            bytes("{\"x\":{\"a\":1,\"\\u0061\":2}}"),
            "the body is not acceptable JSON: the member \"a\" comes twice at line 1 column 20",
        ),
        (
            bytes("{\"a\":\"\\ud800\"}"),
            "the body is not acceptable JSON: unexpected end of hex escape at line 1 column 13",
        ),
        (
            bytes("{\"a\":\"\\udc00\"}"),
            "the body is not acceptable JSON: lone leading surrogate in hex escape at line 1 column 12",
        ),
        (
            b"{\"a\":\"\xff\"}".to_vec(),
            "the body is not acceptable JSON: invalid unicode code point at line 1 column 7",
        ),
        (
            b"{\"a\":\"\x00\"}".to_vec(),
            "the body is not acceptable JSON: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7",
        ),
        (b"\xef\xbb\xbf".to_vec(), "the body is empty; expected: JSON"),
        (
            b"{\"n\":18446744073709551616}".to_vec(),
            "the body is not acceptable JSON: the integer \"18446744073709551616\" would be rounded; accepted: integers of 64 bits, or text",
        ),
        (deep, "the body is not acceptable JSON: nested more than 64 levels deep at line 1 column 75"),
    ]
}

fn writing_events(at: &Place) -> Vec<Row> {
    let post = || ask("POST", "/v1/enforcement/events").key(at);
    let mut rows = Vec::new();
    for (body, message) in unreadable_bodies() {
        rows.push(post().body("application/json", body).tenantcore(400, "malformed_body", message));
    }
    let text_of = |most: usize| format!("accepted: text of 1 to {most} characters, no control characters");
    let whole = "accepted: a whole number from 0 to 9007199254740991";
    let when = "accepted: RFC 3339, as in 2026-04-30T14:22:11Z, years 1970 to 9999";
    let long_address = format!("{}@example.org", "a".repeat(320));
    let shown_address = format!("\"{}…", &long_address[..59]);
    let long_message = "m".repeat(1001);
    let shown_message = format!("\"{}…", &long_message[..59]);
    let refused = |name: &str, value: Value, message: String| {
        post().json(&event(at, name, value)).tenantcore(422, "invalid_parameter", &message)
    };
    for name in ["tenant_id", "mailbox_address", "action_taken", "sent_count", "limit_value"] {
        rows.push(refused(name, Value::Null, format!("{name}: is required")));
    }
    rows.extend([
        refused("tenant_id", json!(5), format!("tenant_id: 5 is not acceptable; {}", text_of(64))),
        refused("tenant_id", json!("nope"), "tenant_id: \"nope\" is not a UUID".into()),
        refused("mailbox_address", json!("nope"), "mailbox_address: \"nope\" is not a mail address; accepted: local@domain".into()),
        refused("mailbox_address", json!("a b@c"), "mailbox_address: \"a b@c\" is not a mail address; accepted: local@domain".into()),
        refused("mailbox_address", json!("@c"), "mailbox_address: \"@c\" is not a mail address; accepted: local@domain".into()),
        refused("mailbox_address", json!("a@"), "mailbox_address: \"a@\" is not a mail address; accepted: local@domain".into()),
        refused("mailbox_address", json!(""), format!("mailbox_address: \"\" is not acceptable; {}", text_of(320))),
        refused("mailbox_address", json!("a\0@b"), format!("mailbox_address: \"a\\u0000@b\" is not acceptable; {}", text_of(320))),
        refused("mailbox_address", json!("a@b\r\nc"), format!("mailbox_address: \"a@b\\r\\nc\" is not acceptable; {}", text_of(320))),
        refused("mailbox_address", json!(long_address), format!("mailbox_address: {shown_address} is not acceptable; {}", text_of(320))),
        refused("action_taken", json!("paused"), "action_taken: \"paused\" is not acceptable; accepted: blocked, unblocked".into()),
        refused("action_taken", json!(1), "action_taken: 1 is not acceptable; accepted: blocked, unblocked".into()),
        refused("sent_count", json!(-1), format!("sent_count: -1 is not acceptable; {whole}")),
        refused("sent_count", json!(1.5), format!("sent_count: 1.5 is not acceptable; {whole}")),
        refused("sent_count", json!(9_007_199_254_740_992_f64), format!("sent_count: 9007199254740992.0 is not acceptable; {whole}")),
        refused("sent_count", json!("26"), format!("sent_count: \"26\" is not acceptable; {whole}")),
        refused("sent_count", json!(true), format!("sent_count: true is not acceptable; {whole}")),
        refused("sent_count", json!([26]), format!("sent_count: [26] is not acceptable; {whole}")),
        refused("sent_count", json!(9_007_199_254_740_992_i64), format!("sent_count: 9007199254740992 is not acceptable; {whole}")),
        refused("sent_count", json!(u64::MAX), format!("sent_count: 18446744073709551615 is not acceptable; {whole}")),
        refused("limit_value", json!(-1), format!("limit_value: -1 is not acceptable; {whole}")),
        refused("message", json!(""), format!("message: \"\" is not acceptable; {}", text_of(1000))),
        refused("message", json!("a\u{0}b"), format!("message: \"a\\u0000b\" is not acceptable; {}", text_of(1000))),
        refused("message", json!("a\u{85}b"), format!("message: \"a\u{85}b\" is not acceptable; {}", text_of(1000))),
        refused("message", json!(long_message), format!("message: {shown_message} is not acceptable; {}", text_of(1000))),
        refused("created_at", json!("2026-02-30T00:00:00Z"), format!("created_at: \"2026-02-30T00:00:00Z\" is not acceptable; {when}")),
        refused("created_at", json!(1_745_159_400), format!("created_at: 1745159400 is not acceptable; {when}")),
        refused("created_at", json!("2026-04-30"), format!("created_at: \"2026-04-30\" is not acceptable; {when}")),
        refused(
            "created_at",
            json!("2026-04-30T14:32:12Z"),
            "created_at: 2026-04-30T14:32:12Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)".into(),
        ),
        refused("sent_cuont", json!(26), "sent_cuont: unknown member".into()),
        refused("id", json!(NOBODY), "id: unknown member".into()),
    ]);
    let good = event(at, "", Value::Null);
    let ahead = event(at, "created_at", json!("2099-01-01T00:00:00Z"));
    let lost = event(at, "tenant_id", json!(NOBODY));
    for (body, message) in [
        (json!([]), "body: a list is not an object"),
        (json!(1), "body: 1 is not an object"),
        (json!("x"), "body: a text is not an object"),
        (Value::Null, "body: null is not an object"),
        (json!({}), "tenant_id: is required"),
        (json!({ "events": [] }), "events: holds nothing to record"),
        (json!({ "events": {} }), "events: is not a list"),
        (json!({ "events": null }), "events: is not a list"),
        (json!({ "events": [1] }), "events[0]: 1 is not an object"),
        (json!({ "events": [good, {}] }), "events[1].tenant_id: is required"),
        (
            json!({ "events": [good, event(at, "mailbox_address", json!("x"))] }),
            "events[1].mailbox_address: \"x\" is not a mail address; accepted: local@domain",
        ),
        (
            json!({ "events": [good, ahead] }),
            "events[1].created_at: 2099-01-01T00:00:00Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)",
        ),
        (json!({ "events": [good], "x": 1 }), "x: unknown member"),
    ] {
        rows.push(post().json(&body).tenantcore(422, "invalid_parameter", message));
    }
    rows.push(post().json(&lost).tenantcore(404, "tenant_not_found", "Tenant not found"));
    rows.push(post().json(&json!({ "events": [good, lost] })).tenantcore(
        404,
        "tenant_not_found",
        "events[1]: Tenant not found",
    ));
    let lines = |text: String| post().body("application/x-ndjson", text);
    rows.extend([
        lines(String::new()).tenantcore(422, "invalid_parameter", "body: holds nothing to record"),
        lines("\n\n \n".into()).tenantcore(422, "invalid_parameter", "body: holds nothing to record"),
        lines(format!("{good}\nnope\n")).tenantcore(
            400,
            "malformed_body",
            "line 2: is not acceptable JSON: expected ident at column 2",
        ),
        lines(format!("{good}\n\n[]\n")).tenantcore(422, "invalid_parameter", "line 3: a list is not an object"),
        lines(format!("{good}\n\n{{}}")).tenantcore(422, "invalid_parameter", "line 3.tenant_id: is required"),
        lines(format!("{good}\n{lost}\n")).tenantcore(404, "tenant_not_found", "line 2: Tenant not found"),
        lines(format!("{good}\n\n{ahead}\n")).tenantcore(
            422,
            "invalid_parameter",
            "line 3.created_at: 2099-01-01T00:00:00Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)",
        ),
        ask("POST", "/v1/enforcement/events?limit=5").key(at).json(&good).tenantcore(
            422,
            "invalid_parameter",
            "limit: unknown parameter; accepted: import",
        ),
    ]);
    let named = |key: &str| post().json(&good).header("Idempotency-Key", key);
    let shape = "Idempotency-Key: is not 1 to 255 visible ASCII characters";
    rows.extend([
        named("").tenantcore(422, "invalid_parameter", shape),
        named(&"k".repeat(256)).tenantcore(422, "invalid_parameter", shape),
        named("schlüssel").tenantcore(422, "invalid_parameter", shape),
        named("one").header("Idempotency-Key", "one").tenantcore(
            400,
            "bad_request",
            "the header idempotency-key came more than once",
        ),
    ]);
    rows
}

fn sends(at: &Place) -> Vec<Row> {
    let post = |body: Value| ask("POST", "/v1/enforcement/sends").key(at).json(&body);
    let good = json!({ "tenant_id": at.tenant, "mailbox_address": "sales@example.org" });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        post(body)
    };
    let recipients = "accepted: a whole number from 1 to 100000";
    vec![
        post(json!({})).tenantcore(422, "invalid_parameter", "tenant_id: is required"),
        with("tenant_id", json!("x")).tenantcore(422, "invalid_parameter", "tenant_id: \"x\" is not a UUID"),
        with("tenant_id", json!(NOBODY)).tenantcore(404, "tenant_not_found", "Tenant not found"),
        with("mailbox_address", Value::Null).tenantcore(
            422,
            "invalid_parameter",
            "mailbox_address: is required",
        ),
        with("mailbox_address", json!("other@example.org")).tenantcore(
            404,
            "mailbox_not_found",
            "Mailbox not found",
        ),
        with("recipients", json!(0)).tenantcore(
            422,
            "invalid_parameter",
            &format!("recipients: 0 is not acceptable; {recipients}"),
        ),
        with("recipients", json!(100_001)).tenantcore(
            422,
            "invalid_parameter",
            &format!("recipients: 100001 is not acceptable; {recipients}"),
        ),
        with("recipients", json!("1")).tenantcore(
            422,
            "invalid_parameter",
            &format!("recipients: \"1\" is not acceptable; {recipients}"),
        ),
        with("count", json!(1)).tenantcore(422, "invalid_parameter", "count: unknown member"),
    ]
}

// ---------------------------------------------------------------------------------------------- messages

const OUTCOMES: &str = "delivered, rejected_at_verification, rejected_at_policy, rejected_at_content_guard, rate_limited, budget_exhausted";

fn reading_messages(at: &Place) -> Vec<Row> {
    let get = |query: &str| ask("GET", format!("/v1/mailboxes/{}/audit-logs?{query}", at.mailbox)).key(at);
    let mut rows = Vec::new();
    for (query, message) in common_parameters() {
        rows.push(get(query).mailbuttons(422, &message));
    }
    for (query, message) in unreadable_queries() {
        rows.push(get(query).mailbuttons(400, message));
    }
    let known = "message_id, thread_id, outcome, sender_address, recipient_address, reason, limit, cursor, after, from, to, order, format";
    for (query, message) in [
        (
            "cursor=abc",
            "cursor: \"abc\" is not an integer; accepted: the next_cursor of an earlier page".to_owned(),
        ),
        (
            "cursor=null",
            "cursor: \"null\" is not an integer; accepted: the next_cursor of an earlier page".to_owned(),
        ),
        ("cursor=", "cursor: is empty; leave the parameter out or give it a value".to_owned()),
        ("outcome=lost", format!("outcome: \"lost\" is unknown; accepted: {OUTCOMES}")),
        ("thread_id=", "thread_id: is empty; leave the parameter out or give it a value".to_owned()),
        ("messageId=x", format!("messageId: unknown parameter; accepted: {known}")),
        ("offset=5", format!("offset: unknown parameter; accepted: {known}")),
    ] {
        rows.push(get(query).mailbuttons(422, &message));
    }
    for id in ["0", "-1", "abc", "1e3", "1.0", "99999999999999999999", "12345678", "%20", NOBODY] {
        rows.push(
            ask("GET", format!("/v1/mailboxes/{id}/audit-logs"))
                .key(at)
                .mailbuttons(404, "Mailbox not found"),
        );
        rows.push(
            ask("GET", format!("/api/v1/mailboxes/{id}/policy"))
                .key(at)
                .mailbuttons(404, "Mailbox not found"),
        );
    }
    let one = |id: &str| ask("GET", format!("/v1/mailboxes/{}/audit-logs/{id}", at.mailbox)).key(at);
    rows.extend([
        one("nobody@example.org").mailbuttons(404, "Message not found"),
        one("%00").mailbuttons(404, "Message not found"),
        one("known@example.org%20").mailbuttons(404, "Message not found"),
        one("KNOWN@example.org").mailbuttons(404, "Message not found"),
        one("known@example.org?limit=1").mailbuttons(422, "limit: unknown parameter; accepted: none"),
        one("").mailbuttons(404, "Route not found"),
        one("%zz").mailbuttons(404, "Route not found"),
        one("%ff").mailbuttons(404, "Route not found"),
        ask("GET", format!("/v1/mailboxes/{}/policy", at.mailbox))
            .key(at)
            .mailbuttons(404, "Policy not found"),
    ]);
    rows
}

fn entry(name: &str, value: Value) -> Value {
    let mut entry = json!({ "message_id": "new@example.org", "outcome": "rejected_at_policy" });
    if !name.is_empty() {
        entry[name] = value;
    }
    entry
}

fn writing_messages(at: &Place) -> Vec<Row> {
    let path = format!("/v1/mailboxes/{}/audit-logs", at.mailbox);
    let post = || ask("POST", path.clone()).key(at);
    let mut rows = Vec::new();
    for (body, message) in unreadable_bodies() {
        rows.push(post().body("application/json", body).mailbuttons(400, message));
    }
    let text_of = |most: usize| format!("accepted: text of 1 to {most} characters, no control characters");
    let verdicts = "accepted: pass, fail, softfail, neutral, temperror, permerror, none";
    let seconds = "accepted: a whole number from 0 to 253402207200";
    let long_id = "i".repeat(999);
    let shown_id = format!("\"{}…", &long_id[..59]);
    for (name, value, message) in [
        ("message_id", Value::Null, "message_id: is required".to_owned()),
        ("message_id", json!(""), format!("message_id: \"\" is not acceptable; {}", text_of(998))),
        ("message_id", json!(7), format!("message_id: 7 is not acceptable; {}", text_of(998))),
        ("message_id", json!("a\0"), format!("message_id: \"a\\u0000\" is not acceptable; {}", text_of(998))),
        ("message_id", json!(long_id), format!("message_id: {shown_id} is not acceptable; {}", text_of(998))),
        ("thread_id", json!([]), format!("thread_id: [] is not acceptable; {}", text_of(998))),
        ("outcome", Value::Null, "outcome: is required".to_owned()),
        ("outcome", json!("lost"), format!("outcome: \"lost\" is not acceptable; accepted: {OUTCOMES}")),
        ("outcome", json!("Delivered"), format!("outcome: \"Delivered\" is not acceptable; accepted: {OUTCOMES}")),
        ("received_at", json!("2023-11-14T22:13:20Z"), format!("received_at: \"2023-11-14T22:13:20Z\" is not acceptable; {seconds}")),
        ("received_at", json!(1.5), format!("received_at: 1.5 is not acceptable; {seconds}")),
        ("received_at", json!(-1), format!("received_at: -1 is not acceptable; {seconds}")),
        ("received_at", json!(253_402_207_201_i64), format!("received_at: 253402207201 is not acceptable; {seconds}")),
        (
            "received_at",
            json!(1_777_559_532),
            "received_at: 2026-04-30T14:32:12Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)".to_owned(),
        ),
        ("verification_dkim", json!("policy"), format!("verification_dkim: \"policy\" is not acceptable; {verdicts}")),
        ("verification_spf", json!(true), format!("verification_spf: true is not acceptable; {verdicts}")),
        ("verification_dmarc", json!("PASS"), format!("verification_dmarc: \"PASS\" is not acceptable; {verdicts}")),
        ("from_alignment", json!("yes"), "from_alignment: \"yes\" is not acceptable; accepted: true or false".to_owned()),
        ("text_body", json!(5), "text_body: 5 is not acceptable; accepted: text".to_owned()),
        ("body_hash", json!("abc"), "body_hash: \"abc\" is not 64 hex digits (SHA-256)".to_owned()),
        ("body_hash", json!("g".repeat(64)), format!("body_hash: \"{}\"… is not 64 hex digits (SHA-256)", "g".repeat(60))),
        ("reason", json!("a\nb"), format!("reason: \"a\\nb\" is not acceptable; {}", text_of(1000))),
        ("capabilities_granted", json!([]), "capabilities_granted: a list is not an object".to_owned()),
        ("capabilities_granted", json!({}), "capabilities_granted.capabilities: is required".to_owned()),
        (
            "capabilities_granted",
            json!({ "capabilities": [1], "rule_index": 0 }),
            "capabilities_granted.capabilities: 1 is not acceptable; accepted: texts of 1 to 200 characters, no control characters".to_owned(),
        ),
        (
            "capabilities_granted",
            json!({ "capabilities": ["a\u{0}"], "rule_index": 0 }),
            "capabilities_granted.capabilities: \"a\\u0000\" is not acceptable; accepted: texts of 1 to 200 characters, no control characters".to_owned(),
        ),
        ("capabilities_granted", json!({ "capabilities": [] }), "capabilities_granted.rule_index: is required".to_owned()),
        (
            "capabilities_granted",
            json!({ "capabilities": [], "rule_index": 0, "x": 1 }),
            "capabilities_granted.x: unknown member".to_owned(),
        ),
        (
            "capabilities_granted",
            json!({ "capabilities": [], "rule_index": 0 }),
            "capabilities_granted: is only for the outcome delivered".to_owned(),
        ),
        ("bounce", json!({}), "bounce: unknown member".to_owned()),
        ("messageId", json!("x"), "messageId: unknown member".to_owned()),
        ("id", json!(1), "id: unknown member".to_owned()),
        (
            "tools_used",
            json!("t".repeat(65_535)),
            "tools_used: has 65537 bytes of JSON; accepted: up to 65536".to_owned(),
        ),
    ] {
        rows.push(post().json(&entry(name, value)).mailbuttons(422, &message));
    }
    let mut both = entry("text_body", json!("Hello"));
    both["body_hash"] = json!("0".repeat(64));
    let good = entry("", Value::Null);
    let other = json!({ "message_id": "known@example.org", "outcome": "rejected_at_policy" });
    let conflict = format!(
        "the message \"known@example.org\" is recorded already (entry {}), with other content",
        at.known
    );
    rows.extend([
        post()
            .json(&both)
            .mailbuttons(422, "body_hash: is not the SHA-256 of text_body; give one of the two"),
        post().json(&json!({ "items": [] })).mailbuttons(422, "items: holds nothing to record"),
        post().json(&json!({ "items": "x" })).mailbuttons(422, "items: is not a list"),
        post()
            .json(&json!({ "items": [good, { "message_id": "x" }] }))
            .mailbuttons(422, "items[1].outcome: is required"),
        post().json(&other).mailbuttons(409, &conflict),
        post().json(&json!({ "items": [good, other] })).mailbuttons(409, &format!("items[1]: {conflict}")),
        post()
            .body("application/x-ndjson", format!("{good}\n\n{other}"))
            .mailbuttons(409, &format!("line 3: {conflict}")),
        post()
            .body("application/x-ndjson", format!("{good}\n{{}}"))
            .mailbuttons(422, "line 2.message_id: is required"),
        post().body("message/rfc822", "").mailbuttons(400, "the message is empty"),
        post()
            .body("message/rfc822", "hello\r\n")
            .mailbuttons(400, "this is no mail message: it has no header field"),
        ask("POST", "/v1/mailboxes/12345678/audit-logs".to_owned())
            .key(at)
            .json(&good)
            .mailbuttons(404, "Mailbox not found"),
        ask("POST", "/v1/mailboxes/12345678/inbound".to_owned())
            .key(at)
            .json(&good)
            .mailbuttons(404, "Mailbox not found"),
        ask("POST", format!("{path}?outcome=delivered"))
            .key(at)
            .json(&good)
            .mailbuttons(422, "outcome: unknown parameter; accepted: import"),
        post()
            .json(&good)
            .header("Idempotency-Key", "")
            .mailbuttons(422, "Idempotency-Key: is not 1 to 255 visible ASCII characters"),
    ]);
    let raw = |query: &str| {
        ask("POST", format!("{path}?{query}"))
            .key(at)
            .body("message/rfc822", "From: a@example.org\r\n\r\nHi\r\n")
    };
    rows.extend([
        raw("outcome=lost").mailbuttons(422, &format!("outcome: \"lost\" is unknown; accepted: {OUTCOMES}")),
        raw("reason=").mailbuttons(422, "reason: is empty; leave the parameter out or give it a value"),
        raw(&format!("reason={}", "r".repeat(1001)))
            .mailbuttons(422, "reason: has 1001 characters; accepted: up to 1000"),
        raw("result=x")
            .mailbuttons(422, "result: unknown parameter; accepted: outcome, reason, message_hash"),
    ]);
    let inbound =
        |id: i64, body: Value| ask("POST", format!("/v1/mailboxes/{id}/inbound")).key(at).json(&body);
    let from = json!({ "message_id": "x@example.net", "sender_address": "a@example.net" });
    rows.extend([
        inbound(at.mailbox, json!({})).mailbuttons(422, "message_id: is required"),
        inbound(at.mailbox, good).mailbuttons(422, "outcome: unknown member"),
        inbound(at.guarded, from)
            .mailbuttons(422, "text_body: is required, since the mailbox's policy has content guards"),
        ask("POST", format!("/v1/mailboxes/{}/inbound", at.guarded))
            .key(at)
            .body("message/rfc822", "")
            .mailbuttons(400, "the message is empty"),
    ]);
    rows
}

fn appending(at: &Place) -> Vec<Row> {
    let patch = |id: &str, body: Value| {
        ask("PATCH", format!("/v1/mailboxes/{}/audit-logs/{id}", at.mailbox)).key(at).json(&body)
    };
    let known = "known@example.org";
    vec![
        patch(known, json!({})).mailbuttons(
            422,
            "body: appends nothing; accepted: thread_id, reply_sent, bounce, tools_used, tokens_consumed",
        ),
        patch(known, json!({ "reply_sent": null })).mailbuttons(
            422,
            "body: appends nothing; accepted: thread_id, reply_sent, bounce, tools_used, tokens_consumed",
        ),
        patch(known, json!({ "outcome": "delivered" })).mailbuttons(422, "outcome: unknown member"),
        patch(known, json!([])).mailbuttons(422, "body: a list is not an object"),
        patch(known, json!({ "thread_id": 5 })).mailbuttons(
            422,
            "thread_id: 5 is not acceptable; accepted: text of 1 to 998 characters, no control characters",
        ),
        patch(known, json!({ "thread_id": "t2" }))
            .mailbuttons(409, "the message is in the thread \"t1\" already; nothing recorded is overwritten"),
        // All or nothing: the reply before the refused thread is not kept.
        patch(known, json!({ "reply_sent": { "id": 1 }, "thread_id": "t2" }))
            .mailbuttons(409, "the message is in the thread \"t1\" already; nothing recorded is overwritten"),
        patch("nobody@example.org", json!({ "reply_sent": true })).mailbuttons(404, "Message not found"),
        ask("PATCH", "/v1/mailboxes/12345678/audit-logs/x")
            .key(at)
            .json(&json!({ "reply_sent": true }))
            .mailbuttons(404, "Mailbox not found"),
        ask("PATCH", format!("/v1/mailboxes/{}/audit-logs/{known}?x=1", at.mailbox))
            .key(at)
            .json(&json!({ "reply_sent": true }))
            .mailbuttons(422, "x: unknown parameter; accepted: none"),
    ]
}

fn policies(at: &Place) -> Vec<Row> {
    let put = |body: Value| ask("PUT", format!("/v1/mailboxes/{}/policy", at.mailbox)).key(at).json(&body);
    let good = json!({
        "defaultAction": "bounce",
        "senders": [{ "match": { "domain": "example.net" }, "capabilities": [] }],
        "auditLog": { "retentionDays": 30 },
    });
    let with = |pointer: &str, value: Value| {
        let mut policy = good.clone();
        match policy.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
                policy.pointer_mut(parent).expect("a place in the policy")[name] = value;
            }
        }
        put(policy)
    };
    let whole = "accepted: a whole number from 0 to 9007199254740992";
    let guard = |reject: &str| json!([{ "reject": reject, "reason": "r" }]);
    let linear = "(patterns run in linear time: no look-around, no back-references)";
    let mut rows = Vec::new();
    for (pointer, value, message) in [
        ("/defaultAction", Value::Null, "defaultAction: is required".to_owned()),
        ("/defaultAction", json!("reject"), "defaultAction: \"reject\" is not acceptable; accepted: bounce, drop".to_owned()),
        ("/senders", Value::Null, "senders: is required".to_owned()),
        ("/senders", json!({}), "senders: {} is not acceptable; accepted: a list".to_owned()),
        ("/senders/0", json!(1), "senders[0]: 1 is not an object".to_owned()),
        ("/senders/0/match", Value::Null, "senders[0].match: is required".to_owned()),
        ("/senders/0/match", json!({}), "senders[0].match must have at least one of address and domain".to_owned()),
        (
            "/senders/0/match/address",
            json!("nope"),
            "senders[0].match.address: \"nope\" is not a mail address; accepted: local@domain".to_owned(),
        ),
        ("/senders/0/match/subject", json!("x"), "senders[0].match.subject: unknown member".to_owned()),
        (
            "/senders/0/match/requireDkim",
            json!(1),
            "senders[0].match.requireDkim: 1 is not acceptable; accepted: true or false".to_owned(),
        ),
        ("/senders/0/capabilities", Value::Null, "senders[0].capabilities: is required".to_owned()),
        (
            "/senders/0/capabilities",
            json!([5]),
            "senders[0].capabilities: 5 is not acceptable; accepted: texts of 1 to 200 characters, no control characters".to_owned(),
        ),
        ("/senders/0/rateLimit", json!({ "perHour": -1 }), format!("senders[0].rateLimit.perHour: -1 is not acceptable; {whole}")),
        ("/senders/0/rateLimit", json!({ "perWeek": 1 }), "senders[0].rateLimit.perWeek: unknown member".to_owned()),
        ("/senders/0/tokenBudget", json!(5), "senders[0].tokenBudget: 5 is not an object".to_owned()),
        (
            "/senders/0/tokenBudget",
            json!({ "perDay": 1.5 }),
            format!("senders[0].tokenBudget.perDay: 1.5 is not acceptable; {whole}"),
        ),
        ("/contentGuards", json!("x"), "contentGuards: \"x\" is not acceptable; accepted: a list".to_owned()),
        (
            "/contentGuards",
            guard("a(?=b)"),
            format!("contentGuards[0].reject: cannot be used: look-around, including look-ahead and look-behind, is not supported {linear}"),
        ),
        (
            "/contentGuards",
            guard("(?<!a)b"),
            format!("contentGuards[0].reject: cannot be used: look-around, including look-ahead and look-behind, is not supported {linear}"),
        ),
        (
            "/contentGuards",
            guard("(a)\\1"),
            format!("contentGuards[0].reject: cannot be used: backreferences are not supported {linear}"),
        ),
        ("/contentGuards", guard("("), format!("contentGuards[0].reject: cannot be used: unclosed group {linear}")),
        (
            "/contentGuards",
            guard("((((\\w{100}){100}){100}){100})"),
            "contentGuards[0].reject: is too large once compiled; make the pattern smaller".to_owned(),
        ),
        ("/contentGuards", json!([{ "reject": "x" }]), "contentGuards[0].reason: is required".to_owned()),
        ("/auditLog", Value::Null, "auditLog: is required".to_owned()),
        ("/auditLog/retentionDays", Value::Null, "auditLog.retentionDays: is required".to_owned()),
        ("/auditLog/retentionDays", json!(0), "auditLog.retentionDays must be >= 1".to_owned()),
        ("/auditLog/retentionDays", json!(-5), "auditLog.retentionDays must be >= 1".to_owned()),
        ("/auditLog/retentionDays", json!(36_501), "auditLog.retentionDays must be a whole number from 1 to 36500".to_owned()),
        ("/auditLog/retentionDays", json!(1.5), "auditLog.retentionDays must be a whole number from 1 to 36500".to_owned()),
        ("/auditLog/retentionDays", json!("30"), "auditLog.retentionDays must be a whole number from 1 to 36500".to_owned()),
        ("/auditLog/includeBodyHash", json!("yes"), "auditLog.includeBodyHash: \"yes\" is not acceptable; accepted: true or false".to_owned()),
        ("/auditLog/days", json!(1), "auditLog.days: unknown member".to_owned()),
        ("/version", json!(1), "version: unknown member".to_owned()),
    ] {
        rows.push(with(pointer, value).mailbuttons(422, &message));
    }
    rows.extend([
        put(json!([])).mailbuttons(422, "body: a list is not an object"),
        ask("PUT", "/v1/mailboxes/12345678/policy").key(at).json(&good).mailbuttons(404, "Mailbox not found"),
        ask("PUT", "/v1/mailboxes/abc/policy").key(at).json(&good).mailbuttons(404, "Mailbox not found"),
        ask("PUT", format!("/v1/mailboxes/{}/policy?version=1", at.mailbox))
            .key(at)
            .json(&good)
            .mailbuttons(422, "version: unknown parameter; accepted: none"),
    ]);
    rows
}

// ---------------------------------------------------------------------------------------------- activity

fn reading_activity(at: &Place) -> Vec<Row> {
    let lists = [
        (format!("/api/v1/projects/{}/audit-log", at.project), ""),
        (format!("/api/v1/workspaces/{}/audit-log", at.workspace), ", project_id"),
    ];
    let mut rows = Vec::new();
    for (path, more) in &lists {
        let get = |query: &str| ask("GET", format!("{path}?{query}")).session(at);
        for (query, message) in common_parameters() {
            rows.push(get(query).senddock(400, &message));
        }
        for (query, message) in unreadable_queries() {
            rows.push(get(query).senddock(400, message));
        }
        let known = format!(
            "action, user_id, target_type, target_id{more}, limit, offset, cursor, after, from, to, order, format"
        );
        for (query, message) in [
            ("offset=-1", "offset: -1 is not acceptable; accepted: 0 or more".to_owned()),
            ("cursor=x", "cursor: \"x\" is not a cursor; accepted: one from a Link header".to_owned()),
            ("action=", "action: is empty; leave the parameter out or give it a value".to_owned()),
            ("user_id=", "user_id: is empty; leave the parameter out or give it a value".to_owned()),
            ("actor=ada", format!("actor: unknown parameter; accepted: {known}")),
        ] {
            rows.push(get(query).senddock(400, &message));
        }
    }
    for id in ["nope", NOBODY, "01H", &at.tenant] {
        let project = ask("GET", format!("/api/v1/projects/{id}/audit-log")).session(at);
        rows.push(project.senddock(404, "project not found"));
        let workspace = ask("GET", format!("/api/v1/workspaces/{id}/audit-log")).session(at);
        rows.push(workspace.senddock(404, "workspace not found"));
        let members = ask("GET", format!("/api/v1/workspaces/{id}/members")).session(at);
        rows.push(members.senddock(404, "workspace not found"));
        let filtered = ask("GET", format!("{}?project_id={id}", lists[1].0)).session(at);
        rows.push(filtered.senddock(404, "project not found"));
    }
    rows.push(ask("GET", "/api/v1/me?x=1").session(at).senddock(400, "x: unknown parameter; accepted: none"));
    rows.push(
        ask("POST", "/api/v1/auth/logout?x=1")
            .session(at)
            .senddock(400, "x: unknown parameter; accepted: none"),
    );
    rows
}

fn activity(at: &Place, name: &str, value: Value) -> Value {
    let mut entry = json!({ "user_id": at.user, "action": "smtp.update" });
    if !name.is_empty() {
        entry[name] = value;
    }
    entry
}

fn writing_activity(at: &Place) -> Vec<Row> {
    let path = format!("/api/v1/projects/{}/audit-log", at.project);
    let post = || ask("POST", path.clone()).key(at);
    let mut rows = Vec::new();
    for (body, message) in unreadable_bodies() {
        rows.push(post().body("application/json", body).senddock(400, message));
    }
    let text_of = |most: usize| format!("accepted: text of 1 to {most} characters, no control characters");
    let dotted = "is not a dotted lower-case name; accepted: as in smtp.update";
    let long_action = format!("a.{}", "b".repeat(63));
    let shown_action = format!("\"{}…", &long_action[..59]);
    for (name, value, message) in [
        ("user_id", Value::Null, "user_id: is required".to_owned()),
        ("user_id", json!("ada"), "user_id: \"ada\" is not a UUID or a ULID".to_owned()),
        ("user_id", json!(1), format!("user_id: 1 is not acceptable; {}", text_of(64))),
        ("action", Value::Null, "action: is required".to_owned()),
        ("action", json!("smtp"), format!("action: \"smtp\" {dotted}")),
        ("action", json!("SMTP.update"), format!("action: \"SMTP.update\" {dotted}")),
        ("action", json!("smtp."), format!("action: \"smtp.\" {dotted}")),
        ("action", json!("smtp..x"), format!("action: \"smtp..x\" {dotted}")),
        ("action", json!("smtp update"), format!("action: \"smtp update\" {dotted}")),
        ("action", json!(long_action), format!("action: {shown_action} is not acceptable; {}", text_of(64))),
        ("metadata", json!([]), "metadata: is not an object".to_owned()),
        ("metadata", json!("x"), "metadata: is not an object".to_owned()),
        (
            "metadata",
            json!({ "x": "y".repeat(65_536) }),
            "metadata: has 65544 bytes of JSON; accepted: up to 65536".to_owned(),
        ),
        ("ip_address", json!("nope"), "ip_address: \"nope\" is not an IP address".to_owned()),
        ("ip_address", json!("203.0.113.42:x"), "ip_address: \"203.0.113.42:x\" is not an IP address".to_owned()),
        ("ip_address", json!("[::1]:99999"), "ip_address: \"[::1]:99999\" is not an IP address".to_owned()),
        ("ip_address", json!(5), format!("ip_address: 5 is not acceptable; {}", text_of(64))),
        ("user_agent", json!(7), "user_agent: 7 is not acceptable; accepted: text".to_owned()),
        ("target_type", json!("a\u{7}"), format!("target_type: \"a\\u0007\" is not acceptable; {}", text_of(64))),
        ("target_id", json!({}), format!("target_id: {{}} is not acceptable; {}", text_of(255))),
        (
            "created_at",
            json!("2026-04-30T16:32:12+02:00"),
            "created_at: 2026-04-30T14:32:12Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)".to_owned(),
        ),
        ("actor", json!("ada"), "actor: unknown member".to_owned()),
        ("project_id", json!(at.project), "project_id: unknown member".to_owned()),
    ] {
        rows.push(post().json(&activity(at, name, value)).senddock(400, &message));
    }
    let good = activity(at, "", Value::Null);
    let ahead = activity(at, "created_at", json!("2099-01-01T00:00:00Z"));
    let too_late = "created_at: 2099-01-01T00:00:00Z is more than ten minutes ahead of this server's clock (2026-04-30T14:22:11Z)";
    rows.extend([
        post().json(&json!({ "entries": [] })).senddock(400, "entries: holds nothing to record"),
        post().json(&json!({ "entries": [good, {}] })).senddock(400, "entries[1].user_id: is required"),
        post().json(&json!({ "entries": [good, ahead] })).senddock(400, &format!("entries[1].{too_late}")),
        post()
            .body("application/x-ndjson", format!("{good}\n{ahead}"))
            .senddock(400, &format!("line 2.{too_late}")),
        post()
            .body("application/x-ndjson", format!("{good}\n{{]"))
            .senddock(400, "line 2: is not acceptable JSON: key must be a string at column 2"),
        ask("POST", format!("{path}?x=1"))
            .key(at)
            .json(&good)
            .senddock(400, "x: unknown parameter; accepted: import"),
        ask("POST", format!("/api/v1/projects/{NOBODY}/audit-log"))
            .key(at)
            .json(&good)
            .senddock(404, "project not found"),
        ask("POST", "/api/v1/projects/nope/audit-log").key(at).json(&good).senddock(404, "project not found"),
        post()
            .json(&good)
            .header("Idempotency-Key", "")
            .senddock(400, "Idempotency-Key: is not 1 to 255 visible ASCII characters"),
    ]);
    rows
}

// ---------------------------------------------------------------------------------------------- owners and administration

fn owners(at: &Place) -> Vec<Row> {
    let mailboxes = format!("/v1/tenants/{}/mailboxes", at.tenant);
    let mailbox = format!("{mailboxes}/{}", at.mailbox);
    let post = |path: &str, body: Value| ask("POST", path).key(at).json(&body);
    let patch = |path: &str, body: Value| ask("PATCH", path).key(at).json(&body);
    let limit = "accepted: a whole number from 0 to 9007199254740991";
    let mut rows = vec![
        ask("GET", "/v1/tenants?page=1").key(at).tenantcore(
            422,
            "invalid_parameter",
            "page: unknown parameter; accepted: limit, cursor",
        ),
        post("/v1/tenants", json!({})).tenantcore(422, "invalid_parameter", "name: is required"),
        post("/v1/tenants", json!({ "tenant_name": "x", "tenant_id": "y" })).tenantcore(
            422,
            "invalid_parameter",
            "tenant_id: \"y\" is not a UUID (36 characters, 8-4-4-4-12)",
        ),
        post("/v1/tenants", json!({ "tenant_name": "x", "tenant_id": at.tenant })).tenantcore(
            409,
            "tenant_exists",
            &format!("the tenant id {} is taken", at.tenant),
        ),
        post("/v1/tenants?x=1", json!({ "name": "x" })).tenantcore(
            422,
            "invalid_parameter",
            "x: unknown parameter; accepted: none",
        ),
        post(&mailboxes, json!({})).tenantcore(422, "invalid_parameter", "address: is required"),
        post(&mailboxes, json!({ "primary_smtp": "x" })).tenantcore(
            422,
            "invalid_parameter",
            "address: \"x\" is not a mail address; accepted: local@domain",
        ),
        post(&mailboxes, json!({ "address": "SALES@example.org" })).tenantcore(
            409,
            "mailbox_exists",
            "there is a mailbox SALES@example.org already",
        ),
        patch(&mailbox, json!({ "daily_send_limit": -1 })).tenantcore(
            422,
            "invalid_parameter",
            &format!("daily_send_limit: -1 is not acceptable; {limit}"),
        ),
        patch(&mailbox, json!({ "daily_send_limit": "25" })).tenantcore(
            422,
            "invalid_parameter",
            &format!("daily_send_limit: \"25\" is not acceptable; {limit}"),
        ),
        patch(&mailbox, json!({ "limit": 1 })).tenantcore(422, "invalid_parameter", "limit: unknown member"),
        patch(&format!("{mailboxes}/abc"), json!({})).tenantcore(
            404,
            "mailbox_not_found",
            "Mailbox not found",
        ),
        patch(&format!("{mailboxes}/{}", at.guarded), json!({})).tenantcore(
            404,
            "mailbox_not_found",
            "Mailbox not found",
        ),
        patch(&format!("{mailbox}?x=1"), json!({})).tenantcore(
            422,
            "invalid_parameter",
            "x: unknown parameter; accepted: none",
        ),
    ];
    for id in ["nope", NOBODY] {
        rows.extend([
            ask("GET", format!("/v1/tenants/{id}")).key(at).tenantcore(
                404,
                "tenant_not_found",
                "Tenant not found",
            ),
            ask("GET", format!("/v1/tenants/{id}/mailboxes")).key(at).tenantcore(
                404,
                "tenant_not_found",
                "Tenant not found",
            ),
            post(&format!("/v1/tenants/{id}/mailboxes"), json!({})).tenantcore(
                404,
                "tenant_not_found",
                "Tenant not found",
            ),
            patch(&format!("/v1/tenants/{id}/mailboxes/{}", at.mailbox), json!({})).tenantcore(
                404,
                "tenant_not_found",
                "Tenant not found",
            ),
        ]);
    }
    rows
}

fn administration(at: &Place) -> Vec<Row> {
    let admin = |method: &'static str, path: &str| ask(method, format!("/api/v1/admin/{path}")).key(at);
    let invalid = "invalid_parameter";
    let name = "accepted: text of 1 to 200 characters, no control characters";
    let mut rows = Vec::new();
    for (path, body, message) in [
        ("workspaces", json!({}), "name: is required".to_owned()),
        ("workspaces", json!({ "name": "" }), format!("name: \"\" is not acceptable; {name}")),
        ("workspaces", json!({ "name": "x", "x": 1 }), "x: unknown member".to_owned()),
        ("users", json!({}), "email: is required".to_owned()),
        ("users", json!({ "email": "x@example.org" }), "role: is required".to_owned()),
        ("users", json!({ "email": "x@example.org", "role": "root" }), "role: \"root\" is not acceptable; accepted: owner, admin, auditor".to_owned()),
        // With an account or without one.
        (
            "users",
            json!({ "email": "x@example.org", "role": "admin", "password": "long enough for all" }),
            "password: is not taken from an administrator; the person chooses it, with the link of the answer".to_owned(),
        ),
        (
            "users",
            json!({ "email": OWNER, "role": "admin", "password": "long enough for all" }),
            "password: is not taken from an administrator; the person chooses it, with the link of the answer".to_owned(),
        ),
        (
            "users",
            json!({ "email": "nope", "role": "admin", "password": "long enough for all" }),
            "email: \"nope\" is not a mail address; accepted: local@domain".to_owned(),
        ),
        ("tenants", json!({ "name": 5 }), format!("name: 5 is not acceptable; {name}")),
        ("tenants", json!({ "name": "a\u{0}" }), format!("name: \"a\\u0000\" is not acceptable; {name}")),
        ("mailboxes", json!({ "address": "x" }), "address: \"x\" is not a mail address; accepted: local@domain".to_owned()),
        (
            "mailboxes",
            json!({ "address": "x@example.org", "tenant_id": "x" }),
            "tenant_id: \"x\" is not a UUID (36 characters, 8-4-4-4-12), and no tenant is called so".to_owned(),
        ),
        (
            "mailboxes",
            json!({ "address": "x@example.org", "daily_send_limit": 1.5 }),
            "daily_send_limit: 1.5 is not acceptable; accepted: a whole number from 0 to 9007199254740991".to_owned(),
        ),
        ("projects", json!({}), "name: is required".to_owned()),
        ("projects", json!({ "name": "x", "workspace_id": "x" }), "workspace_id: \"x\" is not a UUID (36 characters, 8-4-4-4-12), and no workspace is called so".to_owned()),
        ("keys", json!({ "name": "k" }), "scopes: is required".to_owned()),
        ("keys", json!({ "name": "k", "scopes": [] }), "scopes: is empty; a key without a scope opens nothing".to_owned()),
        (
            "keys",
            json!({ "name": "k", "scopes": ["all"] }),
            "scopes: \"all\" is unknown; accepted: enforcement:read, enforcement:write, messages:read, messages:write, activity:write, admin".to_owned(),
        ),
        ("keys", json!({ "name": "k", "scopes": "admin" }), "scopes: \"admin\" is not acceptable; accepted: a list".to_owned()),
        (
            "keys",
            json!({ "name": "k", "scopes": ["admin"], "expires_at": "2026-04-30T14:22:11Z" }),
            "expires_at: 2026-04-30T14:22:11Z is over already".to_owned(),
        ),
        (
            "keys",
            json!({ "name": "k", "scopes": ["admin"], "key": "sk_live_1" }),
            "key: is not mt_live_ or tc_live_ and 48 lower-case hex digits".to_owned(),
        ),
        ("licenses", json!({}), "holder: is required".to_owned()),
        ("licenses", json!({ "holder": "x", "expires_at": "2020-01-01T00:00:00Z" }), "expires_at: 2020-01-01T00:00:00Z is over already".to_owned()),
        ("retention/run", json!({ "dry_run": "yes" }), "dry_run: \"yes\" is not acceptable; accepted: true or false".to_owned()),
        ("retention/run", json!({ "dryRun": true }), "dryRun: unknown member".to_owned()),
        ("backups", json!({}), "file: is required".to_owned()),
        (
            "backups",
            json!({ "file": "../x" }),
            "file: \"../x\" is not a plain file name; accepted: up to 64 letters, digits, '-', '_' and '.'".to_owned(),
        ),
        (
            "backups",
            json!({ "file": "/x" }),
            "file: \"/x\" is not a plain file name; accepted: up to 64 letters, digits, '-', '_' and '.'".to_owned(),
        ),
        (
            "backups",
            json!({ "file": ".x" }),
            "file: \".x\" is not a plain file name; accepted: up to 64 letters, digits, '-', '_' and '.'".to_owned(),
        ),
        ("check", json!({ "x": 1 }), "x: unknown member".to_owned()),
    ] {
        rows.push(admin("POST", path).json(&body).problem(422, invalid, &message));
    }
    for path in [
        "workspaces",
        "users",
        "tenants",
        "mailboxes",
        "projects",
        "keys",
        "licenses",
        "retention/run",
        "backups",
        "check",
        "clock/accept",
    ] {
        let message = "work_space: unknown parameter; accepted: none";
        rows.push(
            admin("POST", &format!("{path}?work_space=1")).json(&json!({})).problem(422, invalid, message),
        );
    }
    for (path, known) in [
        ("workspaces", "limit, cursor"),
        ("users", "workspace_id, limit, cursor"),
        ("tenants", "workspace_id, limit, cursor"),
        ("mailboxes", "workspace_id, limit, cursor, deleted"),
        ("projects", "workspace_id, limit, cursor"),
        ("keys", "workspace_id, limit, cursor"),
        ("licenses", "limit, cursor"),
        ("retention", "none"),
        ("stats", "none"),
    ] {
        let message = format!("page: unknown parameter; accepted: {known}");
        rows.push(admin("GET", &format!("{path}?page=5")).problem(422, invalid, &message));
    }
    for (path, code, subject) in [
        ("workspaces", "workspace_not_found", "Workspace"),
        ("users", "user_not_found", "User"),
        ("tenants", "tenant_not_found", "Tenant"),
        ("mailboxes", "mailbox_not_found", "Mailbox"),
        ("projects", "project_not_found", "Project"),
        ("keys", "key_not_found", "Key"),
    ] {
        for id in ["nope", NOBODY, "0"] {
            let message = format!("{subject} not found");
            rows.push(admin("GET", &format!("{path}/{id}")).problem(404, code, &message));
            rows.push(admin("DELETE", &format!("{path}/{id}")).problem(404, code, &message));
        }
    }
    let mailbox = at.mailbox;
    let (tenant, project, user) = (&at.tenant, &at.project, &at.user);
    let workspace = &at.workspace;
    let misspelt = "dry_run: unknown parameter; accepted: none";
    rows.extend([
        admin("DELETE", &format!("mailboxes/{mailbox}?dry_run=1")).problem(422, invalid, misspelt),
        admin("DELETE", &format!("tenants/{tenant}?dry_run=1")).problem(422, invalid, misspelt),
        admin("DELETE", &format!("projects/{project}?dry_run=1")).problem(422, invalid, misspelt),
        admin("DELETE", &format!("users/{user}?workspace={workspace}")).problem(
            422,
            invalid,
            "workspace: unknown parameter; accepted: workspace_id",
        ),
        admin("PATCH", &format!("mailboxes/{mailbox}")).json(&json!({ "legal_hold": "yes" })).problem(
            422,
            invalid,
            "legal_hold: \"yes\" is not acceptable; accepted: true or false",
        ),
        admin("PATCH", &format!("mailboxes/{mailbox}")).json(&json!({ "tenant_id": NOBODY })).problem(
            404,
            "tenant_not_found",
            "Tenant not found",
        ),
        admin("PATCH", &format!("mailboxes/{mailbox}")).json(&json!({ "sends_today": 0 })).problem(
            422,
            invalid,
            "sends_today: unknown member",
        ),
        admin("PATCH", &format!("tenants/{tenant}")).json(&json!({ "name": "" })).problem(
            422,
            invalid,
            &format!("name: \"\" is not acceptable; {name}"),
        ),
        admin("PATCH", &format!("projects/{project}")).json(&json!([])).problem(
            422,
            invalid,
            "body: a list is not an object",
        ),
        admin("PATCH", &format!("workspaces/{workspace}")).json(&json!({})).problem(
            422,
            invalid,
            "name: is required",
        ),
        admin("DELETE", &format!("workspaces/{workspace}")).problem(
            403,
            "forbidden",
            "only an owner of the workspace may do this",
        ),
        admin("DELETE", &format!("users/{user}")).problem(
            403,
            "forbidden",
            "only an owner of the workspace may do this",
        ),
        admin("PATCH", &format!("users/{user}")).json(&json!({ "role": "auditor" })).problem(
            403,
            "forbidden",
            "only an owner of the workspace may do this",
        ),
        admin("POST", "users")
            .json(&json!({ "email": "x@example.org", "role": "owner", "password": "long enough for all" }))
            .problem(403, "forbidden", "only an owner of the workspace may do this"),
        admin("POST", "users").json(&json!({ "email": OWNER, "role": "admin" })).problem(
            409,
            "member_exists",
            &format!("{OWNER} is a member already"),
        ),
        admin("POST", "keys").json(&json!({ "name": "k", "scopes": ["admin"], "key": at.key })).problem(
            409,
            "key_exists",
            "this key is stored already",
        ),
        admin("POST", &format!("keys/{NOBODY}/rotate")).problem(404, "key_not_found", "Key not found"),
        admin("GET", "tenants?workspace_id=x").problem(
            422,
            invalid,
            "workspace_id: \"x\" is not a UUID (36 characters, 8-4-4-4-12), and no workspace is called so",
        ),
        admin("GET", &format!("tenants?workspace_id={NOBODY}")).problem(
            404,
            "workspace_not_found",
            "Workspace not found",
        ),
        admin("POST", "projects").text("").problem(
            400,
            "malformed_body",
            "the body is empty; expected: JSON",
        ),
        admin("POST", "projects").text("{").problem(
            400,
            "malformed_body",
            "the body is not acceptable JSON: EOF while parsing an object at line 1 column 1",
        ),
    ]);
    rows
}

// ---------------------------------------------------------------------------------------------- media types, sizes, routes

fn media_types_and_sizes(at: &Place) -> Vec<Row> {
    let events = || ask("POST", "/v1/enforcement/events").key(at);
    let entries = format!("/v1/mailboxes/{}/audit-logs", at.mailbox);
    let activity = format!("/api/v1/projects/{}/audit-log", at.project);
    let good = event(at, "", Value::Null).to_string();
    let mut rows = Vec::new();
    for media_type in ["text/plain", "application/xml", "multipart/form-data", "message/rfc822", "nonsense"] {
        let message = format!("{media_type} is not accepted here; accepted: application/json");
        rows.push(events().body(media_type, good.clone()).tenantcore(
            415,
            "unsupported_media_type",
            &message,
        ));
        if media_type != "message/rfc822" {
            rows.push(ask("POST", entries.clone()).key(at).body(media_type, "{}").mailbuttons(415, &message));
        }
        rows.push(ask("POST", activity.clone()).key(at).body(media_type, "{}").senddock(415, &message));
        rows.push(ask("POST", "/api/v1/admin/projects").key(at).body(media_type, "{}").problem(
            415,
            "unsupported_media_type",
            &message,
        ));
    }
    let bulk = vec![b' '; 128 * 1024 + 1];
    let single = vec![b' '; 8 * 1024 + 1];
    let too_much = |limit: usize| format!("the body exceeds the {limit} bytes that this route accepts");
    let (single_limit, bulk_limit) = (too_much(8 * 1024), too_much(128 * 1024));
    rows.extend([
        events().body("application/json", bulk.clone()).tenantcore(413, "body_too_large", &bulk_limit),
        ask("POST", entries.clone())
            .key(at)
            .body("message/rfc822", bulk.clone())
            .mailbuttons(413, &bulk_limit),
        ask("POST", activity).key(at).body("application/x-ndjson", bulk).senddock(413, &bulk_limit),
        ask("POST", "/v1/enforcement/sends").key(at).body("", single.clone()).tenantcore(
            413,
            "body_too_large",
            &single_limit,
        ),
        ask("PUT", format!("/v1/mailboxes/{}/policy", at.mailbox))
            .key(at)
            .body("", single.clone())
            .mailbuttons(413, &single_limit),
        ask("PATCH", format!("{entries}/known@example.org"))
            .key(at)
            .body("", single.clone())
            .mailbuttons(413, &single_limit),
        ask("POST", "/api/v1/admin/projects").key(at).body("", single.clone()).problem(
            413,
            "body_too_large",
            &single_limit,
        ),
        // Who has no key is asked for it, whatever the body; and where there is no route none is read.
        ask("POST", "/v1/enforcement/sends").body("", single.clone()).tenantcore(
            401,
            "invalid_auth_header",
            "Missing or malformed Authorization header; expected: Bearer <api key>",
        ),
        ask("POST", "/nowhere").body("", single.clone()).problem(404, "route_not_found", "Route not found"),
        ask("POST", "/api/v1/auth/login")
            .body("", single[..4 * 1024 + 1].to_vec())
            .senddock(413, &too_much(4 * 1024)),
        ask("GET", "/v1/tenants").key(at).body("", single[..4 * 1024 + 1].to_vec()).tenantcore(
            413,
            "body_too_large",
            &too_much(4 * 1024),
        ),
    ]);
    rows
}

fn routes(at: &Place) -> Vec<Row> {
    let not_for =
        |method: &str, accepted: &str| format!("{method} is not for this route; accepted: {accepted}");
    let (mailbox, project) = (at.mailbox, &at.project);
    let mut rows = Vec::new();
    for (method, path, accepted) in [
        ("DELETE", "/v1/enforcement/events", "GET, HEAD, POST"),
        ("PUT", "/api/v1/enforcement/events", "GET, HEAD, POST"),
        ("GET", "/v1/enforcement/sends", "POST"),
        ("DELETE", "/v1/tenants", "GET, HEAD, POST"),
    ] {
        rows.push(ask(method, path).key(at).tenantcore(
            405,
            "method_not_allowed",
            &not_for(method, accepted),
        ));
    }
    for (method, path, accepted) in [
        ("DELETE", format!("/v1/mailboxes/{mailbox}/audit-logs"), "GET, HEAD, POST"),
        ("DELETE", format!("/v1/mailboxes/{mailbox}/audit-logs/known@example.org"), "GET, HEAD, PATCH"),
        ("PUT", format!("/api/v1/mailboxes/{mailbox}/audit-logs/known@example.org"), "GET, HEAD, PATCH"),
        ("GET", format!("/v1/mailboxes/{mailbox}/inbound"), "POST"),
        ("DELETE", format!("/v1/mailboxes/{mailbox}/policy"), "GET, HEAD, PUT"),
    ] {
        rows.push(ask(method, path).key(at).mailbuttons(405, &not_for(method, accepted)));
    }
    for (method, path, accepted) in [
        ("DELETE", format!("/api/v1/projects/{project}/audit-log"), "GET, HEAD, POST"),
        ("PATCH", format!("/api/v1/projects/{project}/audit-log"), "GET, HEAD, POST"),
        ("POST", format!("/api/v1/workspaces/{}/audit-log", at.workspace), "GET, HEAD"),
        ("POST", "/api/v1/me".into(), "GET, HEAD"),
        ("GET", "/api/v1/auth/login".into(), "POST"),
    ] {
        rows.push(ask(method, path).session(at).senddock(405, &not_for(method, accepted)));
    }
    for (method, path, accepted) in [
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/api/v1/admin/workspaces", "GET, HEAD, POST"),
        ("GET", "/api/v1/admin/retention/run", "POST"),
    ] {
        rows.push(ask(method, path).key(at).problem(405, "method_not_allowed", &not_for(method, accepted)));
    }
    for path in
        ["/v1/enforcement", "/v1/enforcement/nope", "/api/v1/enforcement/events/", "/v1/tenants/x/nope"]
    {
        rows.push(ask("GET", path).key(at).tenantcore(404, "route_not_found", "Route not found"));
    }
    for path in ["/v1/mailboxes", "/v1/mailboxes/1", "/v1/mailboxes//audit-logs", "/api/v1/mailboxes/1/nope"]
    {
        rows.push(ask("GET", path).key(at).mailbuttons(404, "Route not found"));
    }
    for path in
        ["/api/v1/projects/x", "/api/v1/auth/nope", "/api/v1/workspaces/x", "/v1/projects/x/audit-log"]
    {
        rows.push(ask("GET", path).session(at).senddock(404, "route not found"));
    }
    for path in [
        "/",
        "/nowhere",
        "/v1",
        "/v2/enforcement/events",
        "/api/v1/admin",
        "/api/v1/admin/nope",
        "//v1/tenants",
    ] {
        rows.push(ask("GET", path).key(at).problem(404, "route_not_found", "Route not found"));
    }
    rows.push(ask("BREW", "/v1/enforcement/events").tenantcore(
        501,
        "not_implemented",
        "unknown method \"BREW\"",
    ));
    rows.push(ask("TRACE", "/v1/mailboxes/1/policy").mailbuttons(501, "unknown method \"TRACE\""));
    rows.push(ask("GET", "/healthz?x=1").problem(
        422,
        "invalid_parameter",
        "x: unknown parameter; accepted: none",
    ));
    rows
}
