//! The tree: what is recorded becomes a leaf, what goes by rule leaves a hole that explains itself, and whatever else
//! is done to the file is found and named.

use mailtrail::app::LOGS;
use mailtrail::error::Error;
use mailtrail::http::Method;
use mailtrail::serve::Running;
use mailtrail::store::backup;
use mailtrail::tlog::holes;
use mailtrail::tlog::merkle;
use mailtrail::tlog::record::{self, Record};
use mailtrail::tlog::rows::{Column, Names, Rows, walk};
use mailtrail::tlog::tree::{Stored, WIDTH};
use mailtrail::tlog::verify;
use mailtrail::tlog::{leaf_of_number, number_of};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde_json::{Value, json};

use crate::support::{Server, time};

/// What `verify` finds in a database.
fn findings(connection: &Connection) -> Vec<String> {
    let mut findings = Vec::new();
    let last_seq = backup::last_seq(connection).expect("the last number");
    verify::verify(connection, LOGS, last_seq, &mut |line| findings.push(line))
        .expect("a database that can be read");
    findings
}

/// Proves that each `nth` row is in the tree, and that each `nth` smaller tree is its beginning. Returns how many
/// proofs held.
pub fn prove(connection: &Connection, nth: usize) -> usize {
    let stored = Stored(connection);
    let size = stored.n_leaves().expect("a size");
    let root = merkle::root(&stored, size).expect("a root");
    let (mut names, mut record) = (Names::default(), Record::default());
    let mut n_proofs = 0;
    walk(connection, LOGS, (1, number_of(size)), |rows, number, row| {
        if !leaf_of_number(number).is_multiple_of(nth as u64) {
            return Ok(());
        }
        let leaf = record::leaf(rows.describe(connection, (number, row), &mut names, &mut record)?);
        let index = leaf_of_number(number);
        let path = merkle::prove_inclusion(&stored, index, size)?;
        assert!(merkle::is_included(index, leaf, size, root, &path), "row {number} of {}", rows.log);
        n_proofs += 1;
        Ok(())
    })
    .expect("rows");
    for old in (1..=size).step_by(nth) {
        let shown = merkle::root(&stored, old)
            .and_then(|before| Ok((before, merkle::prove_consistency(&stored, old, size)?)));
        let (before, proof) = match shown {
            // It ended in a tile that was given up: then no row of it is left.
            Err(Error::Mismatch(_)) => {
                let tile = number_of(old / WIDTH * WIDTH);
                let tell = |rows: &Rows, number: i64, _: &Row<'_>| panic!("row {number} of {}", rows.log);
                walk(connection, LOGS, (tile, tile + WIDTH as i64 - 1), tell).expect("rows");
                continue;
            }
            shown => shown.expect("a root and a proof"),
        };
        assert!(merkle::is_consistent(old, before, size, root, &proof), "{old} of {size}");
        n_proofs += 1;
    }
    n_proofs
}

/// A server with rows in every log, of which retention has removed some.
fn with_history() -> Server {
    let server =
        Server::start_with(&[("enforcement_retention_days", "30"), ("activity_retention_days", "30")]);
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let mailbox = server.add_mailbox(&server.workspace, "sales@example.org", Some(&tenant), Some(25));
    let project = server.add_project(&server.workspace, "Site");
    let policy = json!({ "defaultAction": "bounce", "senders": [], "auditLog": { "retentionDays": 30 } });
    server.put_policy(mailbox, &policy).good();
    for n in 0..40 {
        // Every third is old enough to go.
        let at = time("2026-04-30T10:00:00Z").plus_days(if n % 3 == 0 { -60 } else { 0 }).plus_seconds(n);
        let event = json!({
            "tenant_id": tenant, "mailbox_address": format!("user{}@example.org", n % 5), "sent_count": n,
            "action_taken": if n % 2 == 0 { "blocked" } else { "unblocked" }, "limit_value": 25,
            "message": (n % 4 == 0).then(|| format!("a \"message\" \\ of {n}")), "created_at": at,
        });
        server.post("/v1/enforcement/events", &event).status(201);
        let entry = json!({
            "message_id": format!("m{n}@example.net"), "sender_address": "ada@example.org", "outcome": "delivered",
            "received_at": at.seconds(), "tokens_consumed": { "input": n, "output": 1 }, "verification_dkim": "pass",
            "thread_id": format!("t{}", n / 4), "capabilities_granted": { "capabilities": ["a", "b"], "rule_index": 0 },
        });
        server.post(&format!("/v1/mailboxes/{mailbox}/audit-logs"), &entry).status(201);
        let activity = json!({
            "user_id": "018f1f1e-7c3a-7000-8000-0000000000aa", "action": "site.publish", "target_id": format!("s{n}"),
            "metadata": { "n": n, "title": "ünï \"quoted\"" }, "ip_address": "192.0.2.7", "created_at": at,
        });
        server.post(&format!("/api/v1/projects/{project}/audit-log"), &activity).status(201);
    }
    server.operator(Method::Post, "/api/v1/admin/retention/run", &Value::Null).good();
    server
}

