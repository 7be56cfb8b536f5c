//! `check` finds what is wrong and names it; a repair puts counts right.

use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::process::mailtrail;
use crate::support::{START, Server, edit_rows, time};

#[test]
fn a_wrong_count_is_named_and_put_right_on_request() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@mail.acmecorp.com", "action_taken": "blocked",
        "sent_count": 26, "limit_value": 25, "created_at": "2026-04-20T14:30:00Z",
    });
    server.post("/v1/enforcement/events", &event).status(201);
    server.post("/v1/enforcement/events", &event).status(201);
    let check =
        |server: &Server, body: Value| server.operator(Method::Post, "/api/v1/admin/check", &body).json();
    assert_eq!(
        check(&server, Value::Null),
        json!({ "ok": true, "problems": [], "miscounts": [], "repaired": 0 })
    );

    server.stop();
    let connection = rusqlite::Connection::open(server.database()).expect("the database");
    connection
        .execute("UPDATE counts SET n = 7 WHERE log = 1 AND owner = -1 AND kind = 1 AND width = 0", [])
        .expect("an edit");
    let deletion = "DELETE FROM counts WHERE log = 1 AND owner = 1 AND kind = 0 AND width = 1";
    connection.execute(deletion, []).expect("an edit");
    drop(connection);
    server.restart();

    let found = check(&server, Value::Null);
    assert_eq!(found["ok"], false);
    let bucket = 1_776_695_400 / 86_400;
    let expected = json!([
        { "log": "enforcement", "owner": -1, "kind": 1, "width": "day", "bucket": bucket, "stored": 7, "counted": 2 },
        { "log": "enforcement", "owner": 1, "kind": 0, "width": "hour", "bucket": 1_776_695_400 / 3600, "stored": 0, "counted": 2 },
    ]);
    assert_eq!(found["miscounts"], expected);
    assert_eq!(server.get("/v1/enforcement/events?action=blocked").json()["total"], 7);
    let told = mailtrail(&server.config().data, &["check"]).output().expect("a command");
    let told = (told.status.code(), String::from_utf8_lossy(&told.stderr).into_owned());
    assert!(told.0 == Some(3) && told.1.contains("hint: `mailtrail check --repair`"), "{told:?}");

    assert_eq!(check(&server, json!({ "repair": true }))["repaired"], 2);
    assert_eq!(check(&server, Value::Null)["ok"], true);
    assert_eq!(server.get("/v1/enforcement/events?action=blocked").json()["total"], 2);
}

#[test]
fn a_repair_holds_no_write_up_and_adds_what_was_missing_when_it_looked() {
    let mut server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |days: i64| {
        json!({
            "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
            "limit_value": 25, "created_at": time(START).plus_days(-days),
        })
    };
    for days in [40, 3, 2, 1] {
        let lines: String = (0..4000).map(|_| format!("{}\n", event(days))).collect();
        let request = server.request(Method::Post, "/v1/enforcement/events").key(&server.key);
        request.body("application/x-ndjson", lines).send().status(201);
    }
    server.stop();
    let connection = rusqlite::Connection::open(server.database()).expect("the database");
    let edit = "UPDATE counts SET n = n + 7 WHERE log = 1 AND owner > 0 AND kind = 0;
                UPDATE counts SET n = -5 WHERE log = 1 AND owner > 0 AND kind = 1;
                DELETE FROM counts WHERE log = 1 AND owner < 0";
    connection.execute_batch(edit).expect("an edit");
    drop(connection);
    server.restart();
    let check = |body: Value| server.operator(Method::Post, "/api/v1/admin/check", &body).json();
    let n_written = std::thread::scope(|scope| {
        let repair = scope.spawn(|| check(json!({ "repair": true })));
        let mut n_written = 0;
        while !repair.is_finished() {
            server.post("/v1/enforcement/events", &event(2)).status(201);
            n_written += 1;
            if n_written == 3 {
                // Buckets that are wrong lose rows, too, to the last one.
                server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
            }
        }
        assert_ne!(repair.join().expect("an answer")["repaired"], 0);
        n_written
    });
    assert!(n_written > 5, "only {n_written} writes were answered during the check");
    assert_eq!(check(Value::Null)["ok"], true);
    let total = |query: &str| server.get(&format!("/v1/enforcement/events?{query}")).json()["total"].clone();
    assert_eq!(total("action=blocked"), 12_000 + n_written);
    assert_eq!(total(&format!("tenant_id={tenant}")), 12_000 + n_written);
}

