//! Log 1 as TenantCore's clients use it, and how its events come to be.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{START, Server, time};

fn event(tenant: &str, sent_count: i64, created_at: Option<&str>) -> Value {
    json!({
        "tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com",
        "action_taken": if sent_count == 0 { "unblocked" } else { "blocked" },
        "sent_count": sent_count, "limit_value": 25, "created_at": created_at,
    })
}

#[test]
fn the_vendors_example_response_key_for_key() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.post("/v1/enforcement/events", &event(&tenant, 26, Some("2025-04-20T14:30:00Z"))).status(201);
    server.post("/v1/enforcement/events", &event(&tenant, 0, Some("2025-04-21T00:05:00Z"))).status(201);
    let answer = server.get("/v1/enforcement/events").status(200);
    let body = answer.json();
    let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["events", "count", "total", "limit", "offset", "filters"]);
    let events = body["events"].as_array().expect("events");
    let keys: Vec<&String> = events[0].as_object().expect("an object").keys().take(8).collect();
    assert_eq!(
        keys,
        [
            "id",
            "tenant_id",
            "mailbox_address",
            "action_taken",
            "sent_count",
            "limit_value",
            "message",
            "created_at"
        ]
    );
    // Most recent first.
    assert_eq!(events[0]["message"], "Mailbox unblocked: sent 0, limit 25");
    assert_eq!(events[1]["message"], "Mailbox blocked: sent 26, limit 25");
    assert_eq!(events[1]["created_at"], "2025-04-20T14:30:00Z");
    let rest = json!({
        "count": body["count"], "total": body["total"], "limit": body["limit"], "offset": body["offset"],
        "filters": body["filters"],
    });
    let expected = json!({
        "count": 2, "total": 2, "limit": 50, "offset": 0, "filters": { "tenant_id": null, "action": null },
    });
    assert_eq!(rest, expected);
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let written = event(&tenant, 26, None).to_string();
    let written = written.replace("count\":26", "count\":26.0").replace("value\":25", "value\":2.5e1");
    let request = server.request(Method::Post, "/v1/enforcement/events").key(&server.key);
    let recorded = request.body("application/json", written).send().status(201).body_text();
    assert!(
        recorded
            .contains(r#""sent_count":26,"limit_value":25,"message":"Mailbox blocked: sent 26, limit 25""#),
        "{recorded}"
    );
}

#[test]
fn the_send_over_the_limit_blocks_once_and_the_reset_unblocks_once() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_mailbox(&server.workspace, "sales@mail.acmecorp.com", Some(&tenant), Some(25));
    let send = json!({ "tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com" });
    for n in 1..=25 {
        let decision = server.post("/v1/enforcement/sends", &send).status(200).json();
        assert_eq!(decision, json!({ "action": "allowed", "sent_count": n, "limit_value": 25 }));
    }
    for _ in 0..3 {
        let decision = server.post("/v1/enforcement/sends", &send).status(200).json();
        assert_eq!(decision, json!({ "action": "blocked", "sent_count": 26, "limit_value": 25 }));
    }
    let actions = |server: &Server| -> Vec<(String, i64)> {
        let body = server.get("/v1/enforcement/events").json();
        let events = body["events"].as_array().expect("events").clone();
        events
            .iter()
            .map(|e| {
                (
                    e["action_taken"].as_str().unwrap_or_default().to_owned(),
                    e["sent_count"].as_i64().unwrap_or(-1),
                )
            })
            .collect()
    };
    assert_eq!(actions(&server), [("blocked".to_owned(), 26)]);

    // Down across the reset: it is made up for at the next start, once.
    server.stop();
    server.clock.set(time(START).plus_days(2));
    server.restart();
    server.run_jobs();
    server.run_jobs();
    assert_eq!(actions(&server), [("unblocked".to_owned(), 0), ("blocked".to_owned(), 26)]);
    let decision = server.post("/v1/enforcement/sends", &send).json();
    assert_eq!(decision["sent_count"], 1);
}

#[test]
fn the_day_begins_at_the_configured_time_of_the_configured_zone() {
    // Berlin moves its clocks forward in the night to 2026-03-29: that day has 23 hours.
    let server = Server::start_with(&[("daily_reset_time", "06:30"), ("daily_reset_zone", "Europe/Berlin")]);
    let config = server.config();
    for (now, expected) in [
        ("2026-03-28T05:29:59Z", "2026-03-27T05:30:00Z"),
        ("2026-03-28T05:30:00Z", "2026-03-28T05:30:00Z"),
        ("2026-03-29T04:29:59Z", "2026-03-28T05:30:00Z"),
        ("2026-03-29T04:30:00Z", "2026-03-29T04:30:00Z"),
        ("2026-10-25T05:29:59Z", "2026-10-24T04:30:00Z"),
        ("2026-10-25T05:30:00Z", "2026-10-25T05:30:00Z"),
    ] {
        assert_eq!(config.window_start(time(now)), time(expected), "{now}");
    }
}

