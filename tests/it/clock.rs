//! A clock that is moved: steps of a day and an hour both ways, the hours that daylight saving takes and gives,
//! midnight, 2038; and the way out after it was wrong.

use std::path::{Path, PathBuf};

use mailtrail::http::Method;
use mailtrail::time::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::process::{Owners, Serving, agent, mailtrail};
use crate::support::{OWNER, START, Server, time};

const DAY: i64 = 86_400;

fn check(server: &Server) {
    let checked = server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json();
    assert_eq!(checked["ok"], true, "{checked}");
}

fn accept(server: &Server) -> crate::support::Answer {
    server.operator(Method::Post, "/api/v1/admin/clock/accept", &Value::Null)
}

/// An entry of the mailbox, recorded now; its number.
fn record(server: &Server, mailbox: i64, id: &str) -> i64 {
    let entry = json!({ "message_id": id, "outcome": "delivered" });
    let answer = server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
    answer.json()["id"].as_i64().expect("a number")
}

fn listed(server: &Server, mailbox: i64, query: &str) -> Vec<String> {
    let shown = server.get(&format!("/v1/mailboxes/{mailbox}/audit-logs?{query}")).status(200).json();
    let items = shown["items"].as_array().expect("a list").iter();
    items.map(|item| item["message_id"].as_str().expect("a text").to_owned()).collect()
}

/// What a mailbox with a limit of one sent: one send an hour, over the hours between two instants.
fn unblocked(server: &Server, from: &str, hours: i64) -> Vec<String> {
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(1));
    let send = json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org" });
    for half_hour in 0..hours * 2 {
        server.clock.set(time(from).plus_seconds(half_hour * 1800));
        server.run_jobs();
        if half_hour % 2 == 0 {
            server.post("/v1/enforcement/sends", &send).good();
        }
    }
    let shown = server.get("/v1/enforcement/events?action=unblocked&order=asc&limit=100").status(200).json();
    let events = shown["events"].as_array().expect("a list").iter();
    events.map(|event| event["created_at"].as_str().expect("a time").to_owned()).collect()
}

