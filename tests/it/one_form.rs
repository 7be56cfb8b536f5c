//! One thing that is written in several ways is one: ids in angle brackets, a `+` that nobody encoded, members in another
//! order, defaults that are said, addresses in other letters. What an older version stored otherwise is still found.

use mailtrail::enforcement::{self, Action, NewEvent};
use mailtrail::http::Method;
use mailtrail::ids::sha256;
use mailtrail::messages::{self, NewEntry, Outcome};
use mailtrail::owners::mailboxes;
use serde_json::{Value, json};

use crate::support::{OWNER, PASSWORD, START, Server, edit_rows, time};

/// As a client must send it.
fn encoded(path: &str) -> String {
    path.replace('<', "%3C").replace('>', "%3E")
}

fn ids(server: &Server, path: &str) -> Vec<String> {
    let page = server.get(&encoded(path)).status(200).json();
    page["items"].as_array().expect("items").iter().map(|item| item["message_id"].to_string()).collect()
}

#[test]
fn a_filter_finds_an_address_however_it_is_written() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let written = ["Jörg@müller.example", "JÖRG@MÜLLER.example", "jo\u{308}rg@xn--mller-kva.EXAMPLE"];
    for (at, address) in written.into_iter().enumerate() {
        let event = json!({ "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked",
                            "sent_count": 26, "limit_value": 25 });
        server.post("/v1/enforcement/events", &event).status(201);
        let entry = json!({ "message_id": format!("{at}@x"), "outcome": "delivered", "sender_address": address,
                            "recipient_address": address });
        server.post(&path, &entry).status(201);
    }
    for address in written.into_iter().chain(["<jörg@MÜLLER.example>", "j%C3%B6rg@xn--mller-kva.example"]) {
        let address: String = match address.contains('%') {
            true => address.to_owned(),
            false => {
                percent_encoding::utf8_percent_encode(address, percent_encoding::NON_ALPHANUMERIC).to_string()
            }
        };
        for more in ["", "&action=blocked", &format!("&tenant_id={tenant}")] {
            let listed = server.get(&format!("/v1/enforcement/events?mailbox_address={address}{more}"));
            assert_eq!(listed.status(200).json()["total"], 3, "{address}{more}");
        }
        let export = server.get(&format!("/v1/enforcement/events?format=ndjson&mailbox_address={address}"));
        assert_eq!(export.status(200).body_text().lines().count(), 3, "{address}");
        for name in ["sender_address", "recipient_address"] {
            assert_eq!(ids(&server, &format!("{path}?{name}={address}")).len(), 3, "{name} {address}");
            let across = format!("/v1/messages?{name}={address}&outcome=delivered");
            assert_eq!(ids(&server, &across).len(), 3, "{across}");
        }
    }
    let other = server.get("/v1/enforcement/events?mailbox_address=jorg@xn--mller-kva.example").status(200);
    assert_eq!(other.json()["total"], 0);
}

#[test]
fn a_filter_takes_a_blank_for_a_plus_and_angle_brackets_off() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent+x@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let entry = json!({
        "message_id": "CAF+abc=1@mail.gmail.com", "outcome": "delivered", "thread_id": "<T+1@example.org>",
        "sender_address": "<ann+tag@example.org>",
    });
    let shown = server.post(&path, &entry).status(201).json();
    assert_eq!(
        (&shown["thread_id"], &shown["sender_address"]),
        (&json!("T+1@example.org"), &json!("ann+tag@example.org"))
    );
    for (name, bare) in [
        ("message_id", "CAF+abc=1@mail.gmail.com"),
        ("thread_id", "T+1@example.org"),
        ("sender_address", "ann+tag@example.org"),
        ("recipient_address", "agent+x@example.org"),
    ] {
        for form in [
            bare.to_owned(),
            format!("<{bare}>"),
            format!("%3C{}%3E", bare.replace('+', "%2B")),
            bare.replace('+', "%20"),
        ] {
            assert_eq!(ids(&server, &format!("{path}?{name}={form}")).len(), 1, "{name}={form}");
        }
    }
    for form in ["CAF+abc=1@mail.gmail.com", "%3CCAF+abc=1@mail.gmail.com%3E"] {
        server.get(&format!("{path}/{form}")).status(200);
    }
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({ "tenant_id": tenant, "mailbox_address": "<sales+eu@example.org>", "action_taken": "blocked",
                        "sent_count": 26, "limit_value": 25 });
    assert_eq!(
        server.post("/v1/enforcement/events", &event).status(201).json()["mailbox_address"],
        "sales+eu@example.org"
    );
    for form in ["sales+eu@example.org", "<sales+eu@example.org>", "%3Csales%2Beu@example.org%3E"] {
        let found = server.get(&encoded(&format!("/v1/enforcement/events?mailbox_address={form}"))).json();
        assert_eq!(found["total"], 1, "{form}");
    }
    let project = server.add_project(&server.workspace, "News");
    let path = format!("/api/v1/projects/{project}/audit-log");
    for target in ["ann+tag@example.org", "New letter", "a+b"] {
        let entry = json!({ "user_id": "0f8f2c1e-3a1b-4c0d-8e2f-1a2b3c4d5e6f", "action": "list.join", "target_id": target });
        server.post(&path, &entry).status(201);
    }
    let cookie = server.login(OWNER);
    for form in
        ["ann+tag@example.org", "<ann%2Btag@example.org>", "New+letter", "New%20letter", "a+b", "a%2Bb"]
    {
        let found =
            server.request(Method::Get, &encoded(&format!("{path}?target_id={form}"))).cookie(&cookie).send();
        assert_eq!(found.status(200).json()["total"], 1, "{form}");
    }
}

