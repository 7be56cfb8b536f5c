//! Log 3 as SendDock's clients use it, the people who read it, and mailtrail's own entries in it.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, PASSWORD, Request, START, Server, time};

fn project_log(project: &str) -> String {
    format!("/api/v1/projects/{project}/audit-log")
}

/// A GET with a session.
fn read(server: &Server, path: &str, cookie: &str) -> Answer {
    server.request(Method::Get, path).cookie(cookie).send()
}

/// What mailtrail noted, newest first, in the first workspace's log.
fn noted(server: &Server, cookie: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/workspaces/{}/audit-log?limit=200&{query}", server.workspace);
    read(server, &path, cookie).status(200).json()["entries"].as_array().expect("entries").clone()
}

fn login(server: &Server, email: &str, password: &str) -> Request {
    server.request(Method::Post, "/api/v1/auth/login").json(&json!({ "email": email, "password": password }))
}

fn user_id(server: &Server, cookie: &str) -> String {
    read(server, "/api/v1/me", cookie).status(200).text("user_id")
}

fn error(message: &str) -> Value {
    json!({ "error": message })
}

// ---------------------------------------------------------------------------------------------- the vendor's list

#[test]
fn the_vendors_example_response_key_for_key() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let cookie = server.login(OWNER);
    let user = user_id(&server, &cookie);
    let given = json!({
        "user_id": user, "action": "smtp.update", "target_type": "project", "target_id": project,
        "metadata": {
            "smtp_host": "smtp.mailgun.org", "smtp_user": "postmaster@acme.com", "from_email": "hello@acme.com",
        },
        "ip_address": "203.0.113.42", "user_agent": "Mozilla/5.0 ...", "created_at": "2026-04-30T14:22:11Z",
    });
    let made = server.post(&project_log(&project), &given).status(201).json();
    let page =
        read(&server, &format!("{}?action=smtp.update", project_log(&project)), &cookie).status(200).json();
    assert_eq!(page, json!({ "entries": [made], "total": 1 }));
    let names: Vec<&String> = page["entries"][0].as_object().expect("an object").keys().collect();
    assert_eq!(
        names,
        [
            "id",
            "user_id",
            "action",
            "target_type",
            "target_id",
            "metadata",
            "ip_address",
            "user_agent",
            "created_at",
            "project_id",
            "actor",
            "recorded_at",
            "seq",
            "redacted",
            "recorded_by",
        ]
    );
    for (name, value) in given.as_object().expect("an object") {
        assert_eq!(made[name], *value, "{name}");
    }
    // A ULID, as in the document; the actor is named beside the id.
    assert_eq!(made["id"].as_str().map(str::len), Some(26));
    let actor = format!("key test for {OWNER}");
    assert_eq!((&made["actor"], &made["project_id"]), (&json!(actor), &json!(project)));
    // The vendor's way from user_id to email.
    let members = format!("/api/v1/workspaces/{}/members", server.workspace);
    let members = read(&server, &members, &cookie).status(200).json();
    assert_eq!(
        (&members["members"][0]["user_id"], &members["members"][0]["email"]),
        (&json!(user), &json!(OWNER))
    );
}

#[test]
fn refusals_come_in_the_documented_order() {
    let missing = error("Missing or expired session; log in at POST /api/v1/auth/login");
    let unlicensed = error("license required for the audit log: no license key is configured");
    let nobody = "00000000-0000-4000-8000-000000000000";
    for license in ["none", ""] {
        let server = Server::start_with(&[("license_key", license)]);
        let (other, _) = server.add_workspace("Other", "eve@example.org");
        let foreign = server.add_project(&other, "Theirs");
        let own = server.add_project(&server.workspace, "Ours");
        let cookie = server.login(OWNER);
        // 401 goes before everything.
        for project in [nobody, &foreign, &own] {
            let answer = server.request(Method::Get, &project_log(project)).send();
            assert_eq!(answer.status(401).json(), missing);
        }
        // Then 402, whatever the project; then 404 before 403; only then are parameters looked at.
        let ask = |project: &str| {
            let answer = read(&server, &format!("{}?limit=x", project_log(project)), &cookie);
            (answer.status, answer.json())
        };
        let got = [ask(nobody), ask(&foreign), ask(&own)];
        if license == "none" {
            assert_eq!(
                got,
                [(402, unlicensed.clone()), (402, unlicensed.clone()), (402, unlicensed.clone())]
            );
            let workspace = format!("/api/v1/workspaces/{}/audit-log", server.workspace);
            assert_eq!(read(&server, &workspace, &cookie).status(402).json(), unlicensed);
            // Recording never asks for a license.
            let entry = json!({ "user_id": user_id(&server, &cookie), "action": "smtp.update" });
            server.post(&project_log(&own), &entry).status(201);
        } else {
            assert_eq!(
                got,
                [
                    (404, error("project not found")),
                    (403, error("you are not a member of this project's workspace")),
                    (400, error("limit: \"x\" is not an integer; accepted: 1 to 200")),
                ]
            );
        }
    }
}

