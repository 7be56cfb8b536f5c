//! Who may ask: API keys and their scopes, ends and rotation; the license; the operator.

use mailtrail::http::route::{Dialect, Handler, Route};
use mailtrail::http::{Method, client};
use mailtrail::routes::TABLES;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, SCOPES, START, Server, time};

/// What every read of TenantCore's list says of a key that is none, or no more.
const INVALID: &str = r#"{"detail":{"message":"Invalid API key","code":"invalid_api_key"}}"#;

fn events(server: &Server, key: &str) -> Answer {
    server.request(Method::Get, "/v1/enforcement/events").key(key).send()
}

#[track_caller]
fn assert_refused(server: &Server, key: &str) {
    let answer = events(server, key).status(401);
    assert_eq!(answer.body_text(), INVALID);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"mailtrail\""));
}

fn make_key(server: &Server, body: &Value) -> Value {
    server.operator(Method::Post, "/api/v1/admin/keys", body).status(201).json()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

// ---------------------------------------------------------------------------------------------- scopes

fn routes() -> impl Iterator<Item = &'static Route> {
    TABLES.iter().copied().flatten()
}

/// The route's path with something in each place.
fn some_path(route: &Route) -> String {
    let segments = route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

/// A 403 in the words of the route's vendor.
fn forbidden(route: &Route, message: &str) -> Value {
    match route.dialect {
        Dialect::TenantCore => json!({ "detail": { "message": message, "code": "forbidden" } }),
        Dialect::Mailbuttons | Dialect::SendDock => json!({ "error": message }),
        Dialect::Problem => json!({
            "type": "about:blank", "title": "Forbidden", "status": 403, "detail": message, "code": "forbidden",
        }),
    }
}

#[test]
fn each_route_of_a_key_asks_for_its_scope_and_no_other() {
    let server = Server::start();
    let key_of = |scopes: &[&str]| server.add_key(&server.workspace, scopes);
    let keys: Vec<(&str, String, String)> = SCOPES
        .iter()
        .map(|scope| {
            let others: Vec<&str> = SCOPES.iter().copied().filter(|other| other != scope).collect();
            (*scope, key_of(&[scope]), key_of(&others))
        })
        .collect();
    let mut n_routes = 0;
    for route in routes() {
        let scope = match route.handler {
            Handler::Key(scope, _) => scope.to_string(),
            Handler::Admin(_) => "admin".to_owned(),
            Handler::Open(_) | Handler::Session(_) | Handler::Tree(_) => continue,
        };
        let (_, with, without) =
            keys.iter().find(|(known, ..)| *known == scope).unwrap_or_else(|| panic!("no scope {scope}"));
        let what = format!("{} {}", route.method.as_str(), route.path);
        let path = some_path(route);
        let refused = server.request(route.method, &path).key(without).send();
        assert_eq!(refused.status, 403, "{what}: {refused:?}");
        assert_eq!(
            refused.json(),
            forbidden(route, &format!("this API key lacks the scope {scope}")),
            "{what}"
        );
        // That is an owner's, whatever scopes a key has.
        if route.path == "/api/v1/admin/epochs" {
            continue;
        }
        let let_in = server.request(route.method, &path).key(with).send();
        assert!(![401, 403].contains(&let_in.status), "{what}: {let_in:?}");
        n_routes += 1;
    }
    assert!(n_routes >= 50, "{n_routes} routes");
}

#[test]
fn keys_are_no_sessions_and_sessions_no_keys() {
    let server = Server::start();
    let cookie = server.login(OWNER);
    let token = cookie.trim_start_matches("mailtrail_session=").to_owned();
    for route in routes() {
        let what = format!("{} {}", route.method.as_str(), route.path);
        let path = some_path(route);
        let as_header = |value: &str| server.request(route.method, &path).key(value).send().status;
        let as_cookie = |value: &str| {
            server.request(route.method, &path).cookie(&format!("mailtrail_session={value}")).send()
        };
        match route.handler {
            Handler::Open(_) => {}
            Handler::Session(_) => {
                assert_eq!(as_header(&server.key), 401, "{what}");
                assert_eq!(as_cookie(&server.key).status, 401, "{what}");
            }
            Handler::Key(..) => {
                assert_eq!(as_cookie(&token).status, 401, "{what}");
                assert_eq!(as_header(&token), 401, "{what}");
            }
            Handler::Admin(_) | Handler::Tree(_) => {
                assert_eq!(as_header(&token), 401, "{what}");
                assert_eq!(as_cookie(&server.key).status, 401, "{what}");
                assert_eq!(server.request(route.method, &path).send().status, 401, "{what}");
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------- the life of a key

#[test]
fn a_key_is_shown_once_and_stored_as_its_hash() {
    let mut server = Server::start();
    let made =
        make_key(&server, &json!({ "name": "backup job", "scopes": ["messages:read", "enforcement:read"] }));
    let key = text(&made, "key");
    let digits = key.strip_prefix("mt_live_").unwrap_or_else(|| panic!("{key}"));
    assert!(
        digits.len() == 48 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{key}"
    );
    let id = text(&made, "id");
    let expected = json!({
        "id": id, "name": "backup job", "hint": &key[..12], "scopes": ["enforcement:read", "messages:read"],
        "created_at": START, "expires_at": null, "revoked_at": null, "last_used_at": null,
    });
    let path = format!("/api/v1/admin/keys/{id}");
    assert_eq!(server.get(&path).status(200).json(), expected);
    let list = server.get("/api/v1/admin/keys").status(200).json();
    assert!(list["keys"].as_array().is_some_and(|keys| keys.contains(&expected)), "{list}");
    assert!(!list.to_string().contains(&key), "{list}");
    for file in [server.database(), server.database().with_extension("db-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for secret in [key.as_bytes(), digits.as_bytes(), server.key.as_bytes()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", file.display());
        }
    }
    // When it was used is written down by the scheduler.
    server.clock.set(time(START).plus_seconds(90));
    events(&server, &key).status(200);
    server.run_jobs();
    // The scheduler's thread may be at it too; this waits for it.
    server.restart();
    assert_eq!(server.get(&path).json()["last_used_at"], "2026-04-30T14:23:41Z");
}

#[test]
fn a_key_ends_at_its_expiry() {
    let mut server = Server::start();
    let body =
        json!({ "name": "k", "scopes": ["enforcement:read"], "expires_at": "2026-04-30T17:22:11+02:00" });
    let made = make_key(&server, &body);
    assert_eq!(made["expires_at"], "2026-04-30T15:22:11Z");
    let key = text(&made, "key");
    server.clock.set(time("2026-04-30T15:22:10Z"));
    events(&server, &key).status(200);
    server.clock.set(time("2026-04-30T15:22:11Z"));
    assert_refused(&server, &key);
    // It looks just like one that never was.
    assert_refused(&server, &format!("mt_live_{}", "0".repeat(48)));
    server.restart();
    assert_refused(&server, &key);
}

#[test]
fn a_revoked_key_ends_at_once_and_for_good() {
    let server = Server::start();
    let made = make_key(&server, &json!({ "name": "k", "scopes": ["enforcement:read"] }));
    let (key, path) = (text(&made, "key"), format!("/api/v1/admin/keys/{}", text(&made, "id")));
    events(&server, &key).status(200);
    let revoke = || server.request(Method::Delete, &path).key(&server.key).send();
    revoke().status(204);
    assert_refused(&server, &key);
    server.clock.set(time(START).plus_seconds(60));
    revoke().status(204);
    // The earlier end stands.
    assert_eq!(server.get(&path).status(200).json()["revoked_at"], START);
    let rotated = server.post(&format!("{path}/rotate"), &json!({})).status(409).json();
    assert_eq!(
        (&rotated["code"], &rotated["detail"]),
        (&json!("key_ended"), &json!("this key has ended; make a new one"))
    );
    // Its text cannot be stored again.
    let again = json!({ "name": "k", "scopes": ["admin"], "key": key });
    assert_eq!(server.post("/api/v1/admin/keys", &again).status(409).text("code"), "key_exists");
}

#[test]
fn rotation_keeps_the_old_key_for_the_overlap() {
    let server = Server::start();
    let body =
        json!({ "name": "k", "scopes": ["enforcement:read", "admin"], "expires_at": "2026-06-01T00:00:00Z" });
    let old = make_key(&server, &body);
    let old_key = text(&old, "key");
    let path = format!("/api/v1/admin/keys/{}", text(&old, "id"));
    let new = server.post(&format!("{path}/rotate"), &json!({ "overlap": "24h" })).status(201).json();
    let new_key = text(&new, "key");
    assert_ne!(new_key, old_key);
    for name in ["name", "scopes", "expires_at"] {
        assert_eq!(new[name], old[name], "{name}");
    }
    assert_eq!(server.get(&path).json()["revoked_at"], "2026-05-01T14:22:11Z");
    server.clock.set(time("2026-05-01T14:22:10Z"));
    events(&server, &old_key).status(200);
    events(&server, &new_key).status(200);
    server.clock.set(time("2026-05-01T14:22:11Z"));
    assert_refused(&server, &old_key);
    events(&server, &new_key).status(200);
    // Without an overlap it ends at once; nobody is let in by the answer of another's retry.
    let path = format!("/api/v1/admin/keys/{}", text(&new, "id"));
    let rotate = || {
        let request = server.request(Method::Post, &format!("{path}/rotate")).key(&server.key);
        request.header("idempotency-key", "once").send()
    };
    let newest = text(&rotate().status(201).json(), "key");
    assert_refused(&server, &new_key);
    events(&server, &newest).status(200);
    assert_eq!(rotate().status(409).text("code"), "shown_once");
    server.post(&format!("{path}/rotate"), &json!({})).status(409);
    for overlap in ["soon", "24", "-1h", "367d", "1.5h", "h", "24ü"] {
        let refused =
            server.post(&format!("{path}/rotate"), &json!({ "overlap": overlap })).status(422).json();
        let detail = format!("overlap: {overlap:?} is not a duration; accepted: as in 24h, up to 366d");
        assert_eq!(refused["detail"], detail);
    }
    // An expiry that comes before the end of the overlap stands.
    let short =
        json!({ "name": "short", "scopes": ["enforcement:read"], "expires_at": "2026-05-01T15:00:00Z" });
    let short = make_key(&server, &short);
    server
        .post(&format!("/api/v1/admin/keys/{}/rotate", text(&short, "id")), &json!({ "overlap": "7d" }))
        .status(201);
    let cookie = server.login(OWNER);
    let trail = format!("/api/v1/workspaces/{}/audit-log?action=api_key.rotate&limit=1", server.workspace);
    let noted = server.request(Method::Get, &trail).cookie(&cookie).send().good().json();
    // The trail has the true end, also where the overlap would have been longer.
    assert_eq!(noted["entries"][0]["metadata"]["old_key_ends_at"], "2026-05-01T15:00:00Z");
    // The new one would end with it, unless it is given an end of its own.
    let long = json!({ "expires_at": "2027-05-01T15:00:00Z" });
    let id = make_key(
        &server,
        &json!({ "name": "l", "scopes": ["enforcement:read"], "expires_at": "2026-05-01T15:00:00Z" }),
    );
    let rotate = format!("/api/v1/admin/keys/{}/rotate", text(&id, "id"));
    let longer = server.post(&rotate, &long).status(201).json();
    assert_eq!(longer["expires_at"], "2027-05-01T15:00:00Z");
    server.clock.set(time("2026-05-01T15:00:00Z"));
    assert_refused(&server, &text(&short, "key"));
    events(&server, &text(&longer, "key")).status(200);
}

#[test]
fn a_vendors_key_is_taken_over() {
    let mut server = Server::start();
    let vendors = format!("tc_live_{}", "0123456789ab".repeat(4));
    let body = json!({ "name": "from TenantCore", "scopes": ["enforcement:read"], "key": vendors });
    let made = make_key(&server, &body);
    assert_eq!((text(&made, "key"), text(&made, "hint")), (vendors.clone(), "tc_live_0123".into()));
    events(&server, &vendors).status(200);
    server.restart();
    events(&server, &vendors).status(200);
    // The scheme's case does not matter, the key's does.
    let with = |value: &str| {
        server.request(Method::Get, "/v1/enforcement/events").header("authorization", value).send()
    };
    with(&format!("bearer  {vendors} ")).status(200);
    with(&format!("Bearer {}", vendors.to_uppercase())).status(401);
    // In one workspace only.
    let (other, _) = server.add_workspace("Other", "eve@example.net");
    let again = json!({ "workspace_id": other, "name": "x", "scopes": ["enforcement:read"], "key": vendors });
    assert_eq!(
        server.operator(Method::Post, "/api/v1/admin/keys", &again).status(409).text("code"),
        "key_exists"
    );
    for bad in [
        "tc_live_",
        "tc_test_0123456789ab0123456789ab0123456789ab0123456789ab",
        &vendors[..55],
        &vendors.to_uppercase(),
    ] {
        let body = json!({ "name": "x", "scopes": ["admin"], "key": bad });
        server.post("/api/v1/admin/keys", &body).status(422);
    }
}

#[test]
fn the_keys_of_a_deleted_workspace_are_none() {
    let server = Server::start();
    let (other, key) = server.add_workspace("Other", "eve@example.net");
    let cookie = server.login("eve@example.net");
    events(&server, &key).status(200);
    server.operator(Method::Delete, &format!("/api/v1/admin/workspaces/{other}"), &Value::Null).status(204);
    assert_refused(&server, &key);
    let log = format!("/api/v1/workspaces/{other}/audit-log");
    server.request(Method::Get, &log).cookie(&cookie).send().status(404);
    server.request(Method::Get, "/api/v1/admin/workspaces").cookie(&cookie).send().status(403);
    events(&server, &server.key).status(200);
}

// ---------------------------------------------------------------------------------------------- the license

/// The activity log's read: status and, when it is refused, why.
fn read(server: &Server, cookie: &str) -> (u16, String) {
    let path = format!("/api/v1/workspaces/{}/audit-log", server.workspace);
    let answer = server.request(Method::Get, &path).cookie(cookie).send();
    let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
    (answer.status, error.trim_start_matches("license required for the audit log: ").to_owned())
}

/// Puts a license in place of the one in the data directory, as a person with an editor does.
fn install(server: &mut Server, license: Option<&str>) {
    server.stop();
    let path = server.config().data.join("license.key");
    match license {
        Some(text) => std::fs::write(&path, text).expect("a license is written"),
        None => std::fs::remove_file(&path).expect("a license is removed"),
    }
    server.restart();
}

#[test]
fn a_license_opens_the_activity_log_until_it_ends() {
    let mut server = Server::start();
    let body = json!({ "holder": "Acme GmbH", "plan": "team", "expires_at": "2026-05-01T00:00:00Z" });
    let issued = server.post("/api/v1/admin/licenses", &body).status(201).json();
    let license = text(&issued, "license_key");
    let mut shown = issued.clone();
    let members = shown.as_object_mut().expect("an object");
    assert_eq!(members.shift_remove("installed"), Some(json!(false)), "one is in force already");
    members.shift_remove("license_key").expect("a license key");
    assert_eq!(
        shown,
        json!({
            "id": issued["id"], "holder": "Acme GmbH", "plan": "team", "issued_at": START,
            "expires_at": "2026-05-01T00:00:00Z", "valid": true,
        })
    );
    install(&mut server, Some(&license));
    let cookie = server.login(OWNER);
    assert_eq!(read(&server, &cookie).0, 200);
    let me = |server: &Server| server.request(Method::Get, "/api/v1/me").cookie(&cookie).send().text("plan");
    assert_eq!(me(&server), "team");
    let listed = server.get("/api/v1/admin/licenses").status(200).json();
    let in_force = json!({ "id": issued["id"], "holder": "Acme GmbH", "expires_at": "2026-05-01T00:00:00Z" });
    assert_eq!((&listed["count"], &listed["in_force"]), (&json!(2), &in_force));
    assert!(!listed.to_string().contains(&license), "{listed}");
    server.clock.set(time("2026-04-30T23:59:59Z"));
    assert_eq!(read(&server, &cookie).0, 200);
    server.clock.set(time("2026-05-01T00:00:00Z"));
    assert_eq!(read(&server, &cookie), (402, "the license expired on 2026-05-01T00:00:00Z".into()));
    assert_eq!(me(&server), "free");
    // Recording goes on, and what was recorded without a license is there when one comes.
    let project = server.add_project(&server.workspace, "Site");
    // With none in force, the next one holds at once.
    let next = server.post("/api/v1/admin/licenses", &json!({ "holder": "Acme GmbH" })).status(201).json();
    assert_eq!(next["installed"], true);
    let log = format!("/api/v1/projects/{project}/audit-log");
    let entries = server.request(Method::Get, &log).cookie(&cookie).send().status(200).json();
    assert_eq!(entries["entries"][0]["action"], "project.create");
    server.restart();
    assert_eq!(read(&server, &cookie).0, 200);
}

#[test]
fn only_a_license_of_this_installation_counts() {
    let mut server = Server::start();
    let cookie = server.login(OWNER);
    let license = text(
        &server.post("/api/v1/admin/licenses", &json!({ "holder": "x" })).status(201).json(),
        "license_key",
    );
    let other = Server::start();
    let foreign = text(
        &other.post("/api/v1/admin/licenses", &json!({ "holder": "x" })).status(201).json(),
        "license_key",
    );
    let (payload, signature) = license.split_once('.').expect("two parts");
    let not_ours = "the license key was not issued by this installation";
    for (text, why) in [
        (foreign.clone(), not_ours),
        (format!("A{}.{signature}", &payload[1..]), not_ours),
        (format!("{payload}.{}", foreign.split_once('.').expect("two parts").1), not_ours),
        (payload.to_owned(), "the license key has no signature"),
        (format!("{payload}."), "the license key's signature cannot be read"),
        ("x".repeat(5000), "the license key is too long"),
        (String::new(), "the license key has no signature"),
    ] {
        install(&mut server, Some(&text));
        assert_eq!(read(&server, &cookie), (402, why.to_owned()), "{text}");
    }
    // With a line end, as an editor leaves it.
    install(&mut server, Some(&format!("{license}\n")));
    assert_eq!(read(&server, &cookie).0, 200);
    install(&mut server, None);
    assert_eq!(read(&server, &cookie), (402, "no license key is configured".into()));
}

// ---------------------------------------------------------------------------------------------- the operator

#[test]
fn the_operator_needs_no_key_but_speaks_for_nobody_else() {
    let server = Server::start();
    let call = |path: &str, headers: &[(&str, &str)]| {
        let answer = client::call(&server.config().socket(), Method::Get, path, headers, b"");
        answer.unwrap_or_else(|error| panic!("{path}: {error}")).status
    };
    let workspaces = "/api/v1/admin/workspaces";
    assert_eq!(call(workspaces, &[]), 200);
    assert_eq!(call("/v1/enforcement/events", &[]), 200);
    // Whoever brings a key or a cookie along is who these say.
    for (name, value) in
        [("authorization", "Bearer x"), ("cookie", "mailtrail_session=x"), ("cookie", "other=1")]
    {
        assert_eq!(call(workspaces, &[(name, value)]), 401, "{name}");
    }
    // What a proxy passes on comes from a stranger: nginx, Caddy, Traefik, HAProxy, Envoy, clouds and browsers.
    for name in [
        "x-forwarded-for",
        "forwarded",
        "via",
        "origin",
        "x-real-ip",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-prefix",
        "x-forwarded-uri",
        "x-forwarded-scheme",
        "x-forwarded-ssl",
        "x-forwarded-method",
        "x-forwarded-by",
        "x-original-url",
        "x-original-forwarded-for",
        "x-rewrite-url",
        "x-scheme",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-proxyuser-ip",
        "x-remote-addr",
        "x-envoy-external-address",
        "x-azure-clientip",
        "x-appengine-user-ip",
        "true-client-ip",
        "client-ip",
        "cf-connecting-ip",
        "cf-ray",
        "fastly-client-ip",
        "fly-client-ip",
        "x-amzn-trace-id",
        "x-request-id",
        "x-correlation-id",
        "traceparent",
        "early-data",
        "front-end-https",
        "proxy-connection",
        "keep-alive",
        "sec-fetch-site",
        "sec-ch-ua",
        "referer",
        "accept-language",
        "dnt",
        "upgrade-insecure-requests",
        "priority",
        "x-requested-with",
        "x-ssl-client-cert",
        "remote-user",
        "x-auth-request-user",
        "x-anything-at-all",
    ] {
        assert_eq!(call(workspaces, &[(name, "203.0.113.9")]), 401, "{name}");
    }
    // A person with curl, or a script.
    for (name, value) in [
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("idempotency-key", "k"),
    ] {
        assert_eq!(call(workspaces, &[(name, value)]), 200, "{name}");
    }
    // Over TCP nobody is the operator.
    server.request(Method::Get, workspaces).send().status(401);
}

#[test]
fn where_there_are_several_workspaces_the_operator_names_one() {
    let server = Server::start();
    let (other, key) = server.add_workspace("Other", "eve@example.net");
    let tenant = server.add_tenant(&other, "Acme");
    let several = json!([{
        "parameter": "workspace_id", "message": "is required, since there are several workspaces; accepted: the UUID of one",
    }]);
    let list = server.operator(Method::Get, "/api/v1/admin/tenants", &Value::Null).status(422).json();
    assert_eq!(list["errors"], several);
    let make =
        server.operator(Method::Post, "/api/v1/admin/tenants", &json!({ "name": "x" })).status(422).json();
    assert_eq!(make["errors"], several);
    let named = format!("/api/v1/admin/tenants?workspace_id={other}");
    let listed = server.operator(Method::Get, &named, &Value::Null).status(200).json();
    assert_eq!(listed["tenants"][0]["id"], tenant);
    // A vendor's route has a header for it.
    let call = |headers: &[(&str, &str)]| {
        let path = format!("/v1/tenants/{tenant}");
        let answer = client::call(&server.config().socket(), Method::Get, &path, headers, b"");
        answer.unwrap_or_else(|error| panic!("{error}")).status
    };
    assert_eq!(call(&[]), 422);
    assert_eq!(call(&[("mailtrail-workspace", &other)]), 200);
    assert_eq!(call(&[("mailtrail-workspace", &server.workspace)]), 404);
    // What is about all of them takes none: it would be left aside, and everybody's rows would go.
    for (method, path, body) in [
        (Method::Post, "/api/v1/admin/retention/run", &b"{}"[..]),
        (Method::Get, "/api/v1/admin/retention", b""),
        (Method::Post, "/api/v1/admin/check", b"{}"),
        (Method::Get, "/api/v1/admin/verify", b""),
        (Method::Get, "/api/v1/admin/licenses", b""),
        (Method::Get, "/api/v1/admin/config", b""),
        (Method::Get, "/api/v1/admin/controls", b""),
        (Method::Get, "/metrics", b""),
    ] {
        for workspace in [&server.workspace, &other] {
            let headers = [("mailtrail-workspace", workspace.as_str()), ("content-type", "application/json")];
            let ask = |headers: &[(&str, &str)]| {
                let answer = client::call(&server.config().socket(), method, path, headers, body);
                answer.unwrap_or_else(|error| panic!("{error}")).status
            };
            assert_eq!((ask(&headers), ask(&headers[1..])), (422, 200), "{path}");
        }
    }
    // To a key the header says nothing.
    let by_key = server.request(Method::Get, &format!("/v1/tenants/{tenant}")).key(&server.key);
    by_key.header("mailtrail-workspace", &other).send().status(404);
    server.request(Method::Get, &format!("/v1/tenants/{tenant}")).key(&key).send().status(200);
}

// ---------------------------------------------------------------------------------------------- while a body comes

/// A request of which the end of the body is still to come.
struct Begun(std::net::TcpStream, Vec<u8>);

impl Begun {
    fn of(server: &Server, (method, path): (&str, &str), header: &str, body: &Value) -> Self {
        use std::io::Write;
        let address = server.url().trim_start_matches("http://").to_owned();
        let mut stream = std::net::TcpStream::connect(&address).expect("a connection");
        let mut body = body.to_string().into_bytes();
        let rest = body.split_off(body.len() / 2);
        let n_bytes = body.len() + rest.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nOrigin: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {n_bytes}\r\n\r\n",
            server.url(),
        );
        stream.write_all(&[head.into_bytes(), body].concat()).expect("a send");
        // So that it is let in, and waits, before anything changes.
        std::thread::sleep(std::time::Duration::from_millis(300));
        Self(stream, rest)
    }

    /// The status of the answer to the whole of it.
    fn end(mut self) -> u16 {
        use std::io::{Read, Write};
        self.0.write_all(&self.1).expect("a send");
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }
}

/// Who was let in by the head of a request has to be somebody still when all of it is there: else whoever expects to be
/// put out would begin as many requests as they like, and end them when they please.
#[test]
fn who_is_put_out_while_a_body_comes_is_refused() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "a@example.org", "action_taken": "blocked", "sent_count": 2, "limit_value": 1,
    });
    let key = |scope: &str| {
        let made = make_key(
            &server,
            &json!({ "workspace_id": server.workspace, "name": mailtrail::ids::random_hex::<4>(), "scopes": [scope] }),
        );
        (format!("Authorization: Bearer {}", text(&made, "key")), text(&made, "id"))
    };
    let revoke = |id: &str| {
        server.operator(Method::Delete, &format!("/api/v1/admin/keys/{id}"), &Value::Null).status(204);
    };
    let routes = [
        (("POST", "/v1/enforcement/events"), "enforcement:write", event),
        (("POST", "/api/v1/admin/keys"), "admin", json!({ "name": "another", "scopes": ["admin"] })),
        (("POST", "/api/v1/admin/check"), "admin", json!({ "repair": false })),
    ];
    for (at, scope, body) in &routes {
        let (header, id) = key(scope);
        let stays = Begun::of(&server, *at, &header, body);
        assert!(stays.end() < 300, "{at:?}: nothing changed");
        let goes = Begun::of(&server, *at, &header, body);
        revoke(&id);
        assert_eq!(goes.end(), 401, "{at:?}");
    }
    let eve = text(&server.add_user(&server.workspace, "eve@example.org", "admin").json(), "user_id");
    let cookie = server.login("eve@example.org");
    let header = format!("Cookie: {cookie}");
    let project = |name: &str| {
        Begun::of(&server, ("POST", "/api/v1/admin/projects"), &header, &json!({ "name": name }))
    };
    let set = |role: &str| {
        let path = format!("/api/v1/admin/users/{eve}");
        server.operator(Method::Patch, &path, &json!({ "role": role })).good();
    };
    assert_eq!(project("stays").end(), 201);
    let demoted = project("demoted");
    set("auditor");
    assert_eq!(demoted.end(), 403);
    set("admin");
    let ended = project("ended");
    server.request(Method::Post, "/api/v1/auth/logout").cookie(&cookie).send().good();
    assert_eq!(ended.end(), 401);
    let names = server.db_number("SELECT count(*) FROM projects");
    assert_eq!(names, 1, "only the one of who stayed");
}