#[test]
fn an_id_in_angle_brackets_is_the_id_at_every_door() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "<agent@example.org>", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let raw = "From: ann@example.org\r\nMessage-ID: <m1@example.org>\r\nSubject: x\r\n\r\nHello\r\n";
    let request = server.request(Method::Post, &path).key(&server.key);
    assert_eq!(request.body("message/rfc822", raw).send().status(201).json()["message_id"], "m1@example.org");
    let entry = json!({ "message_id": "<m1@example.org>", "outcome": "delivered" });
    server.post(&path, &entry).status(409);
    let entry = json!({ "message_id": "<m2@example.org>", "outcome": "delivered" });
    server.post(&path, &entry).status(201);
    server.post(&path, &json!({ "message_id": "m2@example.org", "outcome": "delivered" })).status(200);
    server.patch(&format!("{path}/m2@example.org"), &json!({ "thread_id": "<t@example.org>" })).good();
    server.patch(&format!("{path}/%3Cm2@example.org%3E"), &json!({ "thread_id": "t@example.org" })).good();
    assert_eq!(ids(&server, &path).len(), 2);
    // Addresses of people and of sends too.
    server.login_with(&format!("<{OWNER}>"), PASSWORD);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(2));
    let send = json!({ "tenant_id": tenant, "mailbox_address": "<sales@example.org>" });
    assert_eq!(server.post("/v1/enforcement/sends", &send).status(200).json()["action"], "allowed");
}

#[test]
fn what_was_stored_in_angle_brackets_is_found_by_either_form() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let tenant_id = mailtrail::ids::Uuid::parse(&tenant).expect("an id");
    // As an older version took them.
    let stored = server.running().app.store.write(move |tx| {
        let mailbox = mailboxes::find_anywhere(tx, mailbox)?.expect("the mailbox");
        for (n, sender) in [(1, "<ann@example.org>"), (2, "ann@example.org")] {
            let given = format!(
                r#"["<old{n}@example.org>","<t@example.org>","{sender}",null,null,"delivered",null,[null,null,null],null,null,null,[]]"#
            );
            let new = NewEntry {
                message_id: format!("<old{n}@example.org>"),
                thread_id: Some("<t@example.org>".into()),
                sender_address: Some(sender.into()),
                outcome: Some(Outcome::Delivered),
                fingerprint: sha256(given.as_bytes()),
                ..NewEntry::default()
            };
            messages::sql::record(tx, &mailbox, new, "key test")?;
        }
        let tenant = mailtrail::owners::tenants::find_living_key(tx, mailbox.workspace, tenant_id)?.expect("the tenant");
        for mailbox_address in ["<ann@example.org>", "ann@example.org"] {
            let new = NewEvent {
                tenant_id,
                mailbox_address: mailbox_address.into(),
                action: Action::Blocked,
                sent_count: 26,
                limit_value: 25,
                message: None,
                created_at: None,
            };
            enforcement::sql::record(tx, mailbox.workspace, tenant, &new, "key test")?;
        }
        Ok(())
    });
    stored.expect("rows");
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    for (query, n) in [
        ("message_id=old1@example.org", 1),
        ("message_id=<old1@example.org>", 1),
        ("thread_id=t@example.org", 2),
        ("sender_address=ann@example.org", 2),
        ("sender_address=<ann@example.org>&outcome=delivered", 2),
        ("sender_address=ann@example.org&order=asc&limit=1", 1),
    ] {
        assert_eq!(ids(&server, &format!("{path}?{query}")).len(), n, "{query}");
    }
    for query in ["", &format!("&tenant_id={tenant}"), "&action=blocked"] {
        let found =
            server.get(&format!("/v1/enforcement/events?mailbox_address=ann@example.org{query}")).json();
        assert_eq!((&found["total"], &found["count"]), (&json!(2), &json!(2)), "{query}");
    }
    for form in ["old1@example.org", "%3Cold1@example.org%3E"] {
        server.get(&format!("{path}/{form}")).status(200);
    }
    // The same again, in either form, is the entry that stands; another is another.
    for (id, thread) in [("<old1@example.org>", "<t@example.org>"), ("old1@example.org", "t@example.org")] {
        let entry = |outcome: &str| json!({ "message_id": id, "thread_id": thread, "sender_address": "<ann@example.org>", "outcome": outcome });
        server.post(&path, &entry("delivered")).status(200);
        server.post(&path, &entry("rate_limited")).status(409);
    }
    assert_eq!(ids(&server, &path).len(), 2);
}

