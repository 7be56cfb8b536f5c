//! What holds of every route: whom it lets in, with the exact status for everybody else; that a change is noted once
//! and a refusal not at all; that asking changes nothing.
//!
//! `ROWS` has a line for each route of the tables, and a route without one fails. A new route belongs there.

use std::collections::BTreeSet;

use mailtrail::http::{Method, client};
use mailtrail::ids::{hex, sha256};
use mailtrail::routes::TABLES;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

use crate::isolation::Ids;
use crate::support::{Answer, OWNER, PASSWORD, SCOPES, START, Server, time};

// ---------------------------------------------------------------------------------------------- routes

/// Whom a route lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    /// A key with this scope.
    Key(&'static str),
    /// Any person with a session.
    Person,
    /// A key with `admin`, an owner or an admin.
    Admin,
    /// Any key, any session.
    Known,
}
use Who::{Admin, Anybody, Key, Known, Person};

/// Route, path, body, whom it lets in, their status, and that of somebody like them of another workspace.
///
/// `<names>` are ids of the first workspace, `<new.names>` of something made for this request, `<n>` is a number of
/// its own. What can name its workspace does, for the operator has several.
const ROWS: &[(&str, &str, &str, Who, u16, u16)] = &[
    ("GET /healthz", "/healthz", "", Anybody, 200, 200),
    ("GET /readyz", "/readyz", "", Anybody, 200, 200),
    ("GET /metrics", "/metrics", "", Admin, 200, 403),
    ("GET /openapi.json", "/openapi.json", "", Anybody, 200, 200),
    (
        "POST /api/v1/auth/login",
        "/api/v1/auth/login",
        r#"{"email":"ada@example.org","password":"<password>"}"#,
        Anybody,
        200,
        200,
    ),
    ("POST /api/v1/auth/logout", "/api/v1/auth/logout", "", Person, 204, 204),
    ("GET /api/v1/me", "/api/v1/me", "", Person, 200, 200),
    (
        "PUT /api/v1/me/password",
        "/api/v1/me/password",
        r#"{"current":"<password>","new":"one for a moment"}"#,
        Person,
        204,
        204,
    ),
    ("GET /api/v1/invitations/{token}", "/api/v1/invitations/<token>", "", Anybody, 200, 200),
    (
        "POST /api/v1/invitations/{token}",
        "/api/v1/invitations/<new.token>",
        r#"{"password":"<password>"}"#,
        Anybody,
        200,
        200,
    ),
    // TenantCore
    ("GET /v1/tenants", "/v1/tenants", "", Key("enforcement:read"), 200, 200),
    (
        "POST /v1/tenants",
        "/v1/tenants",
        r#"{"workspace_id":"<workspace>","tenant_name":"T<n>"}"#,
        Admin,
        201,
        404,
    ),
    ("GET /v1/tenants/{tenant_id}", "/v1/tenants/<tenant>", "", Key("enforcement:read"), 200, 404),
    (
        "GET /v1/tenants/{tenant_id}/mailboxes",
        "/v1/tenants/<tenant>/mailboxes",
        "",
        Key("enforcement:read"),
        200,
        404,
    ),
    (
        "POST /v1/tenants/{tenant_id}/mailboxes",
        "/v1/tenants/<tenant>/mailboxes",
        r#"{"address":"t<n>@example.org"}"#,
        Admin,
        201,
        404,
    ),
    (
        "PATCH /v1/tenants/{tenant_id}/mailboxes/{mailbox_id}",
        "/v1/tenants/<tenant>/mailboxes/<mailbox>",
        r#"{"daily_send_limit":7<n>}"#,
        Admin,
        200,
        404,
    ),
    (
        "GET /v1/enforcement/events",
        "/v1/enforcement/events?tenant_id=<tenant>",
        "",
        Key("enforcement:read"),
        200,
        404,
    ),
    (
        "POST /v1/enforcement/events",
        "/v1/enforcement/events",
        r#"{"tenant_id":"<tenant>","mailbox_address":"<address>","action_taken":"blocked","sent_count":6,"limit_value":5}"#,
        Key("enforcement:write"),
        201,
        404,
    ),
    (
        "POST /v1/enforcement/sends",
        "/v1/enforcement/sends",
        r#"{"tenant_id":"<tenant>","mailbox_address":"<address>"}"#,
        Key("enforcement:write"),
        200,
        404,
    ),
    (
        "GET /v1/enforcement/events/{id}/proof",
        "/v1/enforcement/events/<event>/proof",
        "",
        Key("enforcement:read"),
        200,
        404,
    ),
    // Mailbuttons
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}/proof",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>/proof",
        "",
        Key("messages:read"),
        200,
        404,
    ),
    ("GET /v1/messages", "/v1/messages?mailbox_id=<mailbox>", "", Key("messages:read"), 200, 404),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs",
        "/v1/mailboxes/<mailbox>/audit-logs",
        "",
        Key("messages:read"),
        200,
        404,
    ),
    (
        "POST /v1/mailboxes/{mailbox_id}/audit-logs",
        "/v1/mailboxes/<mailbox>/audit-logs",
        r#"{"message_id":"<n>@posted","outcome":"delivered"}"#,
        Key("messages:write"),
        201,
        404,
    ),
    (
        "GET /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>",
        "",
        Key("messages:read"),
        200,
        404,
    ),
    (
        "PATCH /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}",
        "/v1/mailboxes/<mailbox>/audit-logs/<message>",
        r#"{"tokens_consumed":{"input":1,"output":1}}"#,
        Key("messages:write"),
        200,
        404,
    ),
    (
        "POST /v1/mailboxes/{mailbox_id}/inbound",
        "/v1/mailboxes/<mailbox>/inbound",
        r#"{"message_id":"<n>@in"}"#,
        Key("messages:write"),
        201,
        404,
    ),
    (
        "GET /v1/mailboxes/{mailbox_id}/policy",
        "/v1/mailboxes/<mailbox>/policy",
        "",
        Key("messages:read"),
        200,
        404,
    ),
    (
        "PUT /v1/mailboxes/{mailbox_id}/policy",
        "/v1/mailboxes/<mailbox>/policy",
        r#"{"defaultAction":"drop","senders":[],"auditLog":{"retentionDays":1}}"#,
        Admin,
        200,
        404,
    ),
    // SendDock
    ("GET /api/v1/workspaces/{id}/members", "/api/v1/workspaces/<workspace>/members", "", Person, 200, 404),
    (
        "GET /api/v1/workspaces/{id}/audit-log",
        "/api/v1/workspaces/<workspace>/audit-log",
        "",
        Person,
        200,
        404,
    ),
    ("GET /api/v1/projects/{id}/audit-log", "/api/v1/projects/<project>/audit-log", "", Person, 200, 403),
    (
        "POST /api/v1/projects/{id}/audit-log",
        "/api/v1/projects/<project>/audit-log",
        r#"{"user_id":"<user>","action":"site.publish"}"#,
        Key("activity:write"),
        201,
        404,
    ),
    // Administration
    ("GET /api/v1/admin/workspaces", "/api/v1/admin/workspaces", "", Admin, 200, 200),
    ("POST /api/v1/admin/workspaces", "/api/v1/admin/workspaces", r#"{"name":"W<n>"}"#, Admin, 201, 403),
    ("GET /api/v1/admin/workspaces/{id}", "/api/v1/admin/workspaces/<workspace>", "", Admin, 200, 404),
    (
        "PATCH /api/v1/admin/workspaces/{id}",
        "/api/v1/admin/workspaces/<workspace>",
        r#"{"name":"W<n>"}"#,
        Admin,
        200,
        404,
    ),
    ("DELETE /api/v1/admin/workspaces/{id}", "/api/v1/admin/workspaces/<new.workspace>", "", Admin, 204, 404),
    ("GET /api/v1/admin/users", "/api/v1/admin/users?workspace_id=<workspace>", "", Admin, 200, 404),
    (
        "POST /api/v1/admin/users",
        "/api/v1/admin/users",
        r#"{"workspace_id":"<workspace>","email":"p<n>@example.org","role":"auditor"}"#,
        Admin,
        201,
        404,
    ),
    (
        "GET /api/v1/admin/invitations",
        "/api/v1/admin/invitations?workspace_id=<workspace>",
        "",
        Admin,
        200,
        404,
    ),
    (
        "DELETE /api/v1/admin/invitations/{id}",
        "/api/v1/admin/invitations/<new.invitation>",
        "",
        Admin,
        204,
        404,
    ),
    ("GET /api/v1/admin/users/{id}", "/api/v1/admin/users/<user>", "", Admin, 200, 404),
    (
        "PATCH /api/v1/admin/users/{id}",
        "/api/v1/admin/users/<user>",
        r#"{"role":"auditor"}"#,
        Admin,
        200,
        404,
    ),
    (
        "DELETE /api/v1/admin/users/{id}",
        "/api/v1/admin/users/<new.user>?workspace_id=<workspace>",
        "",
        Admin,
        204,
        404,
    ),
    ("GET /api/v1/admin/tenants", "/api/v1/admin/tenants?workspace_id=<workspace>", "", Admin, 200, 404),
    (
        "POST /api/v1/admin/tenants",
        "/api/v1/admin/tenants",
        r#"{"workspace_id":"<workspace>","name":"T<n>"}"#,
        Admin,
        201,
        404,
    ),
    ("GET /api/v1/admin/tenants/{id}", "/api/v1/admin/tenants/<tenant>", "", Admin, 200, 404),
    (
        "PATCH /api/v1/admin/tenants/{id}",
        "/api/v1/admin/tenants/<tenant>",
        r#"{"legal_hold":true,"name":"Held <n>"}"#,
        Admin,
        200,
        404,
    ),
    ("DELETE /api/v1/admin/tenants/{id}", "/api/v1/admin/tenants/<new.tenant>", "", Admin, 204, 404),
    ("GET /api/v1/admin/mailboxes", "/api/v1/admin/mailboxes?workspace_id=<workspace>", "", Admin, 200, 404),
    (
        "POST /api/v1/admin/mailboxes",
        "/api/v1/admin/mailboxes",
        r#"{"workspace_id":"<workspace>","address":"m<n>@example.org"}"#,
        Admin,
        201,
        404,
    ),
    ("GET /api/v1/admin/mailboxes/{id}", "/api/v1/admin/mailboxes/<mailbox>", "", Admin, 200, 404),
    (
        "PATCH /api/v1/admin/mailboxes/{id}",
        "/api/v1/admin/mailboxes/<mailbox>",
        r#"{"legal_hold":true,"name":"Held <n>"}"#,
        Admin,
        200,
        404,
    ),
    ("DELETE /api/v1/admin/mailboxes/{id}", "/api/v1/admin/mailboxes/<new.mailbox>", "", Admin, 204, 404),
    ("GET /api/v1/admin/projects", "/api/v1/admin/projects?workspace_id=<workspace>", "", Admin, 200, 404),
    (
        "POST /api/v1/admin/projects",
        "/api/v1/admin/projects",
        r#"{"workspace_id":"<workspace>","name":"P<n>"}"#,
        Admin,
        201,
        404,
    ),
    ("GET /api/v1/admin/projects/{id}", "/api/v1/admin/projects/<project>", "", Admin, 200, 404),
    (
        "PATCH /api/v1/admin/projects/{id}",
        "/api/v1/admin/projects/<project>",
        r#"{"name":"P<n>"}"#,
        Admin,
        200,
        404,
    ),
    ("DELETE /api/v1/admin/projects/{id}", "/api/v1/admin/projects/<new.project>", "", Admin, 204, 404),
    ("GET /api/v1/admin/keys", "/api/v1/admin/keys?workspace_id=<workspace>", "", Admin, 200, 404),
    (
        "POST /api/v1/admin/keys",
        "/api/v1/admin/keys",
        r#"{"workspace_id":"<workspace>","name":"K<n>","scopes":["messages:read"]}"#,
        Admin,
        201,
        404,
    ),
    ("GET /api/v1/admin/keys/{id}", "/api/v1/admin/keys/<key>", "", Admin, 200, 404),
    ("DELETE /api/v1/admin/keys/{id}", "/api/v1/admin/keys/<new.key>", "", Admin, 204, 404),
    ("POST /api/v1/admin/keys/{id}/rotate", "/api/v1/admin/keys/<new.key>/rotate", "", Admin, 201, 404),
    ("GET /api/v1/admin/licenses", "/api/v1/admin/licenses", "", Admin, 200, 403),
    ("POST /api/v1/admin/licenses", "/api/v1/admin/licenses", r#"{"holder":"H<n>"}"#, Admin, 201, 403),
    ("GET /api/v1/admin/names", "/api/v1/admin/names?kind=tenants&name=Acme", "", Admin, 200, 200),
    ("GET /api/v1/admin/config", "/api/v1/admin/config", "", Admin, 200, 403),
    ("GET /api/v1/admin/controls", "/api/v1/admin/controls", "", Admin, 200, 403),
    ("GET /api/v1/admin/retention", "/api/v1/admin/retention", "", Admin, 200, 403),
    ("PATCH /api/v1/admin/retention", "/api/v1/admin/retention", r#"{"enforcement":1<n>}"#, Admin, 200, 403),
    ("POST /api/v1/admin/retention/run", "/api/v1/admin/retention/run", "{}", Admin, 200, 403),
    ("POST /api/v1/admin/backups", "/api/v1/admin/backups", r#"{"file":"b<n>.db"}"#, Admin, 201, 403),
    ("POST /api/v1/admin/check", "/api/v1/admin/check", r#"{"repair":true}"#, Admin, 200, 403),
    ("GET /api/v1/admin/verify", "/api/v1/admin/verify", "", Admin, 200, 403),
    ("GET /api/v1/admin/checkpoint", "/api/v1/admin/checkpoint", "", Admin, 200, 403),
    (
        "GET /api/v1/projects/{id}/audit-log/{activity_id}/proof",
        "/api/v1/projects/<project>/audit-log/<activity>/proof",
        "",
        Person,
        200,
        403,
    ),
    (
        "GET /api/v1/workspaces/{id}/audit-log/{activity_id}/proof",
        "/api/v1/workspaces/<workspace>/audit-log/<activity>/proof",
        "",
        Person,
        200,
        404,
    ),
    ("GET /api/v1/admin/consistency", "/api/v1/admin/consistency?old=1&size=2", "", Admin, 200, 403),
    ("POST /api/v1/admin/epochs", "/api/v1/admin/epochs", r#"{"why":"a year is over"}"#, Admin, 201, 403),
    // Nothing was removed yet.
    ("GET /api/v1/admin/controls/{number}/proof", "/api/v1/admin/controls/1/proof", "", Admin, 404, 403),
    (
        "POST /api/v1/admin/erasures",
        "/api/v1/admin/erasures",
        r#"{"workspace_id":"<workspace>","address":"gone@example.net","why":"on their wish"}"#,
        Admin,
        200,
        404,
    ),
    ("GET /tlog/checkpoint", "/tlog/checkpoint", "", Known, 200, 200),
    ("GET /tlog/keys", "/tlog/keys", "", Known, 200, 200),
    ("GET /tlog/tile/{level}/{tile}", "/tlog/tile/0/000.p/1", "", Known, 200, 200),
    ("GET /api/v1/admin/root", "/api/v1/admin/root?size=1", "", Admin, 200, 403),
    ("GET /api/v1/admin/removals", "/api/v1/admin/removals?first=1&last=2", "", Admin, 200, 403),
    ("GET /api/v1/admin/clock", "/api/v1/admin/clock", "", Admin, 200, 403),
    // Nothing to accept; `clock.rs` has the step.
    ("POST /api/v1/admin/clock/accept", "/api/v1/admin/clock/accept", "", Admin, 409, 403),
    ("GET /api/v1/admin/stats", "/api/v1/admin/stats", "", Admin, 200, 200),
];

/// Who is let in, and answered otherwise all the same.
const OTHERWISE: &[(&str, &str, u16, &str)] = &[
    ("GET /api/v1/me", "operator", 401, "the operator is no person"),
    ("PUT /api/v1/me/password", "operator", 401, "the operator is no person"),
    ("DELETE /api/v1/admin/workspaces/{id}", "admin", 403, "only an owner ends a workspace"),
    ("POST /api/v1/admin/epochs", "admin", 403, "only an owner changes what every pin and witness knows"),
    ("POST /api/v1/admin/epochs", "key admin", 403, "only an owner changes what every pin and witness knows"),
    ("POST /api/v1/admin/epochs", "key of all scopes", 403, "only an owner changes what every pin knows"),
    ("DELETE /api/v1/admin/workspaces/{id}", "key admin", 404, "the key is of another workspace"),
    ("DELETE /api/v1/admin/workspaces/{id}", "key of all scopes", 404, "the key is of another workspace"),
];

/// Routes that change something and note another number of activities than one, and why.
const NOTED: &[(&str, i64, &str)] = &[
    ("POST /v1/enforcement/events", 0, "the event is the record"),
    ("POST /v1/enforcement/sends", 0, "counts; the send that blocks is an enforcement event"),
    ("POST /v1/mailboxes/{mailbox_id}/audit-logs", 0, "the entry is the record"),
    ("PATCH /v1/mailboxes/{mailbox_id}/audit-logs/{message_id}", 0, "the fact is the record"),
    ("POST /v1/mailboxes/{mailbox_id}/inbound", 0, "the entry is the record"),
    ("PATCH /api/v1/admin/users/{id}", 0, "it is the role that they have"),
    ("POST /api/v1/projects/{id}/audit-log", 1, "the activity is the record, and the only one"),
    ("POST /api/v1/admin/erasures", 2, "who begins and why, before the first row goes; how many went"),
    (
        "POST /api/v1/invitations/{token}",
        2,
        "SendDock's own two: workspace.user_created and workspace.member_added",
    ),
];

fn named(method: Method, path: &str) -> String {
    format!("{} {path}", method.as_str())
}

fn method(route: &str) -> Method {
    route.split_once(' ').and_then(|(method, _)| Method::parse(method)).expect("a method")
}

#[test]
fn every_route_has_a_row() {
    let served: BTreeSet<String> =
        TABLES.iter().copied().flatten().map(|route| named(route.method, route.path)).collect();
    let rows: Vec<String> = ROWS.iter().map(|(route, ..)| (*route).to_owned()).collect();
    let missing: Vec<&String> = served.iter().filter(|route| !rows.contains(route)).collect();
    let gone: Vec<&String> = rows.iter().filter(|route| !served.contains(*route)).collect();
    assert!(missing.is_empty() && gone.is_empty(), "without a row: {missing:?}; without a route: {gone:?}");
    let exceptions = OTHERWISE.iter().map(|(route, ..)| route).chain(NOTED.iter().map(|(route, ..)| route));
    for route in exceptions {
        assert!(served.contains(*route), "an exception for {route}, which there is not");
    }
    assert_eq!(rows.len(), served.len(), "a route has two rows");
}

// ---------------------------------------------------------------------------------------------- callers

const FOREIGN_OWNER: &str = "eve@example.net";

/// Where the token begins in the path of an invitation.
const TOKEN_AT: usize = "/api/v1/invitations/".len();

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Caller {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Operator,
    /// What comes as `Authorization: Bearer`, and the scopes it has here; none for a key that is none.
    Key {
        text: String,
        scopes: Vec<&'static str>,
        is_foreign: bool,
    },
    /// A person, by the cookie of a session that lives.
    Person {
        email: &'static str,
        cookie: String,
        administers: bool,
        is_foreign: bool,
    },
    /// A cookie of no living session, or nothing at all.
    Nobody {
        cookie: Option<String>,
    },
}

/// A server with two workspaces, the ids of the first one, and everybody who can ask.
struct Scene {
    server: Server,
    ids: Ids,
    callers: Vec<Caller>,
    /// An account of the other workspace, to be added to this one and removed.
    spare: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let (other, foreign_key) = server.add_workspace("Other", FOREIGN_OWNER);
        let main = server.workspace.clone();
        server.add_user(&main, "admin@example.org", "admin");
        server.add_user(&main, "auditor@example.org", "auditor");
        server.add_user(&other, "auditor@example.net", "auditor");
        let spare = server.add_user(&other, "spare@example.net", "auditor").text("id");
        for email in [OWNER, "admin@example.org", "spare@example.net"] {
            server.choose_password(email);
        }
        let mut ids = Ids::real(&server, &main, "own");
        ids.0.push(("token", server.invite(&main, "invited@example.org", "auditor").split_off(TOKEN_AT)));

        let mut callers = Vec::new();
        let mut add = |name: &str, kind: Kind| callers.push(Caller { name: name.to_owned(), kind });
        add("nobody", Kind::Nobody { cookie: None });
        let ended = server.login(OWNER);
        server.request(Method::Post, "/api/v1/auth/logout").cookie(&ended).send().status(204);
        add("whose session has ended", Kind::Nobody { cookie: Some(ended) });
        add("operator", Kind::Operator);
        let key = |text: String, scopes: &[&'static str], is_foreign| Kind::Key {
            text,
            scopes: scopes.to_vec(),
            is_foreign,
        };
        for scope in SCOPES {
            add(&format!("key {scope}"), key(server.add_key(&main, &[scope]), &[scope], false));
        }
        add("key of all scopes", key(server.key.clone(), &SCOPES, false));
        add("foreign key", key(foreign_key, &SCOPES, true));
        let revoked = json!({ "workspace_id": main, "name": "revoked", "scopes": SCOPES });
        let revoked = server.operator(Method::Post, "/api/v1/admin/keys", &revoked).good();
        let path = format!("/api/v1/admin/keys/{}", revoked.text("id"));
        server.operator(Method::Delete, &path, &Value::Null).status(204);
        add("revoked key", key(revoked.text("key"), &[], false));
        add("key nobody knows", key(format!("mt_live_{}", "0".repeat(48)), &[], false));
        for (name, email, administers, is_foreign) in [
            ("owner", OWNER, true, false),
            ("admin", "admin@example.org", true, false),
            ("auditor", "auditor@example.org", false, false),
            ("foreign owner", FOREIGN_OWNER, true, true),
            ("foreign auditor", "auditor@example.net", false, true),
        ] {
            add(name, Kind::Person { email, cookie: server.login(email), administers, is_foreign });
        }
        Self { server, ids, callers, spare }
    }

    fn id(&self, name: &str) -> &str {
        &self.ids.0.iter().find(|(known, _)| *known == name).expect("a known id").1
    }

    /// Puts the ids into a path or a body; makes what is to be made.
    fn fill(&self, template: &str, n: usize) -> String {
        let server = &self.server;
        let workspace = self.id("workspace");
        let mut text = template.replace("<n>", &n.to_string()).replace("<password>", PASSWORD);
        for (name, id) in &self.ids.0 {
            text = text.replace(&format!("<{name}>"), id);
        }
        let mut new = |name: &str, make: &dyn Fn() -> String| {
            let name = format!("<new.{name}>");
            if text.contains(&name) {
                text = text.replace(&name, &make());
            }
        };
        new("tenant", &|| server.add_tenant(workspace, "New"));
        new("mailbox", &|| {
            server.add_mailbox(workspace, &format!("new{n}@example.org"), None, None).to_string()
        });
        new("project", &|| server.add_project(workspace, "New"));
        new("user", &|| {
            let members = server.operator(
                Method::Get,
                &format!("/api/v1/admin/users?workspace_id={workspace}"),
                &json!(null),
            );
            if !members.body_text().contains(&self.spare) {
                server.join(workspace, "spare@example.net", "auditor");
            }
            self.spare.clone()
        });
        new("invitation", &|| {
            let user =
                json!({ "workspace_id": workspace, "email": format!("q{n}@example.org"), "role": "auditor" });
            server.operator(Method::Post, "/api/v1/admin/users", &user).good().text("id")
        });
        new("token", &|| {
            server.invite(workspace, &format!("r{n}@example.org"), "auditor").split_off(TOKEN_AT)
        });
        new("key", &|| {
            let key = json!({ "workspace_id": workspace, "name": format!("new {n}"), "scopes": ["admin"] });
            server.operator(Method::Post, "/api/v1/admin/keys", &key).good().text("id")
        });
        new("workspace", &|| {
            let made = server.operator(Method::Post, "/api/v1/admin/workspaces", &json!({ "name": "New" }));
            let workspace = made.good().text("id");
            for (email, role) in [(OWNER, "owner"), ("admin@example.org", "admin")] {
                server.join(&workspace, email, role);
            }
            workspace
        });
        assert!(!text.contains('<'), "{text}");
        text
    }

    /// How many notes a refusal makes: none of nobody known, one of a key, also one that has ended, and one in each
    /// workspace of a person.
    fn denied(&self, caller: &Caller, status: u16) -> i64 {
        match &caller.kind {
            Kind::Key { scopes, .. } if [401, 403].contains(&status) => {
                i64::from(!scopes.is_empty() || caller.name == "revoked key")
            }
            Kind::Person { email, .. } if status == 403 => self.server.db_number(&format!(
                "SELECT count(*) FROM members JOIN users ON users.id = members.user
                 JOIN workspaces ON workspaces.id = members.workspace
                 WHERE users.email = '{email}' AND removed_at IS NULL AND workspaces.deleted_at IS NULL"
            )),
            _ => 0,
        }
    }

    /// Everybody asks everything once, so that whoever is refused in this hour is noted.
    fn ask_all(&self) {
        for (route, path, ..) in ROWS.iter().filter(|(route, ..)| method(route).is_safe()) {
            for caller in &self.callers {
                self.send(caller, method(route), &self.fill(path, 0), "");
            }
        }
    }

    fn send(&self, caller: &Caller, method: Method, path: &str, body: &str) -> Answer {
        if caller.kind == Kind::Operator {
            let headers =
                [("mailtrail-workspace", self.id("workspace")), ("content-type", "application/json")];
            let ask = |headers: &[(&str, &str)]| {
                let socket = self.server.config().socket();
                let answer =
                    client::call(&socket, method, path, headers, body.as_bytes()).expect("an answer");
                let (status, headers) = (answer.status, answer.headers.clone());
                Answer { status, headers, body: answer.read().expect("a whole answer") }
            };
            // The path names one already.
            if path.starts_with("/api/v1/admin/workspaces/") {
                return ask(&headers[1..]);
            }
            let answer = ask(&headers);
            // It is about all of them.
            let takes_none = answer.status == 422 && answer.body_text().contains("\"mailtrail-workspace\"");
            return if takes_none { ask(&headers[1..]) } else { answer };
        }
        let request = self.server.request(method, path);
        let request = if body.is_empty() { request } else { request.body("application/json", body) };
        match &caller.kind {
            Kind::Key { text, .. } => request.key(text),
            Kind::Person { cookie, .. } | Kind::Nobody { cookie: Some(cookie) } => request.cookie(cookie),
            Kind::Operator | Kind::Nobody { cookie: None } => request,
        }
        .send()
    }
}

/// The one status that this caller has coming.
fn expected(row: &(&str, &str, &str, Who, u16, u16), caller: &Caller) -> u16 {
    let (route, _, _, who, good, foreign) = *row;
    if let Some((.., status, _)) =
        OTHERWISE.iter().find(|(known, name, ..)| *known == route && *name == caller.name)
    {
        return *status;
    }
    match (who, &caller.kind) {
        (Anybody, _) | (_, Kind::Operator) => good,
        (_, Kind::Nobody { .. }) => 401,
        (_, Kind::Key { scopes, .. }) if scopes.is_empty() => 401,
        (Person, Kind::Key { .. }) | (Key(_), Kind::Person { .. }) => 401,
        (Key(scope), Kind::Key { scopes, .. }) if !scopes.contains(&scope) => 403,
        (Admin, Kind::Key { scopes, .. }) if !scopes.contains(&"admin") => 403,
        (Admin, Kind::Person { administers: false, .. }) => 403,
        (_, Kind::Key { is_foreign: true, .. } | Kind::Person { is_foreign: true, .. }) => foreign,
        (_, Kind::Key { .. } | Kind::Person { .. }) => good,
    }
}

// ---------------------------------------------------------------------------------------------- the rules

/// Everybody asks everything, in a way that would succeed. Who is let in makes one activity with each change, unless
/// `NOTED` says otherwise; who is not makes no row in any log.
#[test]
fn everybody_gets_their_status_and_each_change_is_noted_once() {
    let mut scene = Scene::new();
    let n_activities = |scene: &Scene| scene.server.db_number("SELECT count(*) FROM activity");
    let last_row = |scene: &Scene| scene.server.db_number("SELECT last_seq FROM sequence");
    let mut n = 0;
    let mut wrong = Vec::new();
    for row in ROWS {
        let (route, path, body, ..) = *row;
        for at in 0..scene.callers.len() {
            n += 1;
            let (path, body) = (scene.fill(path, n), scene.fill(body, n));
            let caller = scene.callers[at].clone();
            let before = (n_activities(&scene), last_row(&scene));
            let answer = scene.send(&caller, method(route), &path, &body);
            let what = format!("{route} by {}", caller.name);
            let status = expected(row, &caller);
            if answer.status != status {
                wrong.push(format!("{what}: {} instead of {status}: {}", answer.status, answer.body_text()));
            }
            let n_noted = n_activities(&scene) - before.0;
            let is_change = !method(route).is_safe() && answer.status < 300;
            let denied = scene.denied(&caller, answer.status);
            let noted = NOTED.iter().find(|(known, ..)| *known == route).map_or(1, |(_, n, _)| *n);
            // Without a session there is nothing to end.
            let noted = if route.ends_with("logout") && caller.kind == Kind::Operator { 0 } else { noted };
            if n_noted != if is_change { noted } else { denied } {
                wrong.push(format!("{what}: {n_noted} activities"));
            }
            if !is_change && last_row(&scene) != before.1 + denied {
                wrong.push(format!("{what}: {} and recorded something", answer.status));
            }
            if route.starts_with("DELETE /api/v1/admin/workspaces") {
                scene.server.operator(Method::Delete, &path, &Value::Null);
            }
            if let (true, Kind::Person { cookie, .. }) = (route.ends_with("/password"), &caller.kind) {
                let body = json!({ "current": "one for a moment", "new": PASSWORD });
                scene.server.request(Method::Put, &path).cookie(cookie).json(&body).send().status(204);
            }
            if let (true, Kind::Person { email, .. }) = (route.ends_with("logout"), &caller.kind) {
                let anew = scene.server.login(email);
                if let Kind::Person { cookie, .. } = &mut scene.callers[at].kind {
                    *cookie = anew;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {n}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The hash of every cell of every table but the columns in `except` (a whole table: `table.*`).
fn content(server: &Server, except: &[&str]) -> String {
    let db = server.db();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).expect("a query");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("names")
    };
    let mut text = String::new();
    let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables.iter().filter(|table| !except.contains(&format!("{table}.*").as_str())) {
        let columns: Vec<String> = names(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .into_iter()
            .filter(|column| !except.contains(&format!("{table}.{column}").as_str()))
            .map(|column| format!("\"{column}\""))
            .collect();
        let columns_in_order = columns.join(", ");
        let query = format!("SELECT {columns_in_order} FROM \"{table}\" ORDER BY {columns_in_order}");
        let mut statement = db.prepare(&query).expect("a query");
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for at in 0..columns.len() {
                text += &format!("{table} {:?}\n", row.get::<_, Cell>(at).expect("a cell"));
            }
        }
    }
    hex(&sha256(text.as_bytes()))
}

/// Not a cell of the database is another after every GET and HEAD by everybody.
///
/// When a key or a session was last used is kept in memory, and the scheduler writes it down: these two columns, the
/// table in which it notes its runs and the times of the latest write change then, and not before. What hands out a
/// whole log is noted, and is the next test's.
#[test]
fn asking_changes_nothing() {
    let scene = Scene::new();
    let server = &scene.server;
    scene.ask_all();
    server.run_jobs();
    let before = content(server, &[]);
    let mut n_asked = 0;
    for (route, path, ..) in ROWS.iter().filter(|(route, ..)| method(route).is_safe()) {
        for caller in &scene.callers {
            for method in [Method::Get, Method::Head] {
                n_asked += 1;
                scene.send(caller, method, &scene.fill(path, 0), "");
            }
        }
        assert_eq!(content(server, &[]), before, "{route}");
    }
    assert!(n_asked > 800, "{n_asked}");
    let uses = [
        "api_keys.last_used_at",
        "sessions.last_seen_at",
        "jobs.*",
        "sequence.last_now",
        "sequence.believed",
        "sequence.uptime",
        "sequence.boot",
    ];
    let before = content(server, &uses);
    server.clock.set(time(START).plus_seconds(90));
    server.get("/v1/tenants").status(200);
    server.run_jobs();
    assert_eq!(content(server, &uses), before);
    assert!(server.db_number("SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL") > 0);
}

/// The five lists that can be had as a whole say who took it, once, and only to who is let in. No other GET takes
/// `format`, so no other can be an export.
#[test]
fn only_an_export_is_noted_and_only_once() {
    let scene = Scene::new();
    let server = &scene.server;
    scene.ask_all();
    let exports = [
        "GET /v1/enforcement/events",
        "GET /v1/messages",
        "GET /v1/mailboxes/{mailbox_id}/audit-logs",
        "GET /api/v1/workspaces/{id}/audit-log",
        "GET /api/v1/projects/{id}/audit-log",
    ];
    for row in ROWS.iter().filter(|(route, ..)| method(route).is_safe()) {
        let (route, path, ..) = *row;
        let path = scene.fill(path, 0);
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{sign}format=ndjson");
        for caller in &scene.callers {
            let is_good = expected(row, caller) == 200;
            let before = server.db_number("SELECT count(*) FROM activity");
            let status = scene.send(caller, Method::Head, &path, "").status;
            assert_eq!(
                server.db_number("SELECT count(*) FROM activity"),
                before,
                "HEAD {path} by {}",
                caller.name
            );
            let answer = scene.send(caller, Method::Get, &path, "");
            assert_eq!(answer.status, status, "{path} by {}", caller.name);
            assert_eq!(
                answer.status == 200,
                is_good && exports.contains(&route),
                "{path} by {}: {answer:?}",
                caller.name
            );
            let noted = server.db_number("SELECT count(*) FROM activity") - before;
            assert_eq!(noted, i64::from(answer.status == 200), "{path} by {}", caller.name);
        }
    }
}
