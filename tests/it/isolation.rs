//! Nobody sees another workspace's rows, whatever is asked: another's id and one that was made up get the same answer.
//!
//! The tables of routes are walked, so that a new route without a case here fails.

use std::collections::BTreeSet;

use mailtrail::http::Method;
use mailtrail::http::route::Handler;
use mailtrail::routes::TABLES;
use serde_json::{Value, json};

use crate::support::{OWNER, Server};

/// The ids that a request can hold; `{names}` in a case stand for them.
pub struct Ids(pub Vec<(&'static str, String)>);

impl Ids {
    /// Of things that are there.
    pub fn real(server: &Server, workspace: &str, label: &str) -> Self {
        let tenant = server.add_tenant(workspace, label);
        let address = format!("{label}@example.org");
        let mailbox = server.add_mailbox(workspace, &address, Some(&tenant), Some(5));
        let message = format!("{label}@messages");
        let entry = json!({ "message_id": message, "outcome": "delivered" });
        let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
        let key = server.add_key(workspace, &crate::support::SCOPES);
        server.request(Method::Post, &path).key(&key).json(&entry).send().status(201);
        let event = json!({
            "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": 6,
            "limit_value": 5,
        });
        let event = server.request(Method::Post, "/v1/enforcement/events").key(&key).json(&event).send();
        let policy = json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": 30 } });
        server.put_policy(mailbox, &policy).status(200);
        let project = server.add_project(workspace, label);
        let path = format!("/api/v1/projects/{project}/audit-log");
        let activity = json!({ "action": "campaign.send", "user_id": uuid(9) });
        let activity = server.request(Method::Post, &path).key(&key).json(&activity).send();
        let user = server.add_user(workspace, &format!("{label}@people.example"), "auditor").text("id");
        let key = json!({ "workspace_id": workspace, "name": label, "scopes": ["messages:read"] });
        let key = server.operator(Method::Post, "/api/v1/admin/keys", &key).status(201).text("id");
        let invited =
            json!({ "workspace_id": workspace, "email": "invited@people.example", "role": "auditor" });
        let invitation =
            server.operator(Method::Post, "/api/v1/admin/users", &invited).status(201).text("id");
        Self(vec![
            ("workspace", workspace.to_owned()),
            ("tenant", tenant),
            ("mailbox", mailbox.to_string()),
            ("address", address),
            ("message", message),
            ("event", event.status(201).text("id")),
            ("project", project),
            ("activity", activity.status(201).text("id")),
            ("user", user),
            ("key", key),
            ("invitation", invitation),
        ])
    }

    fn made_up() -> Self {
        Self(vec![
            ("workspace", uuid(1)),
            ("tenant", uuid(2)),
            ("mailbox", "987654".into()),
            ("address", "madeup@example.org".into()),
            ("message", "madeup@messages".into()),
            ("event", uuid(6)),
            ("project", uuid(3)),
            ("activity", "01HWQY1J0D5V8M3T9Z6K2N4R7B".into()),
            ("user", uuid(4)),
            ("key", uuid(5)),
            ("invitation", uuid(7)),
        ])
    }

    /// Puts the ids into a case. `{own.names}` are the caller's own, whoever is asked about.
    fn fill(&self, own: &Self, template: &str) -> String {
        let mut text = template.to_owned();
        for (name, id) in &own.0 {
            text = text.replace(&format!("<own.{name}>"), id);
        }
        for (name, id) in &self.0 {
            text = text.replace(&format!("<{name}>"), id);
        }
        assert!(!text.contains('<'), "{text}");
        text
    }

    /// An answer without the ids that were asked for.
    fn neutral(&self, answer: &str) -> String {
        self.0
            .iter()
            .fold(answer.to_owned(), |text, (name, id)| text.replace(id.as_str(), &format!("<{name}>")))
    }
}

fn uuid(n: u8) -> String {
    format!("019ddec4-c638-7aad-96a0-0000000000{n:02}")
}

/// Every route that takes an id in its path, query or body: `METHOD pattern`, the path asked for, the body.
const CASES: &[(&str, &str, &str)] = &[
    ("GET /v1/tenants/{tenant_id}", "/v1/tenants/<tenant>", ""),
    ("GET /v1/tenants/{tenant_id}/mailboxes", "/v1/tenants/<tenant>/mailboxes", ""),
    (
        "POST /v1/tenants/{tenant_id}/mailboxes",
        "/v1/tenants/<tenant>/mailboxes",
        r#"{"address":"fresh@example.org"}"#,
    ),
    (
        "PATCH /v1/tenants/{tenant_id}/mailboxes/{mailbox_id}",
        "/v1/tenants/<tenant>/mailboxes/<mailbox>",
        r#"{"daily_send_limit":7}"#,
    ),
    (
        "PATCH /v1/tenants/{tenant_id}/mailboxes/{mailbox_id}",
        "/v1/tenants/<own.tenant>/mailboxes/<mailbox>",
        r#"{"daily_send_limit":7}"#,
    ),
    (
        "PATCH /v1/tenants/{tenant_id}/mailboxes/{mailbox_id}",
        "/v1/tenants/<own.tenant>/mailboxes/<own.mailbox>",
        r#"{"tenant_id":"<tenant>"}"#,
    ),
    ("GET /api/v1/workspaces/{id}/members", "/api/v1/workspaces/<workspace>/members", ""),
    ("GET /v1/messages", "/v1/messages?mailbox_id=<mailbox>", ""),
    ("GET /v1/messages", "/v1/messages?mailbox_id=<mailbox>&after=0", ""),
    ("GET /v1/enforcement/events/{id}/proof", "/v1/enforcement/events/<event>/proof", ""),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}/proof",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>/proof",
        "",
    ),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}/proof",
        "/v1/mailboxes/<own.mailbox>/audit-logs/<message>/proof",
        "",
    ),
    (
        "GET /api/v1/projects/{id}/audit-log/{activity_id}/proof",
        "/api/v1/projects/<own.project>/audit-log/<activity>/proof",
        "",
    ),
    (
        "GET /api/v1/workspaces/{id}/audit-log/{activity_id}/proof",
        "/api/v1/workspaces/<workspace>/audit-log/<activity>/proof",
        "",
    ),
    (
        "GET /api/v1/workspaces/{id}/audit-log/{activity_id}/proof",
        "/api/v1/workspaces/<own.workspace>/audit-log/<activity>/proof",
        "",
    ),
    ("GET /v1/enforcement/events", "/v1/enforcement/events?tenant_id=<tenant>", ""),
    ("GET /v1/enforcement/events", "/v1/enforcement/events?tenant_id=<tenant>&format=csv", ""),
    (
        "POST /v1/enforcement/events",
        "/v1/enforcement/events",
        r#"{"tenant_id":"<tenant>","mailbox_address":"<address>","action_taken":"blocked","sent_count":6,"limit_value":5}"#,
    ),
    (
        "POST /v1/enforcement/events",
        "/v1/enforcement/events",
        r#"{"events":[{"tenant_id":"<tenant>","mailbox_address":"<address>","action_taken":"blocked","sent_count":6,"limit_value":5}]}"#,
    ),
    (
        "POST /v1/enforcement/sends",
        "/v1/enforcement/sends",
        r#"{"tenant_id":"<tenant>","mailbox_address":"<address>"}"#,
    ),
    (
        "POST /v1/enforcement/sends",
        "/v1/enforcement/sends",
        r#"{"tenant_id":"<own.tenant>","mailbox_address":"<address>"}"#,
    ),
    ("GET /v1/mailboxes/{mailbox_id}/audit-logs", "/v1/mailboxes/<mailbox>/audit-logs", ""),
    ("GET /v1/mailboxes/{mailbox_id}/audit-logs", "/api/v1/mailboxes/<mailbox>/audit-logs?format=ndjson", ""),
    (
        "POST /v1/mailboxes/{mailbox_id}/audit-logs",
        "/v1/mailboxes/<mailbox>/audit-logs",
        r#"{"message_id":"<message>","outcome":"delivered"}"#,
    ),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>",
        "",
    ),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<own.mailbox>/audit-logs/<message>",
        "",
    ),
    (
        "PATCH /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>",
        r#"{"reply_sent":true}"#,
    ),
    (
        "PATCH /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<own.mailbox>/audit-logs/<message>",
        r#"{"reply_sent":true}"#,
    ),
    ("POST /v1/mailboxes/{mailbox_id}/inbound", "/v1/mailboxes/<mailbox>/inbound", r#"{"message_id":"x"}"#),
    ("GET /v1/mailboxes/{mailbox_id}/policy", "/v1/mailboxes/<mailbox>/policy", ""),
    (
        "PUT /v1/mailboxes/{mailbox_id}/policy",
        "/v1/mailboxes/<mailbox>/policy",
        r#"{"defaultAction":"drop","senders":[],"auditLog":{"retentionDays":1}}"#,
    ),
    (
        "POST /api/v1/projects/{id}/audit-log",
        "/api/v1/projects/<project>/audit-log",
        r#"{"user_id":"<user>","action":"site.publish"}"#,
    ),
    ("GET /api/v1/projects/{id}/audit-log", "/api/v1/projects/<project>/audit-log", ""),
    ("GET /api/v1/workspaces/{id}/audit-log", "/api/v1/workspaces/<workspace>/audit-log", ""),
    (
        "GET /api/v1/workspaces/{id}/audit-log",
        "/api/v1/workspaces/<own.workspace>/audit-log?project_id=<project>",
        "",
    ),
    ("GET /api/v1/admin/workspaces/{id}", "/api/v1/admin/workspaces/<workspace>", ""),
    ("PATCH /api/v1/admin/workspaces/{id}", "/api/v1/admin/workspaces/<workspace>", r#"{"name":"Taken"}"#),
    ("DELETE /api/v1/admin/workspaces/{id}", "/api/v1/admin/workspaces/<workspace>", ""),
    ("GET /api/v1/admin/users", "/api/v1/admin/users?workspace_id=<workspace>", ""),
    (
        "POST /api/v1/admin/users",
        "/api/v1/admin/users",
        r#"{"workspace_id":"<workspace>","email":"fresh@example.org","role":"auditor"}"#,
    ),
    ("GET /api/v1/admin/invitations", "/api/v1/admin/invitations?workspace_id=<workspace>", ""),
    ("DELETE /api/v1/admin/invitations/{id}", "/api/v1/admin/invitations/<invitation>", ""),
    ("GET /api/v1/admin/users/{id}", "/api/v1/admin/users/<user>", ""),
    ("GET /api/v1/admin/users/{id}", "/api/v1/admin/users/<own.user>?workspace_id=<workspace>", ""),
    ("PATCH /api/v1/admin/users/{id}", "/api/v1/admin/users/<user>", r#"{"role":"admin"}"#),
    ("PATCH /api/v1/admin/users/{id}", "/api/v1/admin/users/<user>", r#"{"password":"long enough for all"}"#),
    ("DELETE /api/v1/admin/users/{id}", "/api/v1/admin/users/<user>", ""),
    ("GET /api/v1/admin/tenants", "/api/v1/admin/tenants?workspace_id=<workspace>", ""),
    (
        "POST /api/v1/admin/tenants",
        "/api/v1/admin/tenants",
        r#"{"workspace_id":"<workspace>","name":"Fresh"}"#,
    ),
    ("GET /api/v1/admin/tenants/{id}", "/api/v1/admin/tenants/<tenant>", ""),
    ("PATCH /api/v1/admin/tenants/{id}", "/api/v1/admin/tenants/<tenant>", r#"{"legal_hold":true}"#),
    ("DELETE /api/v1/admin/tenants/{id}", "/api/v1/admin/tenants/<tenant>", ""),
    ("GET /api/v1/admin/mailboxes", "/api/v1/admin/mailboxes?workspace_id=<workspace>", ""),
    (
        "POST /api/v1/admin/mailboxes",
        "/api/v1/admin/mailboxes",
        r#"{"workspace_id":"<workspace>","address":"other@example.org"}"#,
    ),
    (
        "POST /api/v1/admin/mailboxes",
        "/api/v1/admin/mailboxes",
        r#"{"tenant_id":"<tenant>","address":"another@example.org"}"#,
    ),
    ("GET /api/v1/admin/mailboxes/{id}", "/api/v1/admin/mailboxes/<mailbox>", ""),
    ("PATCH /api/v1/admin/mailboxes/{id}", "/api/v1/admin/mailboxes/<mailbox>", r#"{"legal_hold":true}"#),
    (
        "PATCH /api/v1/admin/mailboxes/{id}",
        "/api/v1/admin/mailboxes/<own.mailbox>",
        r#"{"tenant_id":"<tenant>"}"#,
    ),
    ("DELETE /api/v1/admin/mailboxes/{id}", "/api/v1/admin/mailboxes/<mailbox>", ""),
    ("GET /api/v1/admin/projects", "/api/v1/admin/projects?workspace_id=<workspace>", ""),
    (
        "POST /api/v1/admin/projects",
        "/api/v1/admin/projects",
        r#"{"workspace_id":"<workspace>","name":"Fresh"}"#,
    ),
    ("GET /api/v1/admin/projects/{id}", "/api/v1/admin/projects/<project>", ""),
    ("PATCH /api/v1/admin/projects/{id}", "/api/v1/admin/projects/<project>", r#"{"name":"Taken"}"#),
    ("DELETE /api/v1/admin/projects/{id}", "/api/v1/admin/projects/<project>", ""),
    ("GET /api/v1/admin/keys", "/api/v1/admin/keys?workspace_id=<workspace>", ""),
    ("GET /api/v1/admin/names", "/api/v1/admin/names?kind=tenants&name=Acme&workspace_id=<workspace>", ""),
    (
        "POST /api/v1/admin/keys",
        "/api/v1/admin/keys",
        r#"{"workspace_id":"<workspace>","name":"fresh","scopes":["messages:read"]}"#,
    ),
    ("GET /api/v1/admin/keys/{id}", "/api/v1/admin/keys/<key>", ""),
    ("DELETE /api/v1/admin/keys/{id}", "/api/v1/admin/keys/<key>", ""),
    ("POST /api/v1/admin/keys/{id}/rotate", "/api/v1/admin/keys/<key>/rotate", ""),
    (
        "POST /api/v1/admin/erasures",
        "/api/v1/admin/erasures",
        r#"{"workspace_id":"<workspace>","address":"gone@example.net","why":"on their wish"}"#,
    ),
];

/// Routes that take no id of anything in a workspace. A tenant's id that is brought along has a test of its own.
const WITHOUT_IDS: &[&str] = &[
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/logout",
    "GET /api/v1/me",
    "PUT /api/v1/me/password",
    "GET /api/v1/invitations/{token}",
    "POST /api/v1/invitations/{token}",
    "GET /v1/tenants",
    "POST /v1/tenants",
    "GET /api/v1/admin/workspaces",
    "POST /api/v1/admin/workspaces",
    "GET /api/v1/admin/licenses",
    "POST /api/v1/admin/licenses",
    "GET /api/v1/admin/config",
    "GET /api/v1/admin/controls",
    "GET /api/v1/admin/retention",
    "PATCH /api/v1/admin/retention",
    "POST /api/v1/admin/retention/run",
    "POST /api/v1/admin/backups",
    "POST /api/v1/admin/check",
    "GET /api/v1/admin/verify",
    "GET /api/v1/admin/checkpoint",
    "GET /api/v1/admin/root",
    "GET /api/v1/admin/removals",
    "GET /api/v1/admin/consistency",
    "POST /api/v1/admin/epochs",
    "GET /api/v1/admin/controls/{number}/proof",
    "GET /tlog/checkpoint",
    "GET /tlog/keys",
    "GET /tlog/tile/{level}/{tile}",
    "GET /api/v1/admin/clock",
    "POST /api/v1/admin/clock/accept",
    "GET /api/v1/admin/stats",
];

fn named(method: Method, path: &str) -> String {
    format!("{} {path}", method.as_str())
}

#[test]
fn every_route_has_a_case() {
    let served: BTreeSet<String> =
        TABLES.iter().copied().flatten().map(|route| named(route.method, route.path)).collect();
    let cases = CASES.iter().map(|(route, ..)| *route).chain(WITHOUT_IDS.iter().copied());
    let covered: BTreeSet<String> = cases.map(str::to_owned).collect();
    let missing: Vec<&String> = served.difference(&covered).collect();
    let gone: Vec<&String> = covered.difference(&served).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a case: {missing:?}; without a route: {gone:?}");
    for route in WITHOUT_IDS {
        assert!(!route.contains("id}"), "{route} takes an id");
    }
}

/// Two workspaces; the caller's is the first, which may do more than any other.
struct Two {
    server: Server,
    cookie: String,
    own: Ids,
    foreign: Ids,
}

impl Two {
    fn new() -> Self {
        let server = Server::start();
        let (other, _) = server.add_workspace("Other", "eve@example.net");
        let own = Ids::real(&server, &server.workspace, "own");
        let foreign = Ids::real(&server, &other, "foreign");
        let cookie = server.login(OWNER);
        Self { server, cookie, own, foreign }
    }

    /// Status and body, as the key or as the owner's session.
    fn ask(&self, by_key: bool, route: &str, path: &str, body: &str) -> (u16, String) {
        let (method, _) = route.split_once(' ').expect("a method");
        let request = self.server.request(Method::parse(method).expect("a method"), path);
        let request = if by_key { request.key(&self.server.key) } else { request.cookie(&self.cookie) };
        let request = if body.is_empty() { request } else { request.body("application/json", body) };
        let answer = request.send();
        (answer.status, answer.body_text())
    }
}

/// Who may call a route: with a key, with a session.
fn callers(route: &str) -> Vec<bool> {
    let found = TABLES.iter().copied().flatten().find(|known| named(known.method, known.path) == route);
    match found.unwrap_or_else(|| panic!("no route {route}")).handler {
        Handler::Open(_) => vec![],
        Handler::Key(..) => vec![true],
        Handler::Session(_) => vec![false],
        Handler::Admin(_) | Handler::Tree(_) => vec![true, false],
    }
}

#[test]
fn anothers_id_and_one_made_up_get_the_same_answer() {
    let at = Two::new();
    let made_up = Ids::made_up();
    // The one refusal that SendDock documents is noted, once.
    let path = at.foreign.fill(&at.own, "/api/v1/projects/<project>/audit-log");
    at.ask(false, "GET /api/v1/projects/{id}/audit-log", &path, "");
    at.ask(false, "GET /api/v1/projects/{id}/audit-log/{activity_id}/proof", &format!("{path}/1/proof"), "");
    let before = at.server.db_number("SELECT last_seq FROM sequence");
    for (route, path, body) in CASES {
        for by_key in callers(route) {
            let ask = |ids: &Ids| {
                let (status, answer) =
                    at.ask(by_key, route, &ids.fill(&at.own, path), &ids.fill(&at.own, body));
                (status, ids.neutral(&answer))
            };
            let (foreign, unknown) = (ask(&at.foreign), ask(&made_up));
            if *path == "/api/v1/projects/<project>/audit-log" && route.starts_with("GET") {
                // SendDock documents both.
                assert_eq!(
                    foreign,
                    (403, r#"{"error":"you are not a member of this project's workspace"}"#.into())
                );
                assert_eq!(unknown, (404, r#"{"error":"project not found"}"#.into()));
                continue;
            }
            assert_eq!(foreign, unknown, "{route} {path} {body}");
            assert_eq!(foreign.0, 404, "{route} {path} {body}: {}", foreign.1);
        }
    }
    // None of it changed anything, nor was it noted.
    assert_eq!(at.server.db_number("SELECT last_seq FROM sequence"), before);
}

#[test]
fn the_same_cases_with_ones_own_ids_are_answered() {
    let at = Two::new();
    for (n, (route, path, body)) in CASES.iter().enumerate() {
        for by_key in callers(route) {
            // Anew each time, since some cases delete.
            let own = Ids::real(&at.server, &at.server.workspace, &format!("own{n}{by_key}"));
            let body = own.fill(&own, body).replace("fresh@", &format!("fresh{n}{by_key}@"));
            let body = body.replace(r#""fresh""#, &format!(r#""fresh{n}{by_key}""#));
            let body = body.replace("other@", &format!("other{n}{by_key}@"));
            let (status, answer) = at.ask(by_key, route, &own.fill(&own, path), &body);
            let is_first_workspace = *route == "DELETE /api/v1/admin/workspaces/{id}";
            assert!(
                (200..300).contains(&status) || (is_first_workspace && [403, 409].contains(&status)),
                "{route} {path} {body}: {status} {answer}"
            );
        }
    }
}

#[test]
fn no_list_names_anything_of_another() {
    let at = Two::new();
    for (route, path) in [
        ("GET /v1/tenants", "/v1/tenants"),
        ("GET /v1/enforcement/events", "/v1/enforcement/events"),
        ("GET /v1/enforcement/events", "/v1/enforcement/events?mailbox_address=foreign@example.org"),
        ("GET /v1/enforcement/events", "/v1/enforcement/events?format=csv"),
        ("GET /api/v1/me", "/api/v1/me"),
        ("GET /api/v1/workspaces/{id}/audit-log", "/api/v1/workspaces/<own.workspace>/audit-log?limit=200"),
        ("GET /api/v1/workspaces/{id}/audit-log", "/api/v1/workspaces/<own.workspace>/audit-log?format=csv"),
        ("GET /api/v1/workspaces/{id}/members", "/api/v1/workspaces/<own.workspace>/members"),
        ("GET /api/v1/admin/workspaces", "/api/v1/admin/workspaces"),
        ("GET /api/v1/admin/users", "/api/v1/admin/users"),
        ("GET /api/v1/admin/tenants", "/api/v1/admin/tenants"),
        ("GET /api/v1/admin/mailboxes", "/api/v1/admin/mailboxes"),
        ("GET /api/v1/admin/projects", "/api/v1/admin/projects"),
        ("GET /api/v1/admin/keys", "/api/v1/admin/keys"),
        ("GET /api/v1/admin/stats", "/api/v1/admin/stats"),
    ] {
        for by_key in callers(route) {
            let (status, answer) = at.ask(by_key, route, &at.own.fill(&at.own, path), "");
            assert_eq!(status, 200, "{path}: {answer}");
            for (name, id) in at.foreign.0.iter().filter(|(name, _)| *name != "mailbox") {
                // The filter that was asked for is echoed.
                let echoes = path.contains("mailbox_address=") && *name == "address";
                assert!(echoes || !answer.contains(id.as_str()), "{path} names the other's {name}: {answer}");
            }
        }
    }
}

#[test]
fn an_entry_about_anothers_person_does_not_name_them() {
    let at = Two::new();
    let made_up = Ids::made_up();
    for ids in [&at.foreign, &made_up] {
        let path = at.own.fill(&at.own, "/api/v1/projects/<project>/audit-log");
        let body = ids.fill(&at.own, r#"{"user_id":"<user>","action":"site.publish"}"#);
        let (status, answer) = at.ask(true, "POST /api/v1/projects/{id}/audit-log", &path, &body);
        let shown: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!((status, &shown["actor"]), (201, &json!("key test")), "{answer}");
    }
}

/// Microsoft's id of a tenant is public: that another workspace has it must not show, nor keep it from anybody.
#[test]
fn a_tenants_id_is_free_whoever_else_has_it() {
    let at = Two::new();
    for (n, ids) in [&at.foreign, &Ids::made_up()].into_iter().enumerate() {
        let body = ids.fill(&at.own, r#"{"tenant_name":"Acme","tenant_id":"<tenant>"}"#);
        let (status, answer) = at.ask(true, "POST /v1/tenants", "/v1/tenants", &body);
        assert_eq!(status, 201, "{n}: {answer}");
        let path = ids.fill(&at.own, "/v1/enforcement/events?tenant_id=<tenant>");
        let (status, answer) = at.ask(true, "GET /v1/enforcement/events", &path, "");
        assert_eq!((status, answer.contains(r#""total":0"#)), (200, true), "{n}: {answer}");
    }
    let body = at.own.fill(&at.own, r#"{"tenant_name":"Acme","tenant_id":"<tenant>"}"#);
    assert_eq!(at.ask(true, "POST /v1/tenants", "/v1/tenants", &body).0, 409);
}

/// What concerns the whole appliance is for its own workspace only, not for whoever administers another.
#[test]
fn another_workspaces_admin_does_not_run_the_appliance() {
    let server = Server::start();
    let (_, key) = server.add_workspace("Other", "eve@example.net");
    let cookie = server.login("eve@example.net");
    for (method, path, body) in [
        (Method::Post, "workspaces", json!({ "name": "x" })),
        (Method::Get, "licenses", Value::Null),
        (Method::Post, "licenses", json!({ "holder": "x" })),
        (Method::Get, "retention", Value::Null),
        (Method::Post, "retention/run", json!({ "dry_run": true })),
        (Method::Get, "clock", Value::Null),
        (Method::Post, "clock/accept", Value::Null),
        (Method::Post, "backups", json!({ "file": "x" })),
        (Method::Post, "check", Value::Null),
    ] {
        for by_key in [true, false] {
            let request = server.request(method, &format!("/api/v1/admin/{path}"));
            let request = if by_key { request.key(&key) } else { request.cookie(&cookie) };
            let request = if body.is_null() { request } else { request.json(&body) };
            assert_eq!(request.send().status(403).text("code"), "forbidden", "{path}");
        }
    }
    // The figures are those of its own workspace, and nothing of the database.
    let stats = server.request(Method::Get, "/api/v1/admin/stats").key(&key).send().status(200).json();
    let names: Vec<&String> = stats.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["workspaces"]);
    assert_eq!(stats["workspaces"][0]["name"], "Other");
}
