//! No secret in any log line, refusal, metric or file: a session of the real binary at its most talkative, with
//! secrets in their right places and in wrong ones, and a search for each of them afterwards.
//!
//! A secret may be seen in one answer each: the one that shows a key or a password for the only time, and the cookie
//! of a login. The database may hold hashes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mailtrail::ids::sha256;
use serde_json::{Value, json};

const PASSWORD: &str = "planted password of the owner";
const SPARE: &str = "planted license that is none";

struct Session {
    process: Child,
    address: String,
    directory: tempfile::TempDir,
    /// Everything that may not hold a secret, with where it comes from.
    said: Vec<(String, Vec<u8>)>,
}

/// One answer, as bytes.
type Raw = Vec<u8>;

fn binary(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.arg("--data").arg(data).args(["--set", "log=debug"]).env("SENDDOCK_LICENSE_KEY", SPARE);
    command
}

impl Session {
    /// `init` and `serve`; also what `init` made.
    fn start() -> (Self, Value) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let data = directory.path().join("data");
        let mut init = binary(&data);
        init.args(["init", "--email", "ada@example.org", "--password-stdin", "--json"]);
        let mut init =
            init.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("init");
        writeln!(init.stdin.take().expect("its input"), "{PASSWORD}").expect("a password is given");
        let output = init.wait_with_output().expect("an end");
        let made = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        let mut said = vec![("what init told".to_owned(), output.stderr)];
        let config = binary(&data).arg("config").output().expect("config");
        said.push(("mailtrail config".to_owned(), [config.stdout, config.stderr].concat()));

        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let mut serve = binary(&data);
        serve.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut process = serve.stdout(Stdio::piped()).stderr(log).spawn().expect("a server");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut url).expect("a line");
        let address = url.trim().trim_start_matches("http://").to_owned();
        assert!(
            !address.is_empty(),
            "{}",
            std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
        );
        (Self { process, address, directory, said }, made)
    }

    /// Bytes as they are on a connection of their own; the answer, which may be looked at for secrets or not.
    fn raw(&mut self, request: &[u8], shows_secret: bool) -> Raw {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(request));
        if !shows_secret {
            let what = String::from_utf8_lossy(request).into_owned();
            self.said.push((format!("the answer to {what}"), answer.clone()));
        }
        answer
    }

    /// A request with header lines and a body.
    fn ask(&mut self, line: &str, headers: &[String], body: &str, shows_secret: bool) -> Raw {
        let mut head = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(format!("{head}\r\n{body}").as_bytes(), shows_secret)
    }

    /// The same with a key; the JSON that comes back, which shows what it made.
    fn make(&mut self, key: &str, path: &str, body: &Value) -> Value {
        let authorization = format!("Authorization: Bearer {key}");
        let answer = self.ask(&format!("POST {path}"), &[authorization], &body.to_string(), true);
        body_of(&answer)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Every file of the data directory but those that are there to hold a secret.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path().join("data")).expect("a directory");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files
            .retain(|path| !path.ends_with("issuer.key") && !path.ends_with("license.key") && path.is_file());
        files.push(self.log());
        files
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn body_of(answer: &[u8]) -> Value {
    let text = String::from_utf8_lossy(answer).into_owned();
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// `_` as a browser never writes it.
fn escaped(key: &str) -> String {
    key.replace('_', "%5F")
}

#[test]
fn no_secret_is_logged_answered_measured_or_stored() {
    let (mut at, made) = Session::start();
    let key = text(&made, "api_key");
    let bearer = format!("Authorization: Bearer {key}");
    let by_key = [bearer.clone()];
    let mut secrets = vec![PASSWORD.to_owned(), SPARE.to_owned(), text(&made, "license_key")];
    let keep = |secrets: &mut Vec<String>, key: &str| secrets.push(key[8..].to_owned());
    keep(&mut secrets, &key);
    let issuer =
        std::fs::read_to_string(at.directory.path().join("data/issuer.key")).expect("an issuing key");
    secrets.push(issuer.trim().to_owned());

    // In their right places.
    let login = json!({ "email": "ada@example.org", "password": PASSWORD }).to_string();
    let answer = at.ask("POST /api/v1/auth/login", &[], &login, true);
    let head = String::from_utf8_lossy(&answer).into_owned();
    let token =
        head.split("mailtrail_session=").nth(1).and_then(|rest| rest.split(';').next()).expect("a session");
    assert_eq!(token.len(), 64, "{head}");
    secrets.push(token.to_owned());
    let cookie = format!("Cookie: mailtrail_session={token}");
    let by_cookie = [cookie.clone()];
    at.ask("GET /api/v1/me", &by_cookie, "", false);
    let made = at.make(&key, "/api/v1/admin/keys", &json!({ "name": "second", "scopes": ["admin"] }));
    let second = text(&made, "key");
    keep(&mut secrets, &second);
    let rotated = at.make(&key, &format!("/api/v1/admin/keys/{}/rotate", text(&made, "id")), &json!({}));
    keep(&mut secrets, &text(&rotated, "key"));
    let brought = format!("tc_live_{}", "0123456789ab".repeat(4));
    keep(&mut secrets, &brought);
    at.make(
        &key,
        "/api/v1/admin/keys",
        &json!({ "name": "brought", "scopes": ["messages:read"], "key": brought }),
    );
    let license = at.make(&key, "/api/v1/admin/licenses", &json!({ "holder": "planted holder" }));
    secrets.push(text(&license, "license_key"));
    let project = text(&at.make(&key, "/api/v1/admin/projects", &json!({ "name": "planted project" })), "id");
    let entry = json!({
        "user_id": "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11", "action": "smtp.update",
        "metadata": {
            "smtp_password": "planted smtp password", "webhook_secret": "planted webhook secret",
            "deep": [{ "api_key": "planted foreign key", "note": format!("the key was {brought}") }],
        },
    });
    secrets.extend(
        ["planted smtp password", "planted webhook secret", "planted foreign key"].map(str::to_owned),
    );
    at.ask(&format!("POST /api/v1/projects/{project}/audit-log"), &by_key, &entry.to_string(), false);

    // In wrong places: the path, the query, headers, the first line.
    let wrong = [
        format!("GET /{key}"),
        format!("GET /v1/tenants/{key}"),
        format!("GET /v1/mailboxes/{key}/audit-logs"),
        format!("GET /v1/mailboxes/1/audit-logs/{}", escaped(&key)),
        format!("DELETE /api/v1/admin/keys/{key}"),
        format!("GET /v1/enforcement/events?api_key={key}"),
        format!("GET /v1/enforcement/events?{key}"),
        format!("GET /v1/enforcement/events?{}=1", escaped(&key)),
        format!("GET /v1/enforcement/events?tenant_id={key}"),
        format!("GET /v1/enforcement/events?limit={key}"),
        format!("GET /v1/enforcement/events?from={key}"),
        format!("GET /v1/enforcement/events?cursor={key}"),
        format!("GET /v1/enforcement/events?action={key}&offset={key}"),
        format!("GET /v1/enforcement/events?format={key}"),
        format!("GET /v1/enforcement/events?a={key}%zz"),
        format!("GET /v1/enforcement/events?a={}%zz", escaped(&key)),
        format!("GET /v1/enforcement/events?a={}%FF", escaped(&key)),
        format!("GET /v1/enforcement/events?a={key}%00"),
        format!("GET /v1/enforcement/events?mailtrail_session={token}"),
        format!("GET /api/v1/me?session={token}"),
        format!("GET /api/v1/admin/users?workspace_id={key}"),
        format!("GET /api/v1/admin/users?password={PASSWORD}").replace(' ', "+"),
        format!("{key} /v1/tenants"),
        format!("PATCH /v1/tenants/{key}/mailboxes/{key}"),
    ];
    for line in &wrong {
        for credentials in [vec![], vec![bearer.clone()], vec![cookie.clone()]] {
            at.ask(line, &credentials, "", false);
        }
    }
    for headers in [
        vec![format!("Authorization: {key}")],
        vec![format!("Authorization: Basic {key}")],
        vec![format!("Authorization: Bearer {key}x")],
        vec![format!("Authorization: Bearer {key} {key}")],
        vec![format!("Authorization: Bearer Bearer {key}")],
        vec![bearer.clone(), bearer.clone()],
        vec![format!("Authorization Bearer {key}")],
        vec![format!("Authorization : Bearer {key}")],
        vec![format!("Cookie: mailtrail_session={key}")],
        vec![format!("Cookie: {key}={token}")],
        vec![bearer.clone(), format!("X-Request-Id: {key}")],
        vec![bearer.clone(), format!("X-Forwarded-For: {key}")],
        vec![bearer.clone(), format!("Accept: {key}")],
        vec![bearer.clone(), format!("Content-Length: {key}")],
        vec![bearer.clone(), format!("Transfer-Encoding: {key}")],
        vec![bearer.clone(), format!("Expect: {key}")],
        vec![format!("{key}: {key}")],
    ] {
        at.ask("GET /v1/tenants", &headers, "", false);
        at.ask("GET /api/v1/me", &headers, "", false);
    }
    for (header, path) in
        [("User-Agent", "/v1/tenants"), ("Idempotency-Key", "/v1/tenants"), ("Content-Type", "/v1/tenants")]
    {
        let headers = [bearer.clone(), format!("{header}: {key}")];
        at.ask(&format!("POST {path}"), &headers, r#"{"name":"planted tenant"}"#, false);
    }

    // In bodies of the wrong kind.
    let typed = "planted-typed-as-email";
    let new = "planted password that is new";
    secrets.extend([typed.to_owned(), new.to_owned(), "8675309867530986".to_owned()]);
    for body in [
        json!({ "email": typed, "password": new }).to_string(),
        json!({ "email": "ada@example.org", "password": new }).to_string(),
        json!({ "email": "ada@example.org", "password": [new] }).to_string(),
        json!({ "email": "ada@example.org", "password": 8_675_309_867_530_986_i64 }).to_string(),
        json!({ "email": "ada@example.org", "password": { "is": new } }).to_string(),
        json!({ "email": "ada@example.org", "passwrod": new }).to_string(),
        json!(["ada@example.org", new]).to_string(),
        json!(new).to_string(),
        format!(r#"{{"email":"ada@example.org","password":"{new}"#),
        format!(r#"{{"email":"ada@example.org","password":"{new}","password":"{new}"}}"#),
        format!("email=ada@example.org&password={new}"),
        json!({ key.clone(): new }).to_string(),
    ] {
        at.ask("POST /api/v1/auth/login", &[], &body, false);
    }
    for body in [
        json!({ "email": "new@example.org", "role": "auditor", "password": [new] }),
        json!({ "email": "new@example.org", "role": "auditor", "password": new }),
    ] {
        at.ask("POST /api/v1/admin/users", &by_key, &body.to_string(), false);
    }
    for body in [
        json!({ "name": "k", "scopes": ["admin"], "key": [key] }),
        json!({ "name": "k", "scopes": ["admin"], "key": format!("{key}{key}") }),
        json!({ "name": "k", "scopes": ["admin"], "key": new }),
        json!({ "name": "k", "scopes": ["admin"], "key": key }),
        json!({ "name": "k", "scopes": [key] }),
        json!({ "name": [key], "scopes": "admin" }),
        json!({ "workspace_id": key, "name": "k", "scopes": ["admin"] }),
        json!({ "name": "k", key.clone(): "admin" }),
    ] {
        at.ask("POST /api/v1/admin/keys", &by_key, &body.to_string(), false);
    }
    for body in
        [json!({ "tenant_id": key }), json!({ "events": key }), json!({ "events": [key] }), json!(key)]
    {
        at.ask("POST /v1/enforcement/events", &by_key, &body.to_string(), false);
    }
    let line = format!("{{\"tenant_id\":\"{key}\"}}\n\"{key}\"\n");
    let ndjson = [bearer.clone(), "Content-Type: application/x-ndjson".to_owned()];
    at.ask("POST /v1/enforcement/events", &ndjson, &line, false);
    at.raw(format!("{key}\r\n\r\n").as_bytes(), false);
    at.raw(format!("GET {key} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), false);
    at.raw(format!("GET / HTTP/1.1\r\nHost: {key} x\r\n\r\n").as_bytes(), false);

    // Everything that can be read about it all.
    for path in [
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/v1/admin/stats",
        "/api/v1/admin/keys",
        "/api/v1/admin/licenses",
        "/api/v1/admin/users",
    ] {
        let answer = at.ask(&format!("GET {path}"), &by_key, "", false);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
    }
    for socket in [["query", "activity"], ["export", "activity"], ["license", "list"], ["key", "list"]] {
        let output = binary(&at.directory.path().join("data")).args(socket).output().expect("a command");
        at.said.push((format!("mailtrail {socket:?}"), [output.stdout, output.stderr].concat()));
    }

    let mut searched: Vec<(String, Vec<u8>)> = std::mem::take(&mut at.said);
    let mut gather = |when: &str, at: &Session| {
        for file in at.files() {
            let bytes = std::fs::read(&file).expect("a file");
            searched.push((format!("{} {when}", file.display()), bytes));
        }
    };
    gather("while it serves", &at);
    let pid = rustix::process::Pid::from_child(&at.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    at.process.wait().expect("an end");
    gather("after it has stopped", &at);

    // The search finds what is there to be found.
    let is_there = |wanted: &[u8]| searched.iter().filter(|(_, bytes)| holds(bytes, wanted)).count();
    assert!(
        is_there(b"planted project") >= 2
            && is_there(b"stopping") >= 1
            && is_there(b"refused while reading: 400") >= 1
    );
    assert!(is_there(&sha256(key.as_bytes())) >= 1, "the database holds the hash");
    assert!(is_there(&sha256(token.as_bytes())) >= 1, "the database holds the hash");
    assert!(
        secrets.len() >= 15 && searched.len() > 150,
        "{} secrets, {} places",
        secrets.len(),
        searched.len()
    );
    let mut found = Vec::new();
    for secret in &secrets {
        for (place, bytes) in searched.iter().filter(|(_, bytes)| holds(bytes, secret.as_bytes())) {
            let at = bytes
                .windows(secret.len())
                .position(|window| window == secret.as_bytes())
                .unwrap_or_default();
            let around = &bytes[at.saturating_sub(80)..(at + secret.len() + 20).min(bytes.len())];
            found.push(format!("{secret:?} in {place}:\n    {}", String::from_utf8_lossy(around)));
        }
    }
    assert!(found.is_empty(), "{} places\n{}", found.len(), found.join("\n"));
}