#[test]
fn from_is_inclusive_and_to_exclusive_with_any_offset() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let cookie = server.login(OWNER);
    let user = user_id(&server, &cookie);
    let entry =
        |n: usize, at: &str| json!({ "user_id": user, "action": format!("step.{n}"), "created_at": at });
    for (n, at) in [
        "2026-04-01T00:00:00Z",
        "2026-04-01T00:00:00.000001Z",
        "2026-04-01T03:00:00+02:00",
        "2026-04-02T00:00:00Z",
    ]
    .into_iter()
    .enumerate()
    {
        server.post(&project_log(&project), &entry(n, at)).status(201);
    }
    for (query, expected) in [
        ("to=2026-04-03T00:00:00Z", vec!["step.3", "step.2", "step.1", "step.0"]),
        ("to=2026-04-03T00:00:00Z&order=asc", vec!["step.0", "step.1", "step.2", "step.3"]),
        ("from=2026-04-01T00:00:00Z&to=2026-04-02T00:00:00Z", vec!["step.2", "step.1", "step.0"]),
        ("from=2026-04-01T00:00:00.000001Z&to=2026-04-02T00:00:00Z", vec!["step.2", "step.1"]),
        ("to=2026-04-01T00:00:00.000001Z", vec!["step.0"]),
        ("from=2026-04-01T02:00:00%2B02:00&to=2026-04-01T03:00:00%2B02:00", vec!["step.1", "step.0"]),
        // The + of an offset arrives as a space when it is not encoded.
        ("from=2026-04-01T02:00:00+02:00&to=2026-04-01T03:00:00+02:00", vec!["step.1", "step.0"]),
        ("from=2026-03-31T22:00:00-02:00&to=2026-04-01T01:00:00-00:00", vec!["step.1", "step.0"]),
        ("from=2026-04-02T00:00:00Z&to=2026-04-01T00:00:00Z", vec![]),
        ("from=2026-04-02T00:00:00Z&to=2026-04-02T00:00:00Z", vec![]),
        ("to=1970-01-01T00:00:00Z", vec![]),
        ("action=step.2", vec!["step.2"]),
        ("action=step.2&to=2026-04-01T01:00:00Z", vec![]),
        ("action=step", vec![]),
        ("action=STEP.2", vec![]),
    ] {
        let page = read(&server, &format!("{}?{query}", project_log(&project)), &cookie).status(200).json();
        let entries = page["entries"].as_array().expect("entries");
        let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
        assert_eq!(actions, expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
        assert_eq!(page.as_object().map(serde_json::Map::len), Some(2));
    }
}

#[test]
fn limit_and_offset_are_kept_within_bounds_and_total_counts_all() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let cookie = server.login(OWNER);
    let user = user_id(&server, &cookie);
    let entries: Vec<Value> =
        (0..209).map(|_| json!({ "user_id": user, "action": "site.publish" })).collect();
    server.post(&project_log(&project), &json!({ "entries": entries })).status(201);
    // 209 and the project's own creation.
    for (query, n) in [
        ("", 50),
        ("limit=200", 200),
        ("limit=201", 200),
        ("limit=99999999999999999999", 200),
        ("limit=0", 1),
        ("limit=-3", 1),
        ("offset=209", 1),
        ("offset=210", 0),
        ("offset=9223372036854775807", 0),
        ("offset=99999999999999999999", 0),
        ("limit=200&offset=150", 60),
    ] {
        let page = read(&server, &format!("{}?{query}", project_log(&project)), &cookie).status(200).json();
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(n), "{query}");
        assert_eq!(page["total"], 210, "{query}");
    }
}

#[test]
fn further_filters_of_ours() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let cookie = server.login(OWNER);
    let user = user_id(&server, &cookie);
    let ulid = "01HZX3YV5N8Q2R4T6W8Y0A2C4E";
    let entries = json!({ "entries": [
        { "user_id": user.to_uppercase(), "action": "a.one", "target_type": "webhook", "target_id": "w1" },
        { "user_id": ulid, "action": "a.two", "target_type": "webhook", "target_id": "w2" },
        { "user_id": ulid, "action": "a.three", "target_type": "api_key", "target_id": "w1" },
    ] });
    server.post(&project_log(&project), &entries).status(201);
    for (query, expected) in [
        (format!("user_id={user}"), vec!["a.one"]),
        (format!("user_id={}", user.to_uppercase()), vec!["a.one"]),
        (format!("user_id={ulid}"), vec!["a.three", "a.two"]),
        ("target_type=webhook".into(), vec!["a.two", "a.one"]),
        ("target_id=w1".into(), vec!["a.three", "a.one"]),
        ("target_id=w1&target_type=webhook".into(), vec!["a.one"]),
        ("user_id=nobody".into(), vec![]),
    ] {
        let page = read(&server, &format!("{}?{query}", project_log(&project)), &cookie).status(200).json();
        let entries = page["entries"].as_array().expect("entries");
        let actions: Vec<&str> = entries.iter().filter_map(|entry| entry["action"].as_str()).collect();
        assert_eq!((actions, page["total"].clone()), (expected.clone(), json!(expected.len())), "{query}");
    }
}

// ---------------------------------------------------------------------------------------------- what is recorded

