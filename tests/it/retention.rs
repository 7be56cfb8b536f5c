//! What is deleted when, and what is not: days by policy and by setting, holds, the clock, the append-only tables.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, START, Server, process, time};

const DAY: i64 = 86_400;

/// `START` and so many seconds.
fn at(seconds: i64) -> String {
    time(START).plus_seconds(seconds).to_string()
}

fn run(server: &Server) -> Value {
    retention(server, json!({})).good().json()["deleted"].clone()
}

fn dry_run(server: &Server) -> Value {
    let before = server.db_number("SELECT last_seq FROM sequence");
    let answer = retention(server, json!({ "dry_run": true })).good().json();
    assert_eq!(answer["dry_run"], true);
    assert_eq!(server.db_number("SELECT last_seq FROM sequence"), before, "a dry run is not noted");
    answer["deleted"].clone()
}

fn retention(server: &Server, body: Value) -> Answer {
    server.operator(Method::Post, "/api/v1/admin/retention/run", &body)
}

fn deleted(enforcement: i64, messages: i64, activity: i64) -> Value {
    json!({ "enforcement": enforcement, "messages": messages, "activity": activity })
}

fn policy(days: i64) -> Value {
    json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": days } })
}

/// An entry that was received `days` and `seconds` before `START`.
fn message(server: &Server, mailbox: i64, id: &str, days: i64, seconds: i64) {
    let received_at = time(START).plus_seconds(-days * DAY - seconds).seconds();
    let entry =
        json!({ "message_id": id, "outcome": "delivered", "received_at": received_at, "tools_used": ["x"] });
    server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
}

fn messages(server: &Server, mailbox: i64) -> Vec<String> {
    let page =
        server.get(&format!("/v1/mailboxes/{mailbox}/audit-logs?limit=200&order=asc")).status(200).json();
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["message_id"].as_str().expect("an id").to_owned()).collect()
}

fn event(server: &Server, tenant: &str, address: &str, days: i64) {
    let event = json!({
        "tenant_id": tenant, "mailbox_address": address, "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25, "created_at": at(-days * DAY),
    });
    server.post("/v1/enforcement/events", &event).status(201);
}

/// The total of a tenant's events, which comes from the counts.
fn n_events(server: &Server, tenant: &str) -> Value {
    server.get(&format!("/v1/enforcement/events?tenant_id={tenant}")).status(200).json()["total"].clone()
}

fn activity(server: &Server, project: &str, action: &str, days: i64) {
    let entry =
        json!({ "user_id": "01HZX3YV5N8Q2R4T6W8Y0A2C4E", "action": action, "created_at": at(-days * DAY) });
    server.post(&format!("/api/v1/projects/{project}/audit-log"), &entry).status(201);
}

fn n_activities(server: &Server, project: &str, action: &str) -> i64 {
    let of_project =
        format!("(SELECT id FROM projects WHERE hex(uuid) = '{}')", project.replace('-', "").to_uppercase());
    server.db_number(&format!(
        "SELECT count(*) FROM activity WHERE action = (SELECT id FROM texts WHERE text = '{action}') AND project = {of_project}"
    ))
}

/// The counts say what the rows say, and the file is whole.
#[track_caller]
fn assert_sound(server: &Server) {
    let check = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).good().json();
    assert_eq!(check["ok"], true, "{check}");
}

/// The retention runs that were noted, newest first: actor and what went.
fn noted(server: &Server) -> Vec<(String, Value)> {
    let cookie = server.login(OWNER);
    let path = format!("/api/v1/workspaces/{}/audit-log?action=retention.run", server.workspace);
    let page = server.request(Method::Get, &path).cookie(&cookie).send().status(200).json();
    let entries = page["entries"].as_array().expect("entries");
    entries
        .iter()
        .map(|e| (e["actor"].as_str().unwrap_or_default().to_owned(), e["metadata"]["deleted"].clone()))
        .collect()
}