#[test]
fn a_history_with_retention_and_restarts_is_whole_and_every_row_of_it_can_be_proven() {
    let mut server = with_history();
    let told =
        |server: &Server| server.operator(Method::Get, "/api/v1/admin/verify", &Value::Null).good().json();
    let before = told(&server);
    assert_eq!(before["ok"], true, "{before}");
    // Fourteen of each log, and the facts of the messages.
    assert_eq!(before["removed"], 14 * 4);
    assert_eq!(
        before["size"].as_i64(),
        before["entries"]
            .as_i64()
            .zip(before["removed"].as_i64())
            .map(|(entries, removed)| entries + removed)
    );
    server.restart();
    assert_eq!(told(&server), before);
    server.stop();
    let connection = Connection::open(server.database()).expect("the database");
    assert!(prove(&connection, 1) > 250);
    let bodies: Vec<String> = connection
        .prepare("SELECT body FROM controls WHERE kind = 2 ORDER BY seq")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("controls");
    let body: Value = serde_json::from_str(&bodies[0]).expect("JSON");
    assert_eq!(
        (&body["log"], &body["n"], &body["before"]),
        (&json!("enforcement"), &json!(14), &json!("2026-03-31T14:22:11Z"))
    );
}

#[test]
fn a_database_whose_tree_is_cut_is_not_served_and_every_row_without_a_leaf_is_named() {
    let mut server = with_history();
    server.stop();
    let last = server.db_number("SELECT last_seq FROM sequence");
    assert!((127..252).contains(&last), "{last} leaves are not two rows of the table");
    let whole = std::fs::read(server.database()).expect("the database");
    for (cut, without_leaf, refusal) in [
        ("DELETE FROM tree WHERE id = 0", (1, 126), "the tree has no hashes of tier 0, row 0"),
        ("UPDATE sequence SET leaves = x''", (127, last), "the tree has no hashes of tier 0, row 1"),
        ("UPDATE sequence SET leaves = x'', n_leaves = 126", (127, last), "the tree has 126 leaves, and "),
        ("UPDATE sequence SET last_seq = last_seq - 1", (0, 0), " numbers were given out"),
    ] {
        std::fs::write(server.database(), &whole).expect("the database");
        let db = Connection::open(server.database()).expect("the database");
        let n_rows: i64 = LOGS
            .iter()
            .map(|rows| {
                let sql = format!("SELECT count(*) FROM {} WHERE seq BETWEEN ?1 AND ?2", rows.table);
                db.query_row(&sql, without_leaf, |row| row.get::<_, i64>(0)).expect("a count")
            })
            .sum();
        db.execute_batch(cut).expect("an edit");
        let found = findings(&db);
        assert!(!found.is_empty(), "{cut}");
        let n_without = found.iter().filter(|line| line.ends_with(" has no leaf")).count();
        assert_eq!(n_without as i64, n_rows, "{cut}: {found:?}");
        drop(db);
        let error = Running::start(server.config(), server.clock.clone()).err().expect("a refusal");
        assert!(
            matches!(error, Error::Refused { .. }) && error.to_string().contains(refusal),
            "{cut}: {error}"
        );
        assert!(error.hint().contains(&format!("`mailtrail verify {}`", server.database().display())));
    }
}

#[test]
fn every_column_of_a_log_is_in_its_record() {
    let server = Server::start();
    let db = server.db();
    for rows in LOGS {
        let columns: Vec<String> = db
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .and_then(|mut statement| statement.query_map([rows.table], |row| row.get(0))?.collect())
            .expect("columns");
        let told: Vec<&str> = rows.all_columns().map(Column::name).collect();
        let expected: Vec<&str> =
            columns.iter().map(String::as_str).filter(|name| !["seq", "salt"].contains(name)).collect();
        assert_eq!(told, expected, "{}", rows.table);
    }
}