#[test]
fn no_secret_in_metadata_reaches_the_file() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let cookie = server.login(OWNER);
    let planted = "PLANTED-SECRET";
    let given = json!({
        "user_id": user_id(&server, &cookie), "action": "smtp.update",
        "metadata": {
            "smtp_host": "smtp.mailgun.org", "password": planted, "smtpPassword": { "x": planted },
            "nested": [{ "deep": [[{ "api-secret": planted, "kept": 1 }]] }, { "X-Auth-Token": [planted] }],
            "private_key": planted, "compass": "north", "pass": planted, "dkim_pass": "yes",
            "headers": [format!("Authorization: Bearer {planted}")], "url": format!("https://u:{planted}@h/?token={planted}"),
            "changes": [{ "field": "password", "from": planted, "to": planted }],
        },
    });
    let made = server.post(&project_log(&project), &given).status(201).json();
    let kept = json!({
        "smtp_host": "smtp.mailgun.org", "nested": [{ "deep": [[{ "kept": 1 }]] }, {}], "compass": "north", "dkim_pass": "yes",
        "headers": ["Authorization: [redacted]"], "url": "https://u:[redacted]@h/?token=[redacted]",
        "changes": [{ "field": "password", "from": "[redacted]", "to": "[redacted]" }],
    });
    assert_eq!(made["metadata"], kept);
    let names = ["password", "smtpPassword", "private_key", "pass", "api-secret", "X-Auth-Token"];
    assert_eq!(made["redacted"], json!(names));
    let batch = json!({ "entries": [given] });
    let request = server.request(Method::Post, &project_log(&project)).key(&server.key);
    let answer = request.header("idempotency-key", "once").json(&batch).send();
    assert_eq!(answer.status(201).json()["entries"][0]["metadata"], kept);
    assert_nowhere(&server, planted);
}