#[test]
fn counts_and_a_time_that_cannot_be_are_told_by_verify() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    });
    server.post("/v1/enforcement/events", &event).status(201);
    let verify =
        |server: &Server| server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    assert_eq!(verify(&server)["ok"], true);
    server.stop();
    let whole = std::fs::read(server.database()).expect("the database");
    for edit in [
        "UPDATE counts SET n = 9223372036854775807 WHERE log = 1",
        "UPDATE counts SET n = n + 1000000 WHERE log = 1",
        "UPDATE counts SET n = 0 WHERE log = 1",
        "UPDATE counts SET n = -1 WHERE log = 1",
        "UPDATE counts SET bucket = 9223372036854775807 WHERE log = 1",
        "UPDATE counts SET bucket = -9223372036854775807 WHERE log = 1",
        "UPDATE sequence SET last_now = 253402207200999999",
    ] {
        std::fs::write(server.database(), &whole).expect("the database");
        let connection = rusqlite::Connection::open(server.database()).expect("the database");
        connection.execute_batch(edit).expect(edit);
        drop(connection);
        server.restart();
        let found = verify(&server);
        assert_eq!(found["ok"], false, "{edit}: {found}");
        assert_ne!(found["n_findings"], 0, "{edit}: {found}");
        // It may be wrong, but it is an answer.
        for query in ["", "?offset=1", "?action=blocked", "?from=2026-04-01T00:00:00Z&order=asc"] {
            server.get(&format!("/v1/enforcement/events{query}")).status(200);
        }
        server.stop();
    }
    for edit in [
        "UPDATE sequence SET last_now = 9223372036854775807",
        "UPDATE sequence SET last_now = 253402207201000000",
        "UPDATE sequence SET last_now = -1",
    ] {
        std::fs::write(server.database(), &whole).expect("the database");
        let connection = rusqlite::Connection::open(server.database()).expect("the database");
        connection.execute_batch(edit).expect(edit);
        drop(connection);
        let started = mailtrail::serve::Running::start(server.config(), server.clock.clone());
        let error = started.err().expect("a refusal");
        assert!(matches!(error, mailtrail::error::Error::Refused { .. }), "{edit}: {error}");
        assert!(error.to_string().contains("the latest time that a write saw"), "{edit}: {error}");
    }
}

#[test]
fn empty_pages_are_given_back_step_by_step_and_some_are_kept() {
    let server = Server::start_with(&[("enforcement_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = |n: usize| {
        json!({
            "tenant_id": tenant, "mailbox_address": format!("user{n}@mail.acmecorp.com"), "action_taken": "blocked",
            "sent_count": 26, "limit_value": 25, "created_at": "2026-01-20T14:30:00Z", "message": "x".repeat(900),
        })
    };
    for _ in 0..40 {
        let lines: String = (0..500).map(|n| format!("{}\n", event(n))).collect();
        let path = "/v1/enforcement/events";
        server
            .request(Method::Post, path)
            .key(&server.key)
            .body("application/x-ndjson", lines)
            .send()
            .status(201);
    }
    let pages = || {
        let db = server.db();
        mailtrail::store::pages(&db).expect("page counts")
    };
    let (before, _) = pages();
    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    for _ in 0..5 {
        server.run_jobs();
    }
    let (after, free) = pages();
    assert!(after < before / 2, "{before} pages before, {after} after");
    assert!(free <= 2048, "{free} of {after} pages are empty");
    assert_eq!(server.operator(Method::Post, "/api/v1/admin/check", &Value::Null).json()["ok"], true);
}

/// What is in the tables that hold what was recorded; `None` when it cannot be read.
fn recorded(path: &std::path::Path) -> Option<Vec<String>> {
    let connection = rusqlite::Connection::open(path).ok()?;
    let mut lines = Vec::new();
    for table in ["texts", "policies", "enforcement_events", "messages", "message_facts", "activity"] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} NOT INDEXED")).ok()?;
        let n_columns = statement.column_count();
        let mut rows = statement.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            let values: Vec<_> =
                (0..n_columns).map(|at| row.get_ref(at)).collect::<rusqlite::Result<_>>().ok()?;
            lines.push(format!("{table} {values:?}"));
        }
    }
    Some(lines)
}

