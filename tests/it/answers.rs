//! What an `Idempotency-Key` keeps: little, nothing that was erased, no secret, and not for longer than it says.

use mailtrail::http::{Method, client};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, START, Server, time};

fn send(server: &Server, (method, path): (Method, &str), body: &Value) -> Answer {
    let request = server.request(method, path).key(&server.key).header("idempotency-key", "k");
    if body.is_null() { request.send() } else { request.json(body).send() }
}

fn kept_bytes(server: &Server) -> i64 {
    server.db_number("SELECT sum(length(body)) FROM idempotency")
}

#[test]
fn a_large_batch_is_answered_again_out_of_a_few_bytes() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let project = server.add_project(&server.workspace, "Site");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
    let list = format!("/v1/mailboxes/{mailbox}/audit-logs");
    server
        .post(&list, &json!({ "message_id": "m7", "outcome": "delivered", "tokens_consumed": 7 }))
        .status(201);
    let events: Vec<Value> = (0..3000)
        .map(|n| {
            json!({
                "tenant_id": tenant, "mailbox_address": format!("user{n}@example.org"), "action_taken": "blocked",
                "sent_count": n, "limit_value": 1,
            })
        })
        .collect();
    let items: Vec<Value> = (0..2000)
        .map(|n| json!({ "message_id": format!("m{n}"), "outcome": "delivered", "tokens_consumed": n }))
        .collect();
    let entries: Vec<Value> = (0..2000)
        .map(|n| json!({ "user_id": format!("00000000-0000-4000-8000-{n:012}", n = n % 50), "action": "site.publish", "metadata": { "n": n } }))
        .collect();
    for (path, body) in [
        ("/v1/enforcement/events".to_owned(), json!({ "events": events })),
        (list.clone(), json!({ "items": items })),
        (format!("/api/v1/projects/{project}/audit-log"), json!({ "entries": entries })),
    ] {
        let post = |server: &Server| {
            let request =
                server.request(Method::Post, &path).key(&server.key).header("idempotency-key", &path);
            request.json(&body).send().status(201)
        };
        let before = if path.contains("enforcement") { 0 } else { kept_bytes(&server) };
        let first = post(&server);
        let seq = server.db_number("SELECT last_seq FROM sequence");
        assert!(kept_bytes(&server) - before < 200, "{path}: {} bytes", kept_bytes(&server) - before);
        // What comes later is not in the first answer.
        server.patch(&format!("{list}/m7"), &json!({ "tokens_consumed": 1 })).status(200);
        let again = post(&server);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        assert!(again.body == first.body, "{path}: another answer");
        assert_eq!(server.db_number("SELECT last_seq FROM sequence"), seq + 1, "{path}");
    }
}

/// A retry must not bring back what was erased, neither shown nor recorded.
#[test]
fn what_was_erased_does_not_come_back_by_a_retry() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |address: &str| {
        json!({
            "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": 2, "limit_value": 1,
        })
    };
    let retries = [
        ("one", json!(event("bob@example.org"))),
        ("many", json!({ "events": [event("ann@example.org"), event("bob@example.org")] })),
        ("of bob@example.org", json!(event("cyd@example.org"))),
    ];
    let post = |(key, body): &(&str, Value)| {
        let request = server.request(Method::Post, "/v1/enforcement/events").key(&server.key);
        request.header("idempotency-key", key).json(body).send()
    };
    for retry in &retries {
        post(retry).status(201);
    }
    // An administrative answer is kept as it is.
    let mailbox = || {
        let request = server.request(Method::Post, "/api/v1/admin/mailboxes").key(&server.key);
        request.header("idempotency-key", "mailbox").json(&json!({ "address": "bob@example.org" })).send()
    };
    let made = mailbox().status(201).json()["id"].clone();
    server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{made}"), &Value::Null).status(204);

    let erasure = json!({ "address": "bob@example.org", "why": "asked for" });
    server.operator(Method::Post, "/api/v1/admin/erasures", &erasure).good();
    let n_events = server.db_number("SELECT count(*) FROM enforcement_events");
    for retry in &retries[..2] {
        let detail = &post(retry).status(409).json()["detail"];
        assert_eq!(detail["code"], "recorded_and_removed", "{retry:?}: {detail}");
    }
    let untouched = post(&retries[2]).status(201);
    assert_eq!(untouched.header("idempotency-replayed"), Some("true"));
    assert_eq!(mailbox().status(409).json()["code"], "recorded_and_removed");
    assert_eq!(
        server.db_number("SELECT count(*) FROM enforcement_events"),
        n_events,
        "nothing is recorded again"
    );
    assert_eq!(
        server.db_number(
            "SELECT count(*) FROM idempotency WHERE key LIKE '%bob%' OR cast(body AS TEXT) LIKE '%bob%'"
        ),
        0
    );
    // Another request under the same key is another request still.
    let other = post(&("of bob@example.org", event("dan@example.org"))).status(409);
    assert_eq!(other.json()["detail"]["code"], "idempotency_key_reused");
}

