//! Who recorded a row stands in it: on the wire, in every export and in its leaf; nobody can say it for somebody else.

use std::process::Command;

use mailtrail::activity::OWN_ACTIONS;
use mailtrail::http::Method;
use mailtrail::tlog::proof::Proof;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, Server, time};

/// A mailbox with a limit of 1, in a tenant; a project; and a key with a name of its own.
struct Scene {
    server: Server,
    key: String,
    tenant: String,
    mailbox: i64,
    project: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let tenant = server.add_tenant(&server.workspace, "Acme");
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(1));
        let project = server.add_project(&server.workspace, "Newsletter");
        let scopes = crate::support::SCOPES;
        let key = json!({ "name": "Mail server", "scopes": scopes });
        let key = server.operator(Method::Post, "/api/v1/admin/keys", &key).good().text("key");
        Self { server, key, tenant, mailbox, project }
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.server.request(method, path).key(&self.key);
        if body.is_null() { request.send() } else { request.json(body).send() }
    }

    fn entries(&self) -> String {
        format!("/v1/mailboxes/{}/audit-logs", self.mailbox)
    }

    fn activities(&self) -> String {
        format!("/api/v1/projects/{}/audit-log", self.project)
    }

    fn user(&self) -> String {
        self.server
            .request(Method::Get, "/api/v1/me")
            .cookie(&self.server.login(OWNER))
            .send()
            .text("user_id")
    }
}