#[test]
fn a_day_ends_once_also_when_it_has_23_or_25_hours() {
    for (zone, reset, from, expected) in [
        // Clocks go forward at 01:00 UTC on the 28th of March, back on the 25th of October.
        ("Europe/Berlin", "00:00", "2027-03-27T12:00:00Z", ["2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"]),
        ("Europe/Berlin", "00:00", "2026-10-24T12:00:00Z", ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]),
        // The time of the reset is in the hour that is left out, or comes twice.
        ("Europe/Berlin", "02:30", "2027-03-27T12:00:00Z", ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"]),
        ("Europe/Berlin", "02:30", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        // Over the end of 31 bits of seconds.
        ("UTC", "03:00", "2038-01-18T12:00:00Z", ["2038-01-19T03:00:00Z", "2038-01-20T03:00:00Z"]),
    ] {
        let server = Server::start_with(&[("daily_reset_zone", zone), ("daily_reset_time", reset)]);
        assert_eq!(unblocked(&server, from, 40), expected, "{zone} {reset} from {from}");
        check(&server);
    }
}

#[test]
fn steps_of_a_day_and_an_hour_lose_nothing_and_delete_nothing_early() {
    let server = Server::start_with(&[("messages_retention_days", "5")]);
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    let project = server.add_project(&server.workspace, "Site");
    let activity = json!({ "user_id": "018f1f1e-7c3a-7000-8000-0000000000aa", "action": "site.publish" });
    let (mut numbers, mut ulids, mut clock) = (Vec::new(), Vec::new(), 0);
    let steps = [25, -25, 25, 25, -25, 1, -1, -25, 50, -25, 25];
    for (n, hours) in steps.into_iter().enumerate() {
        clock += hours * 3600;
        server.clock.set(time(START).plus_seconds(clock));
        server.run_jobs();
        numbers.push(record(&server, mailbox, &format!("m{n}")));
        let answer =
            server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201).json();
        ulids.push(answer["id"].as_str().expect("an id").to_owned());
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(ulids.is_sorted_by(|a, b| a < b), "{ulids:?}");
    // At most three days have passed, whatever the clock did.
    assert_eq!(listed(&server, mailbox, "limit=50").len(), steps.len());
    check(&server);
}

#[test]
fn after_a_clock_that_was_wrong_times_start_again_when_somebody_says_so() {
    let mut server = Server::start_with(&[("messages_retention_days", "30")]);
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", None, None);
    record(&server, mailbox, "before");
    assert_eq!(accept(&server).status(409).json()["code"], "clock_not_behind");
    // A battery fails, and it is 2036 for a while: somebody logs in, a key is revoked, a message comes.
    server.clock.set(time("2036-01-01T00:00:00Z"));
    record(&server, mailbox, "in 2036");
    let in_the_leap = server.login(OWNER);
    let revoked = server.operator(Method::Get, "/api/v1/admin/keys", &Value::Null).json();
    let id = revoked["keys"][0]["id"].as_str().expect("an id").to_owned();
    let key = server.add_key(&server.workspace, &["messages:read", "messages:write"]);
    server.operator(Method::Delete, &format!("/api/v1/admin/keys/{id}"), &Value::Null).status(204);
    let list = format!("/v1/mailboxes/{mailbox}/audit-logs");
    server.request(Method::Get, &list).key(&server.key).send().status(401);
    // The clock is put right. What ended has ended; new rows still get the time of the leap.
    let now = time(START).plus_seconds(3600);
    server.clock.set(now);
    server.request(Method::Get, &list).key(&server.key).send().status(401);
    server.key = key;
    let shown = server.operator(Method::Get, "/api/v1/admin/clock", &Value::Null).good().json();
    assert_eq!(shown["clock"], now.to_string());
    assert_eq!(shown["latest_write"], "2036-01-01T00:00:00Z");
    record(&server, mailbox, "after, in 2036 still");
    let stuck = server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).status(409).json();
    assert_eq!(stuck["code"], "clock_stepped_back");

    let stepped = accept(&server).status(200).json();
    assert_eq!(stepped, json!({ "before": "2036-01-01T00:00:00Z", "after": now.to_string() }));
    server.clock.set(now.plus_seconds(60));
    let right = record(&server, mailbox, "right");
    let shown = server.get(&format!("{list}/right")).status(200).json();
    assert_eq!(shown["recorded_at"], now.plus_seconds(60).micros() / 1_000_000);
    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    // Also when it is started anew; and what ended in the leap stays ended.
    server.restart();
    assert!(record(&server, mailbox, "right still") > right);
    let revoked =
        server.operator(Method::Get, &format!("/api/v1/admin/keys/{id}"), &Value::Null).good().json();
    let ended = Timestamp::parse(revoked["revoked_at"].as_str().expect("a time")).expect("a time");
    assert!(ended <= now, "{revoked}");
    let trail = format!("/api/v1/workspaces/{}/audit-log", server.workspace);
    server.request(Method::Get, &trail).header("cookie", &in_the_leap).send().status(401);
    // A list by time finds what is on both sides of the step.
    let after = now.plus_seconds(30);
    assert_eq!(
        listed(&server, mailbox, &format!("from={after}&order=asc")),
        ["in 2036", "after, in 2036 still", "right", "right still"]
    );
    assert_eq!(
        listed(&server, mailbox, &format!("from={after}&to={}", after.plus_days(1))),
        ["right still", "right"]
    );
    assert_eq!(listed(&server, mailbox, "from=2035-01-01T00:00:00Z").len(), 2);
    check(&server);
    // The step is in the trail.
    let db = server.db();
    let noted: i64 = db
        .query_row(
            "SELECT count(*) FROM activity WHERE action = (SELECT id FROM texts WHERE text = 'clock.accept')",
            [],
            |row| row.get(0),
        )
        .expect("a number");
    assert_eq!(noted, 1);
}

#[test]
fn a_mailbox_that_was_blocked_while_the_clock_was_wrong_is_free_on_the_next_day() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(1));
    let send = json!({ "tenant_id": tenant, "mailbox_address": "sales@example.org" });
    server.clock.set(time(START).plus_days(4000));
    for action in ["allowed", "blocked"] {
        assert_eq!(server.post("/v1/enforcement/sends", &send).good().json()["action"], action);
    }
    server.clock.set(time(START).plus_seconds(60));
    accept(&server).status(200);
    assert_eq!(server.post("/v1/enforcement/sends", &send).good().json()["action"], "blocked");
    server.clock.set(time(START).plus_seconds(DAY));
    server.run_jobs();
    assert_eq!(server.post("/v1/enforcement/sends", &send).good().json()["action"], "allowed");
    check(&server);
}

/// Preloaded, it lets the system's clock stand at `$CLOCK_AT`.
fn clock_that_stands(directory: &Path) -> PathBuf {
    let shim = directory.join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/clock.c");
    let built =
        std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status();
    assert!(built.expect("a C compiler").success());
    shim
}

