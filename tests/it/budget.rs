//! What one request, and all of them, may take: whoever sends half of something, or something that would be large once
//! it is read, takes from nobody else. What it costs in bytes is for tests/hostile/bombs.py.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use log::Level;
use mailtrail::error::Error;
use mailtrail::http::{Method, client};
use mailtrail::store::{Asker, Snapshot};
use serde_json::{Value, json};

use crate::support::process::{Owners, Serving, mailtrail, run_json};
use crate::support::{Answer, OWNER, PASSWORD, Server};

const NOBODY: &str = "mt_live_000000000000000000000000000000000000000000000000";

/// A connection that has sent this and waits.
struct Half(TcpStream);

impl Half {
    fn sent(server: &Server, head: &str, body: &[u8]) -> Self {
        let mut stream =
            TcpStream::connect(server.url().trim_start_matches("http://")).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        Self(stream)
    }

    /// All that comes until the server has ended its half.
    fn answer(mut self) -> String {
        let mut answer = Vec::new();
        let _ = self.0.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn head(line: &str, key: Option<&str>, more: &str) -> String {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!("{line} HTTP/1.1\r\nHost: a\r\n{key}{more}\r\n")
}

fn event(tenant: &str) -> Value {
    json!({
        "tenant_id": tenant, "mailbox_address": "a@b.example", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    })
}

// ---------------------------------------------------------------------------------------------- at the head

#[test]
fn who_has_no_key_is_refused_before_any_body() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Newsletter");
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", None, None);
    let reader = server.add_key(&server.workspace, &["enforcement:read"]);
    let events = "POST /v1/enforcement/events";
    let tenantcore = |code: &str| format!("\"code\":\"{code}\"");
    let length = "Content-Length: 16777216\r\n";
    for (line, key, more, status, words) in [
        (events, None, length.to_owned(), 401, tenantcore("invalid_auth_header")),
        (events, Some(NOBODY), length.to_owned(), 401, tenantcore("invalid_api_key")),
        (events, Some(&*reader), length.to_owned(), 403, tenantcore("forbidden")),
        (
            events,
            Some(NOBODY),
            format!("{length}Expect: 100-continue\r\n"),
            401,
            tenantcore("invalid_api_key"),
        ),
        (events, None, "Transfer-Encoding: chunked\r\n".into(), 401, tenantcore("invalid_auth_header")),
        // Longer than any route takes: the key is asked for first, as it is of everybody.
        (events, None, "Content-Length: 99999999999\r\n".into(), 401, tenantcore("invalid_auth_header")),
        (
            events,
            Some(&*server.key),
            "Content-Length: 99999999999\r\n".into(),
            413,
            tenantcore("body_too_large"),
        ),
        (
            &format!("POST /v1/mailboxes/{mailbox}/inbound"),
            None,
            length.to_owned(),
            401,
            "{\"error\":\"Missing or malformed".to_owned(),
        ),
        (
            &format!("POST /api/v1/projects/{project}/audit-log"),
            Some(NOBODY),
            length.to_owned(),
            401,
            "{\"error\":\"Invalid API key\"}".to_owned(),
        ),
        (
            "POST /api/v1/auth/logout",
            None,
            length.to_owned(),
            401,
            "{\"error\":\"Missing or expired".to_owned(),
        ),
        ("POST /api/v1/admin/keys", None, length.to_owned(), 401, tenantcore("not_authenticated")),
        ("PUT /no/such/route", None, length.to_owned(), 404, tenantcore("route_not_found")),
        ("DELETE /v1/enforcement/sends", None, length.to_owned(), 405, tenantcore("method_not_allowed")),
    ] {
        for sent in [&b""[..], b"{\"events\":["] {
            let answer = Half::sent(&server, &head(line, key, &more), sent).answer();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {key:?} {more}: {answer}");
            assert!(
                answer.contains(&words) && answer.contains("\r\nConnection: close\r\n"),
                "{line}: {answer}"
            );
        }
    }
}

#[test]
fn a_key_is_looked_at_once_and_its_body_asked_for() {
    // One request, and no other for an hour.
    let server = Server::start_with(&[("max_requests_per_key", "1/h")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let body = event(&tenant).to_string();
    let more = format!("Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let ask = || Half::sent(&server, &head("POST /v1/enforcement/events", Some(&server.key), &more), b"");
    let mut half = ask();
    let mut interim = [0; 25];
    half.0.read_exact(&mut interim).expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    half.0.write_all(body.as_bytes()).expect("a send");
    let answer = half.answer();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let answer = ask().answer();
    assert!(answer.starts_with("HTTP/1.1 429 ") && !answer.contains("100 Continue"), "{answer}");
}

// ---------------------------------------------------------------------------------------------- half of something

/// Every kind of caller gets its small write done, and mail comes in over the socket.
#[track_caller]
fn assert_served(server: &Server, keys: &[&str], tenant: &str, mailbox: i64, n: usize) {
    for key in keys {
        let send = json!({ "tenant_id": tenant, "mailbox_address": "a@b.example" });
        let sent = server.request(Method::Post, "/v1/enforcement/sends").key(key).json(&send).send();
        assert_eq!(sent.status, 200, "{sent:?}");
        server
            .request(Method::Post, "/v1/enforcement/events")
            .key(key)
            .json(&event(tenant))
            .send()
            .status(201);
        server.request(Method::Get, "/v1/enforcement/events").key(key).send().status(200);
    }
    let mail = format!("Message-ID: <{n}@a.example>\r\nFrom: a@a.example\r\n\r\n{}", "x".repeat(200 * 1024));
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let headers = [("content-type", "message/rfc822")];
    let answer = client::call(&server.config().socket(), Method::Post, &path, &headers, mail.as_bytes())
        .expect("an answer");
    assert_eq!(answer.status, 201);
}

#[test]
fn strangers_who_send_half_of_a_body_take_nothing_from_the_known() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", Some(&tenant), None);
    let large = vec![b'x'; 8 * 1024 * 1024 + 1];
    let mut strangers = Vec::new();
    for (n, (line, key, more, sent)) in [
        ("POST /v1/enforcement/events", None, "Content-Length: 16777216\r\n", &large[..]),
        ("POST /v1/enforcement/events", Some(NOBODY), "Content-Length: 16777216\r\n", &large[..]),
        ("POST /v1/enforcement/events", None, "Transfer-Encoding: chunked\r\n", b"800000\r\nx"),
        ("POST /api/v1/auth/login", None, "Content-Length: 4096\r\n", b"{\"email\":"),
        ("POST /api/v1/auth/login", None, "Transfer-Encoding: chunked\r\n", b"1000\r\n{\"email\":"),
        ("GET /healthz", None, "Content-Length: 4096\r\n", b"x"),
    ]
    .into_iter()
    .enumerate()
    {
        let head = head(line, key, more);
        let n_times = if sent.len() > 1024 { 4 } else { 64 };
        strangers.extend((0..n_times).map(|_| Half::sent(&server, &head, sent)));
        assert_served(&server, &[&server.key], &tenant, mailbox, n);
    }
    let cookie = server.login(OWNER);
    server.request(Method::Get, "/api/v1/me").cookie(&cookie).send().status(200);
}

#[test]
fn a_known_caller_who_sends_slowly_takes_from_its_own_share() {
    let server = Server::start_with(&[("max_bulk_body", "1MiB"), ("max_body_memory", "4MiB")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", Some(&tenant), None);
    let slow = server.add_key(&server.workspace, &crate::support::SCOPES);
    let half = vec![b' '; 900 * 1024];
    let more = "Content-Length: 1048576\r\n";
    let all: Vec<Half> = (0..8)
        .map(|_| Half::sent(&server, &head("POST /v1/enforcement/events", Some(&slow), more), &half))
        .collect();
    // Small ones of its own are taken, and large ones of others.
    assert_served(&server, &[&slow, &server.key], &tenant, mailbox, 0);
    let padded = format!("{}{}", event(&tenant), " ".repeat(700 * 1024));
    let request = server.request(Method::Post, "/v1/enforcement/events").key(&server.key);
    request.body("application/json", padded).send().status(201);
    drop(all);
}

// ---------------------------------------------------------------------------------------------- what a body may hold

/// Texts that are many times their size once they are read, of about `n` bytes each.
fn bombs(n: usize) -> Vec<(&'static str, String)> {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let list = |item: &str| format!("[{}]", vec![item; n / (item.len() + 1)].join(","));
    let names: Vec<String> = (0..n / 10).map(|at| format!("\"{at:x}\":0")).collect();
    vec![
        ("numbers", list("1")),
        ("empty lists", list("[]")),
        ("empty objects", list("{}")),
        ("nested lists", list(&nested("[", "]", 50))),
        ("nested objects", list(&nested("{\"\":", "}", 50))),
        ("members", format!("{{{}}}", names.join(","))),
        ("short texts", list("\"a\"")),
    ]
}

#[test]
fn no_text_makes_more_than_so_many_values() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", None, None);
    let project = server.add_project(&server.workspace, "Newsletter");
    let message = json!({ "message_id": "m@a.example", "outcome": "delivered" });
    let entries = format!("/v1/mailboxes/{mailbox}/audit-logs");
    server.post(&entries, &message).status(201);
    for (what, bomb) in bombs(60 * 1024) {
        let refused = |answer: Answer, at: &str| {
            let text = answer.body_text();
            assert!(
                answer.status == 400 && text.contains("more than 10000 names and values"),
                "{what}: {text}"
            );
            assert!(text.contains(at) && text.len() < 400, "{what}: {text}");
        };
        let posted = |path: &str, body: String| {
            server.request(Method::Post, path).key(&server.key).body("application/json", body).send()
        };
        let events = "/v1/enforcement/events";
        refused(posted(events, format!("{{\"tenant_id\":{bomb}}}")), "");
        refused(posted(events, format!("{{\"events\":[{},{bomb}]}}", event(&tenant))), "");
        refused(posted(events, format!("{{\"x\":{bomb},\"events\":[]}}")), "");
        refused(posted("/v1/enforcement/sends", bomb.clone()), "");
        refused(posted("/api/v1/admin/tenants", format!("{{\"name\":{bomb}}}")), "");
        refused(
            posted(
                &format!("/api/v1/projects/{project}/audit-log"),
                format!("{{\"action\":\"a.b\",\"metadata\":{bomb}}}"),
            ),
            "",
        );
        let patch = server.request(Method::Patch, &format!("{entries}/m@a.example")).key(&server.key);
        refused(patch.body("application/json", format!("{{\"tools_used\":{bomb}}}")).send(), "");
        let lines = format!("{}\n{bomb}\n", json!({ "message_id": "n@a.example", "outcome": "delivered" }));
        let lines =
            server.request(Method::Post, &entries).key(&server.key).body("application/x-ndjson", lines);
        refused(lines.send(), "line 2: ");
        let login = server.request(Method::Post, "/api/v1/auth/login");
        login.body("application/json", format!("{{\"email\":{bomb}}}")).send().status(413);
    }
    for (what, bomb) in bombs(4000) {
        let login = server.request(Method::Post, "/api/v1/auth/login");
        let answer = login.body("application/json", format!("{{\"email\":{bomb}}}")).send();
        assert!(answer.status == 400 && answer.body.len() < 300, "{what}: {answer:?}");
    }
    // All or nothing.
    assert_eq!(server.db_number("SELECT count(*) FROM enforcement_events"), 0);
    assert_eq!(server.db_number("SELECT count(*) FROM messages"), 1);
}

/// What a person may well send is let in, and comes back as it was.
#[test]
fn a_large_report_is_none_of_them() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "a@b.example", None, None);
    let vector: Vec<f64> = (0..9000).map(|n| f64::from(n) / 100.0).collect();
    let message = json!({ "message_id": "m@a.example", "outcome": "delivered", "tools_used": vector });
    let answer = server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &message).status(201);
    assert_eq!(answer.json()["tools_used"], message["tools_used"]);
}

#[test]
fn settings_and_questions_are_small() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let body = |n: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(n - 11));
    for (method, path, limit) in [
        (Method::Post, "/api/v1/auth/login", 4096),
        (Method::Get, "/v1/tenants", 4096),
        (Method::Delete, &format!("/api/v1/admin/tenants/{tenant}"), 4096),
        (Method::Post, "/api/v1/admin/tenants", 65_536),
        (Method::Patch, &format!("/api/v1/admin/tenants/{tenant}"), 65_536),
        (Method::Post, "/v1/enforcement/sends", 65_536),
    ] {
        let ask = |n: usize| {
            let head = head(
                &format!("{} {path}", method.as_str()),
                Some(&server.key),
                &format!("Connection: close\r\nContent-Length: {n}\r\n"),
            );
            Half::sent(&server, &head, body(n).as_bytes()).answer()
        };
        let message = format!("the body exceeds the {limit} bytes that this route accepts");
        assert!(ask(limit + 1).contains(&message), "{path}");
        if method != Method::Delete {
            assert!(!ask(limit).contains(&message), "{path}");
        }
    }
}