#[test]
fn each_mailbox_goes_by_the_days_of_its_policy() {
    let server = Server::start_with(&[("messages_retention_days", "10")]);
    let mailbox =
        |name: &str| server.add_mailbox(&server.workspace, &format!("{name}@example.org"), None, None);
    let (short, long, unset) = (mailbox("short"), mailbox("long"), mailbox("unset"));
    server.put_policy(short, &policy(3)).good();
    server.put_policy(long, &policy(30)).good();
    for id in [short, long, unset] {
        // The age is that of the message, to the second: what is just as old as its days stays.
        for (days, seconds) in [(31, 0), (30, 1), (30, 0), (10, 1), (10, 0), (3, 1), (3, 0), (0, 0)] {
            message(&server, id, &format!("d{days}s{seconds}"), days, seconds);
        }
    }
    assert_eq!(dry_run(&server), deleted(0, 6 + 2 + 4, 0));
    assert_eq!(run(&server), deleted(0, 6 + 2 + 4, 0));
    assert_eq!(messages(&server, short), ["d3s0", "d0s0"]);
    assert_eq!(messages(&server, long), ["d30s0", "d10s1", "d10s0", "d3s1", "d3s0", "d0s0"]);
    assert_eq!(messages(&server, unset), ["d10s0", "d3s1", "d3s0", "d0s0"]);
    // What came later went with its message.
    assert_eq!(server.db_number("SELECT count(*) FROM message_facts"), 2 + 6 + 4);
    assert_eq!(run(&server), deleted(0, 0, 0));
    assert_sound(&server);
    // An entry that is gone is gone: its message may be recorded anew, under a new number.
    let (before, after) =
        ("SELECT max(seq) FROM messages", "SELECT seq FROM messages WHERE message_id = 'd31s0'");
    let last = server.db_number(before);
    message(&server, short, "d31s0", 31, 0);
    assert!(server.db_number(after) > last);
    assert_eq!(run(&server), deleted(0, 1, 0));
}

#[test]
fn days_by_settings_and_for_ever_without() {
    for (settings, expected) in [
        (&[][..], deleted(0, 0, 0)),
        (&[("retention_days", "5")][..], deleted(2, 2, 0)),
        (&[("retention_days", "5"), ("messages_retention_days", "8")][..], deleted(2, 1, 0)),
        (&[("retention_days", "5"), ("enforcement_retention_days", "forever")][..], deleted(0, 2, 0)),
        (&[("enforcement_retention_days", "8")][..], deleted(1, 0, 0)),
        (&[("activity_retention_days", "8")][..], deleted(0, 0, 1)),
        (&[("activity_retention_days", "1")][..], deleted(0, 0, 2)),
    ] {
        let server = Server::start_with(settings);
        let tenant = server.add_tenant(&server.workspace, "Acme");
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
        let project = server.add_project(&server.workspace, "Site");
        for days in [9, 7, 0] {
            event(&server, &tenant, "sales@example.org", days);
            message(&server, mailbox, &format!("m{days}"), days, 0);
            activity(&server, &project, "site.publish", days);
        }
        assert_eq!(dry_run(&server), expected, "{settings:?}");
        assert_eq!(run(&server), expected, "{settings:?}");
        let left = |log: &str| 3 - expected[log].as_i64().expect("a number");
        assert_eq!(n_events(&server, &tenant), json!(left("enforcement")), "{settings:?}");
        assert_eq!(messages(&server, mailbox).len() as i64, left("messages"), "{settings:?}");
        assert_eq!(n_activities(&server, &project, "site.publish"), left("activity"), "{settings:?}");
        assert_sound(&server);
        // What is in force can be read.
        let shown = server.operator(Method::Get, "/api/v1/admin/retention", &Value::Null).good().json();
        let config = server.config();
        assert_eq!(
            shown["days"],
            json!({
                "enforcement": config.enforcement_days, "messages": config.messages_days,
                "activity": config.activity_days,
            })
        );
    }
}