#[test]
fn a_secret_is_shown_once_and_a_retry_is_told_what_it_was_of() {
    let server = Server::start();
    let key = json!({ "name": "mail", "scopes": ["messages:read"] });
    let count = |sql: &str| server.db_number(sql);
    let old = server.post("/api/v1/admin/keys", &key).status(201).text("id");
    let rotate = format!("/api/v1/admin/keys/{old}/rotate");
    let key = json!({ "name": "another", "scopes": ["messages:read"] });
    for (n, (path, body, secret, rows)) in [
        ("/api/v1/admin/keys", key, "key", "SELECT count(*) FROM api_keys"),
        (rotate.as_str(), json!({ "overlap": "24h" }), "key", "SELECT count(*) FROM api_keys"),
        (
            "/api/v1/admin/licenses",
            json!({ "holder": "Ada" }),
            "license_key",
            "SELECT count(*) FROM licenses",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let post = || {
            let request = server.request(Method::Post, path).key(&server.key);
            request.header("idempotency-key", &format!("secret {n}")).json(&body).send()
        };
        let made = post().status(201);
        let there = count(rows);
        let refused = post().status(409).json();
        assert_eq!(refused["code"], "shown_once", "{path}: {refused}");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains(&made.text("id")), "{path}: {detail}");
        assert_eq!(count(rows), there, "{path}");
        let text = made.text(secret);
        assert_eq!(
            count(&format!("SELECT count(*) FROM idempotency WHERE cast(body AS TEXT) LIKE '%{text}%'")),
            0
        );
    }
}

#[test]
fn where_no_answer_is_kept_the_key_is_refused() {
    let server = Server::start();
    server.add_user(&server.workspace, "grace@example.org", "auditor");
    let members = server.operator(Method::Get, "/api/v1/admin/users", &Value::Null).json();
    let grace =
        members["users"].as_array().expect("users").iter().find(|user| user["email"] == "grace@example.org");
    let grace = format!("/api/v1/admin/users/{}", grace.expect("grace")["id"].as_str().expect("an id"));
    let before = server.db_number("SELECT last_seq FROM sequence");
    for (path, body) in [
        ("/api/v1/admin/erasures", json!({ "address": "bob@example.org", "why": "asked for" })),
        ("/api/v1/admin/retention/run", json!({})),
        ("/api/v1/admin/backups", json!({ "file": "b.db" })),
        ("/api/v1/admin/check", json!({ "repair": true })),
        ("/api/v1/admin/epochs", json!({ "why": "w" })),
        ("/api/v1/admin/clock/accept", Value::Null),
    ] {
        let refused = send(&server, (Method::Post, path), &body).status(422).json();
        assert_eq!(refused["errors"][0]["parameter"], "Idempotency-Key", "{path}: {refused}");
    }
    let user = json!({ "email": "ann@example.org", "role": "auditor", "password": PASSWORD });
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let (socket, path) = (server.config().socket(), "/api/v1/admin/users");
    let answer = client::call(&socket, Method::Post, path, &headers, user.to_string().as_bytes());
    assert_eq!(answer.expect("an answer").status, 422, "the operator's");
    let refused = send(&server, (Method::Patch, &grace), &json!({ "password": PASSWORD })).status(422).json();
    assert_eq!(refused["errors"][0]["parameter"], "Idempotency-Key", "{refused}");
    let login = server.request(Method::Post, "/api/v1/auth/login").header("idempotency-key", "k");
    login.json(&json!({ "email": "grace@example.org", "password": PASSWORD })).send().status(400);
    assert_eq!(server.db_number("SELECT last_seq FROM sequence"), before, "nothing was done");
}

