//! Backups: those of the schedule, and those that are made while everybody writes.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mailtrail::http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{START, Server, time};

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = directory.read_dir() else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("a file").file_name();
    let mut names: Vec<_> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn outcome(server: &Server, job: &str) -> Value {
    let shown = server.operator(Method::Get, "/api/v1/admin/stats", &Value::Null).good().json();
    let jobs = shown["jobs"].as_array().expect("a list").clone();
    jobs.into_iter().find(|shown| shown["name"] == job).map_or(Value::Null, |shown| shown["outcome"].clone())
}

/// Moves the clock so many days past the start, and waits for the backup that is due then.
fn day(server: &Server, days: i64) {
    let before = server.db_number("SELECT count(*) FROM jobs WHERE name = 'backup'");
    let now = time(START).plus_days(days);
    server.clock.set(now);
    server.run_jobs();
    let is_done =
        format!("SELECT count(*) FROM jobs WHERE name = 'backup' AND started_at = {}", now.micros());
    for _ in 0..2000 {
        if server.db_number(&is_done) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no backup on day {days}; {before} before it");
}

#[test]
fn a_backup_is_made_when_it_is_due_and_the_last_ones_are_kept() {
    let mut server = Server::start_with(&[("backup_every", "24h"), ("backups_kept", "2")]);
    let directory = server.config().data.join("backups");
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    });
    day(&server, 0);
    assert_eq!(names(&directory), ["mailtrail-20260430T142211Z.db"]);
    // What is not ours stays, what a backup left that was broken off goes.
    for name in ["mailtrail-notes.db", "other.db", ".mailtrail-20260430T142211Z.db.0123abcd.partial"] {
        std::fs::write(directory.join(name), "").expect("a file");
    }
    server.post("/v1/enforcement/events", &event).status(201);
    for days in 1..=3 {
        day(&server, days);
    }
    // Not due yet, also after a new start.
    server.clock.set(time(START).plus_days(3).plus_seconds(86_399));
    server.run_jobs();
    server.restart();
    server.run_jobs();
    let kept = ["mailtrail-20260502T142211Z.db", "mailtrail-20260503T142211Z.db"];
    assert_eq!(names(&directory), [&kept[..], &["mailtrail-notes.db", "other.db"]].concat());
    let outcome = outcome(&server, "backup");
    assert_eq!(outcome["file"], json!(directory.join(kept[1])));
    assert_eq!(outcome["removed"], 1);
    let copy = Connection::open(directory.join(kept[1])).expect("the backup");
    let n: i64 =
        copy.query_row("SELECT count(*) FROM enforcement_events", [], |row| row.get(0)).expect("a number");
    assert_eq!(n, 1);
    for name in kept {
        let metadata = directory.join(name).metadata().expect("the backup");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_scheduled_backup_that_fails_says_so_and_removes_nothing() {
    let server = Server::start_with(&[("backup_every", "24h"), ("backups_kept", "1")]);
    let directory = server.config().data.join("backups");
    day(&server, 0);
    // Somebody else's file has the name of the next one.
    std::fs::create_dir(directory.join("mailtrail-20260501T142211Z.db")).expect("a directory");
    day(&server, 1);
    let outcome = outcome(&server, "backup");
    assert!(outcome["error"].as_str().is_some_and(|error| error.contains("exists already")), "{outcome}");
    assert!(names(&directory).contains(&"mailtrail-20260430T142211Z.db".to_owned()));
    day(&server, 2);
    assert!(names(&directory).contains(&"mailtrail-20260502T142211Z.db".to_owned()));
}

/// The check of the backups in readiness.
fn readiness(server: &Server) -> (u16, Value) {
    let answer = server.get("/readyz");
    let shown = answer.json()["checks"].as_array().expect("a list").clone();
    (answer.status, shown.into_iter().find(|check| check["name"] == "backup").expect("the check"))
}

fn n_failures(server: &Server) -> String {
    let metrics = server.get("/metrics").status(200).body_text();
    let line = metrics.lines().find(|line| line.starts_with("mailtrail_job_failures_total{job=\"backup\"}"));
    line.expect("the figure").rsplit_once(' ').expect("a figure").1.to_owned()
}

#[test]
fn a_backup_that_fails_is_seen_at_once_and_tried_again_after_minutes_and_at_each_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let elsewhere = directory.path().join("elsewhere");
    std::fs::write(&elsewhere, "no directory").expect("a file");
    let path = elsewhere.display().to_string();
    let mut server = Server::start_with(&[("backup_every", "24h"), ("backup_directory", &path)]);
    assert_eq!(n_failures(&server), "1");
    let (status, told) = readiness(&server);
    assert_eq!((status, &told["problem"]), (503, &json!("the last scheduled backup failed")), "{told}");
    // Not every minute.
    server.clock.set(time(START).plus_seconds(299));
    server.run_jobs();
    assert_eq!(n_failures(&server), "1");
    server.restart();
    assert_eq!((n_failures(&server).as_str(), readiness(&server).0), ("1", 503), "it is tried at each start");
    std::fs::remove_file(&elsewhere).expect("the file");
    server.clock.set(time(START).plus_seconds(299 + 300));
    server.run_jobs();
    assert_eq!(names(&elsewhere), ["mailtrail-20260430T143210Z.db"]);
    assert_eq!((readiness(&server).0, readiness(&server).1["age_seconds"].clone()), (200, json!(0)));
    // The age is that of a file that is there.
    server.clock.set(time(START).plus_seconds(3600));
    server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": "by-hand.db" })).status(201);
    server.clock.set(time(START).plus_seconds(3660));
    server.run_jobs();
    assert_eq!(readiness(&server).1["age_seconds"], 60);
    std::fs::remove_file(server.config().data.join("backups/by-hand.db")).expect("the file");
    server.run_jobs();
    assert_eq!(readiness(&server).1["age_seconds"], 3660 - 599);
    std::fs::remove_file(elsewhere.join("mailtrail-20260430T143210Z.db")).expect("the file");
    server.run_jobs();
    assert_eq!(readiness(&server).1["age_seconds"], Value::Null);
}