/// A sender can write any time into a message; what somebody records by hand is believed.
#[test]
fn a_raw_message_is_as_old_as_its_recording_whatever_it_says() {
    let server = Server::start_with(&[("retention_days", "5")]);
    let mailbox = server.add_mailbox(&server.workspace, "a@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let raw = |id: &str, received: &str| {
        let raw = format!(
            "Received: from mx.example.net by mx.example.org; {received}\r\nFrom: b@example.net\r\nTo: a@example.org\r\n\
             Message-ID: <{id}>\r\n\r\nhi\r\n"
        );
        server
            .request(Method::Post, &path)
            .key(&server.key)
            .body("message/rfc822", raw)
            .send()
            .status(201)
            .json()
    };
    let shown = raw("of-1971@x", "Fri, 1 Jan 1971 00:00:00 +0000");
    assert_eq!(shown["received_at"], 31_536_000);
    message(&server, mailbox, "of-long-ago", 6, 0);
    raw("of-today@x", "Thu, 30 Apr 2026 14:22:00 +0000");
    assert_eq!((dry_run(&server), run(&server)), (deleted(0, 1, 0), deleted(0, 1, 0)));
    assert_eq!(messages(&server, mailbox), ["of-1971@x", "of-today@x"]);
    // Five days after they were recorded, both are old. The scheduler may come first.
    server.clock.set(time(START).plus_days(5).plus_seconds(1));
    raw("later@x", "Fri, 1 Jan 1971 00:00:00 +0000");
    message(&server, mailbox, "imported", 1, 0);
    run(&server);
    assert_eq!(messages(&server, mailbox), ["later@x"]);
    assert_sound(&server);
}

#[test]
fn a_hold_keeps_what_belongs_to_a_mailbox_a_tenant_or_a_project() {
    let server = Server::start_with(&[("retention_days", "5"), ("activity_retention_days", "5")]);
    let workspace = server.workspace.clone();
    let (acme, globex) = (server.add_tenant(&workspace, "Acme"), server.add_tenant(&workspace, "Globex"));
    let mailbox = |name: &str, tenant: &str| {
        server.add_mailbox(&workspace, &format!("{name}@example.org"), Some(tenant), None)
    };
    let (a1, a2, g1) = (mailbox("a1", &acme), mailbox("a2", &acme), mailbox("g1", &globex));
    let (site, blog) = (server.add_project(&workspace, "Site"), server.add_project(&workspace, "Blog"));
    for (name, id, tenant) in [("a1", a1, &acme), ("a2", a2, &acme), ("g1", g1, &globex)] {
        message(&server, id, "old", 6, 0);
        event(&server, tenant, &format!("{name}@EXAMPLE.org"), 6);
    }
    for project in [&site, &blog] {
        activity(&server, project, "site.publish", 6);
    }
    let hold = |path: &str, on: bool| {
        let path = format!("/api/v1/admin/{path}");
        let shown = server.operator(Method::Patch, &path, &json!({ "legal_hold": on })).status(200).json();
        assert_eq!(shown["legal_hold"], on, "{path}");
    };
    hold(&format!("mailboxes/{a1}"), true);
    hold(&format!("tenants/{globex}"), true);
    hold(&format!("projects/{site}"), true);
    assert_eq!(dry_run(&server), deleted(1, 1, 1));
    assert_eq!(run(&server), deleted(1, 1, 1));
    assert_eq!([a1, a2, g1].map(|id| messages(&server, id).len()), [1, 0, 1]);
    assert_eq!((n_events(&server, &acme), n_events(&server, &globex)), (json!(1), json!(1)));
    let published = |project: &str| n_activities(&server, project, "site.publish");
    assert_eq!((published(&site), published(&blog)), (1, 0));
    assert_sound(&server);
    // A hold outlives what it is on, and can be taken off when that is deleted.
    for path in [format!("mailboxes/{a1}"), format!("tenants/{globex}"), format!("projects/{site}")] {
        server.operator(Method::Delete, &format!("/api/v1/admin/{path}"), &Value::Null).status(204);
    }
    assert_eq!(run(&server), deleted(0, 0, 0));
    hold(&format!("tenants/{globex}"), false);
    assert_eq!(run(&server), deleted(1, 1, 0));
    hold(&format!("mailboxes/{a1}"), false);
    hold(&format!("projects/{site}"), false);
    assert_eq!(run(&server), deleted(1, 1, 1));
    assert_sound(&server);
}