#[test]
fn two_equal_rows_have_different_leaves() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    let event = json!({
        "tenant_id": tenant, "mailbox_address": "sales@example.org", "action_taken": "blocked", "sent_count": 26,
        "limit_value": 25,
    });
    for _ in 0..20 {
        server.post("/v1/enforcement/events", &event).status(201);
    }
    let db = server.db();
    let n_salts = "SELECT count(DISTINCT salt) FROM enforcement_events WHERE length(salt) = 16";
    assert_eq!(db.query_row(n_salts, [], |row| row.get::<_, i64>(0)).expect("salts"), 20);
}

/// xorshift64*: the same edits every time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

/// A value with one bit changed; nothing becomes something.
fn flipped(value: Sql, dice: &mut Dice) -> Sql {
    let mut flip = |bytes: &mut Vec<u8>| match bytes.len() {
        0 => bytes.push(b'x'),
        n => bytes[dice.roll(n)] ^= 1 << dice.roll(7),
    };
    match value {
        Sql::Null => Sql::Integer(1),
        Sql::Integer(number) => Sql::Integer(number ^ 1 << dice.roll(20)),
        Sql::Real(number) => Sql::Real(-number),
        // Seven bits of ASCII stay one character; what is more is cut up, and no text any more.
        Sql::Text(text) => {
            let mut bytes = text.into_bytes();
            flip(&mut bytes);
            Sql::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        Sql::Blob(mut bytes) => {
            flip(&mut bytes);
            Sql::Blob(bytes)
        }
    }
}

/// Changes a bit of a row's leaf: 126 stand together, the last ones in `sequence`.
pub fn flip_leaf(db: &Connection, seq: i64, byte: usize, bit: usize) -> rusqlite::Result<()> {
    let (run, place) = ((seq - 1) / 126, (seq - 1) as usize % 126);
    for (select, update) in [
        ("SELECT hashes FROM tree WHERE id = ?1", "UPDATE tree SET hashes = ?2 WHERE id = ?1"),
        (
            "SELECT leaves FROM sequence WHERE n_leaves / 126 = ?1",
            "UPDATE sequence SET leaves = ?2 WHERE n_leaves / 126 = ?1",
        ),
    ] {
        let hashes: Option<Vec<u8>> = db.query_row(select, [run], |row| row.get(0)).optional()?;
        if let Some(mut hashes) = hashes {
            hashes[place * 32 + byte] ^= 1 << bit;
            db.execute(update, (run, hashes))?;
            return Ok(());
        }
    }
    Err(rusqlite::Error::QueryReturnedNoRows)
}

/// Does something to the database that nobody may. Returns what the findings have to name; `None` when SQLite would
/// not do it, or it changed nothing.
fn edit(db: &Connection, dice: &mut Dice) -> rusqlite::Result<Option<(String, Vec<String>)>> {
    let numbers = |table: &str| -> rusqlite::Result<Vec<i64>> {
        let mut statement = db.prepare_cached(&format!("SELECT seq FROM {table} ORDER BY seq"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let rows = &LOGS[dice.roll(LOGS.len())];
    let (table, log) = (rows.table, rows.log);
    let all = numbers(table)?;
    let seq = all[dice.roll(all.len())];
    let columns = format!("{}, salt", rows.columns.iter().map(Column::name).collect::<Vec<_>>().join(", "));
    let this = format!("row {seq} of {log} ");
    let gap = format!("unexplained gap at seq {seq}");
    Ok(match dice.roll(12) {
        0..=5 => {
            let columns: Vec<&str> = columns.split(", ").collect();
            let column = columns[dice.roll(columns.len())];
            let select = format!("SELECT {column} FROM {table} WHERE seq = ?1");
            let before: Sql = db.query_row(&select, [seq], |row| row.get(0))?;
            let after = flipped(before.clone(), dice);
            let update = format!("UPDATE {table} SET {column} = ?2 WHERE seq = ?1");
            db.execute(&update, params_from_iter([Sql::from(seq), after.clone()]))?;
            let stored: Sql = db.query_row(&select, [seq], |row| row.get(0))?;
            (stored != before)
                .then(|| (format!("{column} of {this}from {before:?} to {after:?}"), vec![this]))
        }
        6 => {
            db.execute(&format!("DELETE FROM {table} WHERE seq = ?1"), [seq])?;
            Some((format!("{this}deleted"), vec![gap]))
        }
        7 => {
            let new = db.query_row("SELECT last_seq + 1 FROM sequence", [], |row| row.get::<_, i64>(0))?;
            db.execute(
                &format!(
                    "INSERT INTO {table} (seq, {columns}) SELECT ?2, {columns} FROM {table} WHERE seq = ?1"
                ),
                (seq, new),
            )?;
            Some((format!("{this}again as {new}"), vec![format!("row {new} of {log} has no leaf")]))
        }
        8 => {
            // Into a hole.
            let holes = holes::all(db).expect("holes");
            let hole = holes[dice.roll(holes.len())].first;
            db.execute(&format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1"), (seq, hole))?;
            Some((
                format!("{this}as {hole}, which was removed"),
                vec![gap, format!("row {hole} of {log} was removed, and is there")],
            ))
        }
        9 => {
            // Two rows of one log change places.
            let other = all[dice.roll(all.len())];
            for (from, to) in [(seq, -1), (other, seq), (-1, other)] {
                db.execute(&format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1"), (from, to))?;
            }
            (other != seq).then(|| {
                (format!("{this}and {other} change places"), vec![this, format!("row {other} of {log} ")])
            })
        }
        10 => {
            // A row of another log takes the place of this one.
            let another = &LOGS[dice.roll(LOGS.len())];
            let others = numbers(another.table)?;
            let from = others[dice.roll(others.len())];
            if another.table == table {
                return Ok(None);
            }
            db.execute(&format!("DELETE FROM {table} WHERE seq = ?1"), [seq])?;
            db.execute(&format!("UPDATE {} SET seq = ?2 WHERE seq = ?1", another.table), (from, seq))?;
            let moved = format!("row {seq} of {} ", another.log);
            Some((
                format!("row {from} of {} as {seq}", another.log),
                vec![moved, format!("unexplained gap at seq {from}")],
            ))
        }
        _ => match dice.roll(4) {
            0 => {
                let (byte, bit) = (dice.roll(32), dice.roll(8));
                flip_leaf(db, seq, byte, bit)?;
                Some((format!("the leaf of {this}"), vec![this]))
            }
            1 => {
                db.execute(
                    "UPDATE holes SET ranges = CAST(ranges || x'0200' AS BLOB)
                     WHERE control = (SELECT max(control) FROM holes)",
                    [],
                )?;
                Some(("a hole made larger".into(), vec!["the removed rows are not those that row ".into()]))
            }
            2 => {
                db.execute("DELETE FROM holes WHERE control = (SELECT min(control) FROM holes)", [])?;
                Some((
                    "a hole filled".into(),
                    vec!["unexplained gap at seq ".into(), "the removed rows are not".into()],
                ))
            }
            _ => {
                // Whoever has it said something else then.
                let changed = db.execute(
                    "UPDATE texts SET text = text || 'x' WHERE id = (SELECT max(user_id) FROM activity)",
                    [],
                )?;
                (changed > 0).then(|| ("a text".into(), vec![" of activity does not match its leaf".into()]))
            }
        },
    })
}

/// `MAILTRAIL_ROUNDS` sets how many edits.
#[test]
fn every_edit_is_found_and_named() {
    let n_edits = std::env::var("MAILTRAIL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut server = with_history();
    server.stop();
    let db = Connection::open(server.database()).expect("the database");
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("triggers");
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("an edit");
    }
    db.execute_batch(
        "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF",
    )
    .expect("settings");
    assert_eq!(findings(&db), Vec::<String>::new());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut n_found, mut n_tried) = (0, 0);
    while n_found < n_edits {
        n_tried += 1;
        db.execute_batch("BEGIN").expect("a transaction");
        if let Ok(Some((what, named))) = edit(&db, &mut dice) {
            let findings = findings(&db);
            assert!(!findings.is_empty(), "{what} was not found");
            for name in &named {
                assert!(
                    findings.iter().any(|line| line.starts_with(name) || line.contains(name)),
                    "{what}: no {name:?} in {findings:?}"
                );
            }
            n_found += 1;
        }
        db.execute_batch("ROLLBACK").expect("a transaction");
    }
    assert!(n_tried < n_edits * 2, "{n_tried} tries for {n_edits} edits");
    assert_eq!(findings(&db), Vec::<String>::new(), "the last was rolled back too");
}