/// The bytes of the database and its WAL do not hold a text.
#[track_caller]
fn assert_nowhere(server: &Server, text: &str) {
    for file in [server.database(), server.database().with_extension("db-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "{} is in {}", text, file.display());
    }
}

#[test]
fn address_and_agent_are_the_requests_unless_given() {
    let proxied = Server::start_with(&[("trusted_proxies", "127.0.0.1,10.0.0.0/8")]);
    let direct = Server::start_with(&[("trusted_proxies", "10.0.0.0/8")]);
    let made = |server: &Server, forwarded: &[&str], given: Value| {
        let project = server.add_project(&server.workspace, "Site");
        let mut entry = json!({ "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "smtp.update" });
        for (name, value) in given.as_object().into_iter().flatten() {
            entry[name] = value.clone();
        }
        let mut request = server
            .request(Method::Post, &project_log(&project))
            .key(&server.key)
            .header("user-agent", "curl/8.5");
        for value in forwarded {
            request = request.header("x-forwarded-for", value);
        }
        // The document has addresses alone, not all the ways to write them.
        let made =
            request.body("application/json; charset=utf-8", entry.to_string()).send().status(201).json();
        let text = |name: &str| made[name].as_str().unwrap_or("null").to_owned();
        (text("ip_address"), text("user_agent"))
    };
    let curl = |address: &str| (address.to_owned(), "curl/8.5".to_owned());
    assert_eq!(made(&proxied, &[], Value::Null), curl("127.0.0.1"));
    assert_eq!(made(&proxied, &["203.0.113.42"], Value::Null), curl("203.0.113.42"));
    // From the right: what the client wrote itself stands on the left.
    assert_eq!(made(&proxied, &["6.6.6.6, 203.0.113.42, 10.0.0.7"], Value::Null), curl("203.0.113.42"));
    assert_eq!(made(&proxied, &["6.6.6.6", "203.0.113.42"], Value::Null), curl("203.0.113.42"));
    assert_eq!(made(&proxied, &["[2001:db8::1]:443"], Value::Null), curl("2001:db8::1"));
    assert_eq!(made(&proxied, &["nonsense"], Value::Null), curl("127.0.0.1"));
    // Nobody's word but a configured proxy's.
    assert_eq!(made(&direct, &["203.0.113.42"], Value::Null), curl("127.0.0.1"));
    // As proxies write them, and as SendDock's own clients leave them out.
    for (given, expected) in [
        ("203.0.113.7:5050", "203.0.113.7"),
        ("[2001:db8::5]:443", "2001:db8::5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("\"[2001:db8::5]:443\"", "2001:db8::5"),
        ("fe80::5%eth0", "fe80::5"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("", "127.0.0.1"),
    ] {
        assert_eq!(made(&direct, &[], json!({ "ip_address": given })), curl(expected), "{given}");
    }
    for (given, expected) in [("", "curl/8.5"), ("a\tb\r\n", "ab"), ("\t", "curl/8.5")] {
        assert_eq!(made(&direct, &[], json!({ "user_agent": given })).1, expected, "{given:?}");
    }
    assert_eq!(made(&direct, &[], json!({ "user_agent": "x".repeat(600) })).1, "x".repeat(512));
    let given = json!({ "ip_address": "2001:DB8:0:0::5", "user_agent": "Mozilla/5.0" });
    let expected = ("2001:db8::5".to_owned(), "Mozilla/5.0".to_owned());
    assert_eq!(made(&proxied, &["203.0.113.42"], given), expected);
}

#[test]
fn an_id_of_somebody_elses_making_is_text_a_number_or_nothing() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let made = |given: Value| {
        let mut entry = json!({ "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": "smtp.update" });
        for (name, value) in given.as_object().into_iter().flatten() {
            entry[name] = value.clone();
        }
        server.post(&project_log(&project), &entry)
    };
    for (given, expected) in [
        (json!({ "target_type": "", "target_id": "" }), (Value::Null, Value::Null)),
        (json!({ "target_type": "list", "target_id": 42 }), (json!("list"), json!("42"))),
        (
            json!({ "target_id": 18_446_744_073_709_551_615_u64 }),
            (Value::Null, json!("18446744073709551615")),
        ),
        (json!({ "target_id": -1 }), (Value::Null, json!("-1"))),
    ] {
        let entry = made(given).status(201).json();
        assert_eq!((entry["target_type"].clone(), entry["target_id"].clone()), expected);
    }
    for refused in [json!({ "target_id": 1.5 }), json!({ "target_id": true }), json!({ "target_type": 1 })] {
        made(refused).status(400);
    }
    // A ULID has one spelling, like a UUID.
    let entry = made(json!({ "user_id": "01hzx3yv5n8q2r4t6w8y0a2c4f" })).status(201).json();
    assert_eq!(entry["user_id"], "01HZX3YV5N8Q2R4T6W8Y0A2C4F");
    let cookie = server.login(OWNER);
    for asked in ["01HZX3YV5N8Q2R4T6W8Y0A2C4F", "01hzx3yv5n8q2r4t6w8y0a2c4f"] {
        let found = read(&server, &format!("{}?user_id={asked}", project_log(&project)), &cookie).good();
        assert_eq!(found.json()["total"], 1, "{asked}");
    }
}

#[test]
fn the_workspaces_log_has_every_projects_and_its_own() {
    let server = Server::start();
    let (first, second) =
        (server.add_project(&server.workspace, "A"), server.add_project(&server.workspace, "B"));
    let cookie = server.login(OWNER);
    let entry = |action: &str| json!({ "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": action });
    server.post(&project_log(&first), &entry("site.publish")).status(201);
    server.post(&project_log(&second), &entry("site.publish")).status(201);
    let path = format!("/api/v1/workspaces/{}/audit-log", server.workspace);
    let list = |query: &str| read(&server, &format!("{path}?{query}"), &cookie).status(200).json();
    let published = list("action=site.publish");
    let projects: Vec<&Value> =
        published["entries"].as_array().expect("entries").iter().map(|entry| &entry["project_id"]).collect();
    assert_eq!((projects, published["total"].clone()), (vec![&json!(second), &json!(first)], json!(2)));
    // By project it is the project's own list.
    let of_first = list(&format!("project_id={first}"));
    assert_eq!(of_first, read(&server, &project_log(&first), &cookie).status(200).json());
    assert_eq!(of_first["total"], 2);
    // What belongs to no project is only here.
    assert_eq!(list("action=workspace.create")["entries"][0]["project_id"], Value::Null);
}

#[test]
fn the_trail_outlives_its_subjects() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    server.add_user(&server.workspace, "bob@example.org", "admin");
    let bobs = server.login("bob@example.org");
    let bob = user_id(&server, &bobs);
    server.post(&project_log(&project), &json!({ "user_id": bob, "action": "site.publish" })).status(201);
    let cookie = server.login(OWNER);
    let delete = |path: &str| server.operator(Method::Delete, path, &Value::Null).status(204);
    delete(&format!("/api/v1/admin/users/{bob}"));
    delete(&format!("/api/v1/admin/projects/{project}"));
    // Bob is out at once.
    read(&server, "/api/v1/me", &bobs).status(401);
    login(&server, "bob@example.org", PASSWORD).send().status(401);
    let entries = read(&server, &project_log(&project), &cookie).status(200).json()["entries"].clone();
    let seen: Vec<(&str, &str)> = entries
        .as_array()
        .expect("entries")
        .iter()
        .map(|e| (e["action"].as_str().unwrap_or(""), e["actor"].as_str().unwrap_or("")))
        .collect();
    let operator = Server::operator_name();
    assert_eq!(
        seen,
        [
            ("project.delete", operator.as_str()),
            ("site.publish", "key test for bob@example.org"),
            ("project.create", &operator)
        ]
    );
    // Nothing more is recorded in it, though what is said of Bob elsewhere still has his name.
    server.post(&project_log(&project), &json!({ "user_id": bob, "action": "site.publish" })).status(404);
    let other = server.add_project(&server.workspace, "Other");
    let late = json!({ "user_id": bob, "action": "site.publish", "created_at": "2026-04-01T00:00:00Z" });
    let made = server.post(&project_log(&other), &late).status(201).json();
    assert_eq!(made["actor"], "key test for bob@example.org");
    let members = format!("/api/v1/workspaces/{}/members", server.workspace);
    let members = read(&server, &members, &cookie).status(200).json();
    assert_eq!(members["members"].as_array().map(Vec::len), Some(1));
}

// ---------------------------------------------------------------------------------------------- mailtrail's own entries

/// A change by an administrator, and the one activity it makes.
struct Change {
    method: Method,
    path: String,
    body: Value,
    action: &'static str,
    target_type: &'static str,
    metadata: Value,
}

/// Puts a value in place of what stands for it.
fn replace(value: &mut Value, stand_in: &str, with: &Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| replace(member, stand_in, with)),
        value if value == stand_in => *value = with.clone(),
        _ => {}
    }
}