/// A log of events is fed by others, who write an address as they like.
#[test]
fn a_hold_on_a_mailbox_keeps_its_events_however_their_address_is_written() {
    let server = Server::start_with(&[("retention_days", "5")]);
    let acme = server.add_tenant(&server.workspace, "Acme");
    let id = server.add_mailbox(&server.workspace, "jörg@müller.example", Some(&acme), None);
    let own = [
        "jörg@müller.example",
        "JÖRG@MÜLLER.example",
        "jo\u{308}rg@xn--mller-kva.example",
        "jÖrg@müller.EXAMPLE.",
    ];
    let others = ["jorg@müller.example", "jörg@muller.example", "jörg@müller.example.org"];
    for address in own.iter().chain(&others) {
        event(&server, &acme, address, 6);
    }
    let hold = |on: bool| {
        let path = format!("/api/v1/admin/mailboxes/{id}");
        server.operator(Method::Patch, &path, &json!({ "legal_hold": on })).status(200);
    };
    hold(true);
    assert_eq!(dry_run(&server), deleted(3, 0, 0));
    assert_eq!(run(&server), deleted(3, 0, 0));
    assert_eq!(n_events(&server, &acme), json!(4));
    let erasure = json!({ "address": "jörg@müller.example", "why": "asked", "dry_run": true });
    let told = server.operator(Method::Post, "/api/v1/admin/erasures", &erasure).good().json();
    assert_eq!(
        (&told["removed"]["enforcement"], &told["removed"]["on_hold"]),
        (&json!(0), &json!(own.len())),
        "{told}"
    );
    hold(false);
    assert_eq!(run(&server), deleted(4, 0, 0));
    assert_sound(&server);
}