#[test]
fn a_leap_while_nothing_ran_is_seen_by_what_the_machine_counted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shim = clock_that_stands(directory.path());
    let data = directory.path().join("data");
    Owners::create(&data);
    let begun = time("2040-11-21T12:00:00Z");
    let db = || Connection::open(data.join("mailtrail.db")).expect("the database");
    let (hours, days) = (|n: i64| begun.plus_seconds(n * 3600), |n: i64| begun.plus_seconds(n * DAY));
    db().execute("UPDATE sequence SET last_now = ?1, believed = ?1", [begun]).expect("an edit");
    let write_at = |at: Timestamp| {
        let mut command = mailtrail(&data, &["tenant", "create", "--name", "Acme"]);
        command.env("LD_PRELOAD", &shim).env("CLOCK_AT", at.seconds().to_string());
        assert!(command.output().expect("a command").status.success());
        let believed = db().query_row("SELECT believed FROM sequence", [], |row| row.get(0));
        believed.expect("the time that is believed")
    };
    let believed: Timestamp = write_at(days(3));
    assert!(believed >= begun && believed < hours(1), "{believed}");
    let believed: Timestamp = write_at(hours(0));
    assert!(believed < hours(1), "{believed}");
    // The machine was off in between: nobody knows for how long.
    db().execute("UPDATE sequence SET boot = boot + 1", []).expect("an edit");
    assert_eq!(write_at(days(3)).truncated(), days(3));
}

#[test]
fn a_clock_outside_the_years_1970_to_9999_cuts_no_answer_and_ends_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shim = clock_that_stands(directory.path());
    // The last instant that can be written, the next second, and the beginning of the year 10000.
    for (place, at) in ["-86400", "0", "253402207200", "253402207201", "253402300800"].into_iter().enumerate()
    {
        let data = directory.path().join(format!("data{place}"));
        let owners = Owners::create(&data);
        let mut command = mailtrail(&data, &["serve", "--listen", "127.0.0.1:0", "--set", "log=debug"]);
        command.env("LD_PRELOAD", &shim).env("CLOCK_AT", at).stderr(std::process::Stdio::null());
        let serving = Serving::spawn(command);
        let get = |path: &str| owners.get(&agent(), &serving.url, path).expect("an answer");
        let answer = get("/healthz").status(200);
        let year = if at.starts_with('2') { " 9999 " } else { " 1970 " };
        assert!(answer.header("date").is_some_and(|date| date.contains(year)), "{at}: {answer:?}");
        let write = owners.write_of(1, vec!["m@crash.example".into()], None, "");
        let written = owners.send(&agent(), &serving.url, &write).expect("an answer").status(201).json();
        assert_eq!(written["message_id"], "m@crash.example", "{at}");
        get(&format!("/v1/mailboxes/{}/audit-logs", owners.mailbox)).status(200);
        assert_eq!(serving.stop().code(), Some(0), "{at}");
    }
}

/// What a leap of the clock could end for good.
struct AtStake {
    server: Server,
    tenant: String,
    mailbox: i64,
    /// Of somebody who logged in before it.
    session: String,
    /// A key that ends ten days after the start.
    expiring: String,
}

impl AtStake {
    fn new() -> Self {
        let server = Server::start();
        let tenant = server.add_tenant(&server.workspace, "Acme");
        server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(1));
        let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
        let key = json!({
            "workspace_id": server.workspace, "name": "expiring", "scopes": ["enforcement:read"],
            "expires_at": time(START).plus_days(10),
        });
        let expiring = server.operator(Method::Post, "/api/v1/admin/keys", &key).good().text("key");
        let license = json!({ "holder": "Main", "expires_at": time(START).plus_days(20) });
        let license =
            server.operator(Method::Post, "/api/v1/admin/licenses", &license).good().text("license_key");
        let mut server = server;
        server.set("license_key", &license);
        server.restart();
        let session = server.login(OWNER);
        let stake = Self { server, tenant, mailbox, session, expiring };
        assert_eq!(stake.send(), "allowed");
        assert_eq!(stake.send(), "blocked");
        stake.retry().status(201);
        stake
    }

    /// A mailbox that has a limit of one sends once more.
    fn send(&self) -> String {
        let send = json!({ "tenant_id": self.tenant, "mailbox_address": "sales@example.org" });
        self.server.post("/v1/enforcement/sends", &send).good().text("action")
    }

    fn retry(&self) -> crate::support::Answer {
        let path = format!("/v1/mailboxes/{}/audit-logs", self.mailbox);
        let entry = json!({ "message_id": "once", "outcome": "delivered" });
        let request = self.server.request(Method::Post, &path).key(&self.server.key);
        request.header("idempotency-key", "k1").json(&entry).send()
    }

    fn is_replayed(&self) -> bool {
        self.retry().status(201).header("idempotency-replayed") == Some("true")
    }

    fn trail(&self, session: &str) -> u16 {
        let path = format!("/api/v1/workspaces/{}/audit-log?limit=1", self.server.workspace);
        self.server.request(Method::Get, &path).header("cookie", session).send().status
    }

    fn read(&self, key: &str) -> u16 {
        self.server.request(Method::Get, "/v1/enforcement/events").key(key).send().status
    }

    fn n_unblocked(&self) -> i64 {
        self.server.db_number("SELECT count(*) FROM enforcement_events WHERE action = 2")
    }

    fn n(&self, table: &str) -> i64 {
        self.server.db_number(&format!("SELECT count(*) FROM {table}"))
    }

    /// Everything is as if the clock had never leapt.
    #[track_caller]
    fn assert_nothing_has_ended(&self) {
        assert!(self.is_replayed());
        assert_eq!(self.trail(&self.session), 200);
        assert_eq!(self.read(&self.expiring), 200);
        assert_eq!((self.send().as_str(), self.n_unblocked()), ("blocked", 0));
        assert_eq!((self.n("idempotency"), self.n("messages")), (1, 1));
    }
}