#[test]
fn nobody_but_the_schedule_makes_files_of_its_names_and_the_one_made_last_stays() {
    let server = Server::start_with(&[("backup_every", "24h"), ("backups_kept", "2")]);
    let directory = server.config().data.join("backups");
    let of_schedule = "mailtrail-99991231T235959Z.db";
    let absolute = directory.join(of_schedule).display().to_string();
    for name in [of_schedule, &absolute, "/tmp/mailtrail-20260430T142211Z.db"] {
        let refused = server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": name }));
        assert!(refused.status(422).body_text().contains("a name of the schedule"));
    }
    server.post("/api/v1/admin/backups", &json!({ "file": of_schedule })).status(422);
    // From before they were refused.
    day(&server, 0);
    std::fs::write(directory.join(of_schedule), "").expect("a file");
    day(&server, 1);
    assert_eq!(names(&directory), ["mailtrail-20260430T142211Z.db", "mailtrail-20260501T142211Z.db"]);
    // A clock that leaps for a moment makes none and removes none.
    server.clock.set(time(START).plus_days(40));
    server.run_jobs();
    server.clock.set(time(START).plus_days(1).plus_seconds(60));
    server.run_jobs();
    assert_eq!(names(&directory), ["mailtrail-20260430T142211Z.db", "mailtrail-20260501T142211Z.db"]);
    // One that was wrong for long makes some, and later ones take their place though their time is earlier.
    server.clock.set(time(START).plus_days(40));
    server.run_jobs();
    server.clock.set(time(START).plus_days(40).plus_seconds(600));
    server.run_jobs();
    assert_eq!(names(&directory), ["mailtrail-20260501T142211Z.db", "mailtrail-20260609T143211Z.db"]);
    server.clock.set(time(START).plus_days(2));
    server.operator(Method::Post, "/api/v1/admin/clock/accept", &Value::Null).status(200);
    for days in [2, 3] {
        day(&server, days);
        let newest = format!("mailtrail-2026050{days}T142211Z.db");
        assert!(names(&directory).contains(&newest), "{:?}", names(&directory));
        assert_eq!(readiness(&server).1["age_seconds"], 0);
    }
    assert_eq!(names(&directory), ["mailtrail-20260502T142211Z.db", "mailtrail-20260503T142211Z.db"]);
}