#[test]
fn each_change_is_one_activity_with_before_and_after_and_no_secret() {
    let server = Server::start();
    let owner = server.login(OWNER);
    let workspace = server.workspace.clone();
    let tenant = server.add_tenant(&workspace, "Acme");
    let mailbox = server.add_mailbox(&workspace, "sales@example.org", Some(&tenant), Some(25));
    let project = server.add_project(&workspace, "Site");
    let bob = server.add_user(&workspace, "bob@example.org", "auditor").text("id");
    let given_key = format!("tc_live_{}", "ab".repeat(24));
    let key = json!({ "name": "old", "scopes": ["admin"], "key": given_key });
    let key = server.operator(Method::Post, "/api/v1/admin/keys", &key).status(201).text("id");
    let policy = json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": 30 } });
    let mut full = policy.clone();
    full["contentGuards"] = json!([]);
    full["auditLog"]["includeBodyHash"] = json!(false);
    let mailbox_settings = |limit: Value, hold: bool| json!({ "daily_send_limit": limit, "tenant_id": tenant, "name": null, "legal_hold": hold, "retention_days": null });
    let named = |name: &str, hold: bool| json!({ "name": name, "legal_hold": hold });
    let admin = |path: String| format!("/api/v1/admin/{path}");
    let new_password = "a new password to be kept";
    let change = |method, path: String, body, action, target_type, metadata| Change {
        method,
        path,
        body,
        action,
        target_type,
        metadata,
    };
    let none = Value::Null;
    let (post, put, patch, delete) = (Method::Post, Method::Put, Method::Patch, Method::Delete);
    let changes = [
        change(
            patch,
            admin(format!("workspaces/{workspace}")),
            json!({ "name": "Head" }),
            "workspace.rename",
            "workspace",
            json!({ "before": { "name": "Main" }, "after": { "name": "Head" } }),
        ),
        change(
            post,
            admin("tenants".into()),
            json!({ "name": "Two", "domain": "two.example" }),
            "tenant.create",
            "tenant",
            json!({ "name": "Two", "domain": "two.example" }),
        ),
        change(
            patch,
            admin(format!("tenants/{tenant}")),
            json!({ "name": "Acme Ltd", "legal_hold": true }),
            "tenant.update",
            "tenant",
            json!({ "before": named("Acme", false), "after": named("Acme Ltd", true) }),
        ),
        change(
            post,
            admin("mailboxes".into()),
            json!({ "address": "new@example.org", "daily_send_limit": 3 }),
            "mailbox.create",
            "mailbox",
            json!({
                "address": "new@example.org", "tenant_id": "TENANT", "daily_send_limit": 3, "tenant_made": "default",
            }),
        ),
        change(
            patch,
            format!("/v1/tenants/{tenant}/mailboxes/{mailbox}"),
            json!({ "daily_send_limit": 30 }),
            "mailbox.update",
            "mailbox",
            json!({ "before": mailbox_settings(json!(25), false), "after": mailbox_settings(json!(30), false) }),
        ),
        change(
            patch,
            admin(format!("mailboxes/{mailbox}")),
            json!({ "daily_send_limit": null, "legal_hold": true }),
            "mailbox.update",
            "mailbox",
            json!({ "before": mailbox_settings(json!(30), false), "after": mailbox_settings(none.clone(), true) }),
        ),
        change(
            put,
            format!("/v1/mailboxes/{mailbox}/policy"),
            policy.clone(),
            "mailbox.policy_update",
            "mailbox",
            json!({ "version": 1, "before": null, "after": full }),
        ),
        change(
            put,
            format!("/v1/mailboxes/{mailbox}/policy"),
            policy.clone(),
            "mailbox.policy_update",
            "mailbox",
            json!({ "version": 2, "before": full, "after": full }),
        ),
        change(
            delete,
            admin(format!("mailboxes/{mailbox}")),
            none.clone(),
            "mailbox.delete",
            "mailbox",
            json!({ "address": "sales@example.org" }),
        ),
        change(
            delete,
            admin(format!("tenants/{tenant}")),
            none.clone(),
            "tenant.delete",
            "tenant",
            json!({ "name": "Acme Ltd" }),
        ),
        change(
            post,
            admin("projects".into()),
            json!({ "name": "Blog" }),
            "project.create",
            "project",
            json!({ "name": "Blog" }),
        ),
        change(
            patch,
            admin(format!("projects/{project}")),
            json!({ "name": "Web", "legal_hold": true }),
            "project.update",
            "project",
            json!({ "before": named("Site", false), "after": named("Web", true) }),
        ),
        change(
            delete,
            admin(format!("projects/{project}")),
            none.clone(),
            "project.delete",
            "project",
            json!({ "name": "Web" }),
        ),
        change(
            patch,
            admin(format!("users/{bob}")),
            json!({ "role": "admin" }),
            "workspace.member_role_changed",
            "user",
            json!({ "member_id": bob, "before": { "role": "auditor" }, "after": { "role": "admin" }, "role": "admin" }),
        ),
        change(
            patch,
            admin(format!("users/{bob}")),
            json!({ "password": new_password }),
            "user.password_reset",
            "user",
            json!({ "email": "bob@example.org", "fingerprint": "FINGERPRINT" }),
        ),
        change(
            delete,
            admin(format!("users/{bob}")),
            none.clone(),
            "workspace.member_removed",
            "user",
            json!({ "member_id": bob, "email": "bob@example.org" }),
        ),
        change(
            post,
            admin("keys".into()),
            json!({ "name": "k", "scopes": ["messages:read"], "expires_at": "2027-01-01T00:00:00Z" }),
            "api_key.create",
            "api_key",
            json!({
                "name": "k", "hint": "HINT", "scopes": ["messages:read"], "expires_at": "2027-01-01T00:00:00Z",
                "fingerprint": "FINGERPRINT",
            }),
        ),
        change(
            post,
            admin(format!("keys/{key}/rotate")),
            json!({ "overlap": "1h" }),
            "api_key.rotate",
            "api_key",
            json!({
                "name": "old", "before": "tc_live_abab", "after": "HINT", "old_key_ends_at": "2026-04-30T15:22:11Z",
                "new_id": "ID",
                "new": {
                    "name": "old", "hint": "HINT", "scopes": ["admin"], "expires_at": null, "fingerprint": "FINGERPRINT",
                },
            }),
        ),
        change(
            delete,
            admin(format!("keys/{key}")),
            none.clone(),
            "api_key.revoke",
            "api_key",
            json!({ "name": "old", "hint": "tc_live_abab" }),
        ),
        change(
            post,
            admin("licenses".into()),
            json!({ "holder": "Me", "plan": "team" }),
            "license.issue",
            "appliance",
            json!({ "holder": "Me", "plan": "team", "expires_at": null }),
        ),
        change(
            post,
            admin("retention/run".into()),
            none.clone(),
            "retention.run",
            "appliance",
            json!({
                "deleted": { "enforcement": 0, "messages": 0, "activity": 0 },
                "days": { "enforcement": null, "messages": null, "activity": null }, "state": "done",
            }),
        ),
        change(
            post,
            admin("backups".into()),
            json!({ "file": "one.db" }),
            "backup.create",
            "appliance",
            json!({ "file": "FILE", "bytes": "BYTES" }),
        ),
    ];
    let user = user_id(&server, &owner);
    let mut secrets = vec![given_key, new_password.to_owned(), PASSWORD.to_owned(), server.key.clone()];
    for change in changes {
        let what = format!("{} {}", change.method.as_str(), change.path);
        let before = server.db_number("SELECT count(*) FROM activity");
        let request = server.request(change.method, &change.path).cookie(&owner).header("user-agent", "page");
        let request = if change.body.is_null() { request } else { request.json(&change.body) };
        let answer = request.send().good();
        assert_eq!(server.db_number("SELECT count(*) FROM activity"), before + 1, "{what}");
        let entry = noted(&server, &owner, "").swap_remove(0);
        let mut metadata = change.metadata;
        // What only the answer knows, or nobody.
        let shown = if answer.body.is_empty() { Value::Null } else { answer.json() };
        for name in ["key", "license_key"] {
            secrets.extend(shown[name].as_str().map(str::to_owned));
        }
        for (name, stand_in) in
            [("hint", "HINT"), ("file", "FILE"), ("bytes", "BYTES"), ("id", "ID"), ("tenant_id", "TENANT")]
        {
            replace(&mut metadata, stand_in, &shown[name]);
        }
        let of = if metadata["new"].is_null() { &entry["metadata"] } else { &entry["metadata"]["new"] };
        if let Some(print) = of["fingerprint"].as_str() {
            assert!(print.len() == 16 && print.bytes().all(|b| b.is_ascii_hexdigit()), "{what}: {print}");
            replace(&mut metadata, "FINGERPRINT", &of["fingerprint"]);
        }
        let target = entry["target_type"].as_str().unwrap_or_default();
        assert_eq!((entry["action"].as_str(), target), (Some(change.action), change.target_type), "{what}");
        assert_eq!(entry["metadata"], metadata, "{what}");
        let by = json!([entry["user_id"], entry["actor"], entry["ip_address"], entry["user_agent"]]);
        assert_eq!(by, json!([user, OWNER, "127.0.0.1", "page"]), "{what}");
    }
    assert_eq!(secrets.len(), 7, "every secret shown was gathered");
    for secret in secrets {
        assert_nowhere(&server, &secret);
    }
}