#[test]
fn a_leap_of_a_moment_ends_nothing() {
    let stake = AtStake::new();
    let server = &stake.server;
    stake.assert_nothing_has_ended();
    server.clock.set(time(START).plus_days(30));
    server.run_jobs();
    // Who is let in can be said otherwise a moment later; whatever is done, is done for good.
    assert!(stake.is_replayed());
    assert_eq!((stake.send().as_str(), stake.n_unblocked()), ("blocked", 0));
    assert_eq!((stake.trail(&stake.session), stake.read(&stake.expiring)), (401, 401));
    server.run_jobs();
    server.clock.set(time(START).plus_seconds(60));
    server.run_jobs();
    stake.assert_nothing_has_ended();
    check(server);
}

#[test]
fn a_leap_in_which_something_was_recorded_ends_nothing_and_revives_nothing() {
    let mut stake = AtStake::new();
    let old = stake.server.add_key(&stake.server.workspace, &["enforcement:read"]);
    stake.server.clock.set(time(START).plus_days(30));
    record(&stake.server, stake.mailbox, "in the leap");
    let in_the_leap = stake.server.login(OWNER);
    stake.server.run_jobs();
    // A key is revoked meanwhile.
    let keys = stake.server.operator(Method::Get, "/api/v1/admin/keys", &Value::Null).json();
    let hint = &old[..12];
    let found = keys["keys"].as_array().expect("a list").iter().find(|key| key["hint"] == hint);
    let id = found.expect("the key")["id"].as_str().expect("an id").to_owned();
    stake.server.operator(Method::Delete, &format!("/api/v1/admin/keys/{id}"), &Value::Null).status(204);
    for restarts in [false, true] {
        stake.server.clock.set(time(START).plus_seconds(60));
        if restarts {
            stake.server.restart();
        }
        stake.server.run_jobs();
        let (server, session) = (&stake.server, &stake.session);
        assert!(stake.is_replayed());
        // Of what began in the leap nobody knows how old it is.
        assert_eq!((stake.trail(session), stake.trail(&in_the_leap)), (200, 401));
        assert_eq!((stake.read(&stake.expiring), stake.read(&old)), (200, 401));
        assert_eq!((stake.send().as_str(), stake.n_unblocked()), ("blocked", 0));
        // Somebody who comes now gets in, and stays in as long as usual and no longer.
        let new = server.login(OWNER);
        assert_eq!(stake.trail(&new), 200);
        server.clock.set(time(START).plus_days(7));
        assert_eq!(stake.trail(&new), 401);
    }
}

#[test]
fn a_leap_that_stays_is_believed_after_ten_minutes_and_what_ended_stays_ended() {
    let stake = AtStake::new();
    let server = &stake.server;
    server.clock.set(time(START).plus_days(30));
    server.run_jobs();
    assert_eq!((stake.n("idempotency"), stake.n_unblocked()), (1, 0));
    server.clock.set(time(START).plus_days(30).plus_seconds(600));
    server.run_jobs();
    assert_eq!((stake.n("idempotency"), stake.n_unblocked()), (0, 1));
    assert_eq!(stake.send(), "allowed");
    server.clock.set(time(START).plus_seconds(60));
    server.run_jobs();
    assert_eq!((stake.trail(&stake.session), stake.read(&stake.expiring)), (401, 401));
    check(server);
}

#[test]
fn a_key_that_expired_is_not_revived_by_a_clock_that_steps_back() {
    let mut stake = AtStake::new();
    for days in [5, 10] {
        assert_eq!(stake.read(&stake.expiring), 200);
        stake.server.clock.set(time(START).plus_days(days));
    }
    assert_eq!(stake.read(&stake.expiring), 401);
    record(&stake.server, stake.mailbox, "after it");
    stake.server.clock.set(time(START).plus_days(5));
    assert_eq!(stake.read(&stake.expiring), 401);
    stake.server.restart();
    assert_eq!(stake.read(&stake.expiring), 401);
}