#[test]
fn a_hold_of_a_whole_workspace_keeps_all_of_it_from_retention_and_erasure() {
    let server = Server::start_with(&[("retention_days", "5"), ("activity_retention_days", "5")]);
    let workspace = server.workspace.clone();
    let acme = server.add_tenant(&workspace, "Acme");
    let mailbox = server.add_mailbox(&workspace, "a@example.org", Some(&acme), None);
    let site = server.add_project(&workspace, "Site");
    message(&server, mailbox, "old", 6, 0);
    event(&server, &acme, "a@example.org", 6);
    activity(&server, &site, "site.publish", 6);
    let path = format!("/api/v1/admin/workspaces/{workspace}");
    let hold = |on: bool| {
        let shown = server.operator(Method::Patch, &path, &json!({ "legal_hold": on })).status(200).json();
        assert_eq!(shown["legal_hold"], on);
    };
    let erase = || {
        let body = json!({ "address": "a@example.org", "why": "on their wish" });
        server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{mailbox}"), &Value::Null);
        server.operator(Method::Post, "/api/v1/admin/erasures", &body).good().json()["removed"].clone()
    };
    hold(true);
    assert_eq!((dry_run(&server), run(&server)), (deleted(0, 0, 0), deleted(0, 0, 0)));
    // The event, and the entry, whose recipient is the mailbox, with its fact.
    assert_eq!(erase(), json!({ "enforcement": 0, "messages": 0, "activity": 0, "on_hold": 3 }));
    let noted = server.operator(
        Method::Get,
        &format!("/api/v1/workspaces/{workspace}/audit-log?action=workspace.update"),
        &Value::Null,
    );
    let settings = |on: bool| json!({ "name": "Main", "legal_hold": on });
    assert_eq!(
        noted.json()["entries"][0]["metadata"],
        json!({ "before": settings(false), "after": settings(true) })
    );
    // Its own activities are kept too, however old.
    server.clock.set(time(START).plus_days(6));
    assert_eq!(run(&server), deleted(0, 0, 0));
    // The scheduler may come first.
    let n_old = || {
        let cutoff = time(START).plus_days(1).micros();
        server.db_number(&format!("SELECT count(*) FROM activity WHERE created_at < {cutoff}"))
    };
    assert!(n_old() > 5);
    hold(false);
    assert_eq!(erase()["on_hold"], 0);
    run(&server);
    assert_eq!(n_old(), 0);
    // Another's is not kept by it.
    let (other, key) = server.add_workspace("Other", "eve@example.org");
    let foreign = server.add_project(&other, "Theirs");
    let old = json!({ "user_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "action": "site.publish", "created_at": time(START) });
    let request = server.request(Method::Post, &format!("/api/v1/projects/{foreign}/audit-log")).key(&key);
    hold(true);
    request.json(&old).send().status(201);
    run(&server);
    assert_eq!(n_old(), 0);
    assert_sound(&server);
}

#[test]
fn what_a_hold_keeps_cannot_be_taken_out_of_it() {
    let server = Server::start_with(&[("retention_days", "5")]);
    let workspace = server.workspace.clone();
    let (held, other) = (server.add_tenant(&workspace, "Held"), server.add_tenant(&workspace, "Other"));
    let mailbox = server.add_mailbox(&workspace, "sales@example.org", Some(&held), None);
    let alone = server.add_mailbox(&workspace, "alone@example.org", Some(&other), None);
    message(&server, mailbox, "old", 6, 0);
    event(&server, &other, "alone@example.org", 6);
    let patch =
        |path: &str, body: Value| server.operator(Method::Patch, &format!("/api/v1/admin/{path}"), &body);
    patch(&format!("tenants/{held}"), json!({ "legal_hold": true })).status(200);
    patch(&format!("mailboxes/{alone}"), json!({ "legal_hold": true })).status(200);
    // Out of the tenant and back, with retention in between: whatever else is asked for with it.
    for body in [
        json!({ "tenant_id": null }),
        json!({ "tenant_id": other }),
        json!({ "tenant_id": other, "legal_hold": false, "name": "moved" }),
    ] {
        let refused = patch(&format!("mailboxes/{mailbox}"), body).status(409).json();
        assert_eq!(refused["code"], "legal_hold", "{refused}");
    }
    let path = format!("/v1/tenants/{held}/mailboxes/{mailbox}");
    server.patch(&path, &json!({ "tenant_id": other })).status(409);
    // What changes nothing of it may be said, and another may come in.
    patch(&format!("mailboxes/{mailbox}"), json!({ "tenant_id": held, "name": "Sales" })).status(200);
    assert_eq!(run(&server), deleted(0, 0, 0));
    // Also when both are deleted; the address, by which its events are kept, is then not forgotten.
    server.operator(Method::Delete, &format!("/api/v1/admin/tenants/{held}"), &Value::Null).status(204);
    patch(&format!("mailboxes/{mailbox}"), json!({ "tenant_id": null })).status(409);
    server.operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{alone}"), &Value::Null).status(204);
    let erasure = json!({ "address": "alone@example.org", "why": "on their wish" });
    server.operator(Method::Post, "/api/v1/admin/erasures", &erasure).good();
    assert_eq!(run(&server), deleted(0, 0, 0));
    // Once it is released all goes its way.
    patch(&format!("tenants/{held}"), json!({ "legal_hold": false })).status(200);
    patch(&format!("mailboxes/{alone}"), json!({ "legal_hold": false })).status(200);
    patch(&format!("mailboxes/{mailbox}"), json!({ "tenant_id": other })).status(200);
    assert_eq!(run(&server), deleted(1, 1, 0));
    assert_sound(&server);
}

#[test]
fn raising_the_days_brings_nothing_back_and_lowering_them_holds_from_the_next_run() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    for days in [20, 10, 1] {
        message(&server, mailbox, &format!("m{days}"), days, 0);
    }
    server.put_policy(mailbox, &policy(15)).good();
    assert_eq!(run(&server), deleted(0, 1, 0));
    server.put_policy(mailbox, &policy(100)).good();
    assert_eq!(run(&server), deleted(0, 0, 0));
    assert_eq!(messages(&server, mailbox), ["m10", "m1"]);
    server.put_policy(mailbox, &policy(5)).good();
    assert_eq!(messages(&server, mailbox), ["m10", "m1"]);
    assert_eq!(run(&server), deleted(0, 1, 0));
    assert_eq!(messages(&server, mailbox), ["m1"]);
}

#[test]
fn many_go_in_batches_oldest_first_and_the_counts_stay_right() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let lines: String = (0..2500)
        .map(|n| {
            let action = if n % 2 == 0 { "blocked" } else { "unblocked" };
            let event = json!({
                "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": action,
                "sent_count": n, "limit_value": 25, "created_at": at(-40 * DAY + n * 600),
            });
            format!("{event}\n")
        })
        .collect();
    let request = server.request(Method::Post, "/v1/enforcement/events").key(&server.key);
    request.body("application/x-ndjson", lines).send().status(201);
    // One every ten minutes: those of the first ten days are old.
    let n_old = 10 * 144;
    assert_eq!(dry_run(&server), deleted(n_old, 0, 0));
    assert_eq!(run(&server), deleted(n_old, 0, 0));
    let page = server.get("/v1/enforcement/events?order=asc&limit=1").status(200).json();
    assert_eq!((&page["total"], &page["events"][0]["sent_count"]), (&json!(2500 - n_old), &json!(n_old)));
    let of = |query: &str| {
        server.get(&format!("/v1/enforcement/events?{query}")).status(200).json()["total"].clone()
    };
    assert_eq!(of("action=blocked"), json!((2500 - n_old) / 2));
    assert_eq!(of(&format!("tenant_id={tenant}&action=unblocked")), json!((2500 - n_old) / 2));
    assert_eq!(of(&format!("to={}", at(-30 * DAY))), json!(0));
    let deep =
        server.get(&format!("/v1/enforcement/events?order=asc&limit=1&offset={}", 2500 - n_old - 1)).json();
    assert_eq!(deep["events"][0]["sent_count"], 2499);
    assert_sound(&server);
}

