//! The jobs of the scheduler: none is late for another's sake, and none ends unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mailtrail::app::App;
use mailtrail::error::Result;
use mailtrail::jobs::{Job, Length, Scheduler};
use serde_json::{Value, json};

use crate::support::{START, Server, time};

const N_TENANTS: usize = 10;
const N_OLD: i64 = 20_000;

/// Until it is so; a test that waits for what never comes fails here.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sets it when it is dropped, also when something is not as expected.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn event(tenant: &str, n: i64, created_at: &str) -> Value {
    json!({
        "tenant_id": tenant, "mailbox_address": format!("user{n}@example.org"), "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25, "created_at": created_at,
    })
}

#[test]
fn resets_and_checkpoints_keep_their_times_during_a_large_removal_and_a_stop_breaks_it_off() {
    let mut server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenants: Vec<String> =
        (0..N_TENANTS).map(|n| server.add_tenant(&server.workspace, &format!("T{n}"))).collect();
    server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenants[0]), Some(1));
    let send = json!({ "tenant_id": tenants[0], "mailbox_address": "sales@example.org" });
    for action in ["allowed", "blocked"] {
        assert_eq!(server.post("/v1/enforcement/sends", &send).good().json()["action"], action);
    }
    let old = time(START).plus_days(-40).to_string();
    for first in (0..N_OLD).step_by(5000) {
        let lines: String = (first..first + 5000)
            .map(|n| format!("{}\n", event(&tenants[n as usize % N_TENANTS], n, &old)))
            .collect();
        let request = server.request(mailtrail::http::Method::Post, "/v1/enforcement/events");
        request.key(&server.key).body("application/x-ndjson", lines).send().status(201);
    }
    let n_old = || {
        let before = time(START).plus_days(-30).micros();
        server.db_number(&format!("SELECT count(*) FROM enforcement_events WHERE created_at < {before}"))
    };
    let n_unblocked = || server.db_number("SELECT count(*) FROM enforcement_events WHERE action = 2");
    let n_signed = || {
        let note = std::fs::read_to_string(server.config().data.join("checkpoint")).expect("a checkpoint");
        note.lines().nth(1).and_then(|size| size.parse::<i64>().ok()).expect("a size")
    };
    assert_eq!((n_old(), n_unblocked()), (N_OLD, 0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Finally(&is_over);
        // While somebody writes, a removal goes slowly.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.post("/v1/enforcement/events", &event(&tenants[1], 1, START)).status(201);
            }
        });
        server.clock.set(time(START).plus_seconds(3600));
        wait_until("the removal begins", || n_old() < N_OLD);
        server.clock.set(time("2026-05-01T00:00:00Z"));
        wait_until("the mailbox is free again", || n_unblocked() == 1);
        assert!(n_old() > 0, "the daily reset waited for the removal");
        let answer = server.post("/v1/enforcement/events", &event(&tenants[2], 2, START)).status(201);
        let seq = answer.json()["seq"].as_i64().expect("a number");
        wait_until("a checkpoint holds what was recorded", || {
            server.clock.set(server.clock.now().plus_seconds(1));
            n_signed() >= seq
        });
        assert!(n_old() > 0, "the checkpoint waited for the removal");
    });
    server.stop();
    let db = rusqlite::Connection::open(server.database()).expect("the database");
    let left: i64 = db
        .query_row(
            "SELECT count(*) FROM enforcement_events WHERE created_at < ?1",
            [time(START).plus_days(-30).micros()],
            |row| row.get(0),
        )
        .expect("a number");
    assert!(left > 0, "the end waited for the removal");
    // How far it came is noted.
    let states: Vec<String> = db
        .prepare(
            "SELECT metadata ->> '$.state' || ' ' || coalesce(metadata ->> '$.deleted.enforcement', '') FROM activity
             WHERE action = (SELECT id FROM texts WHERE text = 'retention.run') ORDER BY seq",
        )
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("notes");
    assert_eq!(states, ["begun ".to_owned(), format!("broken off {}", N_OLD - left)]);
}

#[test]
fn a_job_that_panics_does_not_go_unseen() {
    fn panics(_: &App) -> Result<Value> {
        panic!("as a test wants it")
    }
    fn does_nothing(_: &App) -> Result<Value> {
        Ok(Value::Null)
    }
    static JOBS: [Job; 2] = [
        Job { name: "lives", every: 1, length: Length::Short, run: does_nothing },
        Job { name: "dies", every: 1, length: Length::Short, run: panics },
    ];
    let server = Server::start();
    assert!(server.running().failure().is_none());
    let scheduler = Scheduler::start_jobs(Arc::clone(&server.running().app), &JOBS).expect("threads");
    wait_until("its thread is gone", || scheduler.dead().is_some());
    assert_eq!(scheduler.dead(), Some("dies"));
}
