//! What the appliance says of itself.

use std::collections::{BTreeMap, BTreeSet};

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, time};

/// The samples of an exposition, by name and labels as they stand there.
fn samples(answer: &Answer) -> BTreeMap<String, f64> {
    let text = answer.body_text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (sample.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}

fn scrape(server: &Server) -> BTreeMap<String, f64> {
    samples(&server.request(Method::Get, "/metrics").key(&server.key).send().status(200))
}

#[test]
fn metrics_say_how_many_writes_share_a_commit_to_those_who_run_the_appliance() {
    let server = Server::start();
    server.request(Method::Get, "/metrics").send().status(401);
    let (_, eve) = server.add_workspace("Other", "eve@example.net");
    server.request(Method::Get, "/metrics").key(&eve).send().status(403);

    let value = |name: &str| {
        let text = server.request(Method::Get, "/metrics").key(&server.key).send().status(200).body_text();
        let line = text.lines().find(|line| line.starts_with(name)).expect("the metric").to_owned();
        line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number")
    };
    let bucket = r#"mailtrail_commit_writes_bucket{le="1"}"#;
    let before = (value(bucket), value("mailtrail_commit_writes_sum"));
    server.add_tenant(&server.workspace, "Acme");
    assert!(value(bucket) > before.0, "a commit of one write");
    assert!(value("mailtrail_commit_writes_sum") > before.1);
    let all = value(r#"mailtrail_commit_writes_bucket{le="+Inf"}"#);
    assert_eq!(value("mailtrail_commit_writes_count"), all);
}

#[test]
fn metrics_count_requests_by_route_and_never_name_who_asked() {
    let server = Server::start();
    let project = server.add_project(&server.workspace, "Newsletter");
    let path = format!("/api/v1/projects/{project}/audit-log");
    let before = scrape(&server);
    server.post(&path, &json!({ "user_id": "u", "action": "a.b" })).status(400);
    let entry = json!({ "user_id": "0190b3c8-5e4a-7cc1-8a1d-2f6f0c9b7e11", "action": "a.b" });
    let entry_at =
        json!({ "user_id": entry["user_id"], "action": "a.b", "created_at": "2026-04-30T14:00:00Z" });
    server.post(&path, &entry_at).status(201);
    server.post(&path, &entry).status(201);
    server.request(Method::Post, &path).send().status(401);
    server.request(Method::Get, "/no/such/route").send().status(404);
    server.raw(b"GET / HTTP/1.1\r\n\r\n");

    let after = scrape(&server);
    let rise = |sample: &str| after.get(sample).unwrap_or(&0.0) - before.get(sample).unwrap_or(&0.0);
    let posted = |status: &str| {
        format!(
            r#"mailtrail_http_requests_total{{method="POST",route="/api/v1/projects/{{id}}/audit-log",status="{status}"}}"#
        )
    };
    let requests = [posted("201"), posted("400"), posted("401")].map(|sample| rise(&sample));
    assert_eq!(requests, [2.0, 1.0, 1.0], "{after:?}");
    let none = r#"mailtrail_http_requests_total{method="any",route="none",status="404"}"#;
    assert_eq!(rise(none), 1.0);
    assert_eq!(rise(r#"mailtrail_http_denied_total{status="401"}"#), 1.0);
    assert_eq!(rise(r#"mailtrail_http_refused_total{status="400"}"#), 1.0);
    assert_eq!(rise(r#"mailtrail_rows_recorded_total{log="activity"}"#), 2.0);
    let took = r#"mailtrail_http_request_duration_seconds_count{method="POST",route="/api/v1/projects/{id}/audit-log"}"#;
    assert_eq!(rise(took), 4.0);
    assert!(after["mailtrail_database_bytes"] > 0.0 && after["process_threads"] >= 4.0);
    assert!(after[r#"mailtrail_job_runs_total{job="retention"}"#] >= 1.0);
    let next = after[r#"mailtrail_job_next_timestamp_seconds{job="retention"}"#];
    assert_eq!(next, (server.clock.now().micros() / 1_000_000 + 3600) as f64);

    let labels: BTreeSet<&str> = after.keys().flat_map(|sample| sample.split(['{', ',']).skip(1)).collect();
    let names: BTreeSet<&str> =
        labels.iter().filter_map(|label| label.split_once('=')).map(|(name, _)| name).collect();
    let known = ["by", "job", "le", "log", "method", "route", "sqlite", "status", "version"];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), known);
    for secret in [&server.key[..12], "127.0.0.1", &project, "no/such"] {
        assert!(!after.keys().any(|sample| sample.contains(secret)), "{secret}");
    }
}

#[test]
fn every_limit_in_force_is_in_the_metrics() {
    let server = Server::start_with(&[
        ("max_connections", "17"),
        ("idle_timeout", "7s"),
        ("max_requests_per_key", "600/m"),
    ]);
    let metrics = scrape(&server);
    assert_eq!(metrics["mailtrail_limit_connections"], 17.0);
    assert_eq!(metrics["mailtrail_limit_idle_seconds"], 7.0);
    assert_eq!(metrics["mailtrail_limit_requests_per_key_per_second"], 10.0);
    assert_eq!(metrics["mailtrail_limit_requests_per_address_per_second"], 20.0);
    assert_eq!(metrics["mailtrail_limit_bulk_body_bytes"], 16.0 * 1024.0 * 1024.0);
}

#[test]
fn the_oldest_row_is_told_by_its_own_time() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let sample = r#"mailtrail_oldest_row_timestamp_seconds{log="enforcement"}"#;
    assert!(!scrape(&server).contains_key(sample));
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "a@b.example", "action_taken": "blocked", "sent_count": 2,
        "limit_value": 1, "created_at": "2026-01-01T00:00:00Z",
    });
    server.post("/v1/enforcement/events", &event).status(201);
    assert_eq!(scrape(&server)[sample], (time("2026-01-01T00:00:00Z").micros() / 1_000_000) as f64);
}

#[test]
fn a_listener_of_its_own_serves_metrics_without_a_key_and_nothing_else() {
    let server = Server::start_with(&[("metrics_listen", "127.0.0.1:0")]);
    let url = server.running().metrics_url().expect("a listener");
    let base = url.strip_suffix("/metrics").expect("the path of the metrics");
    let get = |path: &str| ureq_get(&format!("{base}{path}"));
    let metrics = get("/metrics").status(200);
    assert!(
        metrics.header("content-type").is_some_and(|value| value.starts_with("text/plain; version=0.0.4"))
    );
    assert!(samples(&metrics).contains_key("mailtrail_http_connections"));
    get("/healthz").status(200);
    get("/readyz").status(200);
    get("/metrics?x=1").status(422);
    for path in ["/", "/v1/enforcement/events", "/api/v1/me", "/api/v1/admin/stats"] {
        get(path).status(404);
    }
    server.request(Method::Get, "/metrics").send().status(401);
}

fn ureq_get(url: &str) -> Answer {
    let agent =
        ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut answer = agent.get(url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
    let headers = answer.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let status = answer.status().as_u16();
    Answer { status, headers, body: answer.body_mut().read_to_vec().expect("a whole body") }
}

/// The checks of `/readyz` by name.
fn checks(answer: &Answer) -> BTreeMap<String, Value> {
    let shown = answer.json();
    let checks = shown["checks"].as_array().unwrap_or_else(|| panic!("{answer:?}")).iter();
    checks.map(|check| (check["name"].as_str().expect("a name").to_owned(), check.clone())).collect()
}

#[test]
fn ready_lists_what_it_looked_at_and_says_what_is_wrong() {
    let server = Server::start();
    let ready = || server.get("/readyz");
    let answer = ready().status(200);
    assert_eq!(answer.text("status"), "ready");
    let names: Vec<String> = checks(&answer).into_keys().collect();
    assert_eq!(names, ["backup", "clock", "disk", "scheduler", "writer"]);
    assert!(checks(&answer).values().all(|check| check["ok"] == true));
    assert!(checks(&answer)["disk"]["free_bytes"].as_i64() > Some(0));

    // A stranger learns whether it is well, and no figure; nor does the admin of another workspace.
    let (_, eve) = server.add_workspace("Other", "eve@example.net");
    let wrong = format!("mt_live_{}", "0".repeat(48));
    let stranger = server.request(Method::Get, "/readyz").send();
    for answer in [
        stranger,
        server.request(Method::Get, "/readyz").key(&eve).send(),
        server.request(Method::Get, "/readyz").key(&wrong).send(),
    ] {
        assert_eq!(answer.status, 200);
        for (name, check) in checks(&answer) {
            assert_eq!(check, json!({ "name": name, "ok": true }));
        }
    }

    // Five minutes behind the latest write are believed, one second more is not.
    let start = server.clock.now();
    server.clock.set(start.plus_seconds(-300));
    ready().status(200);
    server.clock.set(start.plus_seconds(-301));
    let answer = ready().status(503);
    assert_eq!((answer.text("status"), answer.header("retry-after")), ("not ready".to_owned(), Some("10")));
    let clock = &checks(&answer)["clock"];
    assert_eq!((&clock["ok"], &clock["behind_seconds"]), (&json!(false), &json!(301)));
    assert_eq!(clock["problem"], "the clock stands before the latest write");
    assert_eq!(checks(&answer)["writer"]["ok"], true);
    let stranger = checks(&server.request(Method::Get, "/readyz").send().status(503));
    assert_eq!(
        stranger["clock"],
        json!({ "name": "clock", "ok": false, "problem": "the clock stands before the latest write" })
    );
    server.request(Method::Get, "/healthz").send().status(200);
    server.clock.set(start);
    ready().status(200);
}

#[test]
fn another_programs_write_lock_is_waited_for_and_then_told() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let path = format!("/v1/mailboxes/{mailbox}/audit-logs");
    let entry = |id: &str| json!({ "message_id": id, "outcome": "delivered" });
    let other = rusqlite::Connection::open(server.database()).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let refused = server.post(&path, &entry("a@example.net")).status(503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(refused.body_text().contains("another program holds the write lock"), "{refused:?}");
    let problem = &checks(&server.get("/readyz").status(503))["writer"]["problem"];
    assert_eq!(problem, "another program holds the write lock of the database");
    // Reading goes on meanwhile, and writing once the lock is given back.
    server.get(&path).status(200);
    other.execute_batch("ROLLBACK").expect("the end of the lock");
    server.post(&path, &entry("a@example.net")).status(201);
    server.get("/readyz").status(200);
}