#[test]
fn each_run_by_hand_is_recorded_the_scheduled_ones_when_something_went() {
    let mut server = Server::start_with(&[("messages_retention_days", "5")]);
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    message(&server, mailbox, "m1", 6, 0);
    message(&server, mailbox, "m2", 4, 0);
    server.request(Method::Post, "/api/v1/admin/retention/run").key(&server.key).send().status(200);
    run(&server);
    let by_key = noted(&server).pop().expect("an entry");
    assert!(by_key.0.starts_with("key test (mt_live_"), "{by_key:?}");
    assert_eq!(by_key.1, deleted(0, 1, 0));
    assert_eq!(noted(&server)[..1], [(Server::operator_name(), deleted(0, 0, 0))]);
    // The scheduler's own, two days later; with nothing to do it says nothing.
    server.clock.set(time(START).plus_days(2));
    server.run_jobs();
    server.run_jobs();
    // The scheduler's thread may be at it too; this waits for it.
    server.restart();
    let all = noted(&server);
    assert_eq!((all.len(), &all[0]), (3, &("mailtrail: retention".to_owned(), deleted(0, 1, 0))));
    assert_eq!(messages(&server, mailbox), Vec::<String>::new());
    let shown = server.operator(Method::Get, "/api/v1/admin/retention", &Value::Null).good().json();
    assert_eq!(shown["last_run"]["name"], "retention");
    assert_eq!(shown["last_run"]["started_at"], at(2 * DAY));
}

#[test]
fn a_clock_that_stepped_back_deletes_nothing() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    server.put_policy(mailbox, &policy(1)).good();
    message(&server, mailbox, "m1", 3, 0);
    server.clock.set(time(START).plus_seconds(-301));
    let refused = retention(&server, json!({})).status(409).json();
    assert_eq!(refused["code"], "clock_stepped_back");
    let detail = format!(
        "the clock says {}, but something was recorded at {START}; nothing is deleted until they agree",
        at(-301)
    );
    assert_eq!(refused["detail"], detail);
    server.run_jobs();
    assert_eq!(messages(&server, mailbox), ["m1"]);
    assert_eq!(noted(&server), []);
    // Five minutes back may be a correction.
    server.clock.set(time(START).plus_seconds(-300));
    server.run_jobs();
    assert_eq!(messages(&server, mailbox), Vec::<String>::new());
}