#[test]
fn a_new_workspace_and_its_people_are_noted_in_it() {
    let server = Server::start();
    let (other, _) = server.add_workspace("Other", "eve@example.org");
    let eve = server.login("eve@example.org");
    let path = format!("/api/v1/workspaces/{other}/audit-log?order=asc");
    let entries = read(&server, &path, &eve).status(200).json()["entries"].clone();
    let actions: Vec<&str> =
        entries.as_array().expect("entries").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(
        actions,
        [
            "workspace.create",
            "workspace.user_created",
            "workspace.member_added",
            "api_key.create",
            "auth.login"
        ]
    );
    assert_eq!(entries[2]["metadata"]["role"], "owner");
    assert_eq!(entries[2]["metadata"]["email"], "eve@example.org");
}

#[test]
fn a_taken_away_result_is_noted() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Site");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let owner = server.login(OWNER);
    server.get("/v1/enforcement/events?format=csv&action=blocked").status(200);
    server.get(&format!("/v1/mailboxes/{mailbox}/audit-logs?format=ndjson")).status(200);
    read(&server, &format!("{}?format=csv", project_log(&project)), &owner).status(200);
    // A page is no export.
    server.get("/v1/enforcement/events").status(200);
    let entries = noted(&server, &owner, "to=2026-05-01T00:00:00Z");
    let seen: Vec<Value> = entries[..3]
        .iter()
        .map(|e| json!([e["action"], e["target_type"], e["target_id"], e["metadata"], e["project_id"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["activity.export", "project", project, { "asked": { "format": "csv" } }, project]),
            json!(["messages.export", "mailbox", mailbox.to_string(), { "asked": { "format": "ndjson" } }, null]),
            json!(["enforcement.export", "tenant", null, { "asked": { "format": "csv", "action": "blocked" } }, null]),
        ]
    );
}

// ---------------------------------------------------------------------------------------------- people