/// The first line that is not the same.
fn difference(whole: &[String], damaged: Option<Vec<String>>) -> Option<(String, String)> {
    let damaged = damaged?;
    let at = (0..whole.len()).find(|&at| whole.get(at) != damaged.get(at))?;
    Some((whole[at].clone(), damaged.get(at).cloned().unwrap_or_default()))
}

/// `MAILTRAIL_ROUNDS` sets how many flips.
#[test]
fn every_flipped_bit_of_what_was_recorded_is_found() {
    let n_flips = std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let mut server = Server::start();
    let (workspace, mut random) = (server.workspace.clone(), 0x2545_F491_4F6C_DD1D_u64);
    let tenant = server.add_tenant(&workspace, "Acme");
    let mailbox = server.add_mailbox(&workspace, "sales@example.org", Some(&tenant), None);
    let project = server.add_project(&workspace, "Site");
    server
        .put_policy(
            mailbox,
            &json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": 99 } }),
        )
        .good();
    for n in 0..60 {
        let event = json!({
            "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": n,
            "limit_value": 25, "message": format!("number {n}"),
        });
        server.post("/v1/enforcement/events", &event).status(201);
        let entry = json!({
            "message_id": format!("m{n}"), "sender_address": "ada@example.org", "outcome": "delivered",
            "tokens_consumed": { "input": n, "output": 1 },
        });
        server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
        let activity = json!({
            "user_id": "018f1f1e-7c3a-7000-8000-0000000000aa", "action": "site.publish",
            "metadata": { "n": n, "title": "a title of some length" },
        });
        server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201);
    }
    server.stop();
    let bytes = std::fs::read(server.database()).expect("the database");
    let whole = recorded(&server.database()).expect("what was recorded");
    let damaged = server.directory().join("damaged.db");
    let (mut n_found, mut n_seen_by_sqlite) = (0, 0);
    while n_found < n_flips {
        // xorshift64*
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        let at = (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 3) as usize % (bytes.len() * 8);
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        std::fs::write(&damaged, flipped).expect("a file");
        if recorded(&damaged).as_ref() == Some(&whole) {
            continue;
        }
        n_found += 1;
        let problems = match mailtrail::store::backup::open_at_rest(&damaged) {
            Ok(connection) => mailtrail::admin::appliance::check(&connection).map(|(problems, _)| problems),
            Err(error) => Err(error),
        };
        let is_found = problems.as_ref().map_or(true, |problems| !problems.is_empty());
        assert!(is_found, "bit {at}: {problems:?}, {:?}", difference(&whole, recorded(&damaged)));
        let plain = rusqlite::Connection::open(&damaged).and_then(|connection| {
            connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
        });
        n_seen_by_sqlite += usize::from(plain.as_deref() != Ok("ok"));
    }
    // Else the test would hold without the checksums.
    assert!(
        n_found - n_seen_by_sqlite > n_found / 20,
        "SQLite's own check saw {n_seen_by_sqlite} of {n_found}"
    );
}

