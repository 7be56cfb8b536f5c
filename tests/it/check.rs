//! `check` finds what is wrong and names it; a repair puts counts right.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn a_wrong_count_is_named_and_put_right_on_request() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com", "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25, "created_at": "2026-04-20T14:30:00Z",
    });
    server.post("/v1/enforcement/events", &event).status(201);
    server.post("/v1/enforcement/events", &event).status(201);
    let check =
        |server: &Server, body: Value| server.operator(Method::Post, "/api/v1/admin/check", &body).json();
    assert_eq!(
        check(&server, Value::Null),
        json!({ "ok": true, "problems": [], "miscounts": [], "repaired": 0 })
    );

    server.stop();
    let connection = rusqlite::Connection::open(server.database()).expect("the database");
    connection
        .execute("UPDATE counts SET n = 7 WHERE log = 1 AND owner = -1 AND kind = 1 AND width = 0", [])
        .expect("an edit");
    let deletion = "DELETE FROM counts WHERE log = 1 AND owner = 1 AND kind = 0 AND width = 1";
    connection.execute(deletion, []).expect("an edit");
    drop(connection);
    server.restart();

    let found = check(&server, Value::Null);
    assert_eq!(found["ok"], false);
    let bucket = 1_776_695_400 / 86_400;
    let expected = json!([
        { "log": "enforcement", "owner": -1, "kind": 1, "width": "day", "bucket": bucket, "stored": 7, "counted": 2 },
        { "log": "enforcement", "owner": 1, "kind": 0, "width": "hour", "bucket": 1_776_695_400 / 3600, "stored": 0, "counted": 2 },
    ]);
    assert_eq!(found["miscounts"], expected);
    assert_eq!(server.get("/v1/enforcement/events?action=blocked").json()["total"], 7);

    assert_eq!(check(&server, json!({ "repair": true }))["repaired"], 2);
    assert_eq!(check(&server, Value::Null)["ok"], true);
    assert_eq!(server.get("/v1/enforcement/events?action=blocked").json()["total"], 2);
}

#[test]
fn empty_pages_are_given_back_step_by_step_and_some_are_kept() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |n: usize| {
        json!({
            "tenant_id": tenant, "mailbox_address": format!("user{n}@mail.acmecorp.com"), "action_taken": "blocked",
            "sent_count": 26, "limit_value": 25, "created_at": "2026-01-20T14:30:00Z", "message": "x".repeat(900),
        })
    };
    for _ in 0..40 {
        let lines: String = (0..500).map(|n| format!("{}\n", event(n))).collect();
        let path = "/v1/enforcement/events";
        server
            .request(Method::Post, path)
            .key(&server.key)
            .body("application/x-ndjson", lines)
            .send()
            .status(201);
    }
    let pages = || {
        let db = server.db();
        mailtrail::store::pages(&db).expect("page counts")
    };
    let (before, _) = pages();
    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    for _ in 0..5 {
        server.run_jobs();
    }
    let (after, free) = pages();
    assert!(after < before / 2, "{before} pages before, {after} after");
    assert!(free <= 2048, "{free} of {after} pages are empty");
    assert_eq!(server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json()["ok"], true);
}