#[test]
fn logins_are_recorded_the_failed_ones_too() {
    let server = Server::start();
    let wrong = error("Wrong email or password");
    assert_eq!(login(&server, OWNER, "not the password").send().status(401).json(), wrong);
    assert_eq!(login(&server, "nobody@example.org", PASSWORD).send().status(401).json(), wrong);
    let ended = server.login(&OWNER.to_uppercase());
    server.request(Method::Post, "/api/v1/auth/logout").cookie(&ended).send().status(204);
    let cookie = server.login(OWNER);
    let user = user_id(&server, &cookie);
    let entries = noted(&server, &cookie, "");
    let seen: Vec<Value> = entries[..5]
        .iter()
        .map(|e| {
            json!([e["action"], e["user_id"], e["actor"], e["target_id"], e["metadata"], e["ip_address"]])
        })
        .collect();
    // Which session it was, and nothing that opens it.
    let of = |cookie: &str| {
        let token = cookie.split_once('=').expect("a cookie").1;
        json!({ "fingerprint": mailtrail::auth::sessions::fingerprint_of(token) })
    };
    assert_eq!(
        seen,
        [
            json!(["auth.login", user, OWNER, user, of(&cookie), "127.0.0.1"]),
            json!(["auth.logout", user, OWNER, user, of(&ended), "127.0.0.1"]),
            json!(["auth.login", user, OWNER, user, of(&ended), "127.0.0.1"]),
            json!([
                "auth.login_failed", null, "nobody@example.org", null,
                { "email": "nobody@example.org", "known": false }, "127.0.0.1",
            ]),
            json!(["auth.login_failed", null, OWNER, user, {}, "127.0.0.1"]),
        ]
    );
    assert_nowhere(&server, "not the password");
}

#[test]
fn a_login_answers_with_who_it_is_and_a_safe_cookie() {
    let server = Server::start();
    let answer = login(&server, OWNER, PASSWORD).send().status(200);
    let shown = answer.json();
    let names: Vec<&String> = shown.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["user_id", "email", "name", "plan", "created_at"]);
    assert_eq!((&shown["email"], &shown["plan"]), (&json!(OWNER), &json!("pro")));
    let cookie = answer.header("set-cookie").expect("a cookie");
    let (token, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(token.len(), "mailtrail_session=".len() + 64);
    assert_eq!(attributes, "Path=/; Max-Age=604800; HttpOnly; SameSite=Lax");
    // Behind https, as a trusted proxy says, it is never sent without.
    let answer = login(&server, OWNER, PASSWORD).header("x-forwarded-proto", "https").send().status(200);
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")), "{answer:?}");
    // The token itself is not stored.
    assert_nowhere(&server, token.trim_start_matches("mailtrail_session="));
    let me = read(&server, "/api/v1/me", token).status(200).json();
    assert_eq!(me["workspaces"], json!([{ "id": server.workspace, "name": "Main", "role": "owner" }]));
}

#[test]
fn failed_logins_are_slowed_and_forgiven() {
    let server = Server::start();
    let fail = || login(&server, OWNER, "not the password").send();
    for _ in 0..6 {
        fail().status(401);
    }
    let slowed = fail().status(429);
    assert_eq!(slowed.json(), error("too many failed logins; try again in 2 s"));
    assert_eq!(slowed.header("retry-after"), Some("2"));
    // The right password has to wait too, and says nothing by it.
    let right = login(&server, OWNER, PASSWORD).send().status(429);
    assert_eq!(right.json(), error("too many failed logins; try again in 2 s"));
    // Another account from the same address waits as well.
    login(&server, "other@example.org", "not the password").send().status(429);
    let mut now = time(START);
    for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        now = now.plus_seconds(wait - 1);
        server.clock.set(now);
        if wait > 2 {
            assert_eq!(fail().status(429).header("retry-after"), Some("1"), "{wait}");
        }
        now = now.plus_seconds(1);
        server.clock.set(now);
        if wait == 900 {
            break;
        }
        fail().status(401);
    }
    // A quiet quarter of an hour forgives.
    login(&server, OWNER, PASSWORD).send().status(200);
    for _ in 0..5 {
        fail().status(401);
    }
    login(&server, OWNER, PASSWORD).send().status(200);
    // Waiting attempts are not recorded as failures.
    let failures = server.db_number("SELECT count(*) FROM activity WHERE action = (SELECT id FROM texts WHERE text = 'auth.login_failed')");
    assert_eq!(failures, 6 + 9 + 5);
}