/// Its decision in one line.
fn decide(server: &Server, tenant: &str, recipients: i64) -> String {
    let send =
        json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org", "recipients": recipients });
    let decision = server.post("/v1/enforcement/sends", &send).status(200).json();
    format!(
        "{} {} of {}",
        decision["action"].as_str().unwrap_or_default(),
        decision["sent_count"],
        decision["limit_value"]
    )
}

/// Messages of the events, the first one first.
fn sentences(server: &Server) -> Vec<String> {
    let events = server.get("/v1/enforcement/events?order=asc").json()["events"].take();
    let events = events.as_array().expect("events").clone();
    events.iter().map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_raised_limit_frees_the_mailbox_at_once_and_counts_on_from_what_was_let_through() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(2));
    let path = format!("/v1/tenants/{tenant}/mailboxes/{mailbox}");
    let set = |limit: Value| server.patch(&path, &json!({ "daily_send_limit": limit })).good().json();
    for expected in ["allowed 1 of 2", "allowed 2 of 2", "blocked 3 of 2", "blocked 3 of 2"] {
        assert_eq!(decide(&server, &tenant, 1), expected);
    }
    // One that would fit is refused like any other.
    let shown = set(json!(2));
    assert!(shown["blocked_at"].is_string() && shown["sends_today"] == 2, "{shown}");
    assert!(set(json!(3))["blocked_at"].is_null());
    for expected in ["allowed 3 of 3", "blocked 4 of 3"] {
        assert_eq!(decide(&server, &tenant, 1), expected);
    }
    assert!(set(json!(null))["blocked_at"].is_null());
    assert_eq!(decide(&server, &tenant, 1), "allowed 4 of null");
    assert_eq!(
        sentences(&server),
        [
            "Mailbox blocked: sent 3, limit 2",
            "Mailbox unblocked: sent 2, limit 3",
            "Mailbox blocked: sent 4, limit 3",
            "Mailbox unblocked: sent 3, limit 3",
        ]
    );
    let changes = server
        .request(
            Method::Get,
            &format!("/api/v1/workspaces/{}/audit-log?action=mailbox.update", server.workspace),
        )
        .cookie(&server.login(crate::support::OWNER))
        .send()
        .json();
    let limits = |side: &str| changes["entries"][0]["metadata"][side]["daily_send_limit"].clone();
    assert_eq!((limits("before"), limits("after")), (json!(3), json!(null)));
}

#[test]
fn a_mail_to_more_than_the_limit_blocks_and_takes_nothing_of_it() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(100));
    assert_eq!(decide(&server, &tenant, 200), "blocked 200 of 100");
    assert_eq!(decide(&server, &tenant, 1), "blocked 1 of 100");
    let path = format!("/v1/tenants/{tenant}/mailboxes/{mailbox}");
    assert!(server.patch(&path, &json!({ "daily_send_limit": 150 })).good().json()["blocked_at"].is_null());
    assert_eq!(decide(&server, &tenant, 150), "allowed 150 of 150");
    let expected = ["Mailbox blocked: sent 200, limit 100", "Mailbox unblocked: sent 0, limit 150"];
    assert_eq!(sentences(&server), expected);
}

#[test]
fn a_blocked_mailbox_that_is_deleted_is_unblocked_in_the_log() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    for (n, days) in [(0, 0), (1, 1)] {
        let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(0));
        assert_eq!(decide(&server, &tenant, 7), "blocked 7 of 0");
        // On another day it is the reset that unblocks it, whoever comes first.
        server.clock.set(time(START).plus_days(days));
        server
            .operator(Method::Delete, &format!("/api/v1/admin/mailboxes/{mailbox}"), &Value::Null)
            .status(204);
        let mut expected = vec!["Mailbox blocked: sent 7, limit 0", "Mailbox unblocked: sent 0, limit 0"];
        expected = expected.repeat(n + 1);
        assert_eq!(sentences(&server), expected);
    }
    server.run_jobs();
    assert_eq!(sentences(&server).len(), 4);
}

#[test]
fn ids_rise_with_the_rows_also_within_a_batch() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    });
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = server.post("/v1/enforcement/events", &json!({ "events": vec![event.clone(); 50] }));
        let answer = answer.status(201).json();
        let events = answer["events"].as_array().expect("a list");
        ids.extend(events.iter().map(|event| event["id"].as_str().expect("an id").to_owned()));
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}
