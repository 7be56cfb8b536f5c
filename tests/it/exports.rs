//! An export goes on for as long as its caller may read, and ends where it began.

use std::io::{Read, Write};
use std::net::TcpStream;

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{OWNER, Server, time};

/// An export that has begun, and waits for its client.
struct Export {
    stream: TcpStream,
    got: Vec<u8>,
}

impl Export {
    fn begin(server: &Server, path: &str, header: &str) -> Self {
        let address = server.url().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(address).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a send");
        let mut got = vec![0; 1024];
        let n = stream.read(&mut got).expect("a beginning");
        got.truncate(n);
        assert!(got.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&got));
        Self { stream, got }
    }

    /// All of it, and whether that is the whole.
    fn end(mut self) -> (String, bool) {
        // A reset says that it was cut, too.
        let _ = self.stream.read_to_end(&mut self.got);
        let text = String::from_utf8_lossy(&self.got).into_owned();
        let (_, mut chunks) = text.split_once("\r\n\r\n").expect("a head");
        let mut body = String::new();
        while let Some((length, rest)) = chunks.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).expect("a length");
            if length == 0 {
                return (body, true);
            }
            body.push_str(&rest[..length.min(rest.len())]);
            chunks = rest.get(length + 2..).unwrap_or_default();
        }
        (body, false)
    }
}

/// More than sockets hold: 16 MB of activities.
fn with_much() -> (Server, String) {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let path = format!("/api/v1/projects/{project}/audit-log");
    for at in 0..4 {
        let entries: String = (0..64)
            .map(|n| {
                let entry = json!({
                    "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "site.publish", "target_id": format!("t{at}-{n}"),
                    "metadata": { "text": "x".repeat(60_000) }, "created_at": "2026-04-01T00:00:00Z",
                });
                format!("{entry}\n")
            })
            .collect();
        let post = server.request(Method::Post, &path).key(&server.key);
        post.body("application/x-ndjson", entries).send().status(201);
    }
    (server, path)
}

fn stream_of(path: &str) -> String {
    format!("{path}?format=ndjson&order=asc")
}

#[test]
fn an_export_ends_with_the_session_it_was_begun_with() {
    let (server, path) = with_much();
    let path = stream_of(&path);
    let member = server.add_user(&server.workspace, "grace@example.org", "auditor").text("id");
    let begin = || {
        let cookie = server.login("grace@example.org");
        (Export::begin(&server, &path, &format!("Cookie: {cookie}")), cookie)
    };
    // As long as nothing happens it is whole.
    let (export, _) = begin();
    let (text, is_whole) = export.end();
    assert!(is_whole);
    assert_eq!(text.matches("\"action\":\"site.publish\"").count(), 256);

    let (export, cookie) = begin();
    server.request(Method::Post, "/api/v1/auth/logout").cookie(&cookie).send().status(204);
    let (text, is_whole) = export.end();
    assert!(!is_whole, "after a logout");
    assert!(text.matches("\"action\":\"site.publish\"").count() < 256);

    let (export, _) = begin();
    server.operator(Method::Delete, &format!("/api/v1/admin/users/{member}"), &Value::Null).status(204);
    assert!(!export.end().1, "without a role");
}

#[test]
fn an_export_ends_with_the_age_of_its_session() {
    let (server, path) = with_much();
    let cookie = server.login(OWNER);
    let export = Export::begin(&server, &stream_of(&path), &format!("Cookie: {cookie}"));
    server.clock.set(time("2026-05-07T14:22:11Z"));
    assert!(!export.end().1);
}

#[test]
fn an_export_ends_with_the_key_it_was_begun_with() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    for at in 0..4 {
        let items: Vec<Value> = (0..64)
            .map(|n| {
                json!({
                    "message_id": format!("m{at}-{n}"), "outcome": "delivered", "reply_sent": "x".repeat(30_000),
                })
            })
            .collect();
        server.post(&path, &json!({ "items": items })).status(201);
    }
    for format in ["csv", "ndjson", "proof"] {
        let made = json!({ "workspace_id": server.workspace, "name": format, "scopes": ["messages:read"] });
        let made = server.operator(Method::Post, "/api/v1/admin/keys", &made).good();
        let header = format!("Authorization: Bearer {}", made.text("key"));
        let begin = || Export::begin(&server, &format!("{path}?format={format}"), &header);
        assert!(begin().end().1, "{format}");
        let export = begin();
        let key = format!("/api/v1/admin/keys/{}", made.text("id"));
        server.operator(Method::Delete, &key, &Value::Null).status(204);
        assert!(!export.end().1, "{format}, revoked");
    }
    // A page is several pieces, too.
    let key = server.add_key(&server.workspace, &["enforcement:write"]);
    server.request(Method::Get, &path).key(&key).send().status(403);
}

/// What is recorded while it is read is not in it: neither rows, nor what came later to a row.
#[test]
fn an_export_has_what_there_was_at_its_start() {
    let (server, path) = with_much();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let list = format!("/v1/mailboxes/{mailbox}/audit-logs");
    for n in 0..128 {
        let entry = json!({ "message_id": format!("m{n}"), "outcome": "delivered", "reply_sent": "x".repeat(60_000) });
        server.post(&list, &entry).status(201);
    }
    let cookie = server.login(OWNER);
    let of_activity = Export::begin(&server, &stream_of(&path), &format!("Cookie: {cookie}"));
    let of_messages =
        Export::begin(&server, &stream_of(&list), &format!("Authorization: Bearer {}", server.key));
    let late = json!({
        "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "late.publish", "created_at": "2026-04-01T00:00:00Z",
    });
    server.post(&path, &late).status(201);
    server.post(&list, &json!({ "message_id": "late", "outcome": "delivered" })).status(201);
    server.patch(&format!("{list}/m127"), &json!({ "bounce": "late" })).status(200);
    for (export, n_rows) in [(of_activity, 256), (of_messages, 128)] {
        let (text, is_whole) = export.end();
        assert!(is_whole);
        let is_ours = |line: &&str| line.contains("\"recorded_by\":\"key test\"");
        assert_eq!(text.lines().filter(is_ours).count(), n_rows);
        assert!(!text.contains("late"));
    }
}