#[test]
fn a_session_ends_by_idleness_by_age_and_by_logout() {
    let mut server = Server::start_with(&[("session_idle", "2h"), ("session_lifetime", "5h")]);
    let cookie = server.login(OWNER);
    let at = |server: &Server, seconds: i64, status: u16| {
        server.clock.set(time(START).plus_seconds(seconds));
        read(server, "/api/v1/me", &cookie).status(status);
    };
    at(&server, 2 * 3600 - 1, 200);
    // Its use is written down before the server goes.
    server.run_jobs();
    server.restart();
    at(&server, 4 * 3600 - 2, 200);
    at(&server, 5 * 3600 - 1, 200);
    at(&server, 5 * 3600, 401);
    server.clock.set(time(START).plus_seconds(6 * 3600));
    let idle = server.login(OWNER);
    server.clock.set(time(START).plus_seconds(8 * 3600));
    read(&server, "/api/v1/me", &idle).status(401);
    let left = server.login(OWNER);
    let other = server.login(OWNER);
    let answer = server.request(Method::Post, "/api/v1/auth/logout").cookie(&left).send().status(204);
    assert_eq!(
        answer.header("set-cookie"),
        Some("mailtrail_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
    );
    read(&server, "/api/v1/me", &left).status(401);
    // Only the one that was left.
    read(&server, "/api/v1/me", &other).status(200);
    // A new password ends the others.
    let me = user_id(&server, &other);
    let body = json!({ "password": "another good password" });
    server.operator(Method::Patch, &format!("/api/v1/admin/users/{me}"), &body).status(200);
    read(&server, "/api/v1/me", &other).status(401);
    login(&server, OWNER, PASSWORD).send().status(401);
    login(&server, OWNER, "another good password").send().status(200);
}

#[test]
fn another_origins_page_changes_nothing_with_the_cookie() {
    let server = Server::start();
    let cookie = server.login(OWNER);
    let host = server.url().trim_start_matches("http://").to_owned();
    let create = |headers: &[(&str, &str)]| {
        let mut request = server.request(Method::Post, "/api/v1/admin/projects").cookie(&cookie);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.json(&json!({ "name": "x" })).send().status
    };
    let own = format!("http://{host}");
    assert_eq!(create(&[]), 201);
    assert_eq!(create(&[("origin", &own)]), 201);
    assert_eq!(create(&[("sec-fetch-site", "same-origin"), ("origin", &own)]), 201);
    assert_eq!(create(&[("origin", "http://evil.example")]), 403);
    assert_eq!(create(&[("origin", "null")]), 403);
    assert_eq!(create(&[("origin", "http://127.0.0.1:1")]), 403);
    assert_eq!(create(&[("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(create(&[("sec-fetch-site", "same-site"), ("origin", &own)]), 403);
    // Nobody is logged in by another page, nor out.
    login(&server, OWNER, PASSWORD).header("origin", "http://evil.example").send().status(403);
    let logout = server.request(Method::Post, "/api/v1/auth/logout").cookie(&cookie);
    logout.header("origin", "http://evil.example").send().status(403);
    read(&server, "/api/v1/me", &cookie).status(200);
    assert_eq!(server.db_number("SELECT count(*) FROM projects"), 3);
}

#[test]
fn roles_open_what_they_say() {
    let server = Server::start();
    let workspace = server.workspace.clone();
    let bob = server.add_user(&workspace, "bob@example.org", "admin").text("id");
    server.add_user(&workspace, "eve@example.org", "auditor");
    let (ada, bobs, eves) =
        (server.login(OWNER), server.login("bob@example.org"), server.login("eve@example.org"));
    let ada_id = user_id(&server, &ada);
    let project = server.add_project(&workspace, "Site");
    // All three read.
    for cookie in [&ada, &bobs, &eves] {
        read(&server, &project_log(&project), cookie).status(200);
        read(&server, &format!("/api/v1/workspaces/{workspace}/audit-log"), cookie).status(200);
    }
    let ask = |cookie: &str, method: Method, path: &str, body: Value| {
        let request = server.request(method, &format!("/api/v1/admin/{path}")).cookie(cookie);
        let answer = if body.is_null() { request } else { request.json(&body) }.send();
        let code = if answer.status < 300 { Value::Null } else { answer.json()["code"].clone() };
        (answer.status, code.as_str().unwrap_or_default().to_owned())
    };
    let forbidden = (403, "forbidden".to_owned());
    // An auditor changes nothing and administers nothing.
    for (method, path, body) in [
        (Method::Get, "workspaces", Value::Null),
        (Method::Get, "keys", Value::Null),
        (Method::Post, "keys", json!({ "name": "k", "scopes": ["admin"] })),
        (Method::Post, "projects", json!({ "name": "x" })),
        (Method::Post, "retention/run", Value::Null),
    ] {
        assert_eq!(ask(&eves, method, path, body), forbidden, "{path}");
    }
    // An admin does, but names no owner, touches none, and ends no workspace.
    assert_eq!(ask(&bobs, Method::Post, "projects", json!({ "name": "x" })).0, 201);
    let new_owner = json!({ "email": "zoe@example.org", "role": "owner", "password": PASSWORD });
    assert_eq!(ask(&bobs, Method::Post, "users", new_owner), forbidden);
    assert_eq!(ask(&bobs, Method::Patch, &format!("users/{bob}"), json!({ "role": "owner" })), forbidden);
    assert_eq!(
        ask(&bobs, Method::Patch, &format!("users/{ada_id}"), json!({ "role": "auditor" })),
        forbidden
    );
    assert_eq!(
        ask(&bobs, Method::Patch, &format!("users/{ada_id}"), json!({ "password": PASSWORD })),
        forbidden
    );
    assert_eq!(ask(&bobs, Method::Delete, &format!("users/{ada_id}"), Value::Null), forbidden);
    assert_eq!(ask(&bobs, Method::Delete, &format!("workspaces/{workspace}"), Value::Null), forbidden);
    // The last owner stays, also by their own hand.
    let last = (409, "last_owner".to_owned());
    assert_eq!(ask(&ada, Method::Patch, &format!("users/{ada_id}"), json!({ "role": "admin" })), last);
    assert_eq!(ask(&ada, Method::Delete, &format!("users/{ada_id}"), Value::Null), last);
    // With another owner the first may go.
    assert_eq!(ask(&ada, Method::Patch, &format!("users/{bob}"), json!({ "role": "owner" })).0, 200);
    assert_eq!(ask(&bobs, Method::Delete, &format!("users/{ada_id}"), Value::Null).0, 204);
    read(&server, "/api/v1/me", &ada).status(401);
    assert_eq!(ask(&bobs, Method::Delete, &format!("users/{bob}"), Value::Null), last);
    // The appliance's own workspace stays.
    let first = (409, "first_workspace".to_owned());
    assert_eq!(ask(&bobs, Method::Delete, &format!("workspaces/{workspace}"), Value::Null), first);
}