#[test]
fn the_order_of_members_and_defaults_that_are_said_make_no_other_message() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let send = |body: &str, status: u16| {
        let request = server.request(Method::Post, &path).key(&server.key);
        request.body("application/json", body).send().status(status);
    };
    send(r#"{"message_id":"m","outcome":"delivered","reply_sent":{"a":1,"b":{"c":2,"d":3}}}"#, 201);
    send(r#"{"outcome":"delivered","reply_sent":{"b":{"d":3,"c":2},"a":1},"message_id":"<m>"}"#, 200);
    send(
        r#"{"message_id":"m","outcome":"delivered","reason":null,"sender_address":"","recipient_address":"Agent@example.org","reply_sent":{"a":1,"b":{"c":2,"d":3}}}"#,
        200,
    );
    send(r#"{"message_id":"m","outcome":"delivered","reply_sent":{"a":1,"b":{"c":2,"d":4}}}"#, 409);
    send(
        r#"{"message_id":"m","outcome":"delivered","recipient_address":"other@example.org","reply_sent":{"a":1,"b":{"c":2,"d":3}}}"#,
        409,
    );
    // As an older version told it from others: by the order in which it came.
    let stored = server.running().app.store.write(move |tx| {
        let mailbox = mailboxes::find_anywhere(tx, mailbox)?.expect("the mailbox");
        let given = r#"["old",null,null,null,null,"delivered",null,[null,null,null],null,null,null,[["reply_sent",{"b":1,"a":2}]]]"#;
        let new = NewEntry {
            message_id: "old".into(),
            outcome: Some(Outcome::Delivered),
            fingerprint: sha256(given.as_bytes()),
            ..NewEntry::default()
        };
        messages::sql::record(tx, &mailbox, new, "key test").map(|_| ())
    });
    stored.expect("a row");
    send(r#"{"message_id":"old","outcome":"delivered","reply_sent":{"b":1,"a":2}}"#, 200);
    send(r#"{"message_id":"old","outcome":"delivered","reply_sent":{"b":1,"a":3}}"#, 409);
}

#[test]
fn a_retry_is_known_by_what_it_says_and_not_by_how_it_is_written() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(9));
    let project = server.add_project(&server.workspace, "News");
    let event = format!(
        r#""tenant_id":"{tenant}","mailbox_address":"sales@example.org","action_taken":"blocked","sent_count":26,"limit_value":25"#
    );
    let user = r#""user_id":"0f8f2c1e-3a1b-4c0d-8e2f-1a2b3c4d5e6f","action":"smtp.update""#;
    let send = format!(r#""tenant_id":"{tenant}","mailbox_address":"sales@example.org""#);
    let (json, lines) = ("application/json", "application/x-ndjson");
    let cases = [
        (
            Method::Post,
            "/v1/enforcement/events".to_owned(),
            json,
            format!("{{{event}}}"),
            vec![
                format!(
                    r#"{{ "created_at":null, "message":"Mailbox blocked: sent 26, limit 25", {event} }}"#
                ),
                format!(r#"{{{}}}"#, event.replace(":26", ":26.0")),
            ],
            format!("{{{}}}", event.replace(":26", ":27")),
        ),
        (
            Method::Post,
            "/v1/enforcement/events".to_owned(),
            json,
            format!(r#"{{"events":[{{{event}}}]}}"#),
            vec![format!(r#"{{"events":[{{"message":null,{event}}}]}}"#)],
            format!(r#"{{"events":[{{{event}}},{{{event}}}]}}"#),
        ),
        (
            Method::Post,
            "/v1/enforcement/events".to_owned(),
            lines,
            format!("{{{event}}}\n{{{event}}}\n"),
            vec![format!("\n{{{event}}}\r\n{{\"message\":null,{event}}}")],
            format!("{{{event}}}\n"),
        ),
        (
            Method::Post,
            "/v1/enforcement/sends".to_owned(),
            json,
            format!("{{{send}}}"),
            vec![format!(r#"{{"recipients":1,{send}}}"#)],
            format!(r#"{{"recipients":2,{send}}}"#),
        ),
        (
            Method::Post,
            format!("/api/v1/projects/{project}/audit-log"),
            json,
            format!("{{{user}}}"),
            vec![format!(r#"{{"metadata":{{}},"target_id":"",{user}}}"#)],
            format!(r#"{{"metadata":{{"a":1}},{user}}}"#),
        ),
        (
            Method::Post,
            format!("/v1/mailboxes/{mailbox}/audit-logs"),
            json,
            r#"{"message_id":"m","outcome":"delivered"}"#.to_owned(),
            vec![r#"{"outcome":"delivered","message_id":"m","sender_address":""}"#.to_owned()],
            r#"{"message_id":"n","outcome":"delivered"}"#.to_owned(),
        ),
        (
            Method::Patch,
            format!("/api/v1/admin/mailboxes/{mailbox}"),
            json,
            r#"{"daily_send_limit":7,"name":"S"}"#.to_owned(),
            vec![r#"{"name":"S","daily_send_limit":7}"#.to_owned()],
            r#"{"name":"S","daily_send_limit":null}"#.to_owned(),
        ),
    ];
    let ask = |server: &Server, n: usize, body: &str| {
        let (method, path, media_type, ..) = &cases[n];
        let request =
            server.request(*method, path).key(&server.key).header("idempotency-key", &format!("k{n}"));
        request.body(media_type, body).send()
    };
    for (n, (_, path, _, first, same, other)) in cases.iter().enumerate() {
        let told = ask(&server, n, first).good().body_text();
        for body in same {
            let again = ask(&server, n, body);
            assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path} {body}");
            assert_eq!(again.body_text(), told);
        }
        ask(&server, n, other).status(409);
    }
    // As an older version kept it: over the bytes.
    let first = &cases[0].3;
    let mut hashed = b"POST /v1/enforcement/events Query([])\n".to_vec();
    hashed.extend_from_slice(first.as_bytes());
    let hex: String = sha256(&hashed).iter().map(|byte| format!("{byte:02x}")).collect();
    server.stop();
    edit_rows(&server.database(), &format!("UPDATE idempotency SET fingerprint = x'{hex}'"));
    server.restart();
    assert_eq!(ask(&server, 0, first).header("idempotency-replayed"), Some("true"));
    ask(&server, 0, &cases[0].4[0]).status(409);
}

#[test]
fn an_address_in_other_letters_is_the_same_mailbox_and_the_same_account() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_mailbox(&server.workspace, "jörg@müller.example", Some(&tenant), Some(9));
    for same in [
        "JÖRG@müller.example",
        "jo\u{308}rg@müller.example",
        "jörg@xn--mller-kva.example",
        "jörg@MÜLLER.example.",
    ] {
        let new = json!({ "workspace_id": server.workspace, "address": same });
        server.operator(Method::Post, "/api/v1/admin/mailboxes", &new).status(409);
        let send = json!({ "tenant_id": tenant, "mailbox_address": same });
        assert_eq!(
            server.post("/v1/enforcement/sends", &send).status(200).json()["action"],
            "allowed",
            "{same}"
        );
    }
    server.add_mailbox(&server.workspace, "jorg@müller.example", Some(&tenant), Some(9));
    server.join(&server.workspace, "öwner@müller.example", "admin");
    for same in ["ÖWNER@müller.example", "o\u{308}wner@xn--mller-kva.example"] {
        server.login_with(same, PASSWORD);
        let new = json!({ "email": same, "role": "auditor", "workspace_id": server.workspace });
        server.operator(Method::Post, "/api/v1/admin/users", &new).status(409);
    }
    for (c, name) in
        [('\u{202e}', "U+202E"), ('\u{2028}', "U+2028"), ('\u{200b}', "U+200B"), ('\u{a0}', "U+00A0")]
    {
        let address = format!("a{c}da@example.org");
        let mailbox = json!({ "workspace_id": server.workspace, "address": address });
        let user = json!({ "email": address, "role": "auditor", "workspace_id": server.workspace });
        for (path, body) in [("/api/v1/admin/mailboxes", mailbox), ("/api/v1/admin/users", user)] {
            let refused = server.operator(Method::Post, path, &body);
            assert!(refused.body_text().contains(name), "{}", refused.body_text());
            assert!((400..500).contains(&refused.status));
        }
    }
}

/// Two names that look alike are no two names; what a script or an emoji needs is seen.
#[test]
fn a_name_holds_nothing_that_cannot_be_seen() {
    let server = Server::start();
    let admin =
        |path: &str, body: Value| server.operator(Method::Post, &format!("/api/v1/admin/{path}"), &body);
    let make = |name: &str| {
        let named = |more: Value| {
            let mut body = more;
            body["name"] = name.into();
            body
        };
        let of = |more: Value| {
            let mut body = named(more);
            body["workspace_id"] = server.workspace.as_str().into();
            body
        };
        let address = format!("{}@example.org", mailtrail::ids::random_hex::<6>());
        [
            admin("workspaces", named(json!({}))),
            admin("tenants", of(json!({}))),
            admin("projects", of(json!({}))),
            admin("mailboxes", of(json!({ "address": address }))),
            admin("users", of(json!({ "email": address, "role": "auditor", "password": PASSWORD }))),
            admin("keys", of(json!({ "scopes": ["messages:read"] }))),
            admin("licenses", json!({ "holder": name })),
        ]
    };
    for name in ["Acme\u{200b}", "A\u{ad}cme", "\u{202e}emcA", "Acme\u{a0}Inc.", "\u{200d}Acme"] {
        for refused in make(name) {
            assert_eq!(refused.status, 422, "{name:?}: {}", refused.body_text());
            assert!(refused.body_text().contains("cannot be seen"), "{}", refused.body_text());
        }
    }
    for name in ["Ácmé & Söhne", "می\u{200c}خواهم", "👩\u{200d}🚀 crew", "日本\u{3000}支社"]
    {
        for made in make(name) {
            assert_eq!(made.status, 201, "{name:?}: {}", made.body_text());
        }
    }
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for path in [format!("tenants/{tenant}"), format!("workspaces/{}", server.workspace)] {
        let path = format!("/api/v1/admin/{path}");
        server.operator(Method::Patch, &path, &json!({ "name": "Ac\u{200b}me" })).status(422);
    }
}

#[test]
fn twins_of_an_older_version_are_both_found() {
    let told: Value = serde_json::from_str(include_str!("../upgrades/5.json")).expect("answers");
    let text = |name: &str| told[name].as_str().expect("a text");
    let sql = format!(
        "{}\nINSERT INTO mailboxes (workspace, tenant, address, created_at)
             SELECT 1, (SELECT id FROM tenants WHERE workspace = 1 AND deleted_at IS NULL LIMIT 1), value, 0
             FROM json_each('[\"jörg@example.org\", \"JÖRG@example.org\"]');",
        include_str!("../upgrades/5.sql")
    );
    let server = Server::start_on(
        &sql,
        "2026-11-26T23:30:00Z",
        text("key"),
        text("workspace"),
        told["checkpoint_key"].as_str(),
    );
    let store = &server.running().app.store;
    let found = |address: &str| {
        let address = address.to_owned();
        let found = store.read(move |snapshot| mailboxes::find_by_address(snapshot, 1, &address));
        found.expect("a read").map(|mailbox| mailbox.primary_smtp)
    };
    for (given, expected) in [
        ("jörg@example.org", "jörg@example.org"),
        ("JÖRG@EXAMPLE.ORG", "JÖRG@example.org"),
        ("jo\u{308}rg@example.org", "jörg@example.org"),
    ] {
        assert_eq!(found(given).as_deref(), Some(expected), "{given}");
    }
    assert!(time(START) < server.clock.now());
    let new = json!({ "workspace_id": text("workspace"), "address": "Jörg@example.org" });
    server.operator(Method::Post, "/api/v1/admin/mailboxes", &new).status(409);
}