#[test]
fn every_row_and_every_fact_says_who_recorded_it() {
    let scene = Scene::new();
    let server = &scene.server;
    let by_key = "key Mail server";
    let event = json!({
        "tenant_id": scene.tenant, "mailbox_address": "a@example.org", "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25,
    });
    let made = scene.ask(Method::Post, "/v1/enforcement/events", &event).status(201).json();
    assert_eq!(made["recorded_by"], by_key);
    let message = json!({ "message_id": "m1", "outcome": "delivered", "tools_used": ["search"] });
    let made = scene.ask(Method::Post, &scene.entries(), &message).status(201).json();
    assert_eq!((&made["recorded_by"], &made["appended"][0]["recorded_by"]), (&json!(by_key), &json!(by_key)));
    // Another key's fact: the entry says of each who it was.
    let fact = json!({ "tokens_consumed": 7 });
    let made = server.patch(&format!("{}/m1", scene.entries()), &fact).status(200).json();
    let by: Vec<&Value> =
        made["appended"].as_array().expect("facts").iter().map(|f| &f["recorded_by"]).collect();
    assert_eq!((&made["recorded_by"], by), (&json!(by_key), vec![&json!(by_key), &json!("key test")]));
    let inbound = json!({ "message_id": "m2", "sender_address": "b@example.net" });
    let path = format!("/v1/mailboxes/{}/inbound", scene.mailbox);
    assert_eq!(scene.ask(Method::Post, &path, &inbound).status(201).json()["recorded_by"], by_key);
    let activity = json!({ "user_id": scene.user(), "action": "smtp.update" });
    let made = scene.ask(Method::Post, &scene.activities(), &activity).status(201).json();
    let actor = format!("key Mail server for {OWNER}");
    assert_eq!((&made["recorded_by"], &made["actor"]), (&json!(by_key), &json!(actor)));
    let stranger = json!({ "user_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "action": "smtp.update" });
    let made = scene.ask(Method::Post, &scene.activities(), &stranger).status(201).json();
    assert_eq!((&made["recorded_by"], &made["actor"]), (&json!(by_key), &json!(by_key)));

    // Lists and every export have it, after what is the vendor's.
    let cookie = server.login(OWNER);
    for (path, word, n) in [
        ("/v1/enforcement/events".to_owned(), "events", 1),
        (scene.entries(), "items", 2),
        (format!("{}?action=smtp.update", scene.activities()), "entries", 2),
    ] {
        let sign = if path.contains('?') { '&' } else { '?' };
        let ask = |format: &str| {
            let request = server.request(Method::Get, &format!("{path}{sign}{format}"));
            let request = if word == "entries" { request.cookie(&cookie) } else { request.key(&scene.key) };
            request.send().status(200)
        };
        let page = ask("limit=50").json();
        let rows = page[word].as_array().expect("rows");
        assert_eq!(rows.len(), n, "{path}");
        for row in rows {
            assert_eq!(row["recorded_by"], by_key, "{path}");
            let names: Vec<&String> = row.as_object().expect("a row").keys().collect();
            let place = |name: &str| names.iter().position(|known| *known == name);
            assert!(place("recorded_by") > place("recorded_at"), "{names:?}");
        }
        let lines = ask("format=ndjson").body_text();
        assert!(lines.lines().all(|line| line.contains(r#","recorded_by":"key Mail server""#)), "{lines}");
        let csv = ask("format=csv").body_text();
        let mut lines = csv.lines();
        assert!(lines.next().is_some_and(|header| header.contains(",recorded_by")), "{csv}");
        assert!(lines.all(|line| line.contains(",key Mail server")), "{csv}");
    }
}

#[test]
fn what_mailtrail_does_by_itself_says_so() {
    let scene = Scene::new();
    let server = &scene.server;
    let send = json!({ "tenant_id": scene.tenant, "mailbox_address": "sales@example.org", "recipients": 2 });
    scene.ask(Method::Post, "/v1/enforcement/sends", &send).status(200);
    server.clock.set(time("2026-05-01T00:00:05Z"));
    // The first send of the day comes before the scheduler: the reset is still nobody's but mailtrail's.
    scene.ask(Method::Post, "/v1/enforcement/sends", &send).status(200);
    server.clock.set(time("2026-05-02T00:00:05Z"));
    server.run_jobs();
    scene.ask(Method::Post, "/v1/enforcement/sends", &send).status(200);
    // Whoever raises the limit frees the mailbox.
    let path = format!("/api/v1/admin/mailboxes/{}", scene.mailbox);
    scene.ask(Method::Patch, &path, &json!({ "daily_send_limit": 9 })).status(200);
    let events = server.get("/v1/enforcement/events?order=asc").status(200).json();
    let by: Vec<[&str; 2]> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| ["action_taken", "recorded_by"].map(|name| event[name].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        by,
        [
            ["blocked", "key Mail server"],
            ["unblocked", "mailtrail: daily reset"],
            ["blocked", "key Mail server"],
            ["unblocked", "mailtrail: daily reset"],
            ["blocked", "key Mail server"],
            ["unblocked", "key Mail server"],
        ]
    );

    let login = |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        server.request(Method::Post, "/api/v1/auth/login").json(&body).send()
    };
    login("nobody@example.org", "wrong").status(401);
    let cookie = server.login(OWNER);
    let body = json!({ "name": "Ours" });
    server.request(Method::Post, "/api/v1/admin/projects").cookie(&cookie).json(&body).send().status(201);
    let of = |action: &str| {
        let path = format!("/api/v1/workspaces/{}/audit-log?action={action}", server.workspace);
        let page = server.request(Method::Get, &path).cookie(&cookie).send().status(200).json();
        page["entries"][0]["recorded_by"].clone()
    };
    assert_eq!(of("auth.login_failed"), "mailtrail: login");
    assert_eq!(of("auth.login"), OWNER);
    assert_eq!(of("project.create"), OWNER);
    assert_eq!(of("mailbox.update"), "key Mail server");
}

#[test]
fn who_recorded_it_is_in_the_leaf() {
    let scene = Scene::new();
    let message = json!({ "message_id": "m1", "outcome": "delivered", "tools_used": ["search"] });
    scene.ask(Method::Post, &scene.entries(), &message).status(201);
    for path in ["/m1/proof", "/m1/proof?fact=1"] {
        let proof = scene.ask(Method::Get, &format!("{}{path}", scene.entries()), &Value::Null).status(200);
        let proof = Proof::parse(&proof.body_text()).expect("a proof");
        let row: Value = serde_json::from_slice(&proof.line).expect("a row");
        assert_eq!(row["recorded_by"], "key Mail server", "{path}");
    }
    // It cannot be made another's.
    let Scene { mut server, .. } = scene;
    server.stop();
    let db = rusqlite::Connection::open(server.database()).expect("the database");
    db.execute_batch(
        "DROP TRIGGER messages_no_update;
         UPDATE messages SET recorded_by = (SELECT id FROM texts WHERE text = 'operator')",
    )
    .expect("an edit");
    let verified = mailtrail::admin::proof::verification(&db).expect("an answer");
    assert_eq!(verified["ok"], false);
    let findings = verified["findings"].to_string();
    assert!(findings.contains("of messages does not match"), "{findings}");
}

#[test]
fn nobody_can_say_who_recorded_it() {
    let scene = Scene::new();
    let by = "recorded_by: unknown member";
    let event = json!({
        "tenant_id": scene.tenant, "mailbox_address": "a@example.org", "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25, "recorded_by": OWNER,
    });
    let refused = scene.ask(Method::Post, "/v1/enforcement/events", &event).status(422);
    assert!(refused.body_text().contains(by), "{refused:?}");
    let message = json!({ "message_id": "m1", "outcome": "delivered", "recorded_by": OWNER });
    let refused = scene.ask(Method::Post, &scene.entries(), &message).status(422);
    assert!(refused.body_text().contains(by), "{refused:?}");
    let activity = json!({ "user_id": scene.user(), "action": "smtp.update", "recorded_by": OWNER });
    let refused = scene.ask(Method::Post, &scene.activities(), &activity).status(400);
    assert!(refused.body_text().contains(by), "{refused:?}");
}

#[test]
fn what_mailtrail_notes_cannot_be_recorded_by_a_key() {
    let scene = Scene::new();
    let user = scene.user();
    let before = scene.server.db_number("SELECT count(*) FROM activity");
    for action in OWN_ACTIONS {
        let forged = json!({ "user_id": user, "action": action, "created_at": "2026-04-01T00:00:00Z" });
        let refused = scene.ask(Method::Post, &scene.activities(), &forged).status(403).json();
        assert!(refused["error"].as_str().is_some_and(|why| why.contains(action)), "{refused}");
    }
    // Among others too, and then nothing of the batch is recorded.
    let good = json!({ "user_id": user, "action": "smtp.update" });
    let batch = json!({ "entries": [good, { "user_id": user, "action": "person.erase" }] });
    scene.ask(Method::Post, &scene.activities(), &batch).status(403);
    let lines = format!("{good}\n{}\n", json!({ "user_id": user, "action": "auth.login" }));
    let request = scene.server.request(Method::Post, &scene.activities()).key(&scene.key);
    request.body("application/x-ndjson", lines).send().status(403);
    // But that the key tried it.
    assert_eq!(scene.server.db_number("SELECT count(*) FROM activity"), before + 1);
    // The operator brings along what was exported elsewhere, and the row says who that was.
    let old = json!({ "user_id": user, "action": "auth.login", "created_at": "2026-04-01T00:00:00Z" });
    let made = scene.server.operator(Method::Post, &scene.activities(), &old).status(201).json();
    assert_eq!(made["actor"], format!("{} for {OWNER}", Server::operator_name()));
}

#[test]
fn the_operator_is_who_the_kernel_says_and_root_says_who_became_it() {
    let mut scene = Scene::new();
    let is_root = rustix::process::getuid().is_root();
    let expected = |login: &str| match is_root {
        true => format!("operator root (sudo: {login})"),
        // Whoever is not root may say what they like.
        false => Server::operator_name(),
    };
    let run = |server: &Server, login: &str| {
        let data = server.config().data;
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
        command.arg("--data").arg(data).args(["tenant", "create", "--name", login]).env("SUDO_USER", login);
        let run = command.output().expect("a run");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    let last = |server: &Server| {
        let path = format!("/api/v1/workspaces/{}/audit-log?action=tenant.create&limit=1", server.workspace);
        let entry = server.operator(Method::Get, &path, &Value::Null).good().json()["entries"][0].clone();
        [entry["actor"].clone(), entry["recorded_by"].clone()]
    };
    // By the socket of the server, and where nobody serves.
    run(&scene.server, "grace");
    assert_eq!(last(&scene.server), [json!(expected("grace")), json!(expected("grace"))]);
    scene.server.stop();
    run(&scene.server, "edith");
    scene.server.restart();
    assert_eq!(last(&scene.server), [json!(expected("edith")), json!(expected("edith"))]);
}

#[test]
fn a_setting_that_was_changed_between_two_starts_is_noted() {
    let mut server = Server::start();
    let changes = |server: &Server| {
        let path = format!("/api/v1/workspaces/{}/audit-log?action=settings.change", server.workspace);
        let entries = server.operator(Method::Get, &path, &Value::Null).good().json()["entries"].clone();
        let shown = |entry: &Value| json!([entry["recorded_by"], entry["metadata"]["changes"]]);
        entries.as_array().expect("entries").iter().map(shown).collect::<Vec<Value>>()
    };
    server.restart();
    assert_eq!(changes(&server), Vec::<Value>::new(), "nothing was changed");
    server.set("activity_retention_days", "30");
    server.set("max_requests_per_key", "100/s");
    let key = server.config().data.join("checkpoint.key");
    server.stop();
    server.set("checkpoint_key", std::fs::read_to_string(key).expect("a key").trim());
    server.restart();
    let noted = json!([
        "mailtrail: start",
        [
            { "setting": "activity_retention_days", "before": "forever", "after": "30" },
            { "setting": "checkpoint_key", "before": "", "after": "(set)" },
            { "setting": "max_requests_per_key", "before": "20000/s", "after": "100/s" },
        ],
    ]);
    assert_eq!(changes(&server), std::slice::from_ref(&noted));
    // Once, however often it starts.
    server.restart();
    assert_eq!(changes(&server), std::slice::from_ref(&noted));
    server.set("activity_retention_days", "forever");
    server.restart();
    let back = json!([{ "setting": "activity_retention_days", "before": "30", "after": "forever" }]);
    assert_eq!(changes(&server), [json!(["mailtrail: start", back]), noted]);
}

/// Rows name a key by its name, and a person by an address: no two of them look alike.
#[test]
fn no_two_living_callers_have_one_name() {
    let server = Server::start();
    let make = |name: &str| {
        let key = json!({ "name": name, "scopes": ["messages:write"] });
        server.operator(Method::Post, "/api/v1/admin/keys", &key)
    };
    let first = make("Postfix relay").status(201);
    for same in ["Postfix relay", "postfix RELAY", "Ｐostfix relay", "Postfix  relay"] {
        let refused = make(same).status(409).json();
        assert_eq!(refused["code"], "key_name_taken", "{same:?}: {refused}");
    }
    for odd in [
        "Postfix\u{200b} relay",
        "\u{202e}relay",
        "Postfix\u{ad} relay",
        "Postfix\u{a0}relay",
        "ada＠example.org",
        "ada﹫example.org",
    ] {
        let refused = make(odd).status(422).json();
        assert_eq!(refused["errors"][0]["parameter"], "name", "{odd:?}: {refused}");
    }
    let user = |email: &str| {
        let user = json!({ "email": email, "role": "auditor" });
        server.operator(Method::Post, "/api/v1/admin/users", &user)
    };
    for odd in
        ["a\u{200d}da@example.org", "ａda@example.org", "ada@example.org\u{feff}", "ada﹫x@example.org"]
    {
        let refused = user(odd).status(422).json();
        assert_eq!(refused["errors"][0]["parameter"], "email", "{odd:?}: {refused}");
    }
    user("jörg@example.org").status(201);
    // A rotated key keeps its name, another workspace's is its own, and that of an ended one is free.
    let path = format!("/api/v1/admin/keys/{}", first.text("id"));
    let next = server.operator(Method::Post, &format!("{path}/rotate"), &json!({})).status(201);
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    let key = json!({ "workspace_id": other, "name": "Postfix relay", "scopes": ["messages:write"] });
    server.operator(Method::Post, "/api/v1/admin/keys", &key).status(201);
    let path = format!("/api/v1/admin/keys/{}", next.text("id"));
    server.operator(Method::Delete, &path, &Value::Null).status(204);
    let again =
        json!({ "workspace_id": server.workspace, "name": "Postfix relay", "scopes": ["messages:write"] });
    server.operator(Method::Post, "/api/v1/admin/keys", &again).status(201);
}