#[test]
fn a_row_that_is_not_as_it_was_recorded_is_named() {
    let mut server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    });
    let seq = server.post("/v1/enforcement/events", &event).status(201).json()["seq"].clone();
    server.stop();
    let missing = server.db_number("SELECT max(seq) FROM activity");
    edit_rows(
        &server.database(),
        "UPDATE enforcement_events SET sent_count = 25;
         DELETE FROM activity WHERE seq = (SELECT max(seq) FROM activity)",
    );
    let found = run_check(&server);
    assert_eq!(found["ok"], false);
    let gap = format!("unexplained gap at seq {missing}");
    let line = format!("row {seq} of enforcement does not match its leaf");
    assert_eq!(found["problems"], json!([gap, line]));
    // The missing one is one less than its counts say.
    let missing = found["miscounts"].as_array().expect("a list");
    assert!(
        missing.iter().any(|count| count["log"] == "activity" && count["stored"] != count["counted"]),
        "{found}"
    );
    // What is damaged is not kept as a backup.
    server.restart();
    let refused = server.operator(Method::Post, "/api/v1/admin/backups", &json!({ "file": "copy.db" }));
    let refused = refused.status(500).json();
    assert_eq!(refused["code"], "mismatch", "{refused}");
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("is damaged: {gap}; and 1 more")), "{refused}");
    assert!(!server.config().data.join("backups/copy.db").exists());
    // Where a trigger is missing, the rows are looked at all the same.
    server.stop();
    let connection = rusqlite::Connection::open(server.database()).expect("the database");
    connection.execute_batch("DROP TRIGGER messages_no_delete").expect("an edit");
    drop(connection);
    let dropped = "the trigger messages_no_delete is not there";
    assert_eq!(run_check(&server)["problems"], json!([dropped, gap, line]));
}

/// A log on a disk that cannot be written, as an auditor gets it. Only root mounts one; for others modes do.
#[test]
fn a_log_on_read_only_media_is_verified_as_it_is() {
    let mut server = Server::start();
    server.add_tenant(&server.workspace, "Acme");
    server.stop();
    let (data, database) = (server.config().data, server.database());
    let is_root = rustix::process::geteuid().is_root();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    };
    let binary = env!("CARGO_BIN_EXE_mailtrail");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(if is_root { "unshare" } else { binary });
        if is_root {
            let mounted =
                "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 99; exec \"$@\"";
            command.args(["--mount", "sh", "-c", mounted]).arg(&data).arg(binary);
        }
        command.args(arguments).output().expect("a run")
    };
    for file in ["mailtrail.db", "ballast", "checkpoint"] {
        mode(&data.join(file), 0o400);
    }
    mode(&data, 0o500);
    let [data_name, file_name] = [&data, &database].map(|path| path.to_str().expect("a path of ASCII"));
    for arguments in [
        ["--data", data_name, "verify"].as_slice(),
        &["--data", data_name, "check"],
        &["verify", file_name],
        &["check", file_name],
    ] {
        let done = run(arguments);
        let told = String::from_utf8_lossy(&done.stderr);
        if done.status.code() == Some(99) || told.starts_with("unshare") {
            eprintln!("skipped: root may mount nothing here: {told}");
            return;
        }
        assert!(done.status.success() && done.stdout.starts_with(b"ok: "), "{arguments:?}: {done:?}");
    }
    mode(&data, 0o700);
    // What a WAL holds that was not moved would be missing.
    std::fs::write(data.join("mailtrail.db-wal"), [0; 32]).expect("a file");
    mode(&data, 0o500);
    let done = run(&["verify", file_name]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("has a WAL or a journal beside it"), "{done:?}");
    mode(&data, 0o700);
}

/// `mailtrail check` of a database that nobody serves.
fn run_check(server: &Server) -> Value {
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_mailtrail"))
        .arg("--data")
        .arg(server.config().data)
        .args(["check", "--json"])
        .output()
        .expect("a run");
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}