#[test]
fn a_clock_that_leapt_ahead_deletes_nothing_until_a_person_has_looked() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    server.put_policy(mailbox, &policy(30)).good();
    message(&server, mailbox, "m1", 25, 0);
    server.run_jobs();
    // Eight days on, with no run in between, the entry would be too old; but is it?
    server.clock.set(time(START).plus_seconds(7 * DAY + 1));
    server.run_jobs();
    assert_eq!(messages(&server, mailbox), ["m1"]);
    let shown = server.operator(Method::Get, "/api/v1/admin/retention", &Value::Null).good().json();
    let paused = shown["last_run"]["outcome"]["paused"].as_str().unwrap_or_default();
    assert!(paused.starts_with("the clock is more than 7 days past the last run"), "{shown}");
    assert_eq!(run(&server), deleted(0, 1, 0));
    // From here on the scheduler believes it again.
    message(&server, mailbox, "m2", 23, 1);
    server.clock.set(time(START).plus_seconds(14 * DAY));
    server.run_jobs();
    assert_eq!(messages(&server, mailbox), Vec::<String>::new());
}

#[test]
fn the_tables_of_the_logs_refuse_any_other_hand() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), None);
    event(&server, &tenant, "sales@example.org", 0);
    message(&server, mailbox, "m1", 0, 0);
    server.stop();
    let database = rusqlite::Connection::open(server.database()).expect("the database");
    // As the program itself opens it; without it, REPLACE deletes without asking the triggers.
    database.execute_batch("PRAGMA recursive_triggers = ON").expect("a pragma");
    for (table, column) in [
        ("enforcement_events", "sent_count = 0"),
        ("messages", "outcome = 1"),
        ("message_facts", "data = '1'"),
        ("activity", "action = 1"),
    ] {
        let columns = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
        let columns: String = database.query_row(&columns, [], |row| row.get(0)).expect("columns");
        for (statement, message) in [
            (format!("UPDATE {table} SET {column}"), format!("{table} is append-only")),
            (format!("UPDATE {table} SET seq = seq + 1000000"), format!("{table} is append-only")),
            (format!("DELETE FROM {table}"), format!("{table} is deleted by retention only")),
            (
                format!("REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table} LIMIT 1"),
                format!("{table} is deleted by retention only"),
            ),
        ] {
            let error = database.execute(&statement, []).expect_err(&statement);
            assert!(error.to_string().contains(&message), "{statement}: {error}");
        }
    }
    let n = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(n("SELECT count(*) FROM enforcement_events"), 1);
    assert_eq!(n("SELECT count(*) FROM messages"), 1);
    assert_eq!(n("SELECT count(*) FROM message_facts"), 1);
    drop(database);
    server.restart();
    assert_sound(&server);
}

/// Bytes of the database without what is empty in it.
fn packed_size(server: &Server) -> u64 {
    let copy = server.directory().join("packed.db");
    let db = server.db();
    db.execute("VACUUM INTO ?1", [copy.display().to_string()]).expect("a copy");
    let size = copy.metadata().expect("the copy").len();
    std::fs::remove_file(copy).expect("the copy");
    size
}

/// What hourly runs leave of a small log, in bytes for each row removed: ten rows an hour of three owners.
/// `MAILTRAIL_ROUNDS` sets how many hours.
#[test]
fn what_hourly_runs_on_a_small_log_leave_is_what_the_readme_says() {
    let n_hours: i64 = std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let server = Server::start_with(&[("retention_days", "2")]);
    let tenants =
        [server.add_tenant(&server.workspace, "Acme"), server.add_tenant(&server.workspace, "Globex")];
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    server.run_jobs();
    let before = packed_size(&server);
    for hour in 0..n_hours {
        server.clock.set(time(START).plus_seconds(hour * 3600));
        for n in 0..6 {
            let event = json!({
                "tenant_id": tenants[n % 2], "mailbox_address": "sales@example.org", "action_taken": "blocked",
                "sent_count": 26, "limit_value": 25,
            });
            server.post("/v1/enforcement/events", &event).status(201);
        }
        let items: Vec<Value> =
            (0..4).map(|n| json!({ "message_id": format!("m{hour}-{n}"), "outcome": "delivered" })).collect();
        server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &json!({ "items": items })).status(201);
        server.run_jobs();
    }
    for days in [1, 2, 3] {
        server.clock.set(time(START).plus_seconds(n_hours * 3600).plus_days(days));
        server.run_jobs();
    }
    let removed = server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!((&removed["ok"], &removed["removed"]), (&json!(true), &json!(n_hours * 10)), "{removed}");
    let left = i64::try_from(packed_size(&server) - before).expect("a size") / (n_hours * 10);
    println!("{left} bytes a row");
    assert!((100..150).contains(&left), "{left} bytes are left of a row");
}