// ---------------------------------------------------------------------------------------------- batches

#[test]
fn a_batch_is_read_item_by_item_and_refused_as_before() {
    let server = Server::start_with(&[("max_body", "8KiB")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let post = |media_type: &str, body: String| {
        server.request(Method::Post, "/v1/enforcement/events").key(&server.key).body(media_type, body).send()
    };
    let good = event(&tenant).to_string();
    let bad = json!({ "tenant_id": tenant }).to_string();
    let long = json!({ "tenant_id": tenant, "message": "x".repeat(8 * 1024) }).to_string();
    let many = |item: &str, n: usize| vec![item; n].join(",");
    let json = "application/json";
    for (body, status, message) in [
        // What is malformed further on goes before what is refused of an item.
        (format!("{{\"events\":[{good},{bad},{good}]}}"), 422, "events[1].mailbox_address: is required"),
        (
            format!("{{\"events\":[{good},{bad},{good}"),
            400,
            "the body is not acceptable JSON: EOF while parsing a list",
        ),
        (
            format!("{{\"events\":[{good},{bad}],\"events\":[]}}"),
            400,
            "the member \\\"events\\\" comes twice",
        ),
        (format!("{{\"events\":[{good}],\"x\":1,\"y\":2}}"), 422, "x: unknown member; y: unknown member"),
        (format!("{{\"x\":1,\"events\":[{good}]}}"), 422, "x: unknown member"),
        (format!("{{\"events\":[{good}]}} x"), 400, "trailing characters"),
        ("{\"events\":[]}".to_owned(), 422, "events: holds nothing to record"),
        ("{\"events\":{}}".to_owned(), 422, "events: is not a list"),
        ("{\"events\":null}".to_owned(), 422, "events: is not a list"),
        ("{\"events\":[1]}".to_owned(), 422, "events[0]: 1 is not an object"),
        ("[]".to_owned(), 422, "body: a list is not an object"),
        (
            format!("{{\"events\":[{good},{long}]}}"),
            400,
            "the texts of one item are longer than a body of one may be",
        ),
        (
            format!("{{\"events\":[{}]}}", many("{}", 50_001)),
            422,
            "events: holds 50001 items; accepted: up to 50000 in one request",
        ),
    ] {
        let answer = post(json, body).status(status);
        assert!(answer.body_text().contains(message), "{message}: {answer:?}");
    }
    let lines = "application/x-ndjson";
    for (body, status, message) in [
        (format!("{good}\n\n{bad}\n"), 422, "line 3.mailbox_address: is required"),
        (format!("{good}\n{long}\n"), 400, "line 2: has 8"),
        ("{}\n".repeat(50_001), 422, "line 1.tenant_id: is required"),
        (
            format!("{good}\n").repeat(50_001),
            422,
            "body: holds 50001 items; accepted: up to 50000 in one request",
        ),
    ] {
        let answer = post(lines, body).status(status);
        assert!(answer.body_text().contains(message), "{message}: {answer:?}");
    }
    assert_eq!(server.db_number("SELECT count(*) FROM enforcement_events"), 0);
    let answer = post(json, format!("{{\"events\":[{}]}}", many(&good, 300))).status(201).json();
    assert_eq!((answer["count"].as_i64(), answer["events"].as_array().map(Vec::len)), (Some(300), Some(300)));
    let answer = post(lines, format!("{good}\n").repeat(300)).status(201).json();
    assert_eq!(answer["count"], 300);
    let ids = |order: &str| {
        let page = server.get(&format!("/v1/enforcement/events?limit=1&order={order}")).json();
        page["events"][0]["id"].clone()
    };
    assert_eq!(answer["last_id"], ids("desc"));
    assert_ne!(answer["first_id"], answer["last_id"]);
    assert_eq!(server.db_number("SELECT count(*) FROM enforcement_events"), 600);
}

// ---------------------------------------------------------------------------------------------- what is answered

#[test]
fn a_refusal_is_short_however_much_is_refused() {
    let server = Server::start();
    let ask = |path: &str| server.get(path);
    let many: Vec<String> = (0..60).map(|n| format!("p{n}=1")).collect();
    let answer = ask(&format!("/v1/enforcement/events?{}", many.join("&"))).status(422);
    let text = answer.body_text();
    assert!(text.contains("p7: unknown parameter") && text.contains("(and 52 more)"), "{text}");
    assert!(!text.contains("p8") && text.len() < 2000, "{} bytes", text.len());
    let answer = ask(&format!("/v1/enforcement/events?{}", vec!["a"; 65].join("&"))).status(400);
    assert!(answer.body_text().contains("the query has more than 64 parameters"), "{answer:?}");

    let members: Vec<String> = (0..4000).map(|n| format!("\"m{n}\":1")).collect();
    let request = server.request(Method::Post, "/api/v1/admin/tenants").key(&server.key);
    let answer = request.body("application/json", format!("{{\"name\":\"a\",{}}}", members.join(","))).send();
    let text = answer.status(422).body_text();
    assert!(text.contains("m7") && text.contains("(and 3992 more)") && text.len() < 3000, "{text}");

    let long = "y".repeat(7000);
    for path in [
        format!("/v1/enforcement/events?{long}=1"),
        format!("/v1/enforcement/events?action={long}"),
        format!("/v1/enforcement/events?from={long}"),
        format!("/v1/enforcement/events?limit={long}"),
        format!("/v1/enforcement/events?cursor={long}"),
        format!("/v1/enforcement/events?action={long}%zz"),
        format!("/v1/enforcement/events?action={long}%01"),
        format!("/v1/enforcement/events?tenant_id={long}"),
        format!("/v1/{long}"),
    ] {
        let answer = ask(&path);
        assert!((400..500).contains(&answer.status) && answer.body.len() < 600, "{path:.40}: {answer:?}");
    }
    for body in [
        json!({ &long: 1 }),
        json!({ "name": [&long] }),
        json!({ "name": [[[[&long]]]] }),
        json!({ "workspace_id": &long, "name": "a" }),
        json!(&long),
    ] {
        let answer = server.post("/api/v1/admin/tenants", &body);
        assert!((400..500).contains(&answer.status) && answer.body.len() < 600, "{answer:?}");
    }
    let twice = format!("{{\"{long}\":1,\"{long}\":1}}");
    let request = server.request(Method::Post, "/api/v1/admin/tenants").key(&server.key);
    assert!(request.body("application/json", twice).send().status(400).body.len() < 600);
}

#[test]
fn who_leaves_answers_unread_is_given_no_more_of_them() {
    let server = Server::start_with(&[("max_bulk_body", "1MiB"), ("max_body_memory", "4MiB")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mut event = event(&tenant);
    event["message"] = "x".repeat(1000).into();
    let batch = json!({ "events": vec![event; 600] });
    server.post("/v1/enforcement/events", &batch).status(201);
    let greedy = server.add_key(&server.workspace, &["enforcement:read"]);
    // 280 KB each, which no buffer between us takes.
    let line = "GET /v1/enforcement/events?limit=200";
    let unread: Vec<Half> = (0..40)
        .map(|_| {
            let stream =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            stream.set_recv_buffer_size(1024).expect("a size");
            let address: std::net::SocketAddr =
                server.url().trim_start_matches("http://").parse().expect("an address");
            stream.connect(&address.into()).expect("a connection");
            let mut stream = TcpStream::from(stream);
            let _ = stream.write_all(head(line, Some(&greedy), "").as_bytes());
            Half(stream)
        })
        .collect();
    let refused = || {
        let answer = server.request(Method::Get, "/v1/enforcement/events?limit=1").key(&greedy).send();
        answer.status == 503 && answer.header("retry-after") == Some("5")
    };
    assert!((0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        refused()
    }));
    server.get("/v1/enforcement/events?limit=200").status(200);
    drop(unread);
    assert!((0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !refused()
    }));
}

// ---------------------------------------------------------------------------------------------- what is logged

/// Sends each of these `n` times over connections of their own, a few hundred a second.
fn storm(url: &str, requests: &[String], n: usize) {
    let address = url.trim_start_matches("http://");
    for request in requests.iter().cycle().take(n * requests.len()) {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

fn serve(data: &Path, log: &Path, arguments: &[&str]) -> Serving {
    let mut command = mailtrail(data, arguments);
    command.stderr(std::fs::File::create(log).expect("a log"));
    Serving::spawn(command)
}

#[test]
fn strangers_do_not_fill_the_log() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    Owners::create(&data);
    let log = directory.path().join("log");
    let (limit, listen) = ("max_requests_per_address=unlimited", "127.0.0.1:0");
    let long = "Z".repeat(12_000);
    let requests = [
        format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {long} x\r\n\r\n"),
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /healthz?{}%zz HTTP/1.1\r\nHost: a\r\n\r\n", &long[..7000]),
        format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {long}\r\n\r\n"),
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n".to_owned(),
        format!("GET /v1/{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &long[..7000]),
        format!("GET /v1/tenants HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: {long}\r\n\r\n"),
    ];
    let serving = serve(&data, &log, &["serve", "--listen", listen, "--set", limit]);
    let before = std::fs::metadata(&log).expect("the log").len();
    let begun = std::time::Instant::now();
    storm(&serving.url, &requests, 100);
    let seconds = begun.elapsed().as_secs() + 2;
    assert!(serving.stop().success());
    let text = std::fs::read_to_string(&log).expect("the log");
    // A line of what was refused while it was read, and twenty of what strangers asked, a second.
    assert!(text.len() as u64 - before < seconds * 21 * 200 + 2000, "{} bytes in {seconds} s", text.len());
    assert!(
        text.contains("refused while reading: ") && text.contains("more since the last such line"),
        "{text}"
    );
    assert!(!text.contains("ERROR") && !text.contains(&"Z".repeat(33)), "{text}");

    // The same of a witness.
    let (witness, log) = (directory.path().join("witness"), directory.path().join("witness.log"));
    let checkpoint = run_json(&data, &["checkpoint"]);
    let key = checkpoint["verifier"].as_str().expect("a key");
    let arguments = ["witness", "--name", "w.example.org", "--log", key, "--listen", listen, "--set", limit];
    let serving = serve(&witness, &log, &arguments);
    storm(&serving.url, &requests, 20);
    assert!(serving.stop().success());
    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(text.contains("refused while reading: "), "{text}");
    assert!(!text.contains("ERROR") && !text.contains(&"Z".repeat(33)), "{text}");
}

#[test]
fn a_piece_of_an_export_that_looks_through_too_much_is_refused_and_no_fault_of_the_database() {
    let server = Server::start();
    let store = &server.running().app.store;
    let endless = "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let look = |snapshot: &Snapshot<'_>| Ok(snapshot.query_row(endless, [], |row| row.get::<_, i64>(0))?);
    for outcome in [store.read_piece(Asker::Key(7), look), store.read_list(Asker::Key(8), look)] {
        let error = outcome.expect_err("a bound");
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        assert_eq!((error.level(), error.retry_after()), (Level::Warn, None));
    }
}

#[test]
fn what_is_refused_while_it_is_read_counts_in_the_addresss_rate() {
    let server = Server::start_with(&[("max_requests_per_address", "1/h"), ("trusted_proxies", "")]);
    let first = server.raw(b"GET / HTTP/1.1\r\n\r\n");
    assert!(first.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&first));
    let second = server.raw(b"GET / HTTP/1.1\r\n\r\n");
    assert!(second.starts_with(b"HTTP/1.1 429 "), "{}", String::from_utf8_lossy(&second));
    assert_eq!(server.request(Method::Get, "/healthz").send().status, 429);
    server.get("/v1/enforcement/events").status(200);
    // Behind a proxy it is the client that counts, where its head can be read as one.
    let server = Server::start_with(&[("max_requests_per_address", "1/h")]);
    let from = |last: u8| {
        let head = format!("GET /?%zz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.{last}\r\n\r\n");
        String::from_utf8_lossy(&server.raw(head.as_bytes()))[..12].to_owned()
    };
    assert_eq!([from(1), from(1), from(2)], ["HTTP/1.1 400", "HTTP/1.1 429", "HTTP/1.1 400"]);
    let login = json!({ "email": OWNER, "password": PASSWORD });
    let request = server.request(Method::Post, "/api/v1/auth/login").header("x-forwarded-for", "203.0.113.2");
    assert_eq!(request.json(&login).send().status, 429);
}