#[test]
fn only_a_database_of_ours_counts_as_a_backup() {
    let server = Server::start();
    let last = || {
        server.run_jobs();
        readiness(&server).1["last"].clone()
    };
    server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": "one.db" })).status(201);
    let made = last();
    assert!(made.is_string(), "{made}");
    let other = server.directory().join("other.db");
    Connection::open(&other)
        .and_then(|db| db.execute_batch("CREATE TABLE a (b)"))
        .expect("another's database");
    for file in ["/etc/passwd", "/dev/zero", "/", "/nowhere", &other.display().to_string()] {
        let sql = "INSERT INTO backups (file, made_at, scheduled) SELECT CAST(?1 AS BLOB), last_now + 1000000, 1 FROM sequence";
        let db = Connection::open(server.database()).expect("the database");
        db.execute(sql, [file]).expect("a row");
        assert_eq!(last(), made, "{file}");
    }
}

/// Every row with a number up to `last`, as text.
fn rows(connection: &Connection, last: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for table in ["enforcement_events", "activity"] {
        let sql = format!("SELECT * FROM {table} WHERE seq <= ?1 ORDER BY seq");
        let mut statement = connection.prepare(&sql).expect("a query");
        let n_columns = statement.column_count();
        let mut rows = statement.query([last]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values: Vec<_> = (0..n_columns).map(|at| row.get_ref(at).expect("a value")).collect();
            lines.push(format!("{table} {values:?}"));
        }
    }
    lines
}

/// Ends the writers when it is dropped.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `MAILTRAIL_ROUNDS` sets how many.
#[test]
fn backups_under_load_are_whole_and_hold_all_that_was_answered_before_them() {
    let n_backups = std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |n: usize| {
        json!({
            "tenant_id": tenant, "mailbox_address": format!("user{n}@example.org"), "action_taken": "blocked",
            "sent_count": n, "limit_value": 25,
        })
    };
    let (is_over, answered) = (AtomicBool::new(false), Mutex::new(0));
    std::thread::scope(|scope| {
        // Also when something is not as expected.
        let _end = Finally(&is_over);
        for writer in 0..8 {
            let (server, is_over, answered, event) = (&server, &is_over, &answered, &event);
            scope.spawn(move || {
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let batch: Vec<_> = (0..20).map(|at| event(n * 1000 + writer * 100 + at)).collect();
                    let answer =
                        server.post("/v1/enforcement/events", &json!({ "events": batch })).status(201);
                    let last = answer.json()["events"][19]["seq"].as_i64().expect("a number");
                    let mut answered = answered.lock().expect("a lock");
                    *answered = last.max(*answered);
                }
            });
        }
        let directory = server.config().data.join("backups");
        for n in 0..n_backups {
            let before = *answered.lock().expect("a lock");
            let name = format!("copy-{n}.db");
            server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": name })).status(201);
            let copy = mailtrail::store::backup::open_at_rest(&directory.join(name)).expect("the backup");
            let (problems, miscounts) = mailtrail::admin::appliance::check(&copy).expect("a check");
            assert!(problems.is_empty() && miscounts.is_empty(), "{problems:?} {miscounts:?}");
            let last = mailtrail::store::backup::last_seq(&copy).expect("a number");
            assert!(last >= before, "the backup ends at {last}, {before} was answered before it");
            assert_eq!(rows(&copy, i64::MAX), rows(&server.db(), last), "backup {n}");
            std::thread::sleep(Duration::from_millis(30));
        }
    });
}