/// The notes of runs, oldest first, as the operator's command shows them.
fn run_notes(data: &std::path::Path) -> Vec<Value> {
    let told =
        process::run(data, &["query", "activity", "--action", "retention.run", "--order", "asc", "--json"]);
    told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["metadata"].clone()).collect()
}

#[test]
fn a_run_says_what_it_will_do_and_one_that_is_killed_how_far_it_came() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let owners = process::Owners::create(&data);
    let serving = process::Serving::start(&data);
    let agent = process::agent();
    for batch in 0..10 {
        let marks: Vec<String> = (0..1000).map(|n| format!("b{batch}n{n}@crash.example")).collect();
        let write = owners.write_of(0, marks, Some(40), "");
        owners.send(&agent, &serving.url, &write).expect("an answer").status(201);
    }
    serving.stop();
    let n_old = || {
        let database = data.join("mailtrail.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(database, flags).expect("the database");
        db.query_row("SELECT count(*) FROM enforcement_events", [], |row| row.get::<_, i64>(0))
            .expect("a number")
    };
    // The scheduler begins with it.
    let serving = process::Serving::start_with(&data, &["retention_days=30"]);
    while n_old() == 10_000 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    serving.kill();
    let left = n_old();
    assert!(left > 0, "it was over before it was killed");
    let verified = process::run_json(&data, &["verify"]);
    assert_eq!((&verified["ok"], &verified["removed"]), (&json!(true), &json!(10_000 - left)), "{verified}");
    // The next start says how far it came, and goes on.
    let serving = process::Serving::start_with(&data, &["retention_days=30"]);
    while n_old() > 0 || run_notes(&data).len() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let notes = run_notes(&data);
    let gone = json!({ "enforcement": 10_000 - left, "messages": 0, "activity": 0 });
    let all = json!({ "enforcement": 10_000, "messages": 0, "activity": 0 });
    let rest = json!({ "enforcement": left, "messages": 0, "activity": 0 });
    let told: Vec<_> = notes.iter().map(|note| (note["state"].as_str().unwrap_or_default(), note)).collect();
    let states: Vec<_> = told.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, ["begun", "broken off", "begun", "done"], "{notes:?}");
    assert_eq!([&notes[0]["due"], &notes[1]["deleted"]], [&all, &gone], "{notes:?}");
    assert_eq!([&notes[2]["due"], &notes[3]["deleted"]], [&rest, &rest], "{notes:?}");
    assert_eq!(notes[0]["days"]["enforcement"], 30);
    assert_eq!(notes[1]["begun_by"], "mailtrail: retention");
    assert_eq!(serving.stop().code(), Some(0));
    let verified = process::run_json(&data, &["verify"]);
    assert_eq!((&verified["ok"], &verified["removed"]), (&json!(true), &json!(10_000)), "{verified}");
    // One row of control a run and owner, as none has more than twenty thousand.
    let db = rusqlite::Connection::open(data.join("mailtrail.db")).expect("the database");
    let n_controls: i64 =
        db.query_row("SELECT count(*) FROM controls WHERE kind = 2", [], |row| row.get(0)).expect("a number");
    assert_eq!(n_controls, 2);
}

#[test]
fn while_somebody_records_what_is_old_already_a_run_comes_to_its_end_with_one_seal() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for _ in 0..300 {
        event(&server, &tenant, "sales@example.org", 40);
    }
    let n_seals = || server.db_number("SELECT count(*) FROM seals");
    let before = n_seals();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let gone = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                event(&server, &tenant, "sales@example.org", 40);
            }
        });
        let gone = retention(&server, json!({}));
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        gone.good().json()["deleted"]["enforcement"].as_i64().expect("a number")
    });
    assert!(gone >= 300, "{gone} are gone");
    assert!(n_seals() <= before + 1, "{} seals were set", n_seals() - before);
    run(&server);
    assert_eq!(n_events(&server, &tenant), json!(0));
    assert_sound(&server);
}