/// The age of an answer is looked at when it is found, not only when there was time to forget it.
#[test]
fn a_retry_after_the_lifetime_is_a_new_write_to_the_second() {
    let server = Server::start_with(&[("idempotency_lifetime", "10m")]);
    let post = || {
        let request = server.request(Method::Post, "/api/v1/admin/projects").key(&server.key);
        let answer =
            request.header("idempotency-key", "k").json(&json!({ "name": "Site" })).send().status(201);
        (answer.text("id"), answer.header("idempotency-replayed").is_some())
    };
    let (first, _) = post();
    server.clock.set(time(START).plus_seconds(600));
    assert_eq!(post(), (first.clone(), true));
    server.clock.set(time(START).plus_seconds(601));
    let (second, is_again) = post();
    assert!(!is_again && second != first);
    // It is kept anew.
    assert_eq!(post(), (second, true));
    assert_eq!(server.db_number("SELECT count(*) FROM idempotency"), 1);
}

/// A key that one caller chose says nothing of another's request, and a rotated key is the same caller.
#[test]
fn an_idempotency_key_is_its_callers_own() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let make = |name: &str| {
        let key = json!({ "name": name, "scopes": ["enforcement:write"] });
        server.operator(Method::Post, "/api/v1/admin/keys", &key).status(201)
    };
    let (one, other) = (make("one"), make("other"));
    let send = |key: &str, n: i64| {
        let event = json!({
            "tenant_id": tenant, "mailbox_address": "a@example.org", "action_taken": "blocked", "sent_count": n,
            "limit_value": 1,
        });
        let request = server.request(Method::Post, "/v1/enforcement/events").key(key);
        request.header("idempotency-key", "2026-11-26-1").json(&event).send()
    };
    let first = send(&one.text("key"), 2).status(201);
    assert_eq!(send(&other.text("key"), 3).status(201).header("idempotency-replayed"), None);
    let path = format!("/api/v1/admin/keys/{}/rotate", one.text("id"));
    let rotated = server.operator(Method::Post, &path, &json!({ "overlap": "24h" })).status(201).text("key");
    for key in [&rotated, &one.text("key")] {
        let again = send(key, 2).status(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.body, first.body);
    }
}

/// Who changes what was kept has no lie told by it, and nothing recorded twice.
#[test]
fn an_answer_that_was_altered_is_not_given() {
    let server = Server::start();
    let project = || {
        let request = server.request(Method::Post, "/api/v1/admin/projects").key(&server.key);
        request.header("idempotency-key", "k").json(&json!({ "name": "Site" })).send()
    };
    project().status(201);
    let n_rows = server.db_number("SELECT count(*) FROM projects");
    let keep = rusqlite::Connection::open(server.database()).expect("the database");
    keep.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM idempotency").expect("a copy");
    for altered in [
        r#"kind = 0, body = CAST('{"lie":1}' AS BLOB)"#,
        "status = 200",
        "status = 70000",
        "status = 7, body = x'0d0a0d0a'",
        "status = -1",
        "kind = 1, body = CAST('[1,2]' AS BLOB)",
        "body = x''",
        "body = substr(body, 2)",
    ] {
        let sql = format!(
            "DELETE FROM idempotency; INSERT INTO idempotency SELECT * FROM temp.kept; UPDATE idempotency SET {altered}"
        );
        keep.execute_batch(&sql).expect("an edit");
        let refused = project().status(409).json();
        assert_eq!(refused["code"], "recorded_and_removed", "{altered}: {refused}");
    }
    keep.execute_batch("DELETE FROM idempotency; INSERT INTO idempotency SELECT * FROM temp.kept")
        .expect("as it was");
    assert_eq!(project().status(201).header("idempotency-replayed"), Some("true"));
    assert_eq!(server.db_number("SELECT count(*) FROM projects"), n_rows);
}
